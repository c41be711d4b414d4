/**
 * A Map of a million entries that doubles moves them all in one go, which takes a fifth of a second. Here they are spread
 * over many Maps once there are many, each of which doubles by itself.
 */
export interface WideMap<Value> extends Iterable<readonly [string, Value]> {
  get(key: string): Value | undefined;
  set(key: string, value: Value): void;
  delete(key: string): boolean;
  size(): number;
  /**
   * Each that is there all the while, at least once: what comes while they are walked may come twice. The order is that in
   * which they came only while they are few.
   */
  entries(): IterableIterator<readonly [string, Value]>;
  values(): IterableIterator<Value>;
}

/** So few are in one Map, which costs next to nothing. */
const FEW = 4_096;
/** Of a million each holds a thousand. */
const PARTS = 1_024;

export function createWideMap<Value>(few: number = FEW): WideMap<Value> {
  const narrow = new Map<string, Value>();
  let parts: readonly Map<string, Value>[] | undefined;
  let size = 0;

  function mapOf(key: string): Map<string, Value> {
    return parts?.[partOf(key)] ?? narrow;
  }

  function spread(): void {
    parts = Array.from({ length: PARTS }, () => new Map<string, Value>());
    for (const [key, value] of narrow) mapOf(key).set(key, value);
    // Whoever is walking through it goes on with the parts.
    narrow.clear();
  }

  function* entries(): IterableIterator<readonly [string, Value]> {
    yield* narrow;
    for (const part of parts ?? []) yield* part;
  }

  return {
    get: (key) => mapOf(key).get(key),
    set(key, value) {
      const map = mapOf(key);
      const before = map.size;
      map.set(key, value);
      size += map.size - before;
      if (parts === undefined && size > few) spread();
    },
    delete(key) {
      const isGone = mapOf(key).delete(key);
      if (isGone) size -= 1;
      return isGone;
    },
    size: () => size,
    entries,
    [Symbol.iterator]: entries,
    *values() {
      for (const [, value] of entries()) yield value;
    },
  };
}

/** Whoever chooses keys that all fall into one part makes of it what one Map would be. */
export function partOf(key: string): number {
  let hash = 0;
  for (let at = 0; at < key.length; at += 1) hash = (Math.imul(hash, 31) + key.charCodeAt(at)) | 0;
  hash = Math.imul(hash ^ (hash >>> 16), 0x45d9f3b);
  return (hash ^ (hash >>> 16)) & (PARTS - 1);
}
