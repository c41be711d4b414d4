import { execFileSync } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Daemon } from './daemon.ts';
import { nameMembers } from './fleet-lab.ts';
import { addNamespace, ip, namespacePrefix, type Server, serverOf } from './net.ts';
import { startProcess } from './process.ts';
import { startRedis, type TestRedis } from './redis.ts';
import { ROOT } from './root.ts';

/*
 *   clients                        router                 edge1, edge2, edge3: all have
 *   10.10.0.10 and so on           ─┬─ edge1              203.0.113.1
 *   2001:db8:a:a::10 and so on      ├─ edge2              2001:db8:e::1
 *                                   └─ edge3
 *
 * A router that spreads what comes over the members: by the packet's ports, or by its source alone.
 */

export const TARGET = { 4: '203.0.113.1', 6: '2001:db8:e::1' } as const;
const READY_WITHIN = 120_000;
const LISTENING = [22, 80];
/** Neighbours are entered by hand, so that nobody waits for an address to be resolved. */
const MAC = { client: '02:00:00:00:01:02', router: '02:00:00:00:01:01' } as const;

export interface Knocking {
  readonly family: 4 | 6;
  readonly knocks: readonly (readonly [protocol: 'tcp' | 'udp', port: number])[];
  /** Milliseconds from knock to knock. */
  readonly gap: number;
  readonly service: number;
}

export interface RouterLab {
  readonly redis: TestRedis;
  readonly daemons: readonly Daemon[];
  /** Has the router spread packets over members by their ports (`ports`), by Linux's default (`default`), or by source. */
  spread(by: 'ports' | 'default' | 'source'): void;
  /** Somebody who was never there knocks, and tries the service; answers his address, and how long it took, or null. */
  knock(knocking: Knocking): Promise<{ readonly source: string; readonly took: number | null }>;
  close(): Promise<void>;
}

/** `configs`: of each member what is not the way to the engine; undefined: it has no daemon. */
export async function routerLab(
  configs: readonly object[],
  section: (name: string) => object | null,
): Promise<RouterLab> {
  const prefix = namespacePrefix();
  const names = configs.map((_, at) => `edge${at + 1}`);
  const [clients, router] = [`${prefix}c`, `${prefix}r`];
  const removals = [clients, router, ...names.map((name) => `${prefix}${name}`)].map(addNamespace);
  joinClients(clients, router);
  for (const [at, name] of names.entries()) joinMember(router, `${prefix}${name}`, at + 1);
  route(router, names.length);
  const servers = names.map((name) => serverOf(`${prefix}${name}`));
  await Promise.all(servers.flatMap(({ listen }) => LISTENING.map((port) => listen(port))));
  const redis = await startRedis({ namespace: `${prefix}edge1` });
  const passwords = await nameMembers(redis, names);
  const own = (name: string): object => {
    const more = section(name);
    if (more === null) return {};
    const engine = `unix:${redis.address.path}`;
    return { fleet: { name, engine, password: passwords(name), ...more } };
  };
  const daemons = await Promise.all(
    servers.map((server: Server, at) =>
      server.startDaemon({ ...configs[at], ...own(names[at] ?? '') }, { timeout: READY_WITHIN }),
    ),
  );
  const knocker = startProcess(clients, ['python3', `${ROOT}/test/support/knocker.py`]);
  const answers = createInterface({ input: knocker.stdout })[Symbol.asyncIterator]();
  const taken = { 4: 9, 6: 9 };
  return {
    redis,
    daemons,
    spread: (by) => spread(router, by),
    async knock({ family, ...what }) {
      taken[family] += 1;
      const source = clientAddress(family, taken[family]);
      knocker.stdin.write(`${JSON.stringify({ source, target: TARGET[family], ...what })}\n`);
      const { value } = await answers.next();
      const { took } = JSON.parse(String(value)) as { readonly took: number | null };
      return { source, took };
    },
    async close() {
      for (const daemon of daemons) await daemon.stop('SIGKILL');
      await redis.kill();
      for (const remove of removals) remove();
    },
  };
}

/** Each of IPv6 in a /64 of its own: they are strangers to each other. */
const clientAddress = (family: 4 | 6, count: number): string =>
  family === 4
    ? `10.${10 + Math.floor(count / 250)}.0.${1 + (count % 250)}`
    : `2001:db8:a:${count.toString(16)}::10`;
const CLIENTS = 1_500;

