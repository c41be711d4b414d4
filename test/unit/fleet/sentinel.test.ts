import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { namedServers } from '../../../src/cli/fleet/servers.ts';
import { parseConfig } from '../../../src/config/parse.ts';
import { type Connection, connect } from '../../../src/fleet/redis-connect.ts';
import { findServer, findServers } from '../../../src/fleet/redis-sentinel.ts';
import type { Config } from '../../../src/policy/config.ts';
import type { EngineAddress } from '../../../src/policy/fleet.ts';
import { isConnected, memberOn, redisBus, until } from '../../support/buses.ts';
import { atEnd } from '../../support/cleanup.ts';
import { MEMBER_PASSWORD } from '../../support/redis.ts';
import { temporaryFolder } from '../../support/scratch.ts';

// Debian's redis-server is its Sentinel too. A server of a busy machine takes its time to start.
vi.setConfig({ testTimeout: 90_000, hookTimeout: 60_000 });

/** A replica that is known and not there: Sentinels name it all the same. */
const AWAY = '192.0.2.34';
const ends: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

type Sentinels = Extract<EngineAddress, { kind: 'sentinels' }>;
const sentinels = (tls: boolean, ...ports: readonly number[]): Sentinels => ({
  ...{ kind: 'sentinels', tls, master: 'bus' },
  nodes: ports.map((port) => ({ host: '127.0.0.1', port })),
});

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === 'object' ? (address?.port ?? 0) : 0;
}

interface Server {
  readonly port: number;
  kill(): Promise<void>;
  ask(...command: readonly string[]): Promise<unknown>;
}

/** A redis-server by these lines, once it answers. */
async function serve(host: string, lines: readonly string[], args: readonly string[] = []): Promise<Server> {
  const port = await freePort();
  const folder = temporaryFolder();
  const conf = join(folder, 'redis.conf');
  writeFileSync(
    conf,
    [`port ${port}`, `bind ${host}`, `dir ${folder}`, 'logfile ""', ...lines, ''].join('\n'),
  );
  const child = spawn('redis-server', [conf, ...args], { stdio: 'ignore' });
  atEnd(() => child.kill('SIGKILL'));
  const kill = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  };
  ends.push(kill);
  const open = (): Promise<Connection> =>
    connect({ kind: 'server', tls: false, host, port }, null, null, () => undefined);
  const ask = async (...command: readonly string[]): Promise<unknown> => {
    const connection = await open();
    try {
      return await connection.send(command);
    } finally {
      connection.close();
    }
  };
  for (let count = 0; ; count += 1) {
    try {
      await ask('PING');
      return { port, kill, ask };
    } catch (error) {
      if (count === 400 || child.exitCode !== null) throw error;
      await sleep(25);
    }
  }
}

const PASSWORD = createHash('sha256').update(MEMBER_PASSWORD('edge1')).digest('hex');
const MEMORY_ONLY = ['save ""', 'appendonly no', `user edge1 on #${PASSWORD} ~* &* +@all`];

/** A primary, a replica at another address, and one that says it is at an address where nobody is. */
async function group(): Promise<{ readonly primary: Server; readonly replica: Server }> {
  const primary = await serve('127.0.0.1', MEMORY_ONLY);
  const of = ['repl-diskless-sync-delay 0', `replicaof 127.0.0.1 ${primary.port}`];
  const replica = await serve('127.0.0.2', [...MEMORY_ONLY, ...of, 'replica-announce-ip 127.0.0.2']);
  await serve('127.0.0.1', [...MEMORY_ONLY, ...of, `replica-announce-ip ${AWAY}`]);
  for (let count = 0; count < 400; count += 1) {
    const info = String(await primary.ask('INFO', 'replication'));
    if (info.includes('127.0.0.2') && info.includes(AWAY)) return { primary, replica };
    await sleep(25);
  }
  throw new Error('the replicas do not come');
}

