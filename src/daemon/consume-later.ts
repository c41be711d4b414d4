import { guarded } from '../guard/guard.ts';
import { sentenceOf } from '../text/error.ts';
import type { Consumption, GrantEvent } from './consume.ts';

/** Consumptions that wait at once. A source needs a right knock for each. */
const CONSUMING_MAX = 1024;
/** One that takes longer is refused, in milliseconds: a knocker waits no longer, and a stop must not. */
const CONSUME_MS_MAX = 3000;

/** Consumptions that others have to be asked for: each comes to one end, and in time. */
export interface Consumptions {
  begin(event: GrantEvent, consume: () => Promise<Consumption>): void;
}

/** `ended` is never called before `begin` returns, unless this many wait that this one is refused. */
export function createConsumptions(
  ended: (event: GrantEvent, consumption: Consumption) => void,
): Consumptions {
  let consuming = 0;
  return {
    begin(event, consume) {
      let over = consuming >= CONSUMING_MAX;
      if (over) {
        ended(event, refusalOf(event, `${CONSUMING_MAX} knocks wait to be taken already`));
        return;
      }
      const end = (consumption: Consumption): void => {
        if (over) return;
        over = true;
        clearTimeout(timer);
        consuming -= 1;
        ended(event, consumption);
      };
      const late = `it took longer than ${CONSUME_MS_MAX / 1000} s to take its knock`;
      const timer = setTimeout(
        guarded('effects', () => end(refusalOf(event, late))),
        CONSUME_MS_MAX,
      );
      consuming += 1;
      new Promise<Consumption>((resolve) => resolve(consume())).then(
        guarded('effects', end),
        guarded('effects', (error) => end(refusalOf(event, sentenceOf(error)))),
      );
    },
  };
}

function refusalOf({ door }: GrantEvent, why: string): Consumption {
  return { accepted: false, warning: `door ${door} did not open: ${why}; knock again`, command: null };
}