function joinClients(clients: string, router: string): void {
  const far = ['peer', 'name', 'eth0', 'address', MAC.client, 'netns', clients];
  ip('-n', router, 'link', 'add', 'name', 'clients', 'address', MAC.router, 'type', 'veth', ...far);
  batch(router, [
    'address add 192.0.2.1/24 dev clients',
    'address add 2001:db8:c::1/64 dev clients nodad',
    'link set dev clients up',
    'neighbour replace 192.0.2.2 lladdr 02:00:00:00:01:02 dev clients nud permanent',
    'neighbour replace 2001:db8:c::2 lladdr 02:00:00:00:01:02 dev clients nud permanent',
    'route add 10.0.0.0/8 via 192.0.2.2',
    'route add 2001:db8:a::/48 via 2001:db8:c::2',
  ]);
  batch(clients, [
    'address add 192.0.2.2/24 dev eth0',
    'address add 2001:db8:c::2/64 dev eth0 nodad',
    'link set dev eth0 up',
    'neighbour replace 192.0.2.1 lladdr 02:00:00:00:01:01 dev eth0 nud permanent',
    'neighbour replace 2001:db8:c::1 lladdr 02:00:00:00:01:01 dev eth0 nud permanent',
    'route add default via 192.0.2.1',
    'route add default via 2001:db8:c::1',
    ...Array.from({ length: CLIENTS }, (_, at) => [
      `address add ${clientAddress(4, at)}/32 dev lo`,
      `address add ${clientAddress(6, at)}/128 dev lo nodad`,
    ]).flat(),
  ]);
}

function joinMember(router: string, member: string, at: number): void {
  const [near, far] = [`02:00:00:00:02:0${at}`, `02:00:00:00:03:0${at}`];
  const to = ['peer', 'name', 'eth0', 'address', far, 'netns', member];
  ip('-n', router, 'link', 'add', 'name', `m${at}`, 'address', near, 'type', 'veth', ...to);
  batch(router, [
    `address add 198.51.100.${4 * at + 1}/30 dev m${at}`,
    `address add 2001:db8:f:${at}::1/64 dev m${at} nodad`,
    `link set dev m${at} up`,
    `neighbour replace 198.51.100.${4 * at + 2} lladdr ${far} dev m${at} nud permanent`,
    `neighbour replace 2001:db8:f:${at}::2 lladdr ${far} dev m${at} nud permanent`,
  ]);
  batch(member, [
    `address add 198.51.100.${4 * at + 2}/30 dev eth0`,
    `address add 2001:db8:f:${at}::2/64 dev eth0 nodad`,
    `address add ${TARGET[4]}/32 dev lo`,
    `address add ${TARGET[6]}/128 dev lo nodad`,
    'link set dev eth0 up',
    `neighbour replace 198.51.100.${4 * at + 1} lladdr ${near} dev eth0 nud permanent`,
    `neighbour replace 2001:db8:f:${at}::1 lladdr ${near} dev eth0 nud permanent`,
    `route add default via 198.51.100.${4 * at + 1}`,
    `route add default via 2001:db8:f:${at}::1`,
  ]);
}

function route(router: string, members: number): void {
  const each = Array.from({ length: members }, (_, at) => at + 1);
  sysctl(router, 'net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1');
  const four = each.map((at) => `nexthop via 198.51.100.${4 * at + 2}`).join(' ');
  const six = each.map((at) => `nexthop via 2001:db8:f:${at}::2`).join(' ');
  batch(router, [`route add ${TARGET[4]}/32 ${four}`, `route add ${TARGET[6]}/128 ${six}`]);
}

function spread(router: string, by: 'ports' | 'default' | 'source'): void {
  const policy = { ports: 1, default: 0, source: 3 }[by];
  const names = ['net.ipv4.fib_multipath_hash', 'net.ipv6.fib_multipath_hash'];
  sysctl(router, ...names.map((name) => `${name}_policy=${policy}`));
  // Source and destination addresses.
  if (by === 'source') sysctl(router, ...names.map((name) => `${name}_fields=3`));
}

function sysctl(namespace: string, ...settings: readonly string[]): void {
  execFileSync('ip', ['netns', 'exec', namespace, 'sysctl', '-qw', ...settings]);
}

/** Lines of `ip`, all in one go. */
function batch(namespace: string, lines: readonly string[]): void {
  const input = `${lines.join('\n')}\n`;
  execFileSync('ip', ['-n', namespace, '-batch', '-'], { input, stdio: ['pipe', 'ignore', 'pipe'] });
}
