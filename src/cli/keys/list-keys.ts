import { systemClock } from '../../clock.ts';
import { formatDuration } from '../../config/duration.ts';
import { formatCidr } from '../../packet/cidr.ts';
import type { Credential, Key } from '../../spa/key.ts';
import { secretBits } from '../../spa/secret-bits.ts';
import { printableJson } from '../../text/plain.ts';
import type { KeyOptions } from '../commands/key.ts';
import { EXIT, type ExitCode } from '../exit.ts';
import { formatTable } from '../output/table.ts';
import { readKeys } from './edit-key-file.ts';
import { keyPlace } from './place.ts';

/** What keys there are; nothing secret. Rejects with CommandFailure. */
export async function listKeys(options: KeyOptions): Promise<ExitCode> {
  const place = await keyPlace(options.config, options.keys);
  const { keys } = readKeys(place.file).file;
  process.stdout.write(options.json === true ? asJson(keys) : asTable(keys, place.file));
  return EXIT.done;
}

function asTable(keys: readonly Key[], file: string): string {
  if (keys.length === 0) return `No keys in ${file}: "nfknock key new NAME --door DOOR" makes one.\n`;
  const columns = [
    { title: 'KEY' },
    { title: 'PERSON', least: 8 },
    { title: 'KIND' },
    { title: 'BITS', align: 'right' },
    { title: 'OPENS', least: 8 },
    { title: 'LIMITS', kind: 'text' },
  ] as const;
  const rows = keys.map((key) => [
    key.name,
    key.person ?? '-',
    key.credential.kind,
    bitsOf(key.credential)?.toString() ?? '-',
    key.doors.join(', '),
    limitsOf(key).join(', ') || '-',
  ]);
  return `${formatTable(columns, rows, process.stdout.isTTY ? (process.stdout.columns ?? null) : null).join('\n')}\n`;
}

function asJson(keys: readonly Key[]): string {
  const rows = keys.map((key) => ({
    name: key.name,
    person: key.person,
    kind: key.credential.kind,
    bits: bitsOf(key.credential),
    doors: key.doors,
    address: key.address,
    from: key.from.map(formatCidr),
    to: key.to.map(formatCidr),
    user: key.user,
    port: key.port,
    expires: timeText(key.expires),
    expired: isPast(key.expires),
    uses: key.uses,
    holders: key.holders,
    for_max: seconds(key.forMax),
    rate: { knocks: key.rate.knocks, per: seconds(key.rate.per) },
    old_until: timeText(key.previous?.until ?? null),
  }));
  return `${printableJson(JSON.stringify(rows, null, 2))}\n`;
}

/** What a key is held to, in words. */
function limitsOf(key: Key): readonly string[] {
  const { address, from, to, port, expires, uses, holders, forMax, previous } = key;
  return [
    ...(isPast(expires) ? ['EXPIRED'] : expires === null ? [] : [`until ${timeText(expires)}`]),
    ...(address === 'required' ? ['must name an address'] : []),
    ...(from.length === 0 ? [] : [`from ${from.map(formatCidr).join(' ')}`]),
    ...(to.length === 0 ? [] : [`to ${to.map(formatCidr).join(' ')}`]),
    ...(port === null ? [] : [`at ${port}/udp`]),
    ...(uses === null ? [] : [`${uses} uses`]),
    ...(holders === null ? [] : [`${holders} grants at once`]),
    ...(forMax === null ? [] : [`at most ${formatDuration(forMax)}`]),
    ...(previous === null || isPast(previous.until)
      ? []
      : [`the one before until ${timeText(previous.until)}`]),
  ];
}

/** The bits of the weakest of a key's secrets; null: it has none here. */
function bitsOf(credential: Credential): number | null {
  switch (credential.kind) {
    case 'fwknop':
      return Math.min(secretBits(credential.key), secretBits(credential.hmac));
    case 'secret':
    case 'totp':
    case 'doorman':
      return secretBits(credential.secret);
    default:
      return null;
  }
}

function isPast(moment: number | null): boolean {
  return moment !== null && moment <= systemClock.wall();
}

function timeText(moment: number | null): string | null {
  return moment === null ? null : new Date(moment).toISOString().replace('.000Z', 'Z');
}

function seconds(milliseconds: number | null): number | null {
  return milliseconds === null ? null : milliseconds / 1000;
}
