import { type Candidate, isAttempt, type Knock } from './describe.ts';
import { HOW, isNextPlaced, isTooFast, staleness } from './in-time.ts';
import type { State } from './state.ts';
import { hostOf, type Subject } from './subject.ts';
import { NONE } from './table.ts';

/* What keeps the order of the knocks where packets stand aside for other members of a fleet. */

export function isShared({ sharing }: State): boolean {
  return sharing?.isOn() === true;
}

/**
 * Whether the packet would complete an attempt while more of its source's packets stand aside than the door lets pass. An
 * attempt that something was let pass by waits a moment first, so that what came elsewhere is known here.
 */
export function isHeldUp(
  state: State,
  subject: Subject,
  knock: Knock,
  candidates: readonly Candidate[],
): boolean {
  const { attempts, sharing, slots } = state;
  if (sharing === undefined || !sharing.isOn()) return false;
  for (const { sequence, explanation, from, to } of candidates) {
    const last = sequence.steps.length - 1;
    if (explanation !== 'advances' || sequence.kind === 'close') continue;
    for (let index = from; index < to; index += 1) {
      const slot = slots[index] ?? NONE;
      if (!isAttempt(state, subject, sequence, slot) || attempts.step(slot) !== last) continue;
      if (!isNextOf(state, knock, sequence, slot)) continue;
      const late = knock.how === HOW.placed && knock.came < attempts.advanced(slot) ? 1 : 0;
      const letPass = attempts.tolerated(slot) + late;
      if (letPass > 0 && sharing.hears() && !knock.quiet) return true;
      if (sharing.standing(hostOf(subject)) > sequence.settings.tolerate) return true;
    }
  }
  return false;
}

function isNextOf(state: State, knock: Knock, sequence: Candidate['sequence'], slot: number): boolean {
  if (staleness(state, slot, sequence, knock.now) !== undefined) return false;
  if (knock.how === HOW.placed) return isNextPlaced(state, knock, sequence, slot);
  return sequence.steps[state.attempts.step(slot)] === knock.key && !isTooFast(state, knock, sequence, slot);
}
