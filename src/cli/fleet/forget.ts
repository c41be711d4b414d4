import { readFileSync } from 'node:fs';
import { accessOf } from '../../config/secret-file.ts';
import { type Connection, connect } from '../../fleet/redis-connect.ts';
import { keysOf } from '../../fleet/redis-keys.ts';
import { findServer } from '../../fleet/redis-sentinel.ts';
import { sentenceOf } from '../../text/error.ts';
import type { FleetOptions } from '../commands/fleet.ts';
import { EXIT, type ExitCode } from '../exit.ts';
import { CommandFailure, usage } from '../failure.ts';
import { codeOf } from '../resolve.ts';
import { caOf } from './engine.ts';
import { fleetConfig } from './place.ts';

/** redis-cli takes the password from it too. */
const PASSWORD_VARIABLE = 'REDISCLI_AUTH';

/**
 * Removes a member that is gone: its login, and what it says. What it had said ends by its own time. Members have no
 * right to do so, so the engine's owner logs in. Rejects with CommandFailure.
 */
export async function forget(name: string, options: FleetOptions): Promise<ExitCode> {
  const { fleet } = fleetConfig(options.config);
  const keys = keysOf(options.group ?? fleet.group);
  const login = {
    name: options.user ?? 'default',
    password: passwordOf(options.passwordFile),
    ca: caOf(fleet),
  };
  if (login.name === name)
    throw usage(`${name} is who logs in: name the engine's owner with --user, or another member`);
  const connection = await open(async () => {
    const server = await findServer(fleet.engine, login.ca);
    return connect(server, login.password === '' ? null : login, login.ca, () => undefined);
  }, login.name);
  try {
    const own = [
      keys.presence(name),
      keys.registers(name, 'bans'),
      keys.registers(name, 'grants'),
      keys.stream(name),
    ];
    const there = Number(await connection.send(['SISMEMBER', keys.members, name]));
    // An engine has other users too, and other fleets, in which there may be one of this name.
    const isIts = await hasUser(connection, name, keys.stream(name));
    const held = Number(await connection.send(['EXISTS', ...own]));
    if (there + held === 0 && !isIts)
      throw new CommandFailure(EXIT.failed, `there is no member ${name}: nfknock fleet lists them`);
    // First its login: a member that lives would say everything again.
    if (isIts) await connection.send(['ACL', 'DELUSER', name]);
    await connection.send(['UNLINK', ...own]);
    await connection.send(['SREM', keys.members, name]);
  } catch (error) {
    if (error instanceof CommandFailure) throw error;
    throw new CommandFailure(
      EXIT.failed,
      `the engine refuses ${login.name} (${sentenceOf(error)}): log in as its owner, with --user NAME and --password-file FILE`,
    );
  } finally {
    connection.close();
  }
  process.stdout.write(
    `${name} is forgotten; where the engine has an ACL file, take its user out there too (ACL SAVE)\n`,
  );
  return EXIT.done;
}

/** Whether a user of this name has rights to what the member says. */
async function hasUser(connection: Connection, name: string, stream: string): Promise<boolean> {
  const users = await connection.send(['ACL', 'LIST']);
  const lines = Array.isArray(users) ? users.map(String) : [];
  return lines.some((line) => line.startsWith(`user ${name} `) && line.includes(`~${stream} `));
}

async function open(opening: () => Promise<Connection>, user: string): Promise<Connection> {
  try {
    return await opening();
  } catch (error) {
    throw new CommandFailure(
      EXIT.failed,
      `the engine does not let ${user} in (${sentenceOf(error)}): name its owner with --user, and the file of the password with --password-file`,
    );
  }
}

function passwordOf(file: string | undefined): string {
  if (file === undefined) return process.env[PASSWORD_VARIABLE] ?? '';
  // A pipe of a password store is fine; what others read is not.
  const access = accessOf(file);
  if (access?.about === 'others')
    throw new CommandFailure(EXIT.failed, `${file}: ${access.problem}; ${access.fix}`);
  try {
    return readFileSync(file, 'utf8').split(/\r?\n/)[0] ?? '';
  } catch (error) {
    throw new CommandFailure(
      EXIT.failed,
      `${file} can't be read (${codeOf(error)}): name the file of the password`,
    );
  }
}
