import type { Clock } from '../clock.ts';

/** How far back is lately, in milliseconds. */
export const LATELY = 60_000;

/** Counts what happened in the last minute: `status` is to tell of what is wrong now, not of what was last week. */
export interface Lately {
  add(count: number): void;
  sum(): number;
}

export function createLately(clock: Pick<Clock, 'now'>): Lately {
  let counted: { readonly at: number; readonly count: number }[] = [];
  const forget = (): void => {
    const since = clock.now() - LATELY;
    counted = counted.filter(({ at }) => at > since);
  };
  return {
    add(count) {
      forget();
      counted.push({ at: clock.now(), count });
    },
    sum() {
      forget();
      return counted.reduce((total, { count }) => total + count, 0);
    },
  };
}
