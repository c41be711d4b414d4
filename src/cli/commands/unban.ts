import { offenderArgument, tell } from '../ask-daemon.ts';
import type { CommonOptions, ExitCode } from '../exit.ts';
import { usage } from '../failure.ts';
import { counted } from '../output/durations.ts';

export interface UnbanOptions extends CommonOptions {
  readonly all?: boolean;
  readonly here?: boolean;
}

/** Lifts a ban, or all. */
export async function command([text]: readonly string[], options: UnbanOptions): Promise<ExitCode> {
  return tell(
    options,
    () => {
      const here = options.here === true ? ({ here: true } as const) : {};
      if (options.all === true && text !== undefined) throw usage('an address and --all exclude each other');
      if (options.all === true) return { command: 'unban', all: true, ...here };
      if (text === undefined) throw usage('name the banned address, or say --all');
      return { command: 'unban', address: offenderArgument(text, 'nfknock bans lists them'), ...here };
    },
    ({ changed }) => {
      if (options.all === true) return [`${counted(changed, 'ban')} lifted.`];
      return [changed === 0 ? `${text} was not banned.` : `The ban of ${text} is lifted.`];
    },
  );
}
