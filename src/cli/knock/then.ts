import { constants } from 'node:os';
import { startProcess } from '../../process/start.ts';
import { quoted } from '../../text/plain.ts';
import { EXIT, type ExitCode, exitOf } from '../exit.ts';
import { CommandFailure } from '../failure.ts';
import { codeOf } from '../resolve.ts';

/** A terminal sends these to the command as well, which decides what they mean. */
const OF_TERMINAL: readonly NodeJS.Signals[] = ['SIGINT', 'SIGQUIT'];
const OF_OTHERS: readonly NodeJS.Signals[] = ['SIGTERM', 'SIGHUP'];
/** As a shell says that a signal ended it. */
const BY_SIGNAL = 128;

/** Runs a command with our own input and output, with no shell, and answers with what it ended with. */
export function runThen([file = '', ...args]: readonly string[]): Promise<ExitCode> {
  return new Promise((resolve, reject) => {
    const refused = (error: NodeJS.ErrnoException): void => {
      const missing = codeOf(error) === 'ENOENT';
      const fix = missing ? 'is it installed, and in PATH?' : 'may it be run, and is it a program?';
      reject(
        new CommandFailure(
          missing ? EXIT.notFound : EXIT.notRunnable,
          `${quoted(file)} can't be run (${codeOf(error)}): ${fix}`,
        ),
      );
    };
    const child = startProcess(file, args, { stdin: 'inherit', output: 'inherit', group: 'ours' }, refused);
    if (child === undefined) return;
    const ignore = (): void => undefined;
    const pass = (signal: NodeJS.Signals): void => {
      child.kill(signal);
    };
    for (const signal of OF_TERMINAL) process.on(signal, ignore);
    for (const signal of OF_OTHERS) process.on(signal, pass);
    child.on('exit', (code, signal) => {
      for (const each of OF_TERMINAL) process.off(each, ignore);
      for (const each of OF_OTHERS) process.off(each, pass);
      resolve(exitOf(code ?? BY_SIGNAL + (signal === null ? 0 : constants.signals[signal])));
    });
  });
}
