import { systemClock } from '../../clock.ts';
import { ask } from '../../control/client.ts';
import { isPlainText, REASON_CHARACTERS_MAX } from '../../control/message.ts';
import { addressArgument, controlPath, tell } from '../ask-daemon.ts';
import { doorArgument } from '../door-argument.ts';
import { type CommonOptions, EXIT, type ExitCode } from '../exit.ts';
import { usage } from '../failure.ts';
import { leftInWords } from '../output/durations.ts';
import { timeArgument } from '../time-argument.ts';

export interface GrantOptions extends CommonOptions {
  readonly for?: string;
  readonly reason?: string;
  readonly here?: boolean;
}

/** Opens a door to an address by hand. */
export async function command([door, address]: readonly string[], options: GrantOptions): Promise<ExitCode> {
  const code = await tell(
    options,
    () => {
      const time = timeArgument(options.for);
      const { reason } = options;
      if (door === undefined || door === '') throw usage('name the door first: nfknock grant DOOR ADDRESS');
      const name = doorArgument(door);
      if (reason !== undefined && !isPlainText(reason, REASON_CHARACTERS_MAX)) {
        throw usage(`the reason must have 1 to ${REASON_CHARACTERS_MAX} printable characters`);
      }
      return {
        command: 'grant',
        door: name,
        address: addressArgument(address, "a door's `grant` in the configuration lets in a network"),
        ...(time === undefined ? {} : { for: time }),
        ...(reason === undefined ? {} : { reason }),
        ...(options.here === true ? { here: true } : {}),
      };
    },
    (row, { now }) => [`${row.grantee} is let in at ${row.door} for ${leftInWords(row.until, now)}.`],
  );
  if (code === EXIT.done && address !== undefined) await warnOfBan(address, options);
  return code;
}

/** The grant is made; that it is of no use yet must not be found out by trying. */
async function warnOfBan(address: string, { config }: GrantOptions): Promise<void> {
  try {
    const { ban } = await ask(await controlPath(config), { command: 'explain', address });
    if (ban === null || ban.shadow) return;
    const left = leftInWords(ban.until, systemClock.wall());
    process.stderr.write(
      `nfknock: warning: ${ban.target} is banned for another ${left}, and a ban comes before a grant: nfknock unban ${address}\n`,
    );
  } catch {
    // The grant has been made all the same.
  }
}
