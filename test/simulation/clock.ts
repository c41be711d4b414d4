/** Numbers from a seed: the same seed is the same history. */
export interface Random {
  /** From 0 up to 1. */
  next(): number;
  /** A whole number from 0 up to `below`. */
  below(below: number): number;
  between(low: number, high: number): number;
  chance(probability: number): boolean;
  pick<T>(from: readonly T[]): T;
}

export function createRandom(seed: number): Random {
  let state = (seed * 2_654_435_761) >>> 0;
  function next(): number {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }
  const below = (limit: number): number => Math.floor(next() * limit);
  return {
    next,
    below,
    between: (low, high) => low + next() * (high - low),
    chance: (probability) => next() < probability,
    pick<T>(from: readonly T[]): T {
      const picked = from[below(from.length)];
      if (picked === undefined) throw new Error('nothing to pick from');
      return picked;
    },
  };
}

/** Time that only passes when something is due. */
export interface VirtualClock {
  now(): number;
  at(time: number, run: () => void): void;
  /** Runs everything that is due up to then. */
  runUntil(time: number): void;
}

interface Due {
  readonly time: number;
  readonly order: number;
  readonly run: () => void;
}

export function createVirtualClock(): VirtualClock {
  /** A heap: the first is due first; what is due at once runs in the order in which it was asked for. */
  const heap: Due[] = [];
  let now = 0;
  let order = 0;

  const isBefore = (one: Due, other: Due): boolean =>
    one.time < other.time || (one.time === other.time && one.order < other.order);

  function push(due: Due): void {
    let at = heap.push(due) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = heap[parent];
      if (above === undefined || !isBefore(due, above)) break;
      heap[at] = above;
      at = parent;
    }
    heap[at] = due;
  }

  function pop(): Due | undefined {
    const first = heap[0];
    const last = heap.pop();
    if (first === undefined || last === undefined || heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      const [left, right] = [heap[child], heap[child + 1]];
      if (left === undefined) break;
      if (right !== undefined && isBefore(right, left)) child += 1;
      const least = heap[child];
      if (least === undefined || !isBefore(least, last)) break;
      heap[at] = least;
      at = child;
    }
    heap[at] = last;
    return first;
  }

  return {
    now: () => now,
    at(time, run) {
      order += 1;
      push({ time: Math.max(time, now), order, run });
    },
    runUntil(time) {
      for (let first = heap[0]; first !== undefined && first.time <= time; first = heap[0]) {
        now = first.time;
        pop()?.run();
      }
      now = time;
    },
  };
}
