import { flagsMatch } from '../packet/flags.ts';
import { CLOSE_GUARD, REPEAT_WINDOW } from '../policy/limits.ts';
import { closeIsGuarded, guardedFrom, mayClose } from './door.ts';
import { isUdp, type PortKey, type Sequence } from './ports.ts';
import type { State } from './state.ts';
import type { Subject } from './subject.ts';
import { NONE } from './table.ts';

/* Rules 6 and 7, their first half: what a packet is to each sequence. Nothing is changed here. */

const NO_STEPS: readonly PortKey[] = [];

/** What the packet is to one sequence. */
export type Finding =
  | 'none'
  | 'begins'
  | 'advances'
  | 'too fast'
  | 'repeat'
  | 'tolerated'
  | 'broken'
  | 'expired';

/** The packet as rules 6 and 7 see it. */
export interface Knock {
  readonly key: PortKey;
  readonly flags: number;
  /** Whether its moment is the kernel's own: nobody is too fast on a packet that waited unstamped. */
  readonly stamped: boolean;
  /** A live service is behind the port: whoever visits it is no offender, even where he breaks an attempt off. */
  readonly observed: boolean;
  readonly now: number;
}

/** Findings as bits, so that what a packet is to all its sequences together is one number. */
export const FOUND: Readonly<Record<Finding, number>> = {
  none: 0,
  begins: 1,
  advances: 2,
  'too fast': 4,
  repeat: 8,
  tolerated: 16,
  broken: 32,
  expired: 64,
};

/** A sequence that the packet concerns; `slot` is the subject's attempt at it, or NONE. */
export interface Concern {
  readonly sequence: Sequence;
  readonly slot: number;
  readonly finding: Finding;
}

/** Broken off by its own next step, which is its first step too: the packet begins it anew. */
export function isAnew({ finding, sequence }: Concern, knock: Knock): boolean {
  return (finding === 'expired' || finding === 'too fast') && sequence.steps[0] === knock.key;
}

/** The sequences that the subject is in, or that begin with this port, in the order of judgement. */
export function concernsOf(state: State, subject: Subject, knock: Knock): readonly Concern[] {
  const { attempts, slots, held } = state;
  const firsts = state.ports.firsts(knock.key);
  const concerns: Concern[] = [];
  let repeated = false;
  let index = 0;
  let first = 0;
  while (index < held || first < firsts.length) {
    const slot = index < held ? (slots[index] ?? NONE) : NONE;
    const inId = slot === NONE ? Number.POSITIVE_INFINITY : attempts.table.extra(slot);
    const firstId = firsts[first]?.id ?? Number.POSITIVE_INFINITY;
    const sequence = state.ports.sequences[Math.min(inId, firstId)];
    if (inId <= firstId) index += 1;
    if (firstId <= inId) first += 1;
    if (sequence === undefined || !(isUdp(knock.key) || flagsMatch(sequence.settings.flags, knock.flags)))
      continue;
    const own = inId <= firstId ? slot : NONE;
    const finding = find(state, subject, knock, sequence, own);
    if (finding !== 'none') concerns.push({ sequence, slot: own, finding });
    if (finding === 'repeat') repeated = true;
  }
  if (!repeated) addGuarded(state, subject, knock, concerns);
  return concerns;
}

/**
 * The sequences that may not begin yet, of which this packet is a step: whoever knocks on too soon is no offender.
 * They are not among the subject's attempts, and need not begin with this port.
 */
