import { type Attempts, placeOf } from './attempt.ts';
import { clearAlone, dropBit, hasBit, nextBit } from './kin.ts';
import { createPorts, type Sequence } from './ports.ts';
import type { State } from './state.ts';
import type { Subject } from './subject.ts';
import { NONE } from './table.ts';

/* What a one-time sequence leaves behind that has been used, or has become another: attempts at it that are over. */

/** The door's sequence is another from here on. */
export function noteUsed(state: State, door: number): void {
  state.used[door] = state.turn;
  state.usedLast = state.turn;
  state.ports = createPorts(state.settings, state.knocks);
}

/** Whether something became of the sequence since the entry last changed. */
export function isUsed(
  { attempts, used }: { readonly attempts: Attempts; readonly used: readonly number[] },
  slot: number,
  { kind, door }: Sequence,
): boolean {
  return kind === 'open' && attempts.changed(slot) < (used[door] ?? 0);
}

/** Ends an attempt at a one-time sequence that someone has used since; false where nothing is left of the entry. */
export function endIfUsed(state: State, slot: number): boolean {
  const { attempts, ports } = state;
  const sequence = ports.sequences[attempts.sequence(slot)];
  if (sequence === undefined) return false;
  if (!attempts.isAlone(slot) || !isUsed(state, slot, sequence)) return true;
  // The rest of a mistake was of the sequence that was.
  attempts.setTail(slot, 0, 0, 0);
  if (attempts.step(slot) === 0) return true;
  return attempts.end(slot);
}

/**
 * The first so many of `state.slots` are the subject's: none of them stands any more for a sequence that was used since,
 * but one for that alone where there is no other. Answers whether there are other slots now.
 */
export function partUsed(state: State, subject: Subject, count: number): boolean {
  const { attempts, slots } = state;
  if (attempts.words === 0 || state.usedLast === 0) return false;
  let moved = false;
  for (let index = 0; index < count; index += 1) {
    const slot = slots[index] ?? NONE;
    if (attempts.changed(slot) >= state.usedLast || attempts.isAlone(slot)) continue;
    if (partOne(state, subject, slot)) moved = true;
  }
  return moved;
}

function partOne(state: State, subject: Subject, slot: number): boolean {
  const { attempts, ports } = state;
  const { masks, words } = attempts;
  const leader = ports.sequences[attempts.sequence(slot)];
  if (leader === undefined) return false;
  const at = slot * words;
  leader.kin.everyone.forEach((sequence, bit) => {
    if (hasBit(masks, at, bit) && isUsed(state, slot, sequence)) dropBit(masks, at, bit);
  });
  const first = leader.kin.everyone[nextBit(masks, at, words, 0)];
  const isLed = hasBit(masks, at, leader.bit);
  clearAlone(masks, at, words);
  if (isLed || first === undefined) return false;
  // What led it is another sequence now, which may have an entry of its own.
  const mask = masks.slice(at, at + words);
  const place = attempts.place(slot);
  attempts.keep(slot);
  // There is room for it now, whatever the moment.
  attempts.table.remove(slot);
  attempts.mark(attempts.branch(subject, placeOf(first.id, place), 0), mask, 0);
  return true;
}
