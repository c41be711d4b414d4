import { ask } from '../../control/client.ts';
import { ControlError } from '../../control/error.ts';
import type { AnswerTo, Request } from '../../control/message.ts';
import { RefusedError } from '../../control/replies.ts';
import { controlPath } from '../ask-daemon.ts';
import { EXIT, type ExitCode } from '../exit.ts';
import { counted } from '../output/durations.ts';

/** Has the daemon take the key file in, or says plainly that none runs. Rejects where it refuses. */
export async function tellDaemon(config: string): Promise<ExitCode> {
  const answer = await askIfThere(config, { command: 'reload' });
  const text =
    answer === undefined ? 'No daemon runs: it is taken in when one starts.' : 'The daemon has taken it in.';
  process.stdout.write(`${text}\n`);
  for (const warning of answer?.warnings ?? []) process.stderr.write(`nfknock: ${warning}\n`);
  return EXIT.done;
}

/** Has the daemon end what a key opened, at once and for good, whatever else the configuration holds. */
export async function endGrants(
  config: string,
  name: string,
  more: { readonly cut?: true } = {},
): Promise<void> {
  try {
    const answer = await askIfThere(config, { command: 'key_revoke', name, ...more });
    if (answer !== undefined)
      process.stdout.write(
        answer.changed === 0 ? 'It had no grant.\n' : `${counted(answer.changed, 'grant')} of it ended.\n`,
      );
  } catch (error) {
    // It runs with a file that did not have the key yet.
    if (!(error instanceof RefusedError) || error.refusal.code !== 'unknown key') throw error;
  }
}

/** Undefined: no daemon answers. */
export async function askIfThere<Asked extends Request>(
  config: string,
  request: Asked,
): Promise<AnswerTo<Asked> | undefined> {
  try {
    return await ask(await controlPath(config), request);
  } catch (error) {
    if (error instanceof ControlError && error.code === 'no daemon') return undefined;
    throw error;
  }
}
