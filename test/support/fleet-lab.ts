import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism, loadavg } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import type { BanRow, GrantRow } from '../../src/control/answers.ts';
import { ask } from './asked.ts';
import { type Daemon, NFKNOCK } from './daemon.ts';
import { type KeysLab, keysLab } from './keys-lab.ts';
import { createNet, ip, type Net } from './net.ts';
import { execute, startProcess } from './process.ts';
import { ADMIN, startRedis, type TestRedis } from './redis.ts';
import { ROOT } from './root.ts';
import { temporaryFolder } from './scratch.ts';

/*
 * Three members of one fleet, each a whole daemon in a network of its own, with the same addresses: a client is the same
 * to all of them. Redis is Debian's; edge1 speaks to it by TLS, the others over its socket, which is seen from everywhere.
 */

export const NAMES = ['edge1', 'edge2', 'edge3'] as const;
const TLS_PORT = 6390;
/** Three start at once, on a machine that may be busy. */
const READY_WITHIN = 120_000;
/** Ports that a door opens, and one that is always open. */
export const SERVICES = { web: 80, once: 2201, ssh: 22, free: 2500 } as const;
const SERVICE_PORTS = Object.values(SERVICES);
/** Addresses of the clients' network that are theirs to take. */
const OWN_SOURCES = 250;
export const WEB_KNOCK = [7000, 8000, 9000] as const;

export interface LabMember {
  readonly name: string;
  readonly net: Net;
  /** Its password at the engine, and the group's secret. */
  readonly passwordFile: string;
  readonly sequences: string;
  daemon: Daemon;
  /** Starts it again on the state that it left. */
  restart(): Promise<void>;
  /** Another `fleet` section, and more; in force when this is over. */
  reload(fleet: object, more?: object): Promise<void>;
  /** These packets, 10 ms apart, from that moment on; answers when the first and the last went, in milliseconds. */
  send(at: number, sends: readonly Send[]): Promise<readonly [first: number, last: number]>;
}

export type Send = readonly [protocol: 'tcp' | 'udp', port: number, payload?: Buffer];

export interface FleetLab {
  readonly redis: TestRedis;
  readonly members: readonly [LabMember, LabMember, LabMember];
  readonly keys: KeysLab;
  /** All clients have one new address, of IPv4. */
  moveToFreshSource(): Promise<string>;
  /** The same packets to all members; answers how far apart they went, in milliseconds. */
  sendToAll(sends: readonly Send[]): Promise<number>;
  close(): Promise<void>;
}

export interface FleetLabOptions {
  /** The lines of the one-time door. */
  readonly sequences: readonly string[];
  /** More keys, as lines of the key file. */
  readonly keys: readonly string[];
  /** Networks that are never banned, by member. */
  readonly never: Readonly<Record<string, readonly string[]>>;
}

export async function fleetLab(options: FleetLabOptions): Promise<FleetLab> {
  const nets = await Promise.all(NAMES.map(() => createNet()));
  await Promise.all(nets.flatMap(({ server }) => SERVICE_PORTS.map((port) => server.listen(port))));
  for (const { server } of nets) ip('-n', server.namespace, 'route', 'add', '10.200.0.0/16', 'dev', 'toA');
  const certificate = makeCertificate();
  const redis = await startRedis({
    namespace: nets[0]?.server.namespace ?? '',
    lines: [
      ...['bind 127.0.0.1', `tls-port ${TLS_PORT}`, 'tls-auth-clients no'],
      ...[`tls-cert-file ${certificate.file}`, `tls-key-file ${certificate.key}`],
      `tls-ca-cert-file ${certificate.file}`,
    ],
  });
  const passwords = await nameMembers(redis);
  const keys = keysLab();
  keys.write(...options.keys);
  const members = await Promise.all(
    NAMES.map((name, index) => {
      const byTls = index === 0;
      const engine = byTls ? `rediss://127.0.0.1:${TLS_PORT}` : `unix:${redis.address.path}`;
      const own = { name, engine, password: passwords(name), ca: byTls ? certificate.file : null };
      return startMember(nets[index] as Net, own, keys, options);
    }),
  );
  // Behind those that the clients take by themselves.
  let last = 100;
  return {
    redis,
    members: members as unknown as FleetLab['members'],
    keys,
    async moveToFreshSource() {
      last += 1;
      const source = sourceOf(last);
      await Promise.all(nets.map(({ clientA }) => clientA.addAddress(source)));
      return source;
    },
    async sendToAll(sends) {
      const at = Date.now() + 40;
      const sent = await Promise.all(members.map((member) => member.send(at, sends)));
      const spread = (times: readonly number[]): number => Math.max(...times) - Math.min(...times);
      return Math.max(spread(sent.map(([first]) => first)), spread(sent.map(([, last]) => last)));
    },
    async close() {
      for (const { daemon } of members) await daemon.stop('SIGKILL');
      await redis.kill();
      for (const net of nets) net.close();
    },
  };
}

/** Of the clients' own network, and where that has no more of another. */
const sourceOf = (count: number): string =>
  count < OWN_SOURCES ? `192.0.2.${count}` : `10.200.${Math.floor(count / 250)}.${1 + (count % 250)}`;

interface OwnSection {
  readonly name: string;
  readonly engine: string;
  readonly password: string;
  readonly ca: string | null;
}

