import { systemClock as clock } from '../clock.ts';
import { writeLastLine } from '../log/last-line.ts';
import type { LogSettings } from '../policy/config.ts';
import { words } from './commit.ts';
import { placeOf } from './faults.ts';

/**
 * The last line of defence: an exception or rejection that no part of the daemon owns (src/guard) ends it, since
 * nobody knows what it left half done; but not without a word. The rules stay, so that every door is shut to
 * newcomers; what was announced is in the state file; whoever supervises the process starts it anew.
 */
export function sayLastWords({ file }: Pick<LogSettings, 'file'>, exit: () => never): void {
  process.on('uncaughtException', (error, origin) => {
    const what = origin === 'unhandledRejection' ? 'an unhandled rejection' : 'an uncaught exception';
    const reason = `${what}: ${words(error)}${placeOf(error)}`;
    writeLastLine(file, { event: 'daemon.stopped', at: clock.now(), reason }, clock.wallOf);
    try {
      process.stderr.write(`nfknock: ended by ${reason.replace(/\p{Cc}+/gu, ' ')}\n`);
    } finally {
      exit();
    }
  });
}
