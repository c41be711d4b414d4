import { milliseconds } from '../packet/time.ts';
import { type Concern, concernsOf, FOUND, isAnew, isGuarded, type Knock, staleness } from './describe.ts';
import { complete, completeClose } from './door.ts';
import type { Emit } from './event.ts';
import { banIfDue, strike } from './offence.ts';
import type { Outcome } from './outcome.ts';
import { type Sequence, specOf } from './ports.ts';
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
const EXCUSED = FOUND.repeat | FOUND.tolerated;

/** Judges a knock on every sequence it concerns, side by side; the subject's attempts have been collected. */
export function judgeKnock(state: State, subject: Subject, knock: Knock, emit: Emit): Outcome {
  const concerns = concernsOf(state, subject, knock);
  let found = 0;
  for (const concern of concerns) found |= FOUND[concern.finding];
  const late = (found & LATE) !== 0;
  const anew = late && concerns.some((concern) => isAnew(concern, knock));
  const forward = (found & FORWARD) !== 0 || anew;
  if ((found & FOUND.repeat) !== 0 && !forward && !late) return 'repeat';

  const tooFast = (found & FOUND['too fast']) !== 0;
  const excused = forward || late || (found & EXCUSED) !== 0;
  const struck = !knock.observed && (tooFast || !excused);
  const strikes = struck ? strike(state, subject, knock.now) : undefined;
  let outcome: Outcome = forward ? 'accepted' : struck ? 'wrong' : 'tolerated';
  if ((found & FOUND.expired) !== 0 && (found & FORWARD) === 0) outcome = 'expired';
  const verdict = { forward, strikes };
  let forgiven = false;
  for (const concern of concerns) {
    const end = carryOut(state, subject, knock, concern, verdict, emit);
    if (end !== undefined) outcome = end;
    if (end === 'opened') forgiven = true;
  }
  if (struck && !excused && (found & FOUND.broken) === 0) {
    const { at, source, port } = moment(subject, knock);
    emit({ event: 'knock.wrong', at, source, port, reason: 'out of order', strikes: strikes ?? 0 });
  }
  if (tooFast) outcome = 'too_fast';
  if (strikes !== undefined && !forgiven) banIfDue(state, subject, strikes, knock.now, emit);
  return outcome;
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
  const made = slot === NONE ? 0 : attempts.step(slot);
  // A sequence before this one may have ended this attempt, or taken its slot when the table was full.
  const isOver = slot !== NONE && (attempts.table.extra(slot) !== sequence.id || made === 0);
  if (isOver && finding !== 'begins') return undefined;
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
      attempts.tolerate(slot);
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
  if (made === 0) attempts.begin(slot, now);
  else attempts.advance(slot, now);
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
