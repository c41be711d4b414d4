import { milliseconds } from '../packet/time.ts';
import { partEntries, tellEach } from './alike.ts';
import { candidatesOf } from './candidates.ts';
import { saidOf } from './code-ports.ts';
import { type Candidate, FOUND, isAnew, type Knock } from './describe.ts';
import type { Emit } from './event.ts';
import { isHeldUp, isShared } from './held-up.ts';
import { HOW, staleness } from './in-time.ts';
import {
  isExcused,
  isLast,
  isRestOfMistake,
  noteGone,
  noteMistake,
  noteOthers,
  noteRest,
} from './mistake.ts';
import { banIfDue, counted, strike } from './offence.ts';
import type { Outcome } from './outcome.ts';
import type { Sequence } from './ports.ts';
import { advance, endAll, tolerate } from './progress.ts';
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

/** What a packet found to be one of these is to all its sequences together. */
const FORWARD = FOUND.begins | FOUND.advances;
const LATE = FOUND.expired | FOUND['too fast'];
const REPEAT = FOUND.repeat | FOUND.renews | FOUND.guarded;

/** What a packet is to all its sequences together. */
interface Verdict {
  readonly forward: boolean;
  /** It is the rest of a mistake that has been struck. */
  readonly rest: boolean;
  /** What it breaks off may still be found to be a step that overtook another. */
  readonly waits: boolean;
  /** What is said of the strikes after this packet; nothing where it is no offence. */
  readonly count: ReturnType<typeof counted>;
}

/** Judges a knock on every sequence it concerns, side by side; the subject's attempts have been collected. */
export function judgeKnock(state: State, subject: Subject, knock: Knock, emit: Emit): Outcome {
  partEntries(state, subject, knock);
  const candidates = candidatesOf(state, subject, knock);
  let found = 0;
  for (const candidate of candidates) found |= FOUND[candidate.explanation];
  const late = (found & LATE) !== 0;
  const anew = late && candidates.some((candidate) => isAnew(candidate, knock));
  const forward = (found & FORWARD) !== 0 || anew;
  const waits = knock.how === HOW.judged && isShared(state);
  if (waits && forward && isHeldUp(state, subject, knock, candidates))
    return standAside(state, subject, knock, emit);
  if ((found & FOUND.guarded) !== 0) sayGuarded(state, subject, knock, candidates, emit);
  if (!forward && !late) {
    if ((found & REPEAT) !== 0) {
      for (const candidate of candidates) {
        if (candidate.explanation === 'renews') advance(state, subject, knock, candidate, emit);
      }
      return 'repeat';
    }
    if (knock.how !== HOW.rest && isExcused(state, subject, knock, emit)) return 'repeat';
    // What is concluded was asked this when it came.
    if (knock.how === HOW.judged && isLast(state, knock)) return 'repeat';
    if (waits) return standAside(state, subject, knock, emit);
  }

  const tooFast = (found & FOUND['too fast']) !== 0;
  const pardoned = forward || late || (found & (REPEAT | FOUND.tolerated)) !== 0;
  const rest = !pardoned && knock.how !== HOW.rest && isRestOfMistake(state, knock);
  const struck = !knock.observed && (tooFast || !(pardoned || rest));
  const strikes = struck ? strike(state, subject, knock.now) : undefined;
  let outcome: Outcome = forward ? 'accepted' : struck ? 'wrong' : 'tolerated';
  if ((found & FOUND.expired) !== 0 && (found & FORWARD) === 0) outcome = 'expired';
  noteOthers(state, knock);
  const verdict = { forward, rest, waits, count: counted(state, subject, strikes) };
  let forgiven = false;
  for (const candidate of candidates) {
    const end = carryOut(state, subject, knock, candidate, verdict, emit);
    if (end !== undefined) outcome = end;
    if (end === 'opened') forgiven = true;
  }
  if (rest) noteRest(state, knock);
  if (struck && !tooFast) noteMistake(state, subject, knock, strikes ?? 0);
  if (!knock.observed && !pardoned && (found & FOUND.broken) === 0) {
    const { at, source, port } = moment(state, subject, knock);
    emit({ event: 'knock.wrong', at, source, port, ...reasonOf(verdict) });
  }
  if (tooFast) outcome = 'too_fast';
  if (strikes !== undefined && !forgiven) banIfDue(state, subject, strikes, knock.now, emit);
  return outcome;
}

/** Another member may have what goes before it; until that is known nothing changes. */
function standAside(state: State, subject: Subject, knock: Knock, emit: Emit): Outcome {
  emit({ event: 'knock.elsewhere', ...moment(state, subject, knock) });
  return 'elsewhere';
}

/**
 * Anyone who closes what he has just opened, or opens again what he has just closed, is told that it begins nothing yet;
 * not where the packet is a step of the door's other sequence, as the last knock is of one that closes in reverse.
 */
function sayGuarded(
  state: State,
  subject: Subject,
  knock: Knock,
  candidates: readonly Candidate[],
  emit: Emit,
): void {
  for (const { sequence, explanation } of candidates) {
    if (explanation !== 'guarded') continue;
    const { settings } = sequence;
    const moves = candidates.some((other) => other.sequence.settings === settings && isForward(other, knock));
    if (!moves)
      emit({
        event: 'knock.ignored',
        ...moment(state, subject, knock),
        door: settings.name,
        reason: 'guard',
      });
  }
}

