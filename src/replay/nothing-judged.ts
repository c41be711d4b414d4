import { formatCidr } from '../packet/cidr.ts';
import type { FrameCounts } from '../source/pcap-batch.ts';
import type { LocalAddresses } from './local.ts';
import type { Replay } from './replayer.ts';

/** Ports and addresses that are named. */
const NAMED_MAX = 5;

/** Why no packet of a capture was judged, in words for people; nothing where one was. */
export function nothingJudged(
  { counts, unwatched }: Replay,
  frames: Readonly<FrameCounts>,
  local: LocalAddresses,
): readonly string[] {
  if (counts.judged > 0 || counts.malformed > 0) return [];
  if (counts.packets === 0) {
    const kinds = [...frames.others].map(([name, count]) => `${count} ${name}`).join(', ');
    const held = kinds === '' ? '' : ` (${kinds})`;
    return [
      frames.frames === 0
        ? 'nothing was judged: the capture holds no packets'
        : `nothing was judged: no frame of ${frames.frames} holds an IP packet that can be read${held}`,
    ];
  }
  const addresses = local.list().slice(0, NAMED_MAX).map(formatCidr).join(', ');
  const ports = unwatched(NAMED_MAX)
    .map(([port, count]) => `${port} (${count})`)
    .join(', ');
  const reasons = [
    [counts.unseen, `to ports that are not watched${ports === '' ? '' : `, most to ${ports}`}`],
    [counts.accepted, 'let in to their service'],
    [counts.established, 'part of connections'],
    [counts.sent, 'sent by this machine'],
    [
      counts.elsewhere,
      `for other machines than this one (${addresses === '' ? 'no address is known' : addresses}; name its addresses with --address)`,
    ],
  ] as const;
  const found = reasons.filter(([count]) => count > 0).map(([count, text]) => `${count} ${text}`);
  return [`none of ${counts.packets} packets was judged: ${found.join('; ')}`];
}
