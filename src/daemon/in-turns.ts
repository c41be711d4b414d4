import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Clock } from '../clock.ts';

/** What one turn of the event loop may be kept from packets for the sake of an answer, in milliseconds. Our choice. */
const TURN_MS = 5;

/** Carries long work on, in pieces: where a turn's time is over, packets come first. */
export async function inTurns<Result>(
  work: Generator<undefined, Result>,
  clock: Pick<Clock, 'now'>,
): Promise<Result> {
  for (;;) {
    const begun = clock.now();
    do {
      const piece = work.next();
      if (piece.done === true) return piece.value;
    } while (clock.now() - begun < TURN_MS);
    await nextTurn();
  }
}