async function startMember(
  net: Net,
  own: OwnSection,
  keys: KeysLab,
  options: FleetLabOptions,
): Promise<LabMember> {
  const { name } = own;
  const sequences = join(temporaryFolder(), 'once.sequences');
  writeFileSync(sequences, `${options.sequences.join('\n')}\n`, { mode: 0o600 });
  const config = (fleet: object, more: object = {}): object => ({
    listen: { spa: ['62201/udp'] },
    keys: keys.file,
    doors: {
      web: { knock: WEB_KNOCK.map((port) => `${port}/tcp`), opens: [SERVICES.web], for: '5m' },
      once: { one_time: sequences, opens: [SERVICES.once], for: '5m' },
      ssh: { knock: 'spa', opens: [SERVICES.ssh], for: '5m' },
    },
    decoys: ['23/tcp', '2323/tcp'],
    bans: { strikes: 30, never: options.never[name] ?? [] },
    fleet: { ...own, accept: { each: { grants_per_minute: 1_000 } }, ...fleet },
    ...more,
  });
  const daemon = await net.server.startDaemon(config({}), { timeout: READY_WITHIN });
  const sender = startProcess(net.clientA.namespace, ['python3', join(ROOT, 'test/support/together.py')]);
  const answers = createInterface({ input: sender.stdout })[Symbol.asyncIterator]();
  const member: LabMember = {
    ...{ name, net, sequences, passwordFile: own.password, daemon },
    async restart() {
      member.daemon = await net.server.startDaemon(config({}), {
        ...{ folder: member.daemon.folder, timeout: READY_WITHIN },
      });
    },
    async reload(fleet, more) {
      member.daemon.rewrite(config(fleet, more));
      await ask(member.daemon, { command: 'reload' });
    },
    async send(at, sends) {
      const packets = sends.map(([protocol, port, payload]) => [
        ...[protocol, net.clientA.server4, port, payload?.toString('hex') ?? ''],
      ]);
      sender.stdin.write(`${JSON.stringify({ at: at * 1e6, gap: 10, sends: packets })}\n`);
      const { value } = await answers.next();
      const { first, last } = JSON.parse(String(value)) as { readonly first: number; readonly last: number };
      return [first / 1e6, last / 1e6];
    },
  };
  return member;
}

/** As the documentation says: `fleet users` makes the password files, and its lines go to the engine. */
export async function nameMembers(
  redis: TestRedis,
  names: readonly string[] = NAMES,
): Promise<(name: string) => string> {
  const file = join(temporaryFolder(), 'fleet.password');
  const [node = '', ...script] = NFKNOCK;
  const users = execFileSync(node, [...script, 'fleet', 'users', ...names, '--password-file', file], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const cli = ['redis-cli', '-s', redis.address.path, '--user', ADMIN.name];
  const env = { ...process.env, REDISCLI_AUTH: ADMIN.password.replaceAll(' ', '_') };
  execFileSync(cli[0] ?? '', cli.slice(1), { input: users, env, stdio: ['pipe', 'ignore', 'inherit'] });
  execFileSync(cli[0] ?? '', [...cli.slice(1), 'ACL', 'SAVE'], {
    env,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  return (name) => `${file}.${name}`;
}

export const passwordOf = ({ passwordFile }: LabMember): string =>
  readFileSync(passwordFile, 'utf8').split('\n')[0] ?? '';

function makeCertificate(): { readonly file: string; readonly key: string } {
  const folder = temporaryFolder();
  const [file, key] = [join(folder, 'bus.pem'), join(folder, 'bus.key')];
  const subject = ['-subj', '/CN=bus', '-addext', 'subjectAltName=IP:127.0.0.1'];
  const made = [
    'req',
    '-x509',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:prime256v1',
    '-nodes',
    '-days',
    '2',
  ];
  execFileSync('openssl', [...made, ...subject, '-keyout', key, '-out', file], { stdio: 'ignore' });
  return { file, key };
}

/** `nfknock status`, as a person sees it. */
export async function statusOf({ net, daemon }: LabMember): Promise<{ code: number | null; text: string }> {
  const { code, stdout } = await execute(net.server.namespace, [...NFKNOCK, 'status', '-c', daemon.config]);
  return { code, text: stdout };
}

/** Looks until it is so, at most so long; answers after how many milliseconds it was. */
export async function becomes(isSo: () => boolean | Promise<boolean>, limit: number): Promise<number> {
  const began = performance.now();
  while (!(await isSo())) {
    const took = performance.now() - began;
    if (took > limit) return Number.POSITIVE_INFINITY;
    await sleep(20);
  }
  return performance.now() - began;
}

/** Where nobody waits any longer, in milliseconds. */
export const LATE = 30_000;

/** What an idle machine must keep to. Where others use its processors too it is only that it comes at all. */
export const within = (limit: number): number =>
  (loadavg()[0] ?? 0) < availableParallelism() ? limit : LATE;

export async function bansOf({ daemon }: LabMember): Promise<readonly BanRow[]> {
  return (await ask(daemon, { command: 'bans' })) as unknown as readonly BanRow[];
}

export async function grantsOf({ daemon }: LabMember): Promise<readonly GrantRow[]> {
  return (await ask(daemon, { command: 'grants' })) as unknown as readonly GrantRow[];
}

/** All are connected, and have told everything; answers after how many milliseconds. */
export function rests({ members }: FleetLab): Promise<number> {
  return becomes(async () => {
    const states = await Promise.all(members.map(({ daemon }) => ask(daemon, { command: 'status' })));
    return states.every(({ fleet }) => fleet?.up === true && fleet.outbox === 0);
  }, LATE);
}
