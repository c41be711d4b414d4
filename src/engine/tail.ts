import type { PortKey } from '../packet/port-key.ts';
import type { Attempts } from './attempt.ts';
import type { Sequence } from './ports.ts';
import { NONE } from './table.ts';

/*
 * Rule 7, the rest of a mistake is the same mistake: after a wrong, skipping, expired or too-fast knock at a sequence
 * the exactly next steps of that sequence, each within 2 × gap.max of the one before, are no further strikes. It ends
 * when the sequence is begun or advanced: else a guesser has a step for nothing wherever he tries two orders in one
 * stream (6 of 6 for three steps instead of 5, by the search in src/strength/guesser.ts).
 *
 * One way of beginning it is excepted, two first knocks that overtook each other (2 1 3): there the third step is still
 * the rest of the mistake, if every mistake of this kind before it was the same. That costs nothing in the search.
 */

/** What kind of mistake it was, as bits. */
export const MISTAKE = {
  /** It was the second step, struck. */
  second: 1,
  /** Nothing else counted against the source, or only mistakes of the same kind at this sequence. */
  alone: 2,
  /** The first step has come after the second. */
  overtaken: 4,
  /** And the third after that: it was two knocks that overtook each other. */
  excused: 8,
} as const;

/** The places of a port in a sequence, as bits. */
function placesOf(sequence: Sequence, key: PortKey): number {
  let places = 0;
  for (let step = 0; step < sequence.steps.length; step += 1) {
    if (sequence.steps[step] === key) places |= 1 << step;
  }
  return places;
}

/** The steps after these places. */
function after(places: number, sequence: Sequence): number {
  const { length } = sequence.steps;
  const all = length >= 32 ? -1 : (1 << length) - 1;
  return (places << 1) & all;
}

/** Where in the sequence the packet goes on with the rest of a mistake, as bits; 0: nowhere. */
function restAt(attempts: Attempts, slot: number, sequence: Sequence, key: PortKey, now: number): number {
  const tail = attempts.tail(slot);
  if (tail === 0 || now - attempts.tailAt(slot) > 2 * sequence.settings.gap.max) return 0;
  return tail & placesOf(sequence, key);
}

export function isRest(
  attempts: Attempts,
  slot: number,
  sequence: Sequence,
  key: PortKey,
  now: number,
): boolean {
  return restAt(attempts, slot, sequence, key, now) !== 0;
}

/** The packet was the rest of a mistake: the step after it may be so too. */
export function goOn(attempts: Attempts, slot: number, sequence: Sequence, key: PortKey, now: number): void {
  const rest = restAt(attempts, slot, sequence, key, now);
  if (rest === 0) return;
  const mistake = attempts.mistake(slot);
  const left = mistake & MISTAKE.alone;
  const excused = (mistake & MISTAKE.overtaken) === 0 ? mistake & MISTAKE.excused : MISTAKE.excused;
  attempts.setTail(slot, after(rest, sequence), left | excused, now);
}

/** A wrong knock that is strike number `strikes`. */
export function startWrong(
  attempts: Attempts,
  slot: number,
  sequence: Sequence,
  knock: { readonly key: PortKey; readonly now: number },
  strikes: number,
): void {
  const { key, now } = knock;
  const chain = MISTAKE.alone | MISTAKE.excused;
  const alone = strikes === 1 || (attempts.mistake(slot) & chain) === chain ? MISTAKE.alone : 0;
  const second = sequence.steps[1] === key ? MISTAKE.second : 0;
  attempts.setTail(slot, after(placesOf(sequence, key), sequence), alone | second, now);
}

/** A knock that came too late or too fast, where `made` steps had been made. */
export function startUntimely(
  attempts: Attempts,
  slot: number,
  sequence: Sequence,
  made: number,
  now: number,
): void {
  attempts.setTail(slot, after(1 << made, sequence), 0, now);
}

/** The sequence has been begun (`first`) or advanced: whatever rest there was is none any more. */
export function endTail(attempts: Attempts, slot: number, step: 'first' | 'later'): void {
  if (slot === NONE || attempts.tail(slot) === 0) return;
  const mistake = attempts.mistake(slot);
  const overtaken = MISTAKE.second | MISTAKE.alone;
  if (step === 'first' && (mistake & overtaken) === overtaken) {
    // The third step, and no other place at which the second stands.
    attempts.setTail(slot, attempts.tail(slot) & 4, mistake | MISTAKE.overtaken, attempts.tailAt(slot));
  } else {
    attempts.setTail(slot, 0, mistake & (MISTAKE.alone | MISTAKE.excused), attempts.tailAt(slot));
  }
}
