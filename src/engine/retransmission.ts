import { RETRANSMISSION_WINDOW } from './limits.ts';
import { powerOfTwo } from './table.ts';

/**
 * Which packets were seen in the last 70 s, as 64-bit keyed fingerprints in buckets of eight. A full bucket
 * forgets the packet that was seen longest ago, so memory is bounded whatever is sent; the fewest fingerprints
 * kept are MEMORY_MIN.
 */
export interface Retransmissions {
  /** Whether this fingerprint was seen in the last 70 s; either way it has been seen now. */
  seen(low: number, high: number, now: number): boolean;
  readonly capacity: number;
}

const WAYS = 8;
const MEMORY_MIN = 65_536;

export function createRetransmissions(sources: number): Retransmissions {
  const capacity = Math.max(MEMORY_MIN, powerOfTwo(sources * 2));
  const prints = new Int32Array(capacity * 2);
  const times = new Float64Array(capacity).fill(Number.NEGATIVE_INFINITY);
  const mask = capacity / WAYS - 1;

  return {
    capacity,
    seen(low, high, now) {
      const begin = (low & mask) * WAYS;
      let victim = begin;
      let oldest = Number.POSITIVE_INFINITY;
      for (let slot = begin; slot < begin + WAYS; slot += 1) {
        const time = times[slot] ?? 0;
        if (prints[2 * slot] === low && prints[2 * slot + 1] === high && time !== Number.NEGATIVE_INFINITY) {
          times[slot] = now;
          return now - time <= RETRANSMISSION_WINDOW;
        }
        if (time < oldest) {
          oldest = time;
          victim = slot;
        }
      }
      prints[2 * victim] = low;
      prints[2 * victim + 1] = high;
      times[victim] = now;
      return false;
    },
  };
}
