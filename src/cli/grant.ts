import { isPlainText, REASON_CHARACTERS_MAX } from '../control/message.ts';
import type { CommonOptions, ExitCode } from './exit.ts';
import { addressArgument, tell, usage } from './talk.ts';
import { timeArgument } from './time-argument.ts';
import { leftInWords } from './words.ts';

export interface GrantOptions extends CommonOptions {
  readonly for?: string;
  readonly reason?: string;
}

/** Opens a door to an address by hand. */
export async function command([door, address]: readonly string[], options: GrantOptions): Promise<ExitCode> {
  return tell(
    options,
    () => {
      const time = timeArgument(options.for);
      const { reason } = options;
      if (door === undefined || door === '') throw usage('name the door first: nfknock grant DOOR ADDRESS');
      if (reason !== undefined && !isPlainText(reason, REASON_CHARACTERS_MAX)) {
        throw usage(`the reason must have 1 to ${REASON_CHARACTERS_MAX} printable characters`);
      }
      return {
        command: 'grant',
        door,
        address: addressArgument(address, "a door's `grant` in the configuration lets in a network"),
        ...(time === undefined ? {} : { for: time }),
        ...(reason === undefined ? {} : { reason }),
      };
    },
    (row, { now }) => [`${row.grantee} is let in at ${row.door} for ${leftInWords(row.until, now)}.`],
  );
}
