/** The exit codes of every command. */
export const EXIT = {
  done: 0,
  failed: 1,
  usage: 2,
  config: 3,
  notPermitted: 4,
  noDaemon: 5,
  rolledBack: 6,
  /** As a shell says it of a command that it can't run, or can't find. */
  notRunnable: 126,
  notFound: 127,
  /** ^C, as a shell says it. */
  interrupted: 130,
} as const;

/** What another command ended with, which we end with, too. */
type OfCommand = number & { readonly __brand: 'OfCommand' };

export type ExitCode = (typeof EXIT)[keyof typeof EXIT] | OfCommand;

export function exitOf(code: number): ExitCode {
  return code as OfCommand;
}

/** The configuration that is read where `--config` names no other. */
export const CONFIG_FILE = '/etc/nfknock/nfknock.yaml';

/**
 * What every command file exports as `command`: it gets the positional arguments and the parsed options and
 * answers with the exit code. It writes data to standard output and, where it fails, one line to standard
 * error that says what to do.
 */
export type Command<Options> = (args: readonly string[], options: Options) => Promise<ExitCode>;

/** What every command takes. */
export interface CommonOptions {
  readonly config: string;
  readonly json?: boolean;
}
