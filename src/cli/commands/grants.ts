import { tell } from '../ask-daemon.ts';
import type { CommonOptions, ExitCode } from '../exit.ts';
import { grantLines } from '../output/lists.ts';

/** Lists who is let in. */
export async function command(_: readonly string[], options: CommonOptions): Promise<ExitCode> {
  return tell(options, () => ({ command: 'grants' }), grantLines);
}