function addGuarded(state: State, subject: Subject, knock: Knock, concerns: Concern[]): void {
  const { attempts, ports, grants, slots, held } = state;
  const { key, flags, now } = knock;
  const grantsHeld = grants.heldBy(subject);
  // Every packet of a flood of first knocks ends here: it opened nothing, and closed nothing.
  if (grantsHeld.length === 0 && held === 0) return;
  const ids = grantsHeld.map((grant) =>
    now - guardedFrom(state, grant) <= CLOSE_GUARD ? grant.door * 2 + 1 : NONE,
  );
  for (let index = 0; index < held; index += 1) {
    const slot = slots[index] ?? NONE;
    const sequence = ports.sequences[attempts.table.extra(slot)];
    const closed = sequence?.kind === 'close' && now - attempts.completed(slot) <= CLOSE_GUARD;
    if (closed) ids.push(sequence.id - 1);
  }
  for (const id of ids) {
    const sequence = ports.sequences[id];
    if (sequence === undefined || !(sequence.steps.includes(key) || sequence.spent.includes(key))) continue;
    if (!isUdp(key) && !flagsMatch(sequence.settings.flags, flags)) continue;
    concerns.push({ sequence, slot: NONE, finding: 'repeat' });
  }
}

function find(state: State, subject: Subject, knock: Knock, sequence: Sequence, slot: number): Finding {
  const { attempts } = state;
  const { steps, settings } = sequence;
  const { key, now } = knock;
  const made = stepsMade(state, subject, sequence, slot);
  const completed = slot === NONE ? Number.NEGATIVE_INFINITY : attempts.completed(slot);
  // A one-time sequence is another one after it has opened: what opened the door is what can be repeated.
  const done = settings.oneTime && sequence.kind === 'open' ? sequence.spent : made === 0 ? steps : NO_STEPS;
  const repeats = now - completed <= REPEAT_WINDOW && done.includes(key);
  if (sequence.kind === 'close' && !mayClose(state, subject, sequence.door))
    return repeats ? 'repeat' : 'none';
  if (isGuarded(state, subject, sequence, now)) return repeats || steps.includes(key) ? 'repeat' : 'none';
  if (made === 0) {
    if (steps[0] === key) return 'begins';
    return repeats ? 'repeat' : 'none';
  }
  const isNext = steps[made] === key;
  if (staleness(state, slot, sequence, now) !== undefined) {
    if (isNext) return 'expired';
    return steps[0] === key ? 'begins' : 'broken';
  }
  if (isNext) {
    const gap = Math.max(0, now - attempts.advanced(slot));
    return knock.stamped && gap < settings.gap.min ? 'too fast' : 'advances';
  }
  if (repeats || (steps.includes(key) && steps.indexOf(key) < made)) return 'repeat';
  return attempts.tolerated(slot) < settings.tolerate ? 'tolerated' : 'broken';
}

/** Steps of the attempt; none where it was to close a grant that has ended since. */
function stepsMade(state: State, subject: Subject, sequence: Sequence, slot: number): number {
  if (slot === NONE) return 0;
  const { attempts, grants } = state;
  const made = attempts.step(slot);
  if (made === 0 || sequence.kind === 'open') return made;
  const begun = attempts.begun(slot);
  // It began more than CLOSE_GUARD after the grant did; one that is no older is another grant.
  return grants.heldBy(subject).some((grant) => grant.door === sequence.door && grant.since < begun)
    ? made
    : 0;
}

export function staleness(
  state: State,
  slot: number,
  sequence: Sequence,
  now: number,
): 'gap' | 'within' | undefined {
  if (now - state.attempts.advanced(slot) > sequence.settings.gap.max) return 'gap';
  return now - state.attempts.begun(slot) > sequence.within ? 'within' : undefined;
}

/**
 * A client that repeats its knocks in reverse (nmap does, after two seconds) must neither close what it has just
 * opened nor open what it has just closed.
 */
export function isGuarded(state: State, subject: Subject, sequence: Sequence, now: number): boolean {
  if (sequence.kind === 'close') return closeIsGuarded(state, subject, sequence.door, now);
  const { attempts, slots, held } = state;
  for (let index = 0; index < held; index += 1) {
    const slot = slots[index] ?? NONE;
    if (attempts.table.extra(slot) === sequence.id + 1) return now - attempts.completed(slot) <= CLOSE_GUARD;
  }
  return false;
}
