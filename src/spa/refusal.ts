import type { RejectReason } from '../policy/key-use.ts';
import type { Rejected } from './admit.ts';
import { distanceInWords, spanInWords } from './distance.ts';
import type { Key } from './key.ts';

/** Why a proven packet opens nothing; the engine has a reason more. */
export type Refused = Omit<Rejected, 'reason' | 'outcome'> & { readonly reason: RejectReason | 'banned' };

/** A refusal that is no offence, and not for its clock. */
export function refusal(key: Key, reason: Refused['reason']): Refused {
  return { key, reason, behind: null, offence: false };
}

/** Why the engine opened nothing, as it is said of the packet. */
export function engineRefusal(key: Key, reason: string): Refused {
  return refusal(key, reason === 'banned' || reason === 'full' ? reason : 'door');
}

const FORGOTTEN = 'it is older than what is remembered of its key';

/** The reason in words and figures of this packet, where there are more to be said. */
export function detailOf({ key, reason, behind }: Refused): { detail?: string } {
  switch (reason) {
    case 'stale':
      return { detail: behind === null ? FORGOTTEN : distanceInWords(behind) };
    case 'expired':
      return behind === null ? {} : { detail: `its key expired ${spanInWords(behind)} ago` };
    case 'limit':
      return { detail: `its key may open ${limitsOf(key)}` };
    default:
      return {};
  }
}

/** The same of a code, knocked at `wall`, that its key may not open by. */
export function wordsOf(key: Key, reason: Refused['reason'], wall: number): { detail?: string } {
  const behind = reason === 'expired' && key.expires !== null ? wall - key.expires : null;
  return detailOf({ ...refusal(key, reason), behind });
}

function limitsOf({ uses, rate }: Key): string {
  const often = `${timesOf(rate.knocks)} in ${spanInWords(rate.per)}`;
  return uses === null ? often : `${timesOf(uses)} in all, and ${often}`;
}

function timesOf(count: number): string {
  return count === 1 ? 'once' : `${count} times`;
}

interface GrantByKey {
  readonly opened: number;
  readonly holder: { readonly key: string } | null;
}

/** One more than a key's `holders`, and its oldest grant ends. */
export function beyondHolders<Grant extends GrantByKey>(
  grants: Iterable<Grant>,
  { name, holders }: Key,
): readonly Grant[] {
  if (holders === null) return [];
  const own = [...grants].filter(({ holder }) => holder?.key === name).sort((x, y) => x.opened - y.opened);
  return own.slice(0, Math.max(0, own.length - holders));
}
