import type { Clock } from '../clock.ts';
import type { Announcer } from './announce.ts';
import { createLately } from './recent-count.ts';

/** What the kernel tells of by events. */
export type KernelEvents = 'connections' | 'rules';

/** Events of the kernel that were missed: it tells of everybody's connections and rules, as fast as they come. */
export interface Losses {
  add(what: KernelEvents, count: number): void;
  /** Since the start. */
  total(): number;
  /** In the last minute. */
  lately(): number;
  /** Says what was lost since it was last called. */
  tick(): void;
}

export function createLosses(clock: Clock, announcer: Pick<Announcer, 'announce'>): Losses {
  const unannounced = new Map<KernelEvents, number>();
  const lately = createLately(clock);
  let total = 0;
  return {
    add(what, count) {
      unannounced.set(what, (unannounced.get(what) ?? 0) + count);
      total += count;
    },
    total: () => total,
    lately: lately.sum,
    tick() {
      for (const [what, count] of unannounced) {
        lately.add(count);
        announcer.announce({ event: 'events.lost', at: clock.now(), reason: what, count });
      }
      unannounced.clear();
    },
  };
}
