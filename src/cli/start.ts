import { fstatSync } from 'node:fs';
import type { Command } from 'commander';
import { writeWhole } from '../files/write.ts';
import { messageOf } from '../text/error.ts';
import { usageExit } from './definition.ts';
import { EXIT, type ExitCode } from './exit.ts';

/** Runs a command line as a process: its output whole, its exit code that of the command. */
export async function start(
  program: (finish: (code: ExitCode) => void) => Command,
  argv: readonly string[],
): Promise<void> {
  let spoiled = false;
  // A reader that goes away (`nfknock bans | head`) is no error of ours, and no full disk behind standard output may
  // end the daemon; but anyone who redirected a list must not take half of it for all.
  for (const stream of [process.stdout, process.stderr]) {
    if (isFile(stream.fd)) writeWhole(stream);
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EPIPE') return;
      if (!spoiled && stream === process.stdout)
        process.stderr.write(
          `nfknock: standard output can't be written (${error.code}): what is there is not whole\n`,
        );
      spoiled = true;
      process.exitCode = EXIT.failed;
    });
  }
  try {
    const finish = (code: ExitCode): void => {
      process.exitCode = spoiled && code === EXIT.done ? EXIT.failed : code;
    };
    await program(finish).parseAsync(argv, { from: 'user' });
  } catch (error) {
    const usage = usageExit(error);
    if (usage === undefined) {
      const text = messageOf(error);
      process.stderr.write(`nfknock: ${text.replaceAll('\n', ' ')}\n`);
    }
    process.exitCode = usage ?? EXIT.failed;
  }
}

function isFile(descriptor: number): boolean {
  try {
    return fstatSync(descriptor).isFile();
  } catch {
    return false;
  }
}
