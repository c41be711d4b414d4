import { offenderArgument, tell } from '../ask-daemon.ts';
import type { CommonOptions, ExitCode } from '../exit.ts';
import { leftInWords } from '../output/durations.ts';
import { timeArgument } from '../time-argument.ts';

export interface BanOptions extends CommonOptions {
  readonly for?: string;
  readonly here?: boolean;
}

/** Bans an address by hand. */
export async function command([address = '']: readonly string[], options: BanOptions): Promise<ExitCode> {
  return tell(
    options,
    () => {
      const time = timeArgument(options.for);
      return {
        command: 'ban',
        address: offenderArgument(address, 'ban each of them, or drop the network with a rule of your own'),
        ...(time === undefined ? {} : { for: time }),
        ...(options.here === true ? { here: true } : {}),
      };
    },
    (row, { now }) => {
      const shadow = row.shadow ? ' (only said: bans.enforce is false)' : '';
      return [`${row.target} is banned for ${leftInWords(row.until, now)}${shadow}.`];
    },
  );
}
