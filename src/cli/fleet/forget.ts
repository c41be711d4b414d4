import { readFileSync } from 'node:fs';
import { type Connection, connect } from '../../fleet/redis-connect.ts';
import { keysOf } from '../../fleet/redis-keys.ts';
import { findServer } from '../../fleet/redis-sentinel.ts';
import { sentenceOf } from '../../text/error.ts';
import type { FleetOptions } from '../commands/fleet.ts';
import { EXIT, type ExitCode } from '../exit.ts';
import { CommandFailure } from '../failure.ts';
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
    // First its login: a member that lives would say everything again.
    const users = Number(await connection.send(['ACL', 'DELUSER', name]));
    const removed = Number(await connection.send(['UNLINK', ...own]));
    await connection.send(['SREM', keys.members, name]);
    if (there + users + removed === 0)
      throw new CommandFailure(EXIT.failed, `there is no member ${name}: nfknock fleet lists them`);
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
  try {
    return readFileSync(file, 'utf8').split(/\r?\n/)[0] ?? '';
  } catch (error) {
    throw new CommandFailure(
      EXIT.failed,
      `${file} can't be read (${codeOf(error)}): name the file of the password`,
    );
  }
}
