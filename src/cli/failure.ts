import { printable } from '../text/plain.ts';
import { EXIT, type ExitCode } from './exit.ts';

/** A command that ends early: its exit code and the line that says what to do. */
export class CommandFailure extends Error {
  readonly exit: ExitCode;
  constructor(exit: ExitCode, message: string) {
    super(message);
    this.name = 'CommandFailure';
    this.exit = exit;
  }
}

export function usage(message: string): CommandFailure {
  return new CommandFailure(EXIT.usage, message);
}

/** Says on standard error why a command ended early, and answers with its exit code. */
export function failed({ exit, message }: CommandFailure): ExitCode {
  process.stderr.write(`nfknock: ${printable(message)}\n`);
  return exit;
}
