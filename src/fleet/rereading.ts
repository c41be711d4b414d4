import type { BusClock } from './offset.ts';

/** The same is read again at most so often, in milliseconds. */
const PAUSE = 10_000;

/**
 * What was refused for a reason that passes, a stamp ahead of the bus's clock or too much in one second, is said by nobody
 * again: it is read again once the reason is over.
 */
export interface Rereading {
  /** Something that this member said, or is known of this door, can be believed from then on, on the bus's clock. */
  wants(what: string, from: number): void;
  /** Has everything read again whose moment has come. */
  beat(): void;
}

/** `read`: false where it is being read already. */
export function createRereading(clock: Pick<BusClock, 'now'>, read: (what: string) => boolean): Rereading {
  const due = new Map<string, number>();
  /** When it was read again last. */
  const last = new Map<string, number>();
  return {
    wants(what, from) {
      due.set(what, Math.min(from, due.get(what) ?? Number.POSITIVE_INFINITY));
    },
    beat() {
      const now = clock.now();
      for (const [what, from] of due) {
        const before = last.get(what) ?? Number.NEGATIVE_INFINITY;
        // The engine's clock may have been set back since: then nobody waits for it.
        if (now < from || Math.abs(now - before) < PAUSE) continue;
        if (!read(what)) continue;
        due.delete(what);
        last.set(what, now);
      }
    },
  };
}
