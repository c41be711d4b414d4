import { readFileSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { type Profile, parseProfile } from '../../config/client-key.ts';
import { formatFault } from '../../config/fault.ts';
import { printable, quoted } from '../../text/plain.ts';
import { EXIT } from '../exit.ts';
import { CommandFailure, usage } from '../failure.ts';
import { codeOf } from '../resolve.ts';

/*
 * A profile: one file a server, with all that it takes to knock there, so that its name is enough on the command line.
 */

/** Where the profile of a server is looked for. */
export function profilePath(host: string, system: NodeJS.Platform = process.platform): string {
  const windows = system === 'win32';
  // What no name of a file may have there; a colon is in every IPv6 address.
  const name = host.replaceAll(windows ? /[/\\:*?"<>|]/g : /\//g, '_');
  return join(folderOf(windows), 'nfknock', `${name}.key`);
}

function folderOf(windows: boolean): string {
  const named = process.env[windows ? 'APPDATA' : 'XDG_CONFIG_HOME'] ?? '';
  if (named !== '') return named;
  return windows ? join(homedir(), 'AppData', 'Roaming') : join(homedir(), '.config');
}

/** The profile of a server; undefined: it has none. Throws CommandFailure. */
export function profileOf(host: string): Profile | undefined {
  const file = profilePath(host);
  try {
    statSync(file);
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return undefined;
  }
  return readProfile(
    file,
    (problem) => `${problem}: it is the profile of ${host}; correct its mode and owner`,
  );
}

/** A file with a key or a profile; `unreadable`: what is said, given the problem. Throws CommandFailure. */
export function readProfile(file: string, unreadable: (problem: string) => string): Profile {
  let text: string;
  let mode: number;
  try {
    text = readFileSync(file, 'utf8');
    ({ mode } = statSync(file));
  } catch (error) {
    throw usage(unreadable(`${quoted(file)} can't be read (${codeOf(error)})`));
  }
  const read = parseProfile(text, file);
  if (!read.ok) throw new CommandFailure(EXIT.failed, read.faults.map(formatFault).join('; '));
  const { key, knock } = read.profile;
  const secret = knock.length > 0 || (key !== null && key.proof !== null && key.proof.kind !== 'ssh');
  // Windows keeps a user's folders by other means, and shows no mode of a file.
  if ((mode & 0o077) !== 0 && secret && process.platform !== 'win32') {
    const octal = (mode & 0o777).toString(8).padStart(4, '0');
    process.stderr.write(`nfknock: ${printable(file)} can be read by others (${octal}): chmod 0600 it\n`);
  }
  return read.profile;
}
