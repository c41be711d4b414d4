import { addressArgument, tell } from '../ask-daemon.ts';
import { doorArgument } from '../door-argument.ts';
import type { CommonOptions, ExitCode } from '../exit.ts';
import { counted } from '../output/durations.ts';

export interface RevokeOptions extends CommonOptions {
  readonly here?: boolean;
}

/** Ends an address's grants. */
export async function command([text, door]: readonly string[], options: RevokeOptions): Promise<ExitCode> {
  return tell(
    options,
    () => ({
      command: 'revoke',
      address: addressArgument(text, 'that which nfknock grants shows under REQUESTED BY, or GRANTED TO'),
      ...(door === undefined ? {} : { door: doorArgument(door) }),
      ...(options.here === true ? { here: true } : {}),
    }),
    ({ changed }) => [
      changed === 0 ? `${text} had no grant.` : `${counted(changed, 'grant')} of ${text} ended.`,
    ],
  );
}
