import { systemClock } from '../clock.ts';
import { OF_THE_TIMER } from '../rollback/claimer.ts';
import { lastEnd, UNCONFIRMED } from '../rollback/ended.ts';
import { placeOf } from '../rollback/place.ts';
import { noticeOf, rollBack } from '../rollback/rollback.ts';
import { EXIT, type ExitCode } from './exit.ts';
import { tell } from './failure.ts';
import { TELLING } from './patience.ts';

/** Takes a change back. With an id it is the timer that asks; by hand it need not wait for its time. */
export async function undoChange(id: string | undefined): Promise<ExitCode> {
  const now = systemClock.wall();
  const { done, faults, by } = await rollBack(
    id === undefined
      ? { why: 'as was asked', now, patience: TELLING }
      : { why: UNCONFIRMED, now, id, patience: OF_THE_TIMER },
  );
  for (const fault of faults) tell(fault);
  if (done) return faults.length === 0 ? EXIT.done : EXIT.failed;
  if (id !== undefined) return EXIT.done;
  if (by !== undefined) return doneBy(by);
  tell('nothing is pending that could be rolled back');
  return EXIT.failed;
}

/** Somebody else was at it: how that ended is told here. */
function doneBy(who: string): ExitCode {
  const ended = lastEnd(placeOf());
  tell(`${who} is done: ${noticeOf(systemClock.wall()) ?? 'the change was rolled back'}`);
  return ended === undefined || ended.faults.length === 0 ? EXIT.done : EXIT.failed;
}
