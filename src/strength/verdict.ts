import type { Guessing } from './guessing.ts';
import type { DoorScans } from './scans.ts';
import { SCAN_KINDS } from './scans.ts';

/** How a door stands against anyone who does not know its sequence. */
export type Verdict = 'weak' | 'fair' | 'strong';

const ORDER: readonly Verdict[] = ['weak', 'fair', 'strong'];
const DAY = 86_400;
const YEAR = 31_557_600;
/** Below: an even chance in the time that a patient guesser has, in seconds. */
const WEAK_BELOW = { alone: 30 * DAY, many: 60 } as const;
const STRONG_FROM = { alone: 100 * YEAR, many: YEAR } as const;

/** A door without a sequence in force is shut: that is strong, and said elsewhere. */
export function verdictOf(guessing: Guessing | null, scans: DoorScans | null): Verdict {
  if (scans !== null && SCAN_KINDS.some((kind) => scans[kind].opened > 0)) return 'weak';
  if (guessing === null) return 'strong';
  const { alone, many } = guessing;
  if (alone < WEAK_BELOW.alone || many < WEAK_BELOW.many) return 'weak';
  return alone >= STRONG_FROM.alone && many >= STRONG_FROM.many ? 'strong' : 'fair';
}

/** A machine is as strong as its weakest door. */
export function weakest(verdicts: readonly Verdict[]): Verdict {
  return ORDER.find((each) => verdicts.includes(each)) ?? 'strong';
}
