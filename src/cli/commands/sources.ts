import { tell } from '../ask-daemon.ts';
import type { CommonOptions, ExitCode } from '../exit.ts';
import { sourceLines } from '../output/lists.ts';

/** Lists who has strikes or is part-way through a sequence. */
export async function command(_: readonly string[], options: CommonOptions): Promise<ExitCode> {
  return tell(options, () => ({ command: 'sources' }), sourceLines);
}
