import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { formatFault } from '../../config/fault.ts';
import { type FleetSecrets, loadFleetSecrets } from '../../config/load-fleet.ts';
import { replaceFileSync } from '../../files/write.ts';
import { accessCommands } from '../../fleet/access.ts';
import { printable } from '../../text/plain.ts';
import type { FleetOptions } from '../commands/fleet.ts';
import { EXIT, type ExitCode } from '../exit.ts';
import { CommandFailure, tell } from '../failure.ts';
import { ownerOf } from '../keys/edit-key-file.ts';
import { codeOf } from '../resolve.ts';
import { fleetConfigIfAny } from './place.ts';

const PASSWORD_FILE = '/etc/nfknock/fleet.password';
/** What nobody guesses: 256 bits. */
const SECRET_BYTES = 32;

/**
 * Makes the password files that are missing, and prints what lets the members in at the engine: of a password only its
 * hash, so that what is printed can be kept and sent. Throws CommandFailure.
 */
export async function printUsers(names: readonly string[], options: FleetOptions): Promise<ExitCode> {
  // Who says both needs no configuration, whatever is wrong with it.
  const isSaid = options.group !== undefined && options.passwordFile !== undefined;
  const found = isSaid ? undefined : fleetConfigIfAny(options.config);
  const group = options.group ?? found?.fleet.group ?? 'main';
  const place = options.passwordFile ?? found?.fleet.password ?? PASSWORD_FILE;
  // Each member has a password of its own, so several have several files; and this machine's own is no other's.
  const isOwn = options.passwordFile === undefined && found !== undefined;
  const isAlone = names.length === 1 && (!isOwn || names[0] === found?.fleet.name);
  const fileOf = (name: string): string => (isAlone ? place : `${place}.${name}`);
  const members = names.map((name) => ({ name, file: fileOf(name), held: readIfThere(name, fileOf(name)) }));
  const { secret: shared, isNew } = sharedSecret([
    readIfThere(names[0] ?? '', place),
    ...members.map(({ held }) => held),
  ]);
  const commands = members.flatMap(({ name, file, held }) => {
    const { password } = held ?? make(name, file, shared);
    return accessCommands({ name, group, password });
  });
  const text = options.json === true ? JSON.stringify({ group, commands }, null, 2) : commands.join('\n');
  process.stdout.write(`${text}\n`);
  if (isNew)
    tell(
      "the group's secret is new: where the fleet has members already, write the second line of one of their password files into each that was made, else what opens once opens twice",
    );
  return EXIT.done;
}

function readIfThere(name: string, file: string): FleetSecrets | undefined {
  if (!existsSync(file)) return undefined;
  const loaded = loadFleetSecrets({ name, password: file });
  if (loaded.ok) return loaded.secrets;
  throw new CommandFailure(EXIT.failed, loaded.faults.map(formatFault).join('; '));
}

/** All members have one: that of a file that is there, or a new one. */
function sharedSecret(held: readonly (FleetSecrets | undefined)[]): {
  readonly secret: string;
  readonly isNew: boolean;
} {
  const secrets = [...new Set(held.flatMap((each) => (each === undefined ? [] : [each.groupSecret])))];
  if (secrets.length > 1)
    throw new CommandFailure(
      EXIT.failed,
      'the password files have different secrets in their second lines, and a group has one: write that of the fleet into all of them',
    );
  const [secret] = secrets;
  return secret === undefined
    ? { secret: randomBytes(SECRET_BYTES).toString('base64url'), isNew: true }
    : { secret, isNew: false };
}

function make(name: string, file: string, groupSecret: string): FleetSecrets {
  const password = randomBytes(SECRET_BYTES).toString('base64url');
  try {
    replaceFileSync(file, Buffer.from(`${password}\n${groupSecret}\n`), ownerOf(file));
  } catch (error) {
    const fix = 'name another with --password-file';
    throw new CommandFailure(EXIT.failed, `${file} can't be made (${codeOf(error)}): ${fix}`);
  }
  process.stderr.write(`${printable(`nfknock: made ${file} (0600), which is for ${name} alone`)}\n`);
  return { password, groupSecret };
}
