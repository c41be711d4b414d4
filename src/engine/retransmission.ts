import { powerOfTwo } from './hash.ts';

/**
 * When packets, and touches of decoys, were first seen, as 64-bit keyed fingerprints in buckets of eight. A full
 * bucket forgets what was first seen longest ago, so memory is bounded whatever is sent; the fewest fingerprints kept
 * are MEMORY_MIN.
 */
export interface Retransmissions {
  /**
   * Whether this fingerprint was first seen at most `window` ago. If not, it is first seen now: what is ignored as a
   * repeat prolongs nothing, so a client that never stops repeating is heard again.
   */
  seen(low: number, high: number, now: number, window: number): boolean;
  readonly capacity: number;
  /** Reads what `seen` will read; see Table. */
  touch(low: number): number;
}

const WAYS = 8;
const MEMORY_MIN = 65_536;

export function createRetransmissions(sources: number, least: number = MEMORY_MIN): Retransmissions {
  const capacity = Math.max(powerOfTwo(least), powerOfTwo(sources * 2));
  // A bucket lies side by side: per packet the moment, then its fingerprint in the place of another 64-bit float.
  // The moment is one more than it was, and 0 is never: what nothing was written to yet takes no memory of the machine
  // and no time at the start.
  const times = new Float64Array(capacity * 2);
  const prints = new Int32Array(times.buffer);
  const mask = capacity / WAYS - 1;

  return {
    capacity,
    touch(low) {
      const begin = (low & mask) * WAYS;
      return (prints[4 * begin + 2] ?? 0) ^ (prints[4 * (begin + 4) + 2] ?? 0);
    },
    seen(low, high, now, window) {
      const begin = (low & mask) * WAYS;
      let victim = begin;
      let oldest = Number.POSITIVE_INFINITY;
      for (let slot = begin; slot < begin + WAYS; slot += 1) {
        const time = times[2 * slot] ?? 0;
        const known = time > 0 && prints[4 * slot + 2] === low && prints[4 * slot + 3] === high;
        if (known) {
          if (now - (time - 1) <= window) return true;
          times[2 * slot] = now + 1;
          return false;
        }
        if (time < oldest) {
          oldest = time;
          victim = slot;
        }
      }
      prints[4 * victim + 2] = low;
      prints[4 * victim + 3] = high;
      times[2 * victim] = now + 1;
      return false;
    },
  };
}
