import type { Clock } from '../clock.ts';
import { sentenceOf } from '../text/error.ts';
import type { Announcer } from './announce.ts';
import { LATELY } from './recent-count.ts';

/** Exceptions of the daemon's own parts (src/guard): each costs what was at hand, is said, and shows in `status`. */
export interface Faults {
  report(part: string, error: unknown): void;
  /** Since the start. */
  total(): number;
  /** The last one in words, for a minute; null: none. */
  last(): string | null;
}

/** What says faults can't be asked to say its own. */
const LOG = 'log';

export function createFaults(clock: Clock, announcer: Pick<Announcer, 'announce'>): Faults {
  let total = 0;
  let last: { readonly at: number; readonly reason: string } | undefined;
  return {
    report(part, error) {
      total += 1;
      const reason = `${part}: ${sentenceOf(error)}${placeOf(error)}`;
      last = { at: clock.now(), reason };
      if (part === LOG) return;
      try {
        announcer.announce({ event: 'daemon.fault', at: clock.now(), reason });
      } catch {
        // It is counted, and `status` shows it.
      }
    },
    total: () => total,
    last: () => (last !== undefined && clock.now() - last.at < LATELY ? last.reason : null),
  };
}

/** The first line of the stack: it says where, which the words often don't. */
export function placeOf(error: unknown): string {
  const lines = error instanceof Error ? (error.stack ?? '').split('\n') : [];
  const line = lines.find((each) => /^\s+at /.test(each));
  return line === undefined ? '' : ` (${line.trim()})`;
}
