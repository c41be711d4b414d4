import type { Patience } from '../rollback/claimer.ts';
import { tell } from './failure.ts';

const SECONDS = 5;

/** Of a person who waits at a terminal: told at once for whom, and not kept for long. */
export const TELLING: Patience = {
  time: SECONDS * 1000,
  waits: (who, seconds) =>
    tell(`${who} is rolling the change back already: waiting for that, ${seconds} s at most`),
  carriesOn: (who) => tell(`${who} is not done with it: carrying on with what is left`),
};
