import type { Milliseconds } from '../packet/time.ts';
import type { Key } from './key.ts';

/** How often each key has opened: in all, and lately. */
export interface Usage {
  /** Whether the key may open once more now. */
  permits(key: Key, now: Milliseconds): boolean;
  /** The key has opened. Answers how often it has in all, which is to be kept where `uses` limits it. */
  note(key: Key, now: Milliseconds): number;
  /** It turns out that the key has opened so often before. */
  add(key: string, uses: number): void;
}

/** `uses`: what was kept, by the keys' names. */
export function createUsage(uses: ReadonlyMap<string, number>): Usage {
  const totals = new Map(uses);
  const lately = new Map<string, Milliseconds[]>();

  /** The moments within the key's time, oldest first; never more than its rate, since only openings are noted. */
  function recent(key: Key, now: Milliseconds): Milliseconds[] {
    const moments = (lately.get(key.name) ?? []).filter((moment) => now - moment < key.rate.per);
    lately.set(key.name, moments);
    return moments;
  }

  return {
    permits(key, now) {
      const used = totals.get(key.name) ?? 0;
      if (key.uses !== null && used >= key.uses) return false;
      return recent(key, now).length < key.rate.knocks;
    },
    note(key, now) {
      const used = (totals.get(key.name) ?? 0) + 1;
      totals.set(key.name, used);
      recent(key, now).push(now);
      return used;
    },
    add: (key, used) => void totals.set(key, (totals.get(key) ?? 0) + used),
  };
}
