import { tell } from '../ask-daemon.ts';
import type { CommonOptions, ExitCode } from '../exit.ts';

/** Takes the configuration in again. A bad one changes nothing; its faults are shown, and the exit code is 3. */
export async function command(_: readonly string[], options: CommonOptions): Promise<ExitCode> {
  return tell(
    options,
    () => ({ command: 'reload' }),
    ({ warnings }) => [
      'The new configuration is in force.',
      ...warnings.map((warning) => `warning: ${warning}`),
    ],
  );
}
