import { REPEAT_WINDOW } from '../policy/limits.ts';
import type { Subject } from './subject.ts';
import { createTable, NONE, type Table } from './table.ts';

/**
 * Who is part-way through which sequence. A source's attempts at one sequence are kept side by side, each at a place:
 * the most advanced at place 0, newer ones after it. Place 0 also keeps what is known beside attempts:
 *
 *   step 0            no attempt; kept for what else it knows
 *   step 1 … n − 1    an attempt: this many knocks made, the first at `begun`, the last at `advanced`
 *   completed         the sequence opened or closed a moment ago: its knocks are repeats
 *   tail              the rest of a mistake: the steps that are no further strikes (tail.ts)
 *   last              the source's last knock packet, if this sequence was concerned by it
 *
 * Which entry goes first when the table is full: the least advanced, then the one that has stood there longest.
 */
export interface Attempts {
  readonly table: Table;
  /** The sequence's id. */
  sequence(slot: number): number;
  place(slot: number): number;
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
  /** The steps that a mistake's rest may go on with, as bits; and the moment of the knock before. */
  tail(slot: number): number;
  tailAt(slot: number): number;
  /** The digits of a code that it has so far, as a number. */
  code(slot: number): number;
  setCode(slot: number, code: number): void;
  /** What kind of mistake it was: bits of MISTAKE. */
  mistake(slot: number): number;
  setTail(slot: number, tail: number, mistake: number, now: number): void;
  /** The port of the source's last knock packet, or 0. */
  last(slot: number): number;
  setLast(slot: number, key: number): void;
  /** Fills `slots` with the subject's entries by ascending sequence and place and answers how many there are. */
  collect(subject: Subject, slots: Int32Array): number;
  /** The subject's first entry for a sequence, or NONE. */
  find(subject: Subject, sequence: number): number;
  /** The subject's entry at a place of a sequence, made if need be, put at `step` at `now`. */
  put(subject: Subject, where: number, step: number, turn: number, now: number): number;
  /** The attempt's first and last knocks, and the wrong packets let pass. */
  set(slot: number, begun: number, advanced: number, tolerated: number): void;
  /** Whether its last knock came to another member of the fleet: its moment is by another clock. */
  isStray(slot: number): boolean;
  stray(slot: number): void;
  complete(slot: number, now: number): void;
  /** Ends the attempt; true where the entry stays for what else it knows. */
  end(slot: number): boolean;
  /** When an attempt that may have been in progress last had to make room for another one; −Infinity: never. */
  crowded(): number;
  /** Words of the bits below; 0: no sequence has kin. */
  readonly words: number;
  /** For which of its sequence's kin each entry stands, as bits, `words` an entry; none: for its own sequence alone. */
  readonly masks: Int32Array;
  isAlone(slot: number): boolean;
  /** Writes the entry's bits into another array. */
  copyMask(slot: number, to: Int32Array, at: number): void;
  /** Sets the entry's bits from those of another array. */
  mark(slot: number, masks: Int32Array, at: number): void;
  /** Keeps all that is known of an entry but its bits, for `branch`. */
  keep(slot: number): void;
  /** Adds what was kept as an entry at another place, which must be free; answers its slot. */
  branch(subject: Subject, where: number, now: number): number;
  /** Takes over another table's times and what was tolerated there; what is known of mistakes stays behind. */
  copy(slot: number, from: Attempts, theirs: number): void;
}

/** Places of one sequence: a power of two no less than the steps of a sequence. */
export const PLACES = 32;

/** Where the entries of a sequence are: `PLACES` from its first place on. */
export function placeOf(sequence: number, place: number): number {
  return sequence * PLACES + place;
}

/** The levels 0–31 are steps made; who has completed a sequence stands above them all. */
const COMPLETED_LEVEL = 32;
/** How many levels there are. */
export const LEVELS: number = COMPLETED_LEVEL + 1;

