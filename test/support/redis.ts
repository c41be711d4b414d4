import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { accessCommands } from '../../src/fleet/access.ts';
import { type Connection, connect } from '../../src/fleet/redis-connect.ts';
import type { EngineAddress } from '../../src/policy/fleet.ts';
import { atEnd } from './cleanup.ts';
import { temporaryFolder } from './scratch.ts';

export const ADMIN = { name: 'admin', password: 'the owner of the engine', ca: null };
export const MEMBER_PASSWORD = (name: string): string => `the password of ${name}`;

/** A redis-server of Debian's that a test has for itself, on a socket in a folder of its own. */
export interface TestRedis {
  readonly address: Extract<EngineAddress, { kind: 'socket' }>;
  readonly folder: string;
  admin(): Promise<Connection>;
  kill(): Promise<void>;
  start(): Promise<void>;
  /** Stopped, as by a debugger: it answers nothing, and its connections stand. */
  freeze(): void;
  thaw(): void;
  pid(): number;
}

export interface TestRedisOptions {
  readonly members?: readonly string[];
  readonly group?: string;
  /** Where it runs; its socket is seen from everywhere. */
  readonly namespace?: string;
  /** Further lines of its configuration. */
  readonly lines?: readonly string[];
}

/** Starts one whose rights are those that `nfknock fleet users` prints. It ends with the test. */
export async function startRedis(options: TestRedisOptions = {}): Promise<TestRedis> {
  const { members = [], group = 'main', lines = [] } = options;
  const folder = temporaryFolder();
  const path = join(folder, 'redis.sock');
  const aclFile = join(folder, 'users.acl');
  mkdirSync(join(folder, 'data'));
  const commands = members.flatMap((name) =>
    accessCommands({ name, group, password: MEMBER_PASSWORD(name) }),
  );
  const users = commands.flatMap((line) => /^ACL SET(USER .* -@all.*)$/.exec(line)?.[1] ?? []);
  writeFileSync(
    aclFile,
    [
      // Off, and with all rights: Redis reads its log as this user, and without them leaves transactions out in silence.
      'user default off ~* &* +@all',
      `user ${ADMIN.name} on >${ADMIN.password.replaceAll(' ', '_')} ~* &* +@all`,
      ...users.map((user) => user.replace(/^USER/, 'user').replace(' reset ', ' ')),
      '',
    ].join('\n'),
  );
  const conf = join(folder, 'redis.conf');
  writeFileSync(
    conf,
    [
      'port 0',
      `unixsocket ${path}`,
      'unixsocketperm 700',
      `dir ${join(folder, 'data')}`,
      'appendonly yes',
      'appendfsync always',
      'save ""',
      'maxmemory-policy noeviction',
      `aclfile ${aclFile}`,
      'logfile ""',
      ...lines,
      '',
    ].join('\n'),
  );
  const address = { kind: 'socket', path } as const;
  let child: ChildProcess | undefined;

  async function start(): Promise<void> {
    // `ip netns exec` becomes the server, so the process id is its own.
    const within = options.namespace === undefined ? [] : ['ip', 'netns', 'exec', options.namespace];
    const [program = '', ...args] = [...within, 'redis-server', conf];
    const started = spawn(program, args, { stdio: 'ignore' });
    child = started;
    for (let count = 0; count < 400; count += 1) {
      if (await answers(path)) return;
      if (started.exitCode !== null) throw new Error(`redis-server ended with ${started.exitCode}`);
      await sleep(25);
    }
    throw new Error('redis-server does not answer');
  }

  async function kill(): Promise<void> {
    const ending = child;
    child = undefined;
    if (ending === undefined || ending.exitCode !== null || ending.signalCode !== null) return;
    const ended = once(ending, 'exit');
    ending.kill('SIGKILL');
    await ended;
  }

  atEnd(() => child?.kill('SIGKILL'));
  await start();
  const redis: TestRedis = {
    address,
    folder,
    admin: () =>
      connect(address, { ...ADMIN, password: ADMIN.password.replaceAll(' ', '_') }, null, () => undefined),
    kill,
    start,
    freeze: () => void child?.kill('SIGSTOP'),
    thaw: () => void child?.kill('SIGCONT'),
    pid: () => child?.pid ?? 0,
  };
  const admin = await redis.admin();
  if (members.length > 0) await admin.send(['SADD', `nfk:${group}:members`, ...members]);
  admin.close();
  return redis;
}

/** Whether something takes connections there, and has read its log. */
async function answers(path: string): Promise<boolean> {
  const socket = createConnection(path);
  try {
    await once(socket, 'connect');
    socket.write('PING\r\n');
    const [said] = await once(socket, 'data');
    // Nobody is logged in: that is said only once the data has been read.
    return String(said).startsWith('-NOAUTH');
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
