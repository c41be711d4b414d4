import type { Family } from '../packet/address.ts';
import { createBuckets } from './buckets.ts';
import { ADDRESS, CELL_WORDS, CHAIN, EXTRA, FAMILY, FREE, HASH, NEWER, NONE } from './cell.ts';
import { createLevels } from './levels.ts';

export { NONE } from './cell.ts';

/**
 * A bounded hash table of entries keyed by an address and one more number (`extra`), in typed arrays: no
 * allocation an entry, and no more memory than its capacity says. An entry is named by its slot, under which
 * its owner keeps what else it knows.
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
  /**
   * Of the entries with this hash, these first two words of the address and this `extra`, the one added first, where
   * there are `most` of them or more; else NONE.
   */
  crowdedOut(hash: number, family: Family, a: number, b: number, extra: number, most: number): number;
  remove(slot: number): void;
  /** Reads what a search for this hash and an insertion into a full table will read, and answers anything: asked for
   * together with other such places, they come from memory together. */
  touch(hash: number): number;
  /** The entry that goes first when there is no room: only to be asked for where there is one. */
  nextOut(): number;
  /** The entry that has stood longest in a level, or NONE. */
  oldest(level: number): number;
  /** The entry that has stood in the same level next longest, or NONE. */
  newer(slot: number): number;
  /** Puts the entry last in a level. */
  raise(slot: number, level: number): void;
  extra(slot: number): number;
  /** Calls back for every slot in use, lowest level first, in each the longest there first. */
  each(visit: (slot: number) => void): void;
  /** Every entry's slot is below. With `isUsed` the table can be walked in pieces while it changes. */
  slots(): number;
  isUsed(slot: number): boolean;
  family(slot: number): Family;
  word(slot: number, index: 0 | 1 | 2 | 3): number;
}

export function createTable(capacity: number, levels: number): Table {
  const cells = new Int32Array(capacity * CELL_WORDS);
  const { candidate, chain, unchain, look } = createBuckets(cells, capacity);
  const { oldest, link, unlink, nextOut, each } = createLevels(cells, levels);
  let used = 0;
  let unused = 0;
  let freed = NONE;

  function same(at: number, family: Family, a: number, b: number, c: number, d: number): boolean {
    return (
      cells[at + ADDRESS] === a &&
      cells[at + ADDRESS + 1] === b &&
      cells[at + ADDRESS + 2] === c &&
      cells[at + ADDRESS + 3] === d &&
      cells[at + FAMILY] === family
    );
  }

  function first(hash: number, family: Family, a: number, b: number, c: number, d: number): number {
    let slot = candidate(hash);
    while (slot !== NONE && !same(slot * CELL_WORDS, family, a, b, c, d)) {
      slot = cells[slot * CELL_WORDS + CHAIN] ?? NONE;
    }
    return slot;
  }

  function next(slot: number): number {
    const at = slot * CELL_WORDS;
    let following = cells[at + CHAIN] ?? NONE;
    while (following !== NONE) {
      const to = following * CELL_WORDS;
      let word = FAMILY;
      while (word < EXTRA && cells[at + word] === cells[to + word]) word += 1;
      if (word === EXTRA) return following;
      following = cells[to + CHAIN] ?? NONE;
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
    let slot = candidate(hash);
    while (slot !== NONE) {
      const at = slot * CELL_WORDS;
      if (cells[at + EXTRA] === extra && same(at, family, a, b, c, d)) return slot;
      slot = cells[at + CHAIN] ?? NONE;
    }
    return NONE;
  }

  /** A bucket's entries stand in it the newest first. */
  const crowdedOut: Table['crowdedOut'] = (hash, family, a, b, extra, most) => {
    let count = 0;
    let eldest = NONE;
    for (let slot = candidate(hash); slot !== NONE; slot = cells[slot * CELL_WORDS + CHAIN] ?? NONE) {
      const at = slot * CELL_WORDS;
      if (cells[at + EXTRA] !== extra || cells[at + FAMILY] !== family) continue;
      if (cells[at + ADDRESS] !== a || cells[at + ADDRESS + 1] !== b) continue;
      count += 1;
      eldest = slot;
    }
    return count < most ? NONE : eldest;
  };

  function remove(slot: number): void {
    const at = slot * CELL_WORDS;
    unchain(slot);
    unlink(slot);
    // Who still has the slot's number must not take it for the entry that was here.
    cells[at + EXTRA] = NONE;
    cells[at + FAMILY] = FREE;
    cells[at + CHAIN] = freed;
    freed = slot;
    used -= 1;
  }

  function take(): number {
    if (used === capacity) remove(nextOut());
    used += 1;
    if (freed === NONE) {
      unused += 1;
      return unused - 1;
    }
    const slot = freed;
    freed = cells[slot * CELL_WORDS + CHAIN] ?? NONE;
    return slot;
  }

  return {
    capacity,
    size: () => used,
    first,
    next,
    find,
    crowdedOut,
    nextOut,
    insert(hash, family, a, b, c, d, extra, to) {
      const slot = take();
      const at = slot * CELL_WORDS;
      cells[at + FAMILY] = family;
      cells[at + ADDRESS] = a;
      cells[at + ADDRESS + 1] = b;
      cells[at + ADDRESS + 2] = c;
      cells[at + ADDRESS + 3] = d;
      cells[at + EXTRA] = extra;
      chain(slot, hash);
      link(slot, to);
      return slot;
    },
    remove,
    touch(hash) {
      const there = look(hash);
      return used < capacity ? there : there ^ look(cells[nextOut() * CELL_WORDS + HASH] ?? 0);
    },
    oldest: (level) => oldest[level] ?? NONE,
    newer: (slot) => cells[slot * CELL_WORDS + NEWER] ?? NONE,
    raise(slot, to) {
      unlink(slot);
      link(slot, to);
    },
    extra: (slot) => cells[slot * CELL_WORDS + EXTRA] ?? 0,
    each,
    slots: () => unused,
    isUsed: (slot) => cells[slot * CELL_WORDS + FAMILY] !== FREE,
    family: (slot) => cells[slot * CELL_WORDS + FAMILY] as Family,
    word: (slot, index) => cells[slot * CELL_WORDS + ADDRESS + index] ?? 0,
  };
}
