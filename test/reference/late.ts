import { isInTime, isMade, isNext, isTooSoon } from './attempts.ts';
import type { RefPacket } from './packet.ts';
import { fits, type Sequence } from './port.ts';
import type { Attempt } from './state.ts';

/* A packet that is looked at later than it came, or that came to another member of a fleet. */

export interface Late {
  readonly how: 'place' | 'conclude' | 'rest';
  readonly came: number;
  /** It came to another member. */
  readonly told: boolean;
  readonly slack: number;
  readonly quiet: boolean;
}

/** Of an attempt at a sequence of so many steps a clock may put more than one knock back. */
const ONE_CLOCK_STEPS = 3;

function within(attempt: Attempt, late: Late): boolean {
  return late.came >= attempt.last - (late.told || attempt.stray === true ? late.slack : 0);
}

/** How the packet stands to an attempt that it may only go on with. */
export function placing(
  sequence: Sequence,
  attempt: Attempt,
  packet: RefPacket,
  late: Late,
): 'next' | 'unsure' | 'made' | 'nothing' {
  if (!isInTime(sequence, attempt, late.came)) return 'nothing';
  if (isNext(sequence, attempt, packet)) {
    if (isTooSoon(sequence, attempt, packet, late.came)) return 'nothing';
    if (late.came >= attempt.last) return 'next';
    if (!within(attempt, late)) return 'nothing';
    return attempt.tolerated <= sequence.door.tolerate ? 'next' : 'unsure';
  }
  return within(attempt, late) && isMade(attempt, packet) ? 'made' : 'nothing';
}

export function movedOn(sequence: Sequence, attempt: Attempt, port: string, late: Late): Attempt {
  const isBack = late.came < attempt.last;
  const keeps = isBack && sequence.steps.length > ONE_CLOCK_STEPS;
  return {
    ...attempt,
    steps: attempt.steps + 1,
    last: keeps ? attempt.last : late.came,
    tolerated: attempt.tolerated + Number(isBack),
    ports: [...attempt.ports, port],
    stray: late.told || (keeps && attempt.stray === true),
  };
}

/** Whether a packet that is concluded may have broken the attempt. */
export function mayBreak(sequence: Sequence, attempt: Attempt, packet: RefPacket, late: Late): boolean {
  if (attempt.first > late.came) return false;
  if (late.how !== 'rest') return true;
  return !isMade(attempt, packet) && sequence.steps.some((step) => fits(step, packet));
}

/** What an attempt that it may break lets pass. */
export function mostPassed(sequence: Sequence, attempt: Attempt, late: Late): number {
  return sequence.door.tolerate + Number(late.told || attempt.last > late.came);
}
