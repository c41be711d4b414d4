import { NONE } from './table.ts';

/**
 * A binary heap of slots by their time, so that the next to end is always at hand. A slot can be moved or taken
 * out wherever it stands. Times are milliseconds on the engine's clock; equal times come out in the order in
 * which they were set.
 */
export interface Deadlines {
  /** Sets or changes the slot's time. */
  set(slot: number, time: number): void;
  remove(slot: number): void;
  /** The slot with the least time, or NONE. */
  first(): number;
  /** The least time, or Infinity. */
  time(): number;
}

export function createDeadlines(capacity: number): Deadlines {
  const heap = new Int32Array(capacity);
  /** By slot: where in the heap it is, and one more; 0: nowhere. To fill a large one would take milliseconds. */
  const place = new Int32Array(capacity);
  const times = new Float64Array(capacity);
  const turns = new Float64Array(capacity);
  let size = 0;
  let turn = 0;

  function before(x: number, y: number): boolean {
    const tx = times[x] ?? 0;
    const ty = times[y] ?? 0;
    return tx === ty ? (turns[x] ?? 0) < (turns[y] ?? 0) : tx < ty;
  }

  function put(slot: number, at: number): void {
    heap[at] = slot;
    place[slot] = at + 1;
  }

  function up(slot: number, from: number): void {
    let at = from;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = heap[parent] ?? NONE;
      if (!before(slot, above)) break;
      put(above, at);
      at = parent;
    }
    put(slot, at);
  }

  function down(slot: number, from: number): void {
    let at = from;
    for (let child = 2 * at + 1; child < size; child = 2 * at + 1) {
      if (child + 1 < size && before(heap[child + 1] ?? NONE, heap[child] ?? NONE)) child += 1;
      const below = heap[child] ?? NONE;
      if (!before(below, slot)) break;
      put(below, at);
      at = child;
    }
    put(slot, at);
  }

  function settle(slot: number, at: number): void {
    if (at > 0 && before(slot, heap[(at - 1) >> 1] ?? NONE)) up(slot, at);
    else down(slot, at);
  }

  return {
    set(slot, time) {
      times[slot] = time;
      turns[slot] = turn;
      turn += 1;
      let at = (place[slot] ?? 0) - 1;
      if (at === NONE) {
        at = size;
        size += 1;
      }
      settle(slot, at);
    },
    remove(slot) {
      const at = (place[slot] ?? 0) - 1;
      if (at === NONE) return;
      place[slot] = 0;
      size -= 1;
      const last = heap[size] ?? NONE;
      if (last !== slot) settle(last, at);
    },
    first: () => (size === 0 ? NONE : (heap[0] ?? NONE)),
    time: () => (size === 0 ? Number.POSITIVE_INFINITY : (times[heap[0] ?? 0] ?? 0)),
  };
}