async function watch(primary: Server, lines: readonly string[] = []): Promise<Server> {
  const sentinel = await serve(
    '127.0.0.1',
    [
      `sentinel monitor bus 127.0.0.1 ${primary.port} 1`,
      'sentinel down-after-milliseconds bus 1000',
      ...lines,
    ],
    ['--sentinel'],
  );
  for (let count = 0; count < 1_000; count += 1) {
    const replicas = await sentinel.ask('SENTINEL', 'REPLICAS', 'bus');
    if (Array.isArray(replicas) && replicas.length === 2) return sentinel;
    await sleep(25);
  }
  throw new Error('the Sentinel does not find the replicas');
}

/** Certificates for this machine. */
function certificates(): { readonly folder: string; readonly lines: readonly string[] } {
  const folder = temporaryFolder();
  const [key, pem] = [join(folder, 'bus.key'), join(folder, 'bus.pem')];
  execFileSync(
    'openssl',
    [
      ...['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=bus'],
      ...['-addext', 'subjectAltName=DNS:localhost', '-keyout', key, '-out', pem],
    ],
    { stdio: 'ignore' },
  );
  const lines = [`tls-cert-file ${pem}`, `tls-key-file ${key}`, `tls-ca-cert-file ${pem}`];
  return { folder, lines: [...lines, 'tls-auth-clients no'] };
}

describe('Sentinels', () => {
  it('are asked for the primary and for every replica, and a member goes on with whoever is promoted', async () => {
    const { primary, replica } = await group();
    const { port } = await watch(primary);
    const nobody = await freePort();
    const address = sentinels(false, nobody, port);
    expect(await findServer(address, null)).toEqual({
      ...{ kind: 'server', tls: false, host: '127.0.0.1', port: primary.port },
    });
    // Another host is not spoken to without TLS.
    expect(await findServers(address, null)).toEqual({ hosts: ['127.0.0.1', '127.0.0.2'], silence: null });

    const member = memberOn(redisBus({ address }, 'edge1'));
    ends.push(() => member.bus.close());
    await until(() => isConnected(member), 'connected to the primary');
    await primary.kill();
    await until(() => !isConnected(member), 'noticed');
    await until(() => isConnected(member), 'connected to the replica', 60_000);
    expect(await findServer(address, null)).toMatchObject({ host: '127.0.0.2', port: replica.port });
    // The former primary may come back.
    expect(await findServers(address, null)).toMatchObject({ hosts: ['127.0.0.1', '127.0.0.2'] });
  });

  it('name by TLS servers elsewhere too, also one that is not there now', async () => {
    const { primary } = await group();
    const port = await freePort();
    const { folder, lines } = certificates();
    await watch(primary, [...lines, `tls-port ${port}`]);
    const config = configOf(port, join(folder, 'bus.pem'));
    expect(await namedServers(config)).toEqual({ hosts: ['127.0.0.1', '127.0.0.2', AWAY], silence: null });
  });

  it('that say nothing are told one by one, and why', async () => {
    const port = await freePort();
    const { hosts, silence } = await findServers(sentinels(false, port, port), null);
    expect(hosts).toEqual([]);
    expect(silence).toMatch(/^127\.0\.0\.1: connect ECONNREFUSED .*; 127\.0\.0\.1: connect ECONNREFUSED/);
    const { silence: unread } = await namedServers(configOf(port, '/nowhere/ca.pem'));
    expect(unread).toContain("fleet.ca: /nowhere/ca.pem can't be read");
  });

  it('that know no server of this name say nothing', async () => {
    const { port } = await serve('127.0.0.1', [], ['--sentinel']);
    const { hosts, silence } = await findServers(sentinels(false, port), null);
    expect(hosts).toEqual([]);
    expect(silence).toBe('127.0.0.1: it knows no such server');
  });
});

function configOf(port: number, ca: string): Config {
  const doors = 'doors: { ssh: { knock: [7311/tcp, 4711/tcp], opens: [22/tcp] } }';
  const parsed = parseConfig(
    `${doors}\nfleet: { name: edge1, ca: ${ca}, engine: ["sentinel://localhost:${port}/bus"] }`,
    'x',
  );
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.faults));
  return parsed.config;
}
