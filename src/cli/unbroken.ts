import { setImmediate } from 'node:timers/promises';
import { EXIT } from './exit.ts';
import { CommandFailure } from './failure.ts';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/**
 * Does what belongs together without being ended in between by ^C or a session that hangs up. `isAsked` rejects with
 * CommandFailure where that was wished for meanwhile: to be called where nothing is lost yet, or all can be taken back.
 */
export async function unbroken<Made>(task: (isAsked: () => Promise<void>) => Promise<Made>): Promise<Made> {
  let asked = false;
  const note = (): void => {
    asked = true;
  };
  for (const signal of SIGNALS) process.on(signal, note);
  try {
    return await task(async () => {
      // A signal is told between two turns.
      await setImmediate();
      if (asked) throw new CommandFailure(EXIT.interrupted, 'given up: nothing was changed');
    });
  } finally {
    for (const signal of SIGNALS) process.off(signal, note);
  }
}
