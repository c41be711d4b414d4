import { type Attempts, PLACES, placeOf } from './attempt.ts';
import type { Candidate } from './describe.ts';
import type { State } from './state.ts';
import type { Subject } from './subject.ts';
import { NONE } from './table.ts';

/**
 * A source's attempts at one sequence, taken out of the table while a packet is judged. Kept are the most advanced, the
 * newest, and those that this packet has begun or advanced: anyone who knocks the whole sequence is always among them,
 * whatever came before and however often its first port comes again in it. Of two that have made equal steps the newer
 * is in time for longer. Most advanced first; used again for every packet.
 */
export interface AttemptList {
  size(): number;
  /** The steps of the most advanced attempt that this packet has begun or advanced; 0: there is none. */
  reached(): number;
  /** The digits of a code that this attempt has, as a number. */
  code(): number;
  clear(): void;
  add(attempt: Attempt): void;
  /** Leaves only what this packet has begun or advanced, and of that nothing that has reached `steps`. */
  keepUnfinished(steps: number): void;
  /**
   * Writes the attempts back; the subject's entries of the candidate that they no longer need are ended. Answers the slot
   * of the most advanced, or NONE.
   */
  store(state: State, subject: Subject, candidate: Candidate, now: number): number;
}

export interface Attempt {
  step: number;
  begun: number;
  advanced: number;
  tolerated: number;
  /** The digits of a code that it has so far, as a number. */
  code: number;
  /** Begun or advanced by this packet. */
  fresh: boolean;
  /** Its last knock came to another member of the fleet. */
  stray: boolean;
}

export function createAttemptList(): AttemptList {
  const list: Attempt[] = Array.from({ length: PLACES }, blank);
  let size = 0;

  const at = (index: number): Attempt => list[index] ?? blank();

  function remove(index: number): void {
    const gone = at(index);
    size -= 1;
    for (let from = index; from < size; from += 1) list[from] = at(from + 1);
    list[size] = gone;
  }

  function newest(): number {
    let best = 0;
    for (let index = 1; index < size; index += 1) if (at(index).begun > at(best).begun) best = index;
    return best;
  }

  return {
    size: () => size,
    reached() {
      for (let index = 0; index < size; index += 1) if (at(index).fresh) return at(index).step;
      return 0;
    },
    code() {
      for (let index = 0; index < size; index += 1) if (at(index).fresh) return at(index).code;
      return 0;
    },
    clear() {
      size = 0;
    },
    add(attempt) {
      let index = 0;
      while (index < size && at(index).step > attempt.step) index += 1;
      if (index < size && at(index).step === attempt.step) {
        // What this packet began is newer whatever the clock says, which can step back a little.
        if (at(index).begun <= attempt.begun || (attempt.fresh && !at(index).fresh)) copy(at(index), attempt);
        return;
      }
      if (size === PLACES) return;
      const free = at(size);
      for (let to = size; to > index; to -= 1) list[to] = at(to - 1);
      copy(free, attempt);
      list[index] = free;
      size += 1;
    },
    keepUnfinished(steps) {
      for (let index = size - 1; index >= 0; index -= 1) {
        if (!at(index).fresh || at(index).step >= steps) remove(index);
      }
    },
    store(state, subject, { sequence, from, to, mask }, now) {
      const { attempts, masks, slots, turn } = state;
      const young = newest();
      for (let index = size - 1; index > 0; index -= 1) {
        if (!at(index).fresh && index !== young) remove(index);
      }
      let main = NONE;
      for (let place = 0; place < size; place += 1) {
        const { step, begun, advanced, tolerated, code, stray } = at(place);
        const slot = attempts.put(subject, placeOf(sequence.id, place), step, turn, now);
        attempts.set(slot, begun, advanced, tolerated);
        attempts.setCode(slot, code);
        if (stray) attempts.stray(slot);
        if (mask !== NONE) attempts.mark(slot, masks, mask);
        if (place === 0) main = slot;
      }
      for (let index = from; index < to; index += 1) {
        const slot = slots[index] ?? NONE;
        if (attempts.sequence(slot) === sequence.id && attempts.place(slot) >= size) attempts.end(slot);
      }
      return main;
    },
  };
}

/** Field by field, for each packet of a flood of first knocks: Object.assign takes longer. */
function copy(to: Attempt, from: Attempt): void {
  to.step = from.step;
  to.begun = from.begun;
  to.advanced = from.advanced;
  to.tolerated = from.tolerated;
  to.code = from.code;
  to.fresh = from.fresh;
  to.stray = from.stray;
}

/** Ends the subject's attempts at a sequence from a place on. */
export function endFrom(attempts: Attempts, subject: Subject, sequence: number, first: number): void {
  const { table } = attempts;
  const { hostHash, family, a, b, c, d } = subject;
  let slot = table.first(hostHash, family, a, b, c, d);
  while (slot !== NONE) {
    const following = table.next(slot);
    if (attempts.sequence(slot) === sequence && attempts.place(slot) >= first) attempts.end(slot);
    slot = following;
  }
}

function blank(): Attempt {
  return { step: 0, begun: 0, advanced: 0, tolerated: 0, code: 0, fresh: false, stray: false };
}
