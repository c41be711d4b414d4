import { randomInt } from 'node:crypto';
import type { Clock } from '../clock.ts';
import type { Surroundings } from '../fleet/host.ts';
import { guarded } from '../guard/guard.ts';

/** Time and chance, for what is pure. */
export function surroundingsOf(clock: Clock): Surroundings {
  return {
    now: () => clock.now(),
    wallOffset: () => clock.wall() - clock.now(),
    after(wait, run) {
      const timer = setTimeout(guarded('fleet', run), wait);
      timer.unref();
      return () => clearTimeout(timer);
    },
    random: () => randomInt(2 ** 47) / 2 ** 47,
  };
}
