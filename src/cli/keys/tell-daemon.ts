import { ask } from '../../control/client.ts';
import { ControlError } from '../../control/error.ts';
import { controlPath } from '../ask-daemon.ts';
import { EXIT, type ExitCode } from '../exit.ts';

/** Has the daemon take the key file in, or says plainly that none runs. Rejects where it refuses. */
export async function tellDaemon(config: string): Promise<ExitCode> {
  try {
    await ask(await controlPath(config), { command: 'reload' });
    process.stdout.write('The daemon has taken it in.\n');
  } catch (error) {
    if (!(error instanceof ControlError) || error.code !== 'no daemon') throw error;
    process.stdout.write('No daemon runs: it is taken in when one starts.\n');
  }
  return EXIT.done;
}