function isForward(candidate: Candidate, knock: Knock): boolean {
  return (FOUND[candidate.explanation] & FORWARD) !== 0 || isAnew(candidate, knock);
}

/** Carries out one explanation; answers how the packet ended if it completed the sequence. */
function carryOut(
  state: State,
  subject: Subject,
  knock: Knock,
  candidate: Candidate,
  verdict: Verdict,
  emit: Emit,
): Outcome | undefined {
  const { sequence, explanation } = candidate;
  switch (explanation) {
    case 'begins':
    case 'advances':
    case 'renews':
      return advance(state, subject, knock, candidate, emit);
    case 'too fast':
    case 'expired':
      return breakOffLate(state, subject, knock, candidate, verdict, emit);
    case 'tolerated': {
      if (verdict.forward && !sequence.steps.includes(knock.key)) return undefined;
      const step = stepOf(state, candidate);
      if (step === 0 || isLeft(state, verdict)) return undefined;
      tolerate(state, subject, knock, candidate);
      tellEach(state, candidate, (member, more) =>
        emit({
          event: 'knock.wrong',
          ...about(state, subject, knock, member, step),
          reason: 'tolerated',
          ...more,
        }),
      );
      return undefined;
    }
    case 'broken': {
      // What begins or advances one door leaves alone whose sequence does not have its port, and is no mistake.
      if (verdict.forward && !sequence.steps.includes(knock.key)) return undefined;
      const step = stepOf(state, candidate);
      if (isLeft(state, verdict)) return undefined;
      // What began after it, or went on since, is not broken by it.
      if (knock.how >= HOW.concluded) tolerate(state, subject, knock, candidate);
      else endAll(state, candidate);
      if (verdict.forward || step === 0) return undefined;
      tellEach(state, candidate, (member, more) =>
        emit({
          event: 'knock.wrong',
          ...about(state, subject, knock, member, step),
          ...reasonOf(verdict),
          ...more,
        }),
      );
      return undefined;
    }
    case 'repeat':
    case 'guarded':
    case 'none':
      return undefined;
    default:
      return explanation satisfies never;
  }
}

/** Whether the attempt is left as it is by a packet that goes on with another one, until more is known. */
function isLeft(state: State, { forward, waits }: Verdict): boolean {
  const isLeftNow = forward && waits;
  if (isLeftNow) state.leaves = true;
  return isLeftNow;
}

/** A next step that came too late or too soon: the sequence is broken off, and begun anew where it is its first too. */
function breakOffLate(
  state: State,
  subject: Subject,
  knock: Knock,
  candidate: Candidate,
  verdict: Verdict,
  emit: Emit,
): Outcome | undefined {
  const { sequence, explanation } = candidate;
  const slot = brokenBy(state, candidate, knock);
  if (slot === NONE) return undefined;
  const step = state.attempts.step(slot);
  const late = staleness(state, slot, sequence, knock.now) ?? 'within';
  tellEach(state, candidate, (member, more) => {
    const what = { ...about(state, subject, knock, member, step), ...more };
    if (explanation === 'too fast')
      emit({ event: 'knock.too_fast', ...what, reason: 'gap', ...verdict.count });
    else emit({ event: 'knock.expired', ...what, reason: late });
  });
  endAll(state, candidate);
  noteGone(state, subject, knock, candidate, step);
  return sequence.steps[0] === knock.key
    ? advance(state, subject, knock, { ...candidate, explanation: 'begins' }, emit)
    : undefined;
}

/** The most advanced attempt that the knock is the next step of, or NONE. */
function brokenBy({ attempts, slots }: State, { sequence, from, to }: Candidate, knock: Knock): number {
  for (let index = from; index < to; index += 1) {
    const slot = slots[index] ?? NONE;
    const step = attempts.sequence(slot) === sequence.id ? attempts.step(slot) : 0;
    if (step > 0 && sequence.steps[step] === knock.key) return slot;
  }
  return NONE;
}

/** How far the most advanced attempt was. */
function stepOf({ attempts, slots }: State, { sequence, from, to }: Candidate): number {
  for (let index = from; index < to; index += 1) {
    const slot = slots[index] ?? NONE;
    const step = attempts.sequence(slot) === sequence.id ? attempts.step(slot) : 0;
    if (step > 0) return step;
  }
  return 0;
}

type Reason = { readonly reason: 'same mistake' | 'out of order' } & ReturnType<typeof counted>;

function reasonOf({ rest, count }: Verdict): Reason {
  return rest ? { reason: 'same mistake' } : { reason: 'out of order', ...count };
}

function about(
  state: State,
  subject: Subject,
  knock: Knock,
  { settings, steps }: Sequence,
  step: number,
): ReturnType<typeof moment> & { door: string; step: number; of: number } {
  return { ...moment(state, subject, knock), door: settings.name, step, of: steps.length };
}

function moment(
  { ports }: State,
  subject: Subject,
  knock: Knock,
): {
  at: ReturnType<typeof milliseconds>;
  source: ReturnType<typeof hostOf>;
  port: ReturnType<typeof saidOf>;
} {
  return { at: milliseconds(knock.now), source: hostOf(subject), port: saidOf(ports.codes, knock.key) };
}
