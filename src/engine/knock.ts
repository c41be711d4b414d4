import { flagsMatch } from '../packet/flags.ts';
import { milliseconds } from '../packet/time.ts';
import { closeIsGuarded, complete, completeClose, mayClose } from './door.ts';
import type { Emit } from './event.ts';
import { CLOSE_GUARD, REPEAT_WINDOW } from './limits.ts';
import { banIfDue, strike } from './offence.ts';
import type { Outcome } from './outcome.ts';
import { isUdp, type PortKey, type Sequence, specOf } from './ports.ts';
import type { State } from './state.ts';
import { hostOf, type Subject } from './subject.ts';
import { NONE } from './table.ts';

/*
 * Rules 6 and 7: what a packet to a knock port does to every sequence that it concerns.
 *
 *                 first step                 next step in time            last step
 *   no attempt ───────────────▶ step 1 … n−1 ─────────────────▶ … ─────────────────▶ completed
 *       ▲                           │
 *       └───────────────────────────┘ wrong · too fast · expired · decoy · ban
 */

const NO_STEPS: readonly PortKey[] = [];

/** What the packet is to one sequence. */
type Finding = 'none' | 'begins' | 'advances' | 'too fast' | 'repeat' | 'tolerated' | 'broken' | 'expired';

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

interface Concern {
  readonly sequence: Sequence;
  readonly slot: number;
  readonly finding: Finding;
}

/** Judges a knock on every sequence it concerns, side by side; the subject's attempts have been collected. */
export function judgeKnock(state: State, subject: Subject, knock: Knock, emit: Emit): Outcome {
  const concerns = concernsOf(state, subject, knock);
  const found = (finding: Finding): boolean => concerns.some((concern) => concern.finding === finding);
  const late = found('expired') || found('too fast');
  const anew = late && concerns.some((concern) => isAnew(concern, knock));
  const forward = found('begins') || found('advances') || anew;
  if (found('repeat') && !forward && !late) return 'repeat';

  const excused = forward || late || found('repeat') || found('tolerated');
  const struck = !knock.observed && (found('too fast') || !excused);
  const strikes = struck ? strike(state, subject, knock.now) : undefined;
  let outcome: Outcome = forward ? 'accepted' : struck ? 'wrong' : 'tolerated';
  if (found('expired') && !found('begins') && !found('advances')) outcome = 'expired';
  let forgiven = false;
  for (const concern of concerns) {
    const end = carryOut(state, subject, knock, concern, { forward, strikes }, emit);
    if (end !== undefined) outcome = end;
    if (end === 'opened') forgiven = true;
  }
  if (struck && !excused && !found('broken')) {
    const { at, source, port } = moment(subject, knock);
    emit({ event: 'knock.wrong', at, source, port, reason: 'out of order', strikes: strikes ?? 0 });
  }
  if (found('too fast')) outcome = 'too_fast';
  if (strikes !== undefined && !forgiven) banIfDue(state, subject, strikes, knock.now, emit);
  return outcome;
}

/** Broken off by its own next step, which is its first step too: the packet begins it anew. */
function isAnew({ finding, sequence }: Concern, knock: Knock): boolean {
  return (finding === 'expired' || finding === 'too fast') && sequence.steps[0] === knock.key;
}

/** The sequences that the subject is in, or that begin with this port, in the order of judgement. */
function concernsOf(state: State, subject: Subject, knock: Knock): readonly Concern[] {
  const { attempts, slots, held } = state;
  const firsts = state.ports.firsts(knock.key);
  const concerns: Concern[] = [];
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
  }
  return concerns.some((concern) => concern.finding === 'repeat')
    ? concerns
    : [...concerns, ...guarded(state, subject, knock)];
}

/**
 * The sequences that may not begin yet, of which this packet is a step: whoever knocks on too soon is no offender.
 * They are not among the subject's attempts, and need not begin with this port.
 */
