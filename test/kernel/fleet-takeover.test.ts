import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ask } from '../support/asked.ts';
import { type Agent, startAgent } from '../support/client.ts';
import { type Daemon, NFKNOCK } from '../support/daemon.ts';
import { becomes, LATE, nameMembers } from '../support/fleet-lab.ts';
import { addNamespace, ip, namespacePrefix, serverOf } from '../support/net.ts';
import { type Child, execute, startProcess } from '../support/process.ts';
import { startRedis, type TestRedis } from '../support/redis.ts';
import { ROOT } from '../support/root.ts';
import { temporaryFolder } from '../support/scratch.ts';

/*
 *   client 192.0.2.100 and so on ─┐
 *   edge1 192.0.2.11 ─────────────┼─ a switch      192.0.2.10 is whose keepalived has it,
 *   edge2 192.0.2.12 ─────────────┘                by deploy/fleet/keepalived.conf
 *
 * Two gateways, both members of a fleet. The one that has the address dies.
 */

const SHARED = '192.0.2.10';
const ADDRESSES = { edge1: '192.0.2.11', edge2: '192.0.2.12' } as const;
const [GUEST, STRANGER, BANNED] = ['192.0.2.101', '192.0.2.102', '192.0.2.103'] as const;
const KNOCKS = [7000, 8000, 9000] as const;
const [DOOR, FREE] = [22, 2500] as const;
const READY_WITHIN = 120_000;
/** A kernel repeats what is not answered after 1, 3, 7 and 15 seconds. */
const REPEATED_WITHIN = 60_000;

interface Gateway {
  readonly namespace: string;
  readonly daemon: Daemon;
  readonly keepalived: Child;
}

const prefix = namespacePrefix();
const [switched, clients] = [`${prefix}w`, `${prefix}c`];
const namespaces = { edge1: `${prefix}edge1`, edge2: `${prefix}edge2` };
let removals: readonly (() => void)[] = [];
let redis: TestRedis;
let client: Agent;
let master: Gateway;
let backup: Gateway;

beforeAll(async () => {
  removals = [switched, clients, ...Object.values(namespaces)].map(addNamespace);
  ip('-n', switched, 'link', 'add', 'name', 'br0', 'type', 'bridge');
  ip('-n', switched, 'link', 'set', 'dev', 'br0', 'up');
  plug(clients, 'clients', [GUEST, STRANGER, BANNED]);
  for (const name of ['edge1', 'edge2'] as const) plug(namespaces[name], name, [ADDRESSES[name]]);
  redis = await startRedis({ namespace: clients });
  const passwords = await nameMembers(redis, ['edge1', 'edge2']);
  client = await startAgent(clients);
  [master, backup] = await Promise.all([
    startGateway('edge1', passwords('edge1')),
    startGateway('edge2', passwords('edge2')),
  ]);
}, 300_000);
afterAll(async () => {
  for (const gateway of [master, backup]) {
    gateway?.keepalived.kill('SIGKILL');
    await gateway?.daemon.stop('SIGKILL');
  }
  await redis?.kill();
  for (const remove of removals) remove();
});

/** Its `eth0` on a port of the switch. */
function plug(namespace: string, port: string, addresses: readonly string[]): void {
  const far = ['peer', 'name', 'eth0', 'netns', namespace];
  ip('-n', switched, 'link', 'add', 'name', port, 'type', 'veth', ...far);
  ip('-n', switched, 'link', 'set', 'dev', port, 'master', 'br0', 'up');
  for (const address of addresses) ip('-n', namespace, 'address', 'add', `${address}/24`, 'dev', 'eth0');
  ip('-n', namespace, 'link', 'set', 'dev', 'eth0', 'up');
}

async function startGateway(name: keyof typeof ADDRESSES, password: string): Promise<Gateway> {
  const namespace = namespaces[name];
  const server = serverOf(namespace);
  await Promise.all([DOOR, FREE].map((port) => server.listen(port)));
  const engine = `unix:${redis.address.path}`;
  const daemon = await server.startDaemon(
    {
      log: { level: 'debug' },
      doors: { ssh: { knock: KNOCKS.map((port) => `${port}/tcp`), opens: [DOOR], for: '5m' } },
      fleet: { name, engine, password },
    },
    { timeout: READY_WITHIN },
  );
  const folder = temporaryFolder();
  const file = join(folder, 'keepalived.conf');
  writeFileSync(file, keepalivedOf(name, daemon), { mode: 0o600 });
  const pids = ['pid', 'vrrp', 'checkers'].map((each) => join(folder, each));
  const [pid = '', vrrp = '', checkers = ''] = pids;
  const keepalived = startProcess(namespace, [
    ...['keepalived', '--dont-fork', '--log-console', '--vrrp', '--use-file', file],
    ...['--pid', pid, '--vrrp_pid', vrrp, '--checkers_pid', checkers],
  ]);
  return { namespace, daemon, keepalived };
}

