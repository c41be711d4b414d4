import { CELL_WORDS, LEVEL, NEWER, NONE, OLDER } from './cell.ts';

/** In which level each entry stands, and since when beside the others there. */
export interface Levels {
  readonly oldest: Int32Array;
  readonly link: (slot: number, to: number) => void;
  readonly unlink: (slot: number) => void;
  readonly nextOut: () => number;
  readonly each: (visit: (slot: number) => void) => void;
}

/** The entries of each level as a list, from the one that has stood there longest. */
export function createLevels(cells: Int32Array, levels: number): Levels {
  const oldest = new Int32Array(levels).fill(NONE);
  const newest = new Int32Array(levels).fill(NONE);

  function link(slot: number, to: number): void {
    const at = slot * CELL_WORDS;
    const last = newest[to] ?? NONE;
    cells[at + LEVEL] = to;
    cells[at + OLDER] = last;
    cells[at + NEWER] = NONE;
    newest[to] = slot;
    if (last === NONE) oldest[to] = slot;
    else cells[last * CELL_WORDS + NEWER] = slot;
  }

  function unlink(slot: number): void {
    const at = slot * CELL_WORDS;
    const level = cells[at + LEVEL] ?? 0;
    const before = cells[at + OLDER] ?? NONE;
    const after = cells[at + NEWER] ?? NONE;
    if (before === NONE) oldest[level] = after;
    else cells[before * CELL_WORDS + NEWER] = after;
    if (after === NONE) newest[level] = before;
    else cells[after * CELL_WORDS + OLDER] = before;
  }

  function nextOut(): number {
    let lowest = 0;
    while (oldest[lowest] === NONE) lowest += 1;
    return oldest[lowest] ?? NONE;
  }

  function each(visit: (slot: number) => void): void {
    for (let level = 0; level < levels; level += 1) {
      let slot = oldest[level] ?? NONE;
      while (slot !== NONE) {
        const following = cells[slot * CELL_WORDS + NEWER] ?? NONE;
        visit(slot);
        slot = following;
      }
    }
  }

  return { oldest, link, unlink, nextOut, each };
}
