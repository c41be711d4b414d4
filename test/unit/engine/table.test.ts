import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { powerOfTwo } from '../../../src/engine/hash.ts';
import { createTable, NONE } from '../../../src/engine/table.ts';
import type { Family } from '../../../src/packet/address.ts';

interface Key {
  readonly hash: number;
  readonly family: Family;
  /** The address. */
  readonly words: readonly [number, number, number, number];
  readonly extra: number;
}

/** Few keys that share much: one place in the table, some their hash, addresses that differ in one word or the family. */
const KEYS: readonly Key[] = [
  [0, 0, 0, 0],
  [5, 0, 0, 0],
  [0, 5, 0, 0],
  [0, 0, 5, 0],
  [0, 0, 0, 5],
].flatMap(([a = 0, b = 0, c = 0, d = 0], index) =>
  ([4, 6] as const).flatMap((family) =>
    [0, 1].map((extra) => ({ hash: (index % 3) * 1024 - 4, family, words: [a, b, c, d] as const, extra })),
  ),
);
const LEVELS = 3;

type Step = { readonly key: number; readonly level: number; readonly remove: boolean };

/** The same table as a list: lowest level first, in each the one that has stood there longest first. */
class Plain {
  readonly capacity: number;
  entries: { key: Key; level: number }[] = [];
  constructor(capacity: number) {
    this.capacity = capacity;
  }
  put(key: Key, level: number): void {
    const others = this.entries.filter((entry) => entry.key !== key);
    if (others.length === this.entries.length && others.length === this.capacity) others.shift();
    const at = others.findIndex((entry) => entry.level > level);
    others.splice(at === -1 ? others.length : at, 0, { key, level });
    this.entries = others;
  }
  remove(key: Key): void {
    this.entries = this.entries.filter((entry) => entry.key !== key);
  }
}

describe('a bounded table', () => {
  const steps = fc.array(
    fc.record<Step>({
      key: fc.nat(KEYS.length - 1),
      level: fc.nat(LEVELS - 1),
      remove: fc.integer({ min: 0, max: 3 }).map((roll) => roll === 0),
    }),
    { maxLength: 60, size: 'max' },
  );

  it('holds what a plain list would, and makes room of who has stood longest in the lowest level', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 9 }), steps, (capacity, all) => {
        const table = createTable(capacity, LEVELS);
        const plain = new Plain(capacity);
        for (const { key: index, level, remove } of all) {
          const key = KEYS[index] ?? expect.unreachable();
          const { hash, family, words, extra } = key;
          const slot = table.find(hash, family, ...words, extra);
          if (remove && slot !== NONE) table.remove(slot);
          else if (slot !== NONE) table.raise(slot, level);
          else if (!remove) table.insert(hash, family, ...words, extra, level);
          if (remove) plain.remove(key);
          else plain.put(key, level);
          expect(contents(table)).toEqual(plain.entries.map((entry) => text(entry.key)));
          expect(table.size()).toBe(plain.entries.length);
          for (let at = 0; at < LEVELS; at += 1) {
            const there: string[] = [];
            for (let slot = table.oldest(at); slot !== NONE; slot = table.newer(slot))
              there.push(textAt(table, slot));
            expect(there).toEqual(
              plain.entries.filter((entry) => entry.level === at).map((entry) => text(entry.key)),
            );
          }
          for (const each of KEYS) {
            const there = plain.entries.filter(({ key: { words: w, family: f } }) => {
              return f === each.family && String(w) === String(each.words);
            });
            expect(sameAddress(table, each)).toEqual(there.map(({ key: { extra: e } }) => e).sort());
          }
        }
      }),
      { numRuns: 150 },
    );
  });

  it('may lose an entry while its entries are visited', () => {
    const table = createTable(4, 1);
    for (let host = 0; host < 4; host += 1) table.insert(host, 4, host, 0, 0, 0, host, 0);
    const seen: number[] = [];
    table.each((slot) => {
      seen.push(table.extra(slot));
      table.remove(slot);
    });
    expect(seen).toEqual([0, 1, 2, 3]);
    expect(table.size()).toBe(0);
  });

  it('answers for a slot that was removed with no one’s number', () => {
    const table = createTable(2, 1);
    const slot = table.insert(1, 4, 1, 0, 0, 0, 7, 0);
    table.remove(slot);
    expect(table.extra(slot)).toBe(NONE);
  });

  it.each([
    [1, 1],
    [2, 2],
    [3, 4],
    [1024, 1024],
    [1025, 2048],
  ])('for %i entries has %i places', (entries, places) => {
    expect(powerOfTwo(entries)).toBe(places);
  });
});

function text({ family, words, extra }: Key): string {
  return `${family} ${words.join(' ')} ${extra}`;
}

function textAt(table: ReturnType<typeof createTable>, slot: number): string {
  if (slot === NONE) return 'none';
  const words = ([0, 1, 2, 3] as const).map((index) => table.word(slot, index));
  return `${table.family(slot)} ${words.join(' ')} ${table.extra(slot)}`;
}

function contents(table: ReturnType<typeof createTable>): readonly string[] {
  const found: string[] = [];
  table.each((slot) => found.push(textAt(table, slot)));
  return found;
}

/** The `extra` of every entry of that address. */
function sameAddress(table: ReturnType<typeof createTable>, { hash, family, words }: Key): readonly number[] {
  const found: number[] = [];
  for (let slot = table.first(hash, family, ...words); slot !== NONE; slot = table.next(slot)) {
    found.push(table.extra(slot));
  }
  return found.sort();
}
