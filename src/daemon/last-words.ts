import { sayLastLine } from '@nfknock/nfqueue';
import { systemClock as clock } from '../clock.ts';
import { writeLastLine } from '../log/last-line.ts';
import { formatLine, lineOf } from '../log/line.ts';
import type { LogSettings } from '../policy/config.ts';
import { sentenceOf } from '../text/error.ts';
import { oneLine } from '../text/plain.ts';
import { placeOf } from './faults.ts';

/**
 * The last line of defence: an exception or rejection that no part of the daemon owns (src/guard) ends it, since
 * nobody knows what it left half done; but not without a word. The rules stay, so that every door is shut to
 * newcomers; what was announced is in the state file; anyone who supervises the process starts it anew.
 */
export function sayLastWords({ file }: Pick<LogSettings, 'file'>, exit: () => never): void {
  sayNative(file);
  process.on('uncaughtException', (error, origin) => {
    const what = origin === 'unhandledRejection' ? 'an unhandled rejection' : 'an uncaught exception';
    const reason = `${what}: ${sentenceOf(error)}${placeOf(error)}`;
    writeLastLine(file, { event: 'daemon.stopped', at: clock.now(), reason }, clock.wallOf);
    try {
      process.stderr.write(`nfknock: ended by ${oneLine(reason)}\n`);
    } finally {
      exit();
    }
  });
}

/** Stands for the signal until there is one; no text of ours has it. */
const SIGNAL = 'SIGNAL';

/** Native code has no exceptions: a failed check, memory that has run out, a bad address end the process by a signal. */
function sayNative(file: string | null): void {
  const at = clock.now();
  const event = { event: 'daemon.stopped', at, reason: `a fault in native code: ${SIGNAL}` } as const;
  // Asked for once: the clock may know better a moment later.
  const wall = clock.wallOf(at);
  const { time } = lineOf(event, () => wall);
  const [before = '', rest = ''] = formatLine(event, () => wall).split(time);
  const [after = '', last = ''] = rest.split(SIGNAL);
  sayLastLine(file ?? '', before, after, `${last}\n`);
}
