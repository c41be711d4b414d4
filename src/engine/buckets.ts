import { CELL_WORDS, CHAIN, HASH, NONE } from './cell.ts';
import { powerOfTwo } from './hash.ts';

/*
 * A bucket tells of its first entry all that a search for something else needs, so that a source that is not there is
 * found missing without looking into a cell: (slot + 1) × 2, and 1 where there are more entries; then its hash. An
 * empty bucket is 0. There are two buckets for each entry, so that few have more than one.
 */
const BUCKET_WORDS = 2;
const MORE = 1;

export interface Buckets {
  /** The first entry that can have this hash, or NONE. */
  readonly candidate: (hash: number) => number;
  /** Puts an entry first into the bucket of a hash. */
  readonly chain: (slot: number, hash: number) => void;
  readonly unchain: (slot: number) => void;
  /** Reads what a search for this hash reads first. */
  readonly look: (hash: number) => number;
}

export function createBuckets(cells: Int32Array, capacity: number): Buckets {
  const mask = powerOfTwo(capacity * 2) - 1;
  const buckets = new Int32Array((mask + 1) * BUCKET_WORDS);

  /** The first entry of a bucket, or NONE. */
  function leader(bucket: number): number {
    return ((buckets[bucket] ?? 0) >> 1) - 1;
  }

  /** The first entry that can have this hash, or NONE. */
  function candidate(hash: number): number {
    const bucket = (hash & mask) * BUCKET_WORDS;
    const slot = leader(bucket);
    if (slot === NONE || buckets[bucket + 1] === hash) return slot;
    return ((buckets[bucket] ?? 0) & MORE) === 0 ? NONE : (cells[slot * CELL_WORDS + CHAIN] ?? NONE);
  }

  /** Makes an entry, or none, the first of a bucket. */
  function lead(bucket: number, slot: number): void {
    const at = slot * CELL_WORDS;
    const more = slot !== NONE && cells[at + CHAIN] !== NONE ? MORE : 0;
    buckets[bucket] = ((slot + 1) << 1) | more;
    if (slot !== NONE) buckets[bucket + 1] = cells[at + HASH] ?? 0;
  }

  function unchain(slot: number): void {
    const bucket = ((cells[slot * CELL_WORDS + HASH] ?? 0) & mask) * BUCKET_WORDS;
    const after = cells[slot * CELL_WORDS + CHAIN] ?? NONE;
    const head = leader(bucket);
    if (head === slot) {
      lead(bucket, after);
      return;
    }
    let before = head;
    while (cells[before * CELL_WORDS + CHAIN] !== slot) before = cells[before * CELL_WORDS + CHAIN] ?? NONE;
    cells[before * CELL_WORDS + CHAIN] = after;
    if (before === head) lead(bucket, head);
  }

  function chain(slot: number, hash: number): void {
    const at = slot * CELL_WORDS;
    const bucket = (hash & mask) * BUCKET_WORDS;
    cells[at + CHAIN] = leader(bucket);
    cells[at + HASH] = hash;
    lead(bucket, slot);
  }

  return { candidate, chain, unchain, look: (hash) => buckets[(hash & mask) * BUCKET_WORDS] ?? 0 };
}