function guarded(state: State, subject: Subject, knock: Knock): readonly Concern[] {
  const { attempts, ports, grants, slots, held } = state;
  const { key, flags, now } = knock;
  const ids = grants
    .heldBy(subject)
    .map((grant) => (now - grant.opened <= CLOSE_GUARD ? grant.door * 2 + 1 : NONE));
  for (let index = 0; index < held; index += 1) {
    const slot = slots[index] ?? NONE;
    const sequence = ports.sequences[attempts.table.extra(slot)];
    const closed = sequence?.kind === 'close' && now - (attempts.completed[slot] ?? 0) <= CLOSE_GUARD;
    if (closed) ids.push(sequence.id - 1);
  }
  return ids.flatMap((id) => {
    const sequence = ports.sequences[id];
    if (sequence === undefined || !(sequence.steps.includes(key) || sequence.spent.includes(key))) return [];
    if (!isUdp(key) && !flagsMatch(sequence.settings.flags, flags)) return [];
    return [{ sequence, slot: NONE, finding: 'repeat' as const }];
  });
}

function find(state: State, subject: Subject, knock: Knock, sequence: Sequence, slot: number): Finding {
  const { attempts } = state;
  const { steps, settings } = sequence;
  const { key, now } = knock;
  const made = slot === NONE ? 0 : (attempts.step[slot] ?? 0);
  const completed = slot === NONE ? Number.NEGATIVE_INFINITY : (attempts.completed[slot] ?? 0);
  // A one-time sequence is another one after it has opened: what opened the door is what can be repeated.
  const done = settings.oneTime && sequence.kind === 'open' ? sequence.spent : made === 0 ? steps : NO_STEPS;
  const repeats = now - completed <= REPEAT_WINDOW && done.includes(key);
  if (sequence.kind === 'close' && !mayClose(state, subject, sequence.door))
    return repeats ? 'repeat' : 'none';
  if (made === 0) {
    if (isGuarded(state, subject, sequence, now)) return repeats || steps.includes(key) ? 'repeat' : 'none';
    if (steps[0] === key) return 'begins';
    return repeats ? 'repeat' : 'none';
  }
  const isNext = steps[made] === key;
  if (staleness(state, slot, sequence, now) !== undefined) {
    if (isNext) return 'expired';
    return steps[0] === key && !isGuarded(state, subject, sequence, now) ? 'begins' : 'broken';
  }
  if (isNext) {
    const gap = Math.max(0, now - (attempts.advanced[slot] ?? 0));
    return knock.stamped && gap < settings.gap.min ? 'too fast' : 'advances';
  }
  if (repeats || (steps.includes(key) && steps.indexOf(key) < made)) return 'repeat';
  return (attempts.tolerated[slot] ?? 0) < settings.tolerate ? 'tolerated' : 'broken';
}

function staleness(
  state: State,
  slot: number,
  sequence: Sequence,
  now: number,
): 'gap' | 'within' | undefined {
  const { gap, within } = sequence.settings;
  if (now - (state.attempts.advanced[slot] ?? 0) > gap.max) return 'gap';
  return now - (state.attempts.begun[slot] ?? 0) > within ? 'within' : undefined;
}

/**
 * A client that repeats its knocks in reverse (nmap does, after two seconds) must neither close what it has just
 * opened nor open what it has just closed.
 */
function isGuarded(state: State, subject: Subject, sequence: Sequence, now: number): boolean {
  if (sequence.kind === 'close') return closeIsGuarded(state, subject, sequence.door, now);
  const { attempts, slots, held } = state;
  for (let index = 0; index < held; index += 1) {
    const slot = slots[index] ?? NONE;
    if (attempts.table.extra(slot) === sequence.id + 1)
      return now - (attempts.completed[slot] ?? 0) <= CLOSE_GUARD;
  }
  return false;
}

interface Verdict {
  readonly forward: boolean;
  /** The strikes after this packet; undefined where it is no offence. */
  readonly strikes: number | undefined;
}

