import { withoutKey } from '../../config/key-file-edit.ts';
import type { KeyOptions } from '../commands/key.ts';
import type { ExitCode } from '../exit.ts';
import { edited, keyName, keyNamed } from './change-keys.ts';
import { editKeys } from './edit-key-file.ts';
import { keyPlace } from './place.ts';
import { endGrants, tellDaemon } from './tell-daemon.ts';

/** Takes a key out of the file, and has the daemon end what it opened. Rejects with CommandFailure. */
export async function revokeKey(named: string | undefined, options: KeyOptions): Promise<ExitCode> {
  const name = keyName(named);
  const place = await keyPlace(options.config, options.keys);
  await editKeys(place.file, async ({ text, file }) => {
    keyNamed(name, file, place);
    return edited(withoutKey(text, name), place);
  });
  process.stdout.write(`Key ${name} is no longer in ${place.file}.\n`);
  // First this: a configuration that is wrong elsewhere must not keep anybody in.
  await endGrants(options.config, name, options.cut === true ? { cut: true } : {});
  return tellDaemon(options.config);
}
