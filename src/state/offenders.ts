import { createHasher, type HashKey } from '../engine/hash.ts';
import { createTable, NONE } from '../engine/table.ts';
import type { Cidr } from '../packet/cidr.ts';
import type { StoredBan } from './store.ts';

export { NONE } from '../engine/table.ts';

/** A target that is banned, or was: one entry for the ban and its history, so that the two can't disagree. */
export interface Offender {
  readonly target: Cidr;
  readonly since: number;
  /** When the ban ends or ended (wall time, ms). */
  readonly until: number;
  /** 1–65535. */
  readonly count: number;
  /** Ended before its time. Said apart from `until`, so that a clock set back brings no lifted ban back. */
  readonly lifted: boolean;
  readonly origin: StoredBan['origin'];
  /** The number of the member of the fleet that said it (members.ts); 0: it was made here. */
  readonly from: number;
}

/**
 * Offenders by their target, 68 bytes each, in the order in which they were last touched. A slot is good until the
 * next `reserve` or `remove`.
 */
export interface Offenders {
  size(): number;
  /** For how many there is room. */
  capacity(): number;
  /** Makes room for this many more. To be called before they are put. */
  reserve(more: number): void;
  find(target: Cidr): number;
  /** Adds or replaces the target's entry, which becomes the one touched last. */
  put(offender: Offender): number;
  remove(slot: number): void;
  at(slot: number): Offender;
  since(slot: number): number;
  until(slot: number): number;
  isLifted(slot: number): boolean;
  /** The row of the file that holds the entry as it is now; 0: none does. */
  row(slot: number): number;
  setRow(slot: number, row: number): void;
  /** The next entry of a round that begins with the one touched longest ago, or NONE at its end. */
  walk(): number;
  /** Every entry, the one touched longest ago first; the callback may remove it. */
  each(visit: (slot: number) => void): void;
}

const CAPACITY_FIRST = 1024;
const GROWTH = 2;
const COUNT_MAX = 65_535;

/* since, until as 64-bit floats; row, then count and lifted as 32-bit integers in the place of one. */
const FLOATS = 3;
const SINCE = 0;
const UNTIL = 1;
const WORDS = 2 * FLOATS;
const ROW = 4;
const COUNT = 5;
const LIFTED = 1 << 16;
const ORDERED = 1 << 17;
/** Above these bits: `from`, in 12 bits. */
const FROM = 18;
const FROM_MAX = 4095;

/** Where a round stands when it stands at no slot. */
const BEGINNING = -2;
const END = -3;

/** `key` is random: targets are chosen by strangers. */
export function createOffenders(key: HashKey): Offenders {
  const hasher = createHasher(key);
  let table = createTable(CAPACITY_FIRST, 1);
  let floats = new Float64Array(CAPACITY_FIRST * FLOATS);
  let words = new Uint32Array(floats.buffer);
  /** The slot that the round gives next, or one of the two. */
  let place: number = BEGINNING;

  function hashOf({ address }: Cidr): number {
    const { input, output } = hasher;
    input[0] = address.family;
    input[1] = address.a;
    input[2] = address.b;
    input[3] = address.c;
    input[4] = address.d;
    hasher.run(5);
    return output[0] ?? 0;
  }

  function find(target: Cidr, hash: number): number {
    const { family, a, b, c, d } = target.address;
    return table.find(hash, family, a, b, c, d, target.bits);
  }

  function at(slot: number): Offender {
    const [a, b, c, d] = [table.word(slot, 0), table.word(slot, 1), table.word(slot, 2), table.word(slot, 3)];
    const info = words[slot * WORDS + COUNT] ?? 0;
    return {
      target: { address: { family: table.family(slot), a, b, c, d }, bits: table.extra(slot) },
      since: floats[slot * FLOATS + SINCE] ?? 0,
      until: floats[slot * FLOATS + UNTIL] ?? 0,
      count: info & COUNT_MAX,
      lifted: (info & LIFTED) !== 0,
      origin: (info & ORDERED) === 0 ? 'strikes' : 'order',
      from: info >>> FROM,
    };
  }

  function insert(target: Cidr, hash: number): number {
    const { family, a, b, c, d } = target.address;
    return table.insert(hash, family, a, b, c, d, target.bits, 0);
  }

  function grow(capacity: number): void {
    const before = { table, floats, at: place };
    table = createTable(capacity, 1);
    floats = new Float64Array(capacity * FLOATS);
    words = new Uint32Array(floats.buffer);
    before.table.each((old) => {
      const { family, word, extra } = before.table;
      const address = {
        family: family(old),
        a: word(old, 0),
        b: word(old, 1),
        c: word(old, 2),
        d: word(old, 3),
      };
      const target = { address, bits: extra(old) };
      const slot = insert(target, hashOf(target));
      floats.set(before.floats.subarray(old * FLOATS, (old + 1) * FLOATS), slot * FLOATS);
      if (old === before.at) place = slot;
    });
  }

  function after(slot: number): number {
    const next = table.newer(slot);
    return next === NONE ? END : next;
  }

  /** The round goes on with the next where its place is about to be another's. */
  function stepFrom(slot: number): void {
    if (slot === place) place = after(slot);
  }

  return {
    size: () => table.size(),
    capacity: () => table.capacity,
    reserve(more) {
      let { capacity } = table;
      while (table.size() + more > capacity) capacity *= GROWTH;
      if (capacity > table.capacity) grow(capacity);
    },
    find: (target) => find(target, hashOf(target)),
    put({ target, since, until, count, lifted, origin, from }) {
      const hash = hashOf(target);
      let slot = find(target, hash);
      if (slot === NONE) slot = insert(target, hash);
      else {
        stepFrom(slot);
        table.raise(slot, 0);
      }
      floats[slot * FLOATS + SINCE] = since;
      floats[slot * FLOATS + UNTIL] = until;
      words[slot * WORDS + ROW] = 0;
      const flags = (lifted ? LIFTED : 0) | (origin === 'order' ? ORDERED : 0);
      const whose = from <= FROM_MAX ? from << FROM : 0;
      words[slot * WORDS + COUNT] = Math.min(count, COUNT_MAX) | flags | whose;
      return slot;
    },
    remove(slot) {
      stepFrom(slot);
      table.remove(slot);
    },
    at,
    since: (slot) => floats[slot * FLOATS + SINCE] ?? 0,
    until: (slot) => floats[slot * FLOATS + UNTIL] ?? 0,
    isLifted: (slot) => ((words[slot * WORDS + COUNT] ?? 0) & LIFTED) !== 0,
    row: (slot) => words[slot * WORDS + ROW] ?? 0,
    setRow(slot, row) {
      words[slot * WORDS + ROW] = row;
    },
    walk() {
      const slot = place === BEGINNING ? table.oldest(0) : place;
      if (slot === NONE || slot === END) {
        place = BEGINNING;
        return NONE;
      }
      place = after(slot);
      return slot;
    },
    each: (visit) => table.each(visit),
  };
}
