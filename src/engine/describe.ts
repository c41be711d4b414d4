import { flagsMatch } from '../packet/flags.ts';
import { isUdp, type PortKey } from '../packet/port-key.ts';
import { CLOSE_GUARD, REPEAT_WINDOW } from '../policy/limits.ts';
import { placeOf } from './attempt.ts';
import { isMade } from './code.ts';
import { closeIsGuarded, mayClose } from './door.ts';
import { HOW, isConcerned, isNextPlaced, isTooFast, isWithinSlack, staleness } from './in-time.ts';
import type { Sequence } from './ports.ts';
import type { State } from './state.ts';
import type { Subject } from './subject.ts';
import { NONE } from './table.ts';

/* Rules 6 and 7, their first half: what a packet is to each sequence. Nothing is changed here. */

/**
 * What the packet is to one sequence. `renews`: the first step once more, where no attempt is past it. `guarded`: the
 * first step of a sequence that may not begin yet.
 */
export type Explanation =
  | 'none'
  | 'begins'
  | 'advances'
  | 'too fast'
  | 'repeat'
  | 'renews'
  | 'guarded'
  | 'tolerated'
  | 'broken'
  | 'expired';

/** The packet as rules 6 and 7 see it. */
export interface Knock {
  /** Its port; the first of the range where the port is digits of a code. */
  readonly key: PortKey;
  /** Its port itself. */
  readonly port: PortKey;
  readonly flags: number;
  /** Whether its moment is the kernel's own: nobody is too fast on a packet that waited unstamped. */
  readonly stamped: boolean;
  /** A live service is behind the port: anyone who visits it is no offender, even where he breaks an attempt off. */
  readonly observed: boolean;
  /** By the clock that its moment was taken with, as near as this machine knows that; when it is judged. */
  readonly came: number;
  readonly now: number;
  readonly how: number;
  /** It came to another member of the fleet. */
  readonly told: boolean;
  /** How far the clocks of two members may be apart. */
  readonly slack: number;
  /** It has waited so long that what came to others at the same time is known. */
  readonly quiet: boolean;
}

/** Explanations as bits, so that what a packet is to all its sequences together is one number. */
export const FOUND: Readonly<Record<Explanation, number>> = {
  none: 0,
  begins: 1,
  advances: 2,
  'too fast': 4,
  repeat: 8,
  renews: 16,
  tolerated: 32,
  broken: 64,
  expired: 128,
  guarded: 256,
};

/** A sequence that the packet concerns; the subject's entries of it are `state.slots[from … to)`. */
export interface Candidate {
  readonly sequence: Sequence;
  readonly from: number;
  readonly to: number;
  readonly explanation: Explanation;
  /** Where in `state.masks` is for which of its kin it stands; NONE: for this sequence alone. */
  readonly mask: number;
}

/** Broken off by its own next step, which is its first step too: the packet begins it anew. */
export function isAnew({ explanation, sequence }: Candidate, knock: Knock): boolean {
  return (explanation === 'expired' || explanation === 'too fast') && sequence.steps[0] === knock.key;
}

export function isFor(sequence: Sequence, knock: Knock): boolean {
  return isUdp(knock.key) || flagsMatch(sequence.settings.flags, knock.flags);
}

/** What an attempt, or several together, make of the packet, as bits. */
const SEEN = {
  live: 1,
  next: 2,
  fast: 4,
  expired: 8,
  made: 16,
  stale: 32,
  /** Past its first step. */
  ahead: 64,
  patient: 128,
} as const;

