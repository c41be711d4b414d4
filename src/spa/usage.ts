import type { Milliseconds } from '../packet/time.ts';
import type { Used } from '../policy/key-use.ts';
import type { Key } from './key.ts';

/** How often each key has opened: in all, and lately. The one count of it, for all who ask. */
export interface Usage {
  /** Whether the key may open once more now. */
  permits(key: Key, now: Milliseconds): boolean;
  /** The key has opened. Answers what is to be kept of it. */
  note(key: Key, now: Milliseconds, wall: number): Used;
  /** It turns out that the key has opened so often before. */
  add(key: string, before: Used): void;
  /** Undefined: never. */
  of(key: string): Used | undefined;
}

/** `kept`: by the keys' names. */
export function createUsage(kept: ReadonlyMap<string, Used>): Usage {
  const totals = new Map(kept);
  const lately = new Map<string, Milliseconds[]>();

  /** The moments within the key's time, oldest first; never more than its rate, since only openings are noted. */
  function recent(key: Key, now: Milliseconds): Milliseconds[] {
    const moments = (lately.get(key.name) ?? []).filter((moment) => now - moment < key.rate.per);
    lately.set(key.name, moments);
    return moments;
  }

  return {
    permits(key, now) {
      const uses = totals.get(key.name)?.uses ?? 0;
      if (key.uses !== null && uses >= key.uses) return false;
      return recent(key, now).length < key.rate.knocks;
    },
    note(key, now, wall) {
      const used = { uses: (totals.get(key.name)?.uses ?? 0) + 1, last: wall };
      totals.set(key.name, used);
      recent(key, now).push(now);
      return used;
    },
    add(key, { uses, last }) {
      const since = totals.get(key);
      totals.set(key, { uses: uses + (since?.uses ?? 0), last: Math.max(last, since?.last ?? last) });
    },
    of: (key) => totals.get(key),
  };
}
