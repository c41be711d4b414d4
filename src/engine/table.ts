import type { Family } from '../packet/address.ts';

/** No slot. */
export const NONE = -1;

/**
 * A bounded hash table of entries keyed by an address and one more number (`extra`), in typed arrays: no
 * allocation an entry, and no more memory than its capacity says. An entry is named by its slot, under which
 * its owner keeps further columns.
 *
 * Every entry stands in one of a few levels. When the table is full, a new entry takes the place of the one
 * that has stood longest in the lowest level: a flood that only ever reaches the lowest level evicts its like.
 */
export interface Table {
  readonly capacity: number;
  size(): number;
  /** The first entry of that address, whatever its `extra`, or NONE. */
  first(hash: number, family: Family, a: number, b: number, c: number, d: number): number;
  /** The next entry of the same address, or NONE. */
  next(slot: number): number;
  find(hash: number, family: Family, a: number, b: number, c: number, d: number, extra: number): number;
  /** Adds an entry that is not there yet, in the place of another if need be; answers its slot. */
  insert(
    hash: number,
    family: Family,
    a: number,
    b: number,
    c: number,
    d: number,
    extra: number,
    level: number,
  ): number;
  remove(slot: number): void;
  /** The entry that has stood longest in a level, or NONE. */
  oldest(level: number): number;
  /** Puts the entry last in a level. */
  raise(slot: number, level: number): void;
  extra(slot: number): number;
  /** Calls back for every slot in use, lowest level first, in each the longest there first. */
  each(visit: (slot: number) => void): void;
  family(slot: number): Family;
  word(slot: number, index: 0 | 1 | 2 | 3): number;
}

const KEY_WORDS = 6;

export function createTable(capacity: number, levels: number): Table {
  const buckets = new Int32Array(powerOfTwo(capacity)).fill(NONE);
  const mask = buckets.length - 1;
  const keys = new Int32Array(capacity * KEY_WORDS);
  const hashes = new Int32Array(capacity);
  const chain = new Int32Array(capacity);
  const level = new Uint8Array(capacity);
  const older = new Int32Array(capacity);
  const newer = new Int32Array(capacity);
  const oldest = new Int32Array(levels).fill(NONE);
  const newest = new Int32Array(levels).fill(NONE);
  let used = 0;
  let unused = 0;
  let freed = NONE;

  function same(slot: number, family: Family, a: number, b: number, c: number, d: number): boolean {
    const at = slot * KEY_WORDS;
    return (
      keys[at + 1] === a &&
      keys[at + 2] === b &&
      keys[at + 3] === c &&
      keys[at + 4] === d &&
      keys[at] === family
    );
  }

  function link(slot: number, to: number): void {
    const last = newest[to] ?? NONE;
    level[slot] = to;
    older[slot] = last;
    newer[slot] = NONE;
    newest[to] = slot;
    if (last === NONE) oldest[to] = slot;
    else newer[last] = slot;
  }

  function unlink(slot: number): void {
    const at = level[slot] ?? 0;
    const before = older[slot] ?? NONE;
    const after = newer[slot] ?? NONE;
    if (before === NONE) oldest[at] = after;
    else newer[before] = after;
    if (after === NONE) newest[at] = before;
    else older[after] = before;
  }

  function first(hash: number, family: Family, a: number, b: number, c: number, d: number): number {
    let slot = buckets[hash & mask] ?? NONE;
    while (slot !== NONE && !same(slot, family, a, b, c, d)) slot = chain[slot] ?? NONE;
    return slot;
  }

  function next(slot: number): number {
    const at = slot * KEY_WORDS;
    let following = chain[slot] ?? NONE;
    while (following !== NONE) {
      const to = following * KEY_WORDS;
      let word = 0;
      while (word < KEY_WORDS - 1 && keys[at + word] === keys[to + word]) word += 1;
      if (word === KEY_WORDS - 1) return following;
      following = chain[following] ?? NONE;
    }
    return NONE;
  }

  function find(
    hash: number,
    family: Family,
    a: number,
    b: number,
    c: number,
    d: number,
    extra: number,
  ): number {
    let slot = buckets[hash & mask] ?? NONE;
    while (slot !== NONE && !(keys[slot * KEY_WORDS + 5] === extra && same(slot, family, a, b, c, d))) {
      slot = chain[slot] ?? NONE;
    }
    return slot;
  }

  function remove(slot: number): void {
    const bucket = (hashes[slot] ?? 0) & mask;
    let before = NONE;
    for (let here = buckets[bucket] ?? NONE; here !== slot; here = chain[here] ?? NONE) before = here;
    if (before === NONE) buckets[bucket] = chain[slot] ?? NONE;
    else chain[before] = chain[slot] ?? NONE;
    unlink(slot);
    // Who still has the slot's number must not take it for the entry that was here.
    keys[slot * KEY_WORDS + 5] = NONE;
    chain[slot] = freed;
    freed = slot;
    used -= 1;
  }

  function take(): number {
    if (used === capacity) {
      let lowest = 0;
      while (oldest[lowest] === NONE) lowest += 1;
      remove(oldest[lowest] ?? NONE);
    }
    used += 1;
    if (freed === NONE) {
      unused += 1;
      return unused - 1;
    }
    const slot = freed;
    freed = chain[slot] ?? NONE;
    return slot;
  }

  return {
    capacity,
    size: () => used,
    first,
    next,
    find,
    insert(hash, family, a, b, c, d, extra, to) {
      const slot = take();
      const at = slot * KEY_WORDS;
      keys[at] = family;
      keys[at + 1] = a;
      keys[at + 2] = b;
      keys[at + 3] = c;
      keys[at + 4] = d;
      keys[at + 5] = extra;
      hashes[slot] = hash;
      chain[slot] = buckets[hash & mask] ?? NONE;
      buckets[hash & mask] = slot;
      link(slot, to);
      return slot;
    },
    remove,
    oldest: (at) => oldest[at] ?? NONE,
    raise(slot, to) {
      unlink(slot);
      link(slot, to);
    },
    extra: (slot) => keys[slot * KEY_WORDS + 5] ?? 0,
    each(visit) {
      for (let at = 0; at < levels; at += 1) {
        let slot = oldest[at] ?? NONE;
        while (slot !== NONE) {
          const following = newer[slot] ?? NONE;
          visit(slot);
          slot = following;
        }
      }
    },
    family: (slot) => keys[slot * KEY_WORDS] as Family,
    word: (slot, index) => keys[slot * KEY_WORDS + 1 + index] ?? 0,
  };
}

/** The least power of two that is no less than `value`. */
export function powerOfTwo(value: number): number {
  let power = 1;
  while (power < value) power *= 2;
  return power;
}