export function explain(
  state: State,
  subject: Subject,
  knock: Knock,
  sequence: Sequence,
  from: number,
  to: number,
): Explanation {
  const { steps, settings } = sequence;
  const { key, now } = knock;
  const main = from < to ? (state.slots[from] ?? NONE) : NONE;
  const isMain = main !== NONE && state.attempts.place(main) === 0;
  const completed = isMain ? state.attempts.completed(main) : Number.NEGATIVE_INFINITY;
  // A one-time sequence is another one after it has opened: what opened the door is what can be repeated.
  const done = settings.oneTime && sequence.kind === 'open' ? sequence.spent : steps;
  const repeats = now - completed <= REPEAT_WINDOW && done.includes(key);
  if (sequence.kind === 'close' && !mayClose(state, subject, sequence.door))
    return repeats ? 'repeat' : 'none';
  if (isGuarded(state, subject, sequence, now)) {
    if (steps[0] === key) return 'guarded';
    return repeats || steps.includes(key) ? 'repeat' : 'none';
  }
  let seen = 0;
  for (let index = from; index < to; index += 1) {
    const slot = state.slots[index] ?? NONE;
    if (isAttempt(state, subject, sequence, slot)) seen |= seenBy(state, knock, sequence, slot);
  }
  if (knock.how === HOW.placed) {
    if ((seen & SEEN.next) !== 0) return 'advances';
    // Too much of the attempt is in the order of nobody's clock already.
    if ((seen & SEEN.fast) !== 0) return 'too fast';
    return repeats || (seen & SEEN.made) !== 0 ? 'repeat' : 'none';
  }
  if (knock.how >= HOW.concluded) {
    if (repeats && knock.how === HOW.concluded) return 'repeat';
    return (seen & SEEN.live) === 0 ? 'none' : (seen & SEEN.patient) !== 0 ? 'tolerated' : 'broken';
  }
  if ((seen & SEEN.next) !== 0) return 'advances';
  if ((seen & SEEN.fast) !== 0) return 'too fast';
  if ((seen & SEEN.expired) !== 0) return 'expired';
  if (steps[0] === key) return (seen & SEEN.live) !== 0 && (seen & SEEN.ahead) === 0 ? 'renews' : 'begins';
  if (repeats || (seen & SEEN.made) !== 0) return 'repeat';
  if ((seen & (SEEN.live | SEEN.stale)) === 0) return 'none';
  return (seen & SEEN.patient) !== 0 ? 'tolerated' : 'broken';
}

function seenBy(state: State, knock: Knock, sequence: Sequence, slot: number): number {
  const { attempts } = state;
  if (knock.how === HOW.placed) return seenPlaced(state, knock, sequence, slot);
  if (knock.how >= HOW.concluded) {
    if (
      !isConcerned(state, knock, sequence, slot) ||
      staleness(state, slot, sequence, knock.now) !== undefined
    )
      return 0;
    return SEEN.live | (attempts.tolerated(slot) < sequence.settings.tolerate ? SEEN.patient : 0);
  }
  const { steps, settings } = sequence;
  const made = attempts.step(slot);
  const isNext = steps[made] === knock.key;
  if (staleness(state, slot, sequence, knock.now) !== undefined)
    return SEEN.stale | (isNext ? SEEN.expired : 0);
  const ahead = made > 1 ? SEEN.ahead : 0;
  if (isNext) return SEEN.live | ahead | (isTooFast(state, knock, sequence, slot) ? SEEN.fast : SEEN.next);
  const repeats = isMade(sequence, attempts.code(slot), made, knock);
  const patient = attempts.tolerated(slot) < settings.tolerate;
  return SEEN.live | ahead | (repeats ? SEEN.made : 0) | (patient ? SEEN.patient : 0);
}

function seenPlaced(state: State, knock: Knock, sequence: Sequence, slot: number): number {
  const { attempts } = state;
  if (staleness(state, slot, sequence, knock.now) !== undefined) return 0;
  if (isNextPlaced(state, knock, sequence, slot)) return SEEN.next;
  if (!isWithinSlack(state, knock, slot)) return 0;
  const made = attempts.step(slot);
  if (sequence.steps[made] === knock.key) return isTooFast(state, knock, sequence, slot) ? 0 : SEEN.fast;
  return isMade(sequence, attempts.code(slot), made, knock) ? SEEN.made : 0;
}

/** Whether the entry is an attempt that can go on; none where it was to close a grant that has ended since. */
export function isAttempt(state: State, subject: Subject, sequence: Sequence, slot: number): boolean {
  const { attempts, grants } = state;
  // An earlier sequence of this packet may have ended the entry, or taken its slot when the table was full.
  if (slot === NONE || attempts.sequence(slot) !== sequence.id || attempts.step(slot) === 0) return false;
  if (sequence.kind === 'open') return true;
  const begun = attempts.begun(slot);
  // It began more than CLOSE_GUARD after the grant did; one that is no older is another grant.
  return grants.heldBy(subject).some((grant) => grant.door === sequence.door && grant.since < begun);
}

/**
 * A client that repeats its knocks in reverse (nmap does, after two seconds) must neither close what it has just
 * opened nor open what it has just closed.
 */
export function isGuarded(state: State, subject: Subject, sequence: Sequence, now: number): boolean {
  if (sequence.kind === 'close') return closeIsGuarded(state, subject, sequence.door, now);
  if (sequence.settings.close.length === 0) return false;
  const { attempts, slots, held } = state;
  const closing = placeOf(sequence.id + 1, 0);
  for (let index = 0; index < held; index += 1) {
    const slot = slots[index] ?? NONE;
    if (attempts.table.extra(slot) === closing) return now - attempts.completed(slot) <= CLOSE_GUARD;
  }
  return false;
}
