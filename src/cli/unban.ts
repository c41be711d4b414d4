import { formatAddress } from '../packet/address.ts';
import { OFFENDER_BITS, parseCidr } from '../packet/cidr.ts';
import type { CommonOptions, ExitCode } from './exit.ts';
import { addressArgument, tell, usage } from './talk.ts';
import { counted } from './words.ts';

export interface UnbanOptions extends CommonOptions {
  readonly all?: boolean;
}

/** Lifts a ban, or all. */
export async function command([text]: readonly string[], options: UnbanOptions): Promise<ExitCode> {
  return tell(
    options,
    () => {
      if (options.all === true && text !== undefined) throw usage('an address and --all exclude each other');
      if (options.all === true) return { command: 'unban', all: true };
      if (text === undefined) throw usage('name the banned address, or say --all');
      return { command: 'unban', address: addressArgument(hostOf(text)) };
    },
    ({ changed }) => {
      if (options.all === true) return [`${counted(changed, 'ban')} lifted.`];
      return [changed === 0 ? `${text} was not banned.` : `The ban of ${text} is lifted.`];
    },
  );
}

/** A banned network as `nfknock bans` shows it, `2001:db8::/64`, stands for any of its addresses. */
function hostOf(text: string): string {
  const network = text.includes('/') ? parseCidr(text) : undefined;
  if (network === undefined || network.bits !== OFFENDER_BITS[network.address.family]) return text;
  return formatAddress(network.address);
}
