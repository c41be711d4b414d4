import { milliseconds } from '../packet/time.ts';
import { tellEach } from './alike.ts';
import type { Attempt } from './attempt-list.ts';
import { codeAfter, isMade } from './code.ts';
import { saidOf } from './code-ports.ts';
import { type Candidate, isAttempt, isGuarded, type Knock } from './describe.ts';
import { complete, completeClose, completeCode } from './door.ts';
import type { Emit } from './event.ts';
import { HOW, isConcerned, isNextPlaced, isTooFast, staleness } from './in-time.ts';
import { noteLast } from './mistake.ts';
import type { Outcome } from './outcome.ts';
import type { State } from './state.ts';
import { hostOf, type Subject } from './subject.ts';
import { NONE } from './table.ts';
import { endTail } from './tail.ts';

/* Rule 6: how a source's attempts at one sequence go on, side by side. */

/** Of so many steps orders with one knock put back are no more than a door with `tolerate: 1` opens to a guesser. */
const STEPS_SHORT = 3;

/** The packet begins or advances the sequence, or renews its first step; answers how it ended if that was the last. */
export function advance(
  state: State,
  subject: Subject,
  knock: Knock,
  candidate: Candidate,
  emit: Emit,
): Outcome | undefined {
  const { attempts, list } = state;
  const { sequence, explanation } = candidate;
  const { now } = knock;
  const { steps, digits, settings, kind, id } = sequence;
  list.clear();
  addGoingOn(state, subject, knock, candidate);
  // A door that this same packet has just renewed does not begin to close.
  const begins = steps[0] === knock.key && knock.how === HOW.judged;
  if (begins && !isGuarded(state, subject, sequence, now))
    list.add(begunBy(codeAfter(sequence, 0, 0, knock), now));
  const step = list.reached();
  if (step === 0) return undefined;
  // A repeat of the first step is a repeat: it only begins a newer attempt.
  if (explanation !== 'renews') sayAccepted(state, subject, knock, { candidate, step }, emit);
  const isComplete = step >= steps.length;
  if (isComplete) {
    const code = list.code();
    list.keepUnfinished(steps.length);
    if (digits !== null) completeCode(state, subject, sequence, code, now, emit);
    else if (kind === 'open') complete(state, subject, sequence, now, emit);
    else completeClose(state, subject, sequence, now, emit);
  }
  // After an opening only knocks of a later attempt that this packet is one of too; after a closing none.
  const stays = !isComplete || (kind === 'open' && !settings.oneTime && list.size() > 0);
  const slot = stays ? list.store(state, subject, candidate, now) : attempts.find(subject, id);
  if (slot !== NONE) {
    endTail(attempts, slot, explanation === 'advances' ? 'later' : 'first');
    if (explanation !== 'renews' && knock.how === HOW.judged) attempts.setLast(slot, knock.port);
  }
  if (!isComplete || digits !== null) return undefined;
  return kind === 'open' ? 'opened' : 'closed';
}

/** What a first knock begins. In one piece: unbundled, as the bench runs it, spreading takes longer than judging. */
function begunBy(code: number, now: number): Attempt {
  return { step: 1, begun: now, advanced: now, tolerated: 0, code, fresh: true, stray: false };
}