/** Carries out one finding; answers how the packet ended if it completed the sequence. */
function carryOut(
  state: State,
  subject: Subject,
  knock: Knock,
  concern: Concern,
  verdict: Verdict,
  emit: Emit,
): Outcome | undefined {
  const { attempts } = state;
  const { sequence, slot, finding } = concern;
  const { steps } = sequence;
  // A sequence before this one may have ended this attempt, or taken its slot when the table was full.
  if (slot !== NONE && attempts.table.extra(slot) !== sequence.id && finding !== 'begins') return undefined;
  const made = slot === NONE ? 0 : (attempts.step[slot] ?? 0);
  switch (finding) {
    case 'begins':
      return advance(state, subject, knock, sequence, 0, emit);
    case 'advances':
      return advance(state, subject, knock, sequence, made, emit);
    case 'too fast':
      attempts.end(slot);
      emit({
        event: 'knock.too_fast',
        ...about(subject, knock, sequence),
        step: made,
        reason: 'gap',
        ...counted(verdict.strikes),
      });
      return steps[0] === knock.key ? advance(state, subject, knock, sequence, 0, emit) : undefined;
    case 'expired': {
      const reason = staleness(state, slot, sequence, knock.now) ?? 'within';
      attempts.end(slot);
      emit({ event: 'knock.expired', ...about(subject, knock, sequence), step: made, reason });
      return steps[0] === knock.key ? advance(state, subject, knock, sequence, 0, emit) : undefined;
    }
    case 'broken':
      attempts.end(slot);
      emit({
        event: 'knock.wrong',
        ...about(subject, knock, sequence),
        step: made,
        reason: verdict.forward ? 'another door' : 'out of order',
        ...counted(verdict.strikes),
      });
      return undefined;
    case 'tolerated':
      attempts.tolerated[slot] = (attempts.tolerated[slot] ?? 0) + 1;
      emit({ event: 'knock.wrong', ...about(subject, knock, sequence), step: made, reason: 'tolerated' });
      return undefined;
    case 'repeat':
    case 'none':
      return undefined;
    default:
      return finding satisfies never;
  }
}

function advance(
  state: State,
  subject: Subject,
  knock: Knock,
  sequence: Sequence,
  made: number,
  emit: Emit,
): Outcome | undefined {
  const { attempts } = state;
  const { now } = knock;
  const { steps, settings, kind } = sequence;
  // A door that this same packet has just renewed does not begin to close.
  if (made === 0 && isGuarded(state, subject, sequence, now)) return undefined;
  const slot = attempts.put(subject, sequence.id, made + 1, state.turn, now);
  if (made === 0) {
    attempts.begun[slot] = now;
    attempts.tolerated[slot] = 0;
  }
  attempts.advanced[slot] = now;
  // Written out field by field: a flood of first knocks comes by here, and spreading costs more than judging.
  emit({
    event: 'knock.accepted',
    at: milliseconds(now),
    source: hostOf(subject),
    port: specOf(knock.key),
    door: settings.name,
    step: made + 1,
    of: steps.length,
  });
  if (made + 1 < steps.length) return undefined;
  if (kind === 'open') complete(state, subject, sequence, now, emit);
  else completeClose(state, subject, sequence, now, emit);
  return kind === 'open' ? 'opened' : 'closed';
}

function about(
  subject: Subject,
  knock: Knock,
  sequence: Sequence,
): ReturnType<typeof moment> & { door: string; of: number } {
  return { ...moment(subject, knock), door: sequence.settings.name, of: sequence.steps.length };
}

function moment(
  subject: Subject,
  knock: Knock,
): {
  at: ReturnType<typeof milliseconds>;
  source: ReturnType<typeof hostOf>;
  port: ReturnType<typeof specOf>;
} {
  return { at: milliseconds(knock.now), source: hostOf(subject), port: specOf(knock.key) };
}

function counted(strikes: number | undefined): { strikes?: number } {
  return strikes === undefined ? {} : { strikes };
}
