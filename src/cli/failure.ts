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

/** It went wrong. */
export function failure(message: string): CommandFailure {
  return new CommandFailure(EXIT.failed, message);
}

/** What each of these answers. What is wrong with how it was called is said of all of them at once. Throws. */
export function allOf<Parts extends readonly (() => unknown)[]>(
  ...parts: Parts
): { readonly [At in keyof Parts]: ReturnType<Parts[At]> } {
  const complaints: string[] = [];
  const made = parts.map((part) => {
    try {
      return part();
    } catch (error) {
      if (!(error instanceof CommandFailure) || error.exit !== EXIT.usage) throw error;
      complaints.push(error.message);
      return undefined;
    }
  });
  if (complaints.length > 0) throw usage(complaints.join('\n'));
  return made as { readonly [At in keyof Parts]: ReturnType<Parts[At]> };
}

/** Says on standard error why a command ended early, and answers with its exit code. */
export function failed({ exit, message }: CommandFailure): ExitCode {
  for (const line of message.split('\n')) tell(line);
  return exit;
}

/** Says a line on standard error. */
export function tell(line: string): void {
  process.stderr.write(`nfknock: ${printable(line)}\n`);
}