/** The attempts in time that the packet is the next step of, or a step already made. */
function addGoingOn(state: State, subject: Subject, knock: Knock, { sequence, from, to }: Candidate): void {
  const { attempts, list, slots } = state;
  const { steps } = sequence;
  const { key, now } = knock;
  for (let index = from; index < to; index += 1) {
    const slot = slots[index] ?? NONE;
    if (!isAttempt(state, subject, sequence, slot) || staleness(state, slot, sequence, now) !== undefined)
      continue;
    const step = attempts.step(slot);
    const begun = attempts.begun(slot);
    const tolerated = attempts.tolerated(slot);
    const code = attempts.code(slot);
    const advanced = attempts.advanced(slot);
    const stray = attempts.isStray(slot);
    if (knock.how === HOW.placed) {
      // It goes on with what it may, and leaves all else as it is.
      if (!isNextPlaced(state, knock, sequence, slot)) {
        list.add({ step, begun, advanced, tolerated, code, fresh: false, stray });
        continue;
      }
      const next = { step: step + 1, begun, code: codeAfter(sequence, code, step, knock), fresh: true };
      const late = now < advanced;
      list.add({
        ...next,
        // In a short sequence one clock that is off explains all that it puts before the last knock; in a longer one that
        // would be worth more to a guesser than one wrong packet is.
        advanced: late && steps.length > STEPS_SHORT ? advanced : now,
        tolerated: late ? tolerated + 1 : tolerated,
        stray: knock.told || (late && steps.length > STEPS_SHORT && stray),
      });
    } else if (steps[step] === key) {
      if (isTooFast(state, knock, sequence, slot)) continue;
      const longer = codeAfter(sequence, code, step, knock);
      list.add({ step: step + 1, begun, advanced: now, tolerated, code: longer, fresh: true, stray: false });
    } else if (isMade(sequence, code, step, knock)) {
      list.add({ step, begun, advanced, tolerated, code, fresh: false, stray });
    }
  }
}

/**
 * A wrong packet is let pass by the attempts that may let one pass; the others end. One that stood aside a while is none
 * to an attempt that began after it; and an attempt that went on meanwhile lets one more pass, or who knocks at several
 * members could not be heard.
 */
export function tolerate(state: State, subject: Subject, knock: Knock, candidate: Candidate): void {
  const { attempts, list, slots } = state;
  const { sequence, from, to } = candidate;
  list.clear();
  for (let index = from; index < to; index += 1) {
    const slot = slots[index] ?? NONE;
    const tolerated = attempts.tolerated(slot);
    if (!isAttempt(state, subject, sequence, slot)) continue;
    const [step, begun, advanced] = [attempts.step(slot), attempts.begun(slot), attempts.advanced(slot)];
    // What is judged as it comes is after all that it finds, though a clock may have been put right in between.
    const isNewer = knock.how >= HOW.concluded && !isConcerned(state, knock, sequence, slot);
    const wentOn = knock.how >= HOW.concluded && (knock.told || advanced > knock.came);
    const most = sequence.settings.tolerate + Number(wentOn);
    if (staleness(state, slot, sequence, knock.now) !== undefined || (!isNewer && tolerated >= most))
      continue;
    const code = attempts.code(slot);
    const stray = attempts.isStray(slot);
    list.add({ step, begun, advanced, tolerated: tolerated + Number(!isNewer), code, fresh: false, stray });
  }
  const main = list.store(state, subject, candidate, knock.now);
  const slot = main === NONE ? attempts.find(subject, sequence.id) : main;
  if (slot !== NONE && candidate.explanation === 'tolerated') noteLast(state, slot, knock);
}

/** Every attempt at the sequence is broken off; what else is known of it stays. */
export function endAll({ attempts, slots }: State, { sequence, from, to }: Candidate): void {
  for (let index = from; index < to; index += 1) {
    const slot = slots[index] ?? NONE;
    if (attempts.sequence(slot) === sequence.id) attempts.end(slot);
  }
}

// Written out field by field: a flood of first knocks comes by here, and spreading costs more than judging.
function sayAccepted(
  state: State,
  subject: Subject,
  knock: Knock,
  { candidate, step }: { readonly candidate: Candidate; readonly step: number },
  emit: Emit,
): void {
  const at = milliseconds(knock.now);
  const source = hostOf(subject);
  const port = saidOf(state.ports.codes, knock.key);
  tellEach(state, candidate, ({ settings, steps }, { count }) => {
    const event = {
      event: 'knock.accepted',
      at,
      source,
      port,
      door: settings.name,
      step,
      of: steps.length,
    } as const;
    emit(count === undefined ? event : { ...event, count });
  });
}