/*
 * A record lies side by side, as the table's cells do, and fills one line of a processor's cache. Moments are 64-bit
 * floats; counts are pairs of 32-bit integers in the place of one:
 *   0 begun   1 advanced   2 completed   3 changed   4 step, tolerated   5 tailAt   6 tail, mistake
 *   7 last, code
 */
const BEGUN = 0;
const ADVANCED = 1;
const COMPLETED = 2;
const CHANGED = 3;
const TAIL_AT = 5;
const FLOATS = 8;
const STEP = 8;
const TOLERATED = 9;
const TAIL = 12;
const MISTAKES = 13;
const LAST = 14;
const CODE = 15;
const WORDS = 2 * FLOATS;
/** In the word of what was tolerated: the last knock came to another member. */
const STRAY = 1 << 16;
const NEVER = Number.NEGATIVE_INFINITY;

/** Anyone who knocked last longer ago, in milliseconds, has given up as a rule: the usual gap is far shorter. */
const UNDER_WAY = 15_000;

export function createAttempts(capacity: number, words: number = 0): Attempts {
  const table = createTable(capacity, LEVELS);
  const floats = new Float64Array(capacity * FLOATS);
  const counts = new Int32Array(floats.buffer);
  const masks = new Int32Array(capacity * words);
  const kept = new Int32Array(WORDS);
  let crowded = NEVER;

  const step = (slot: number): number => counts[slot * WORDS + STEP] ?? 0;
  const advanced = (slot: number): number => floats[slot * FLOATS + ADVANCED] ?? 0;
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

  /** Takes note where one who may be knocking still has to make room. */
  function lookWhoGoes(now: number): void {
    const out = table.nextOut();
    if (step(out) > 0 && now - advanced(out) < UNDER_WAY) crowded = now;
  }

  const put: Attempts['put'] = ({ hostHash, family, a, b, c, d }, where, to, turn, now) => {
    let slot = table.find(hostHash, family, a, b, c, d, where);
    if (slot === NONE) {
      if (table.size() === table.capacity) forgetCompleted(now);
      if (table.size() === table.capacity) lookWhoGoes(now);
      slot = table.insert(hostHash, family, a, b, c, d, where, to);
      floats[slot * FLOATS + COMPLETED] = NEVER;
      const at = slot * WORDS;
      counts[at + TAIL] = 0;
      counts[at + MISTAKES] = 0;
      counts[at + LAST] = 0;
      if (words > 0) masks.fill(0, slot * words, slot * words + words);
    } else {
      if (now - completed(slot) > REPEAT_WINDOW) floats[slot * FLOATS + COMPLETED] = NEVER;
      table.raise(slot, completed(slot) === NEVER ? to : COMPLETED_LEVEL);
    }
    counts[slot * WORDS + STEP] = to;
    floats[slot * FLOATS + CHANGED] = turn;
    return slot;
  };

  return {
    table,
    crowded: () => crowded,
    sequence: (slot) => table.extra(slot) >> 5,
    place: (slot) => table.extra(slot) & (PLACES - 1),
    step,
    tolerated: (slot) => (counts[slot * WORDS + TOLERATED] ?? 0) & (STRAY - 1),
    isStray: (slot) => ((counts[slot * WORDS + TOLERATED] ?? 0) & STRAY) !== 0,
    stray(slot) {
      const at = slot * WORDS + TOLERATED;
      counts[at] = (counts[at] ?? 0) | STRAY;
    },
    begun: (slot) => floats[slot * FLOATS + BEGUN] ?? 0,
    advanced,
    completed,
    changed: (slot) => floats[slot * FLOATS + CHANGED] ?? 0,
    tail: (slot) => counts[slot * WORDS + TAIL] ?? 0,
    tailAt: (slot) => floats[slot * FLOATS + TAIL_AT] ?? 0,
    mistake: (slot) => counts[slot * WORDS + MISTAKES] ?? 0,
    setTail(slot, tail, mistake, now) {
      counts[slot * WORDS + TAIL] = tail;
      counts[slot * WORDS + MISTAKES] = mistake;
      floats[slot * FLOATS + TAIL_AT] = now;
    },
    last: (slot) => counts[slot * WORDS + LAST] ?? 0,
    code: (slot) => counts[slot * WORDS + CODE] ?? 0,
    setCode(slot, code) {
      counts[slot * WORDS + CODE] = code;
    },
    setLast(slot, key) {
      counts[slot * WORDS + LAST] = key;
    },
    collect(subject, slots) {
      let count = 0;
      let slot = table.first(subject.hostHash, subject.family, subject.a, subject.b, subject.c, subject.d);
      for (; slot !== NONE && count < slots.length; slot = table.next(slot)) slots[count++] = slot;
      sort(table, slots, count);
      return count;
    },
    find({ hostHash, family, a, b, c, d }, sequence) {
      return table.find(hostHash, family, a, b, c, d, placeOf(sequence, 0));
    },
    put,
    words,
    masks,
    ...masksIn(masks, words),
    keep(slot) {
      for (let word = 0; word < WORDS; word += 1) kept[word] = counts[slot * WORDS + word] ?? 0;
    },
    branch(subject, where, now) {
      const slot = put(subject, where, kept[STEP] ?? 0, 0, now);
      for (let word = 0; word < WORDS; word += 1) counts[slot * WORDS + word] = kept[word] ?? 0;
      if (completed(slot) !== NEVER) table.raise(slot, COMPLETED_LEVEL);
      return slot;
    },
    set(slot, begun, last, tolerated) {
      floats[slot * FLOATS + BEGUN] = begun;
      floats[slot * FLOATS + ADVANCED] = last;
      counts[slot * WORDS + TOLERATED] = tolerated;
    },
    complete(slot, now) {
      floats[slot * FLOATS + COMPLETED] = now;
    },
    end(slot) {
      const at = slot * WORDS;
      counts[at + STEP] = 0;
      if (completed(slot) !== NEVER) return true;
      if (counts[at + TAIL] === 0 && counts[at + MISTAKES] === 0 && counts[at + LAST] === 0) {
        table.remove(slot);
        return false;
      }
      table.raise(slot, 0);
      return true;
    },
    copy(slot, from, theirs) {
      const at = slot * FLOATS;
      floats[at + BEGUN] = from.begun(theirs);
      floats[at + ADVANCED] = from.advanced(theirs);
      floats[at + COMPLETED] = from.completed(theirs);
      counts[2 * at + TOLERATED] = from.tolerated(theirs);
      counts[2 * at + CODE] = from.code(theirs);
    },
  };
}

/** By sequence and place. They come the newest first, which is mostly the last first. */
function sort(table: Table, slots: Int32Array, count: number): void {
  for (let low = 0, high = count - 1; low < high; low += 1, high -= 1) {
    const slot = slots[low] ?? 0;
    slots[low] = slots[high] ?? 0;
    slots[high] = slot;
  }
  for (let index = 1; index < count; index += 1) {
    const slot = slots[index] ?? 0;
    let at = index;
    for (; at > 0 && table.extra(slots[at - 1] ?? 0) > table.extra(slot); at -= 1)
      slots[at] = slots[at - 1] ?? 0;
    slots[at] = slot;
  }
}

function masksIn(masks: Int32Array, words: number): Pick<Attempts, 'isAlone' | 'copyMask' | 'mark'> {
  return {
    isAlone(slot) {
      for (let word = 0; word < words; word += 1) if (masks[slot * words + word] !== 0) return false;
      return true;
    },
    copyMask(slot, to, at) {
      for (let word = 0; word < words; word += 1) to[at + word] = masks[slot * words + word] ?? 0;
    },
    mark(slot, from, at) {
      for (let word = 0; word < words; word += 1) masks[slot * words + word] = from[at + word] ?? 0;
    },
  };
}
