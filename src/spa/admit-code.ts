import type { Address } from '../packet/address.ts';
import type { Milliseconds } from '../packet/time.ts';
import type { RejectReason } from '../policy/key-use.ts';
import { isAmong } from './admit.ts';
import type { Key } from './key.ts';
import type { Usage } from './usage.ts';

/** Who knocked a right code, and when. */
export interface CodeKnock {
  readonly source: Address;
  readonly now: Milliseconds;
  readonly wall: number;
}

/** Why a right code may not open its key's doors; undefined: it may. Nothing is noted yet. */
export function whyNotAdmitted(
  key: Key,
  { source, now, wall }: CodeKnock,
  usage: Usage,
): RejectReason | undefined {
  if (key.expires !== null && wall >= key.expires) return 'expired';
  if (!isAmong(source, key.from)) return 'from';
  return usage.permits(key, now) ? undefined : 'limit';
}