/** The file as it is shipped, with this gateway's addresses and program; on a machine that may be busy. */
function keepalivedOf(name: keyof typeof ADDRESSES, { config }: Daemon): string {
  const shipped = readFileSync(join(ROOT, 'deploy/fleet/keepalived.conf'), 'utf8');
  const script = [...NFKNOCK, 'status', '-c', config].join(' ');
  const changes: readonly (readonly [string, string])[] = [
    ['/usr/bin/nfknock status', script],
    ['script_user nfknock', 'script_user root'],
    ['timeout 2', 'timeout 20'],
    ...(name === 'edge1'
      ? []
      : ([
          ['priority 100', 'priority 90'],
          [`unicast_src_ip ${ADDRESSES.edge1}`, `unicast_src_ip ${ADDRESSES.edge2}`],
          [`        ${ADDRESSES.edge2}\n`, `        ${ADDRESSES.edge1}\n`],
        ] as const)),
  ];
  return changes.reduce((text, [from, to]) => {
    expect(text).toContain(from);
    return text.replace(from, to);
  }, shipped);
}

async function hasAddress({ namespace }: Gateway): Promise<boolean> {
  const { stdout } = await execute(namespace, ['ip', '-4', 'address', 'show', 'dev', 'eth0']);
  return stdout.includes(`inet ${SHARED}/`);
}

const reaches = (from: string, port: number): Promise<boolean> =>
  client.canConnect(SHARED, port, 1_000, from);

it('keepalived takes over: who was let in stays in, whoever was banned stays out, repeats are no strike', async () => {
  expect(await becomes(() => hasAddress(master), LATE)).toBeLessThan(LATE);
  expect(await hasAddress(backup)).toBe(false);
  await ask(master.daemon, { command: 'ban', address: BANNED });
  await backup.daemon.waitFor({ event: 'ban.added', source: BANNED, origin: 'edge1' }, LATE);
  expect(await reaches(GUEST, DOOR)).toBe(false);
  // As a client's kernel does: nobody answers, so it sends each again and again.
  const knocking: Child[] = [];
  for (const port of KNOCKS) {
    const knock = `TCP:${SHARED}:${port},bind=${GUEST},connect-timeout=60`;
    knocking.push(startProcess(clients, ['socat', '-u', knock, 'STDOUT']));
    await sleep(300);
  }
  await backup.daemon.waitFor({ event: 'door.opened', source: GUEST, origin: 'edge1' }, LATE);
  expect(await reaches(GUEST, DOOR)).toBe(true);

  // The machine is gone, with all that runs on it.
  const died = performance.now();
  ip('-n', switched, 'link', 'set', 'dev', 'edge1', 'down');
  master.keepalived.kill('SIGKILL');
  await master.daemon.stop('SIGKILL');
  expect(await becomes(() => hasAddress(backup), LATE)).toBeLessThan(LATE);
  const took = performance.now() - died;

  expect(await becomes(() => reaches(GUEST, DOOR), LATE)).toBeLessThan(LATE);
  expect(await reaches(STRANGER, DOOR)).toBe(false);
  expect(await reaches(STRANGER, FREE)).toBe(true);
  expect(await reaches(BANNED, FREE)).toBe(false);
  const repeats = async (): Promise<readonly (string | null)[]> => {
    const { packets } = await ask(backup.daemon, { command: 'explain', address: GUEST });
    return packets
      .filter(({ port }) => KNOCKS.some((knock) => port === `${knock}/tcp`))
      .map(({ outcome }) => outcome);
  };
  expect(await becomes(async () => (await repeats()).length >= KNOCKS.length, REPEATED_WITHIN)).toBeLessThan(
    REPEATED_WITHIN,
  );
  for (const knock of knocking) knock.kill('SIGKILL');
  console.info(`taken over in ${took.toFixed()} ms; repeats at the backup: ${(await repeats()).join(', ')}`);
  const { strikes, ban } = await ask(backup.daemon, { command: 'explain', address: GUEST });
  expect({ strikes, ban }).toEqual({ strikes: 0, ban: null });
  expect(await reaches(GUEST, DOOR)).toBe(true);
}, 300_000);
