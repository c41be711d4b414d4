import { REPEAT_WINDOW } from './limits.ts';
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
  readonly step: Uint8Array;
  readonly tolerated: Uint8Array;
  readonly begun: Float64Array;
  readonly advanced: Float64Array;
  /** When the sequence was last completed by this source; −Infinity: never. */
  readonly completed: Float64Array;
  /** The packet's number (not its time) at which the entry last changed: older than a ban means forgotten. */
  readonly changed: Float64Array;
  /** Fills `slots` with the subject's entries by ascending sequence and answers how many there are. */
  collect(subject: Subject, slots: Int32Array): number;
  /** The subject's entry for a sequence, made if need be, put at `step` at `now`. */
  put(subject: Subject, sequence: number, step: number, turn: number, now: number): number;
  /** Ends the attempt; true where the entry stays for what it knows of a completion. */
  end(slot: number): boolean;
}

/** The levels 0–31 are steps made; who has completed a sequence stands above them all. */
const COMPLETED_LEVEL = 32;

export function createAttempts(capacity: number): Attempts {
  const table = createTable(capacity, COMPLETED_LEVEL + 1);
  const step = new Uint8Array(capacity);
  const tolerated = new Uint8Array(capacity);
  const begun = new Float64Array(capacity);
  const advanced = new Float64Array(capacity);
  const completed = new Float64Array(capacity);
  const changed = new Float64Array(capacity);

  /** Makes room of what was completed too long ago to be repeated; the rest keeps its place. */
  function forgetCompleted(now: number): void {
    for (;;) {
      const slot = table.oldest(COMPLETED_LEVEL);
      if (slot === NONE || now - (completed[slot] ?? 0) <= REPEAT_WINDOW) return;
      completed[slot] = Number.NEGATIVE_INFINITY;
      if (step[slot] === 0) {
        table.remove(slot);
        return;
      }
      table.raise(slot, step[slot] ?? 0);
    }
  }

  return {
    table,
    step,
    tolerated,
    begun,
    advanced,
    completed,
    changed,
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
        completed[slot] = Number.NEGATIVE_INFINITY;
      } else {
        if (now - (completed[slot] ?? 0) > REPEAT_WINDOW) completed[slot] = Number.NEGATIVE_INFINITY;
        table.raise(slot, completed[slot] === Number.NEGATIVE_INFINITY ? to : COMPLETED_LEVEL);
      }
      step[slot] = to;
      changed[slot] = turn;
      return slot;
    },
    end(slot) {
      if (completed[slot] === Number.NEGATIVE_INFINITY) {
        table.remove(slot);
        return false;
      }
      step[slot] = 0;
      return true;
    },
  };
}
