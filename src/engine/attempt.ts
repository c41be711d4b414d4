import { REPEAT_WINDOW } from '../policy/limits.ts';
import type { Subject } from './subject.ts';
import { createTable, NONE, type Table } from './table.ts';

/**
 * Who is part-way through which sequence. An entry is one source's progress in one sequence:
 *
 *   step 0            no attempt; kept only since the sequence opened or closed a moment ago (`completed`)
 *   step 1 … n − 1    an attempt: so many knocks made, the first at `begun`, the last at `advanced`
 *
 * Which of them goes first when the table is full: the least advanced, then the one that has stood there longest.
 */
export interface Attempts {
  readonly table: Table;
  /** Knocks made. */
  step(slot: number): number;
  /** Wrong packets that were let pass. */
  tolerated(slot: number): number;
  begun(slot: number): number;
  advanced(slot: number): number;
  /** When the sequence was last completed by this source; −Infinity: never. */
  completed(slot: number): number;
  /** The packet's number (not its time) at which the entry last changed: older than a ban means forgotten. */
  changed(slot: number): number;
  /** Fills `slots` with the subject's entries by ascending sequence and answers how many there are. */
  collect(subject: Subject, slots: Int32Array): number;
  /** The subject's entry for a sequence, made if need be, put at `step` at `now`. */
  put(subject: Subject, sequence: number, step: number, turn: number, now: number): number;
  /** The attempt's first knock was at `now`. */
  begin(slot: number, now: number): void;
  /** Its last knock was at `now`. */
  advance(slot: number, now: number): void;
  tolerate(slot: number): void;
  complete(slot: number, now: number): void;
  /** Ends the attempt; true where the entry stays for what it knows of a completion. */
  end(slot: number): boolean;
  /** Takes over another table's times and what was tolerated there. */
  copy(slot: number, from: Attempts, theirs: number): void;
}

/** The levels 0–31 are steps made; who has completed a sequence stands above them all. */
const COMPLETED_LEVEL = 32;

/*
 * A record lies side by side, as the table's cells do. Moments are 64-bit floats; the two counts are 32-bit
 * integers in the place of one:   0 begun   1 advanced   2 completed   3 changed   4 step, tolerated
 */
const BEGUN = 0;
const ADVANCED = 1;
const COMPLETED = 2;
const CHANGED = 3;
const FLOATS = 5;
const STEP = 8;
const TOLERATED = 9;
const WORDS = 2 * FLOATS;
const NEVER = Number.NEGATIVE_INFINITY;

export function createAttempts(capacity: number): Attempts {
  const table = createTable(capacity, COMPLETED_LEVEL + 1);
  const floats = new Float64Array(capacity * FLOATS);
  const counts = new Int32Array(floats.buffer);

  const step = (slot: number): number => counts[slot * WORDS + STEP] ?? 0;
  const completed = (slot: number): number => floats[slot * FLOATS + COMPLETED] ?? 0;

  /** Makes room of what was completed too long ago to be repeated; the rest keeps its place. */
  function forgetCompleted(now: number): void {
    for (;;) {
      const slot = table.oldest(COMPLETED_LEVEL);
      if (slot === NONE || now - completed(slot) <= REPEAT_WINDOW) return;
      floats[slot * FLOATS + COMPLETED] = NEVER;
      if (step(slot) === 0) {
        table.remove(slot);
        return;
      }
      table.raise(slot, step(slot));
    }
  }

  return {
    table,
    step,
    tolerated: (slot) => counts[slot * WORDS + TOLERATED] ?? 0,
    begun: (slot) => floats[slot * FLOATS + BEGUN] ?? 0,
    advanced: (slot) => floats[slot * FLOATS + ADVANCED] ?? 0,
    completed,
    changed: (slot) => floats[slot * FLOATS + CHANGED] ?? 0,
    collect(subject, slots) {
      let count = 0;
      let slot = table.first(subject.hostHash, subject.family, subject.a, subject.b, subject.c, subject.d);
      while (slot !== NONE && count < slots.length) {
        // Insertion sort: a source is seldom in more than one or two sequences.
        let at = count;
        while (at > 0 && table.extra(slots[at - 1] ?? 0) > table.extra(slot)) {
          slots[at] = slots[at - 1] ?? 0;
          at -= 1;
        }
        slots[at] = slot;
        count += 1;
        slot = table.next(slot);
      }
      return count;
    },
    put(subject, sequence, to, turn, now) {
      const { hostHash, family, a, b, c, d } = subject;
      let slot = table.find(hostHash, family, a, b, c, d, sequence);
      if (slot === NONE) {
        if (table.size() === table.capacity) forgetCompleted(now);
        slot = table.insert(hostHash, family, a, b, c, d, sequence, to);
        floats[slot * FLOATS + COMPLETED] = NEVER;
      } else {
        if (now - completed(slot) > REPEAT_WINDOW) floats[slot * FLOATS + COMPLETED] = NEVER;
        table.raise(slot, completed(slot) === NEVER ? to : COMPLETED_LEVEL);
      }
      counts[slot * WORDS + STEP] = to;
      floats[slot * FLOATS + CHANGED] = turn;
      return slot;
    },
    begin(slot, now) {
      floats[slot * FLOATS + BEGUN] = now;
      floats[slot * FLOATS + ADVANCED] = now;
      counts[slot * WORDS + TOLERATED] = 0;
    },
    advance(slot, now) {
      floats[slot * FLOATS + ADVANCED] = now;
    },
    tolerate(slot) {
      counts[slot * WORDS + TOLERATED] = (counts[slot * WORDS + TOLERATED] ?? 0) + 1;
    },
    complete(slot, now) {
      floats[slot * FLOATS + COMPLETED] = now;
    },
    end(slot) {
      if (completed(slot) === NEVER) {
        table.remove(slot);
        return false;
      }
      counts[slot * WORDS + STEP] = 0;
      return true;
    },
    copy(slot, from, theirs) {
      floats[slot * FLOATS + BEGUN] = from.begun(theirs);
      floats[slot * FLOATS + ADVANCED] = from.advanced(theirs);
      floats[slot * FLOATS + COMPLETED] = from.completed(theirs);
      counts[slot * WORDS + TOLERATED] = from.tolerated(theirs);
    },
  };
}
