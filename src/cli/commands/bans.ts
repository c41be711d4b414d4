import { tell } from '../ask-daemon.ts';
import type { CommonOptions, ExitCode } from '../exit.ts';
import { banLines } from '../output/lists.ts';

/** Lists who is banned. */
export async function command(_: readonly string[], options: CommonOptions): Promise<ExitCode> {
  return tell(options, () => ({ command: 'bans' }), banLines);
}
