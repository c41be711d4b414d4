import type { BusClock } from './offset.ts';
import type { Reader } from './reader.ts';

/** The registers of one member are read again at most so often, in milliseconds. */
const PAUSE = 10_000;

/**
 * What was refused for a reason that passes, a stamp ahead of the bus's clock or too much in one second, is said by nobody
 * again: it is read again once the reason is over.
 */
export interface Rereading {
  /** Something that the member said can be believed from then on, on the bus's clock. */
  wants(member: string, from: number): void;
  /** Has everything read again whose moment has come. */
  beat(): void;
}

export function createRereading(
  clock: Pick<BusClock, 'now'>,
  reader: () => Pick<Reader, 'reread'>,
): Rereading {
  const due = new Map<string, number>();
  /** When it was read again last. */
  const last = new Map<string, number>();
  return {
    wants(member, from) {
      due.set(member, Math.min(from, due.get(member) ?? Number.POSITIVE_INFINITY));
    },
    beat() {
      const now = clock.now();
      for (const [member, from] of due) {
        const before = last.get(member) ?? Number.NEGATIVE_INFINITY;
        // The engine's clock may have been set back since: then nobody waits for it.
        if (now < from || Math.abs(now - before) < PAUSE) continue;
        if (!reader().reread(member)) continue;
        due.delete(member);
        last.set(member, now);
      }
    },
  };
}
