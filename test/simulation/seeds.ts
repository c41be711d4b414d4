/** Up to here a seed times the generator's factor is exact; beyond, some seeds share a history. */
const EXACT = 3_390_000;
const DAY = 86_400_000;

/** The first of so many seeds that a day's run tries: the same all day, others the next. */
export function seedOfDay(now: number, histories: number): number {
  const runs = Math.max(1, Math.floor(EXACT / histories));
  return 1 + (Math.floor(now / DAY) % runs) * histories;
}

/** Deals seeds out in pieces, to whoever asks. */
export interface Deal {
  /** The next piece: its first seed, and how many; undefined: all are dealt. */
  next(): { readonly from: number; readonly count: number } | undefined;
}

export function createDeal(from: number, histories: number, piece: number): Deal {
  let dealt = 0;
  return {
    next() {
      const count = Math.min(piece, histories - dealt);
      if (count <= 0) return undefined;
      dealt += count;
      return { from: from + dealt - count, count };
    },
  };
}
