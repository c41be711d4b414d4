/** So many of something a second, and a second's worth at once. Time is an argument, in milliseconds. */
export interface Bucket {
  /** Whether this many are left; if so they are gone. */
  take(count: number, now: number): boolean;
}

export function createBucket(perSecond: number): Bucket {
  let left = perSecond;
  let filled = Number.NEGATIVE_INFINITY;
  return {
    take(count, now) {
      // Packets of two queues may come a little out of order: time that has been filled for is not filled for again.
      left = Math.min(perSecond, left + (Math.max(0, now - filled) * perSecond) / 1000);
      filled = Math.max(filled, now);
      if (left < count) return false;
      left -= count;
      return true;
    },
  };
}
