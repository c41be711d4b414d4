import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { formatCidr } from '../../src/packet/cidr.ts';
import { openStore } from '../../src/state/sqlite.ts';
import { buildFlood } from './attacker-tools.ts';
import { kernelBans, nfknock } from './bans-lab.ts';
import type { Daemon, DaemonOptions } from './daemon.ts';
import { type Client, createNet, type Net } from './net.ts';
import { asUser, ownFolder, type PortWatch, watchPort } from './operation-lab.ts';
import { startProcess } from './process.ts';

/** The world of the soak: who is let in and who is banned, as everyone concerned sees it. */

export const SERVICE = 22;
export const OPEN_PORT = 8080;
export const KNOCKS: readonly string[] = ['7000', '8000:udp', '9000'];
const SSH = { knock: ['7000/tcp', '8000/udp', '9000/tcp'], opens: [`${SERVICE}/tcp`], for: '25s' };
const OTHER = { knock: ['7300/tcp', '7400/tcp'], opens: ['2200/tcp'] };
const BASE = {
  doors: { ssh: SSH },
  decoys: ['10-20/tcp', '2323/tcp', '3389/tcp'],
  bans: { for: '20s', escalate: 1, limit: 8192 },
  memory: { sources: 8192 },
};
/** Configurations to reload: the first door is the same in all. */
export const VARIANTS: readonly object[] = [
  BASE,
  { ...BASE, doors: { ...BASE.doors, other: OTHER } },
  { ...BASE, decoys: ['10-20/tcp', '2323/tcp', '3389/tcp', '5900/tcp'], allow: ['80/tcp'] },
  { ...BASE, listen: { queues: 3 } },
];

/** Grants that end so soon, in milliseconds, are not compared: they may end between two looks. */
const NEAR_END = 4_000;
/** The kernel ends a rule with the second. */
const END_SLACK = 1_500;
/** How long a connection may take on a busy machine, with one SYN repeated. */
const CONNECT_TIMEOUT = 3_000;
const REFUSED_AFTER = 250;

export interface World {
  readonly net: Net;
  readonly flood: string;
  readonly port: PortWatch;
  /** How each daemon is started. */
  readonly options: DaemonOptions;
  daemon: Daemon;
  /** Who was let in, by address, until when (wall time, ms). Those who are not any more stay a while. */
  readonly grants: Map<string, number>;
  readonly bans: Map<string, number>;
  /** SYNs that got past the rules while someone else had taken them away: that is not nfknock's doing. */
  excused: number;
}

/** A client's addresses: `192.0.2.100` on. */
const OWNERS = 40;
const STRANGERS = 90;
export const ownerAt = (index: number): string => `192.0.2.${100 + (index % OWNERS)}`;
export const strangerAt = (index: number): string => `198.51.100.${100 + (index % STRANGERS)}`;
/** Never does anything wrong. */
export const INNOCENT = '198.51.100.99';

/** As root, or as the unit file's user, who has CAP_NET_ADMIN alone. */
export type Who = 'root' | 'user';

export async function createWorld(who: Who): Promise<World> {
  const net = await createNet();
  for (const port of [SERVICE, OPEN_PORT]) await net.server.listen(port);
  for (let index = 0; index < OWNERS; index += 1) await net.clientA.addAddress(ownerAt(index));
  for (let index = 0; index < STRANGERS; index += 1) await net.clientB.addAddress(strangerAt(index));
  await net.clientB.addAddress(INNOCENT);
  const options: DaemonOptions =
    who === 'root' ? {} : { folder: ownFolder(), before: await asUser(net.server), args: ['--no-install'] };
  const daemon = await net.server.startDaemon(BASE, options);
  // Nobody owns this network: whoever of it gets past the rules was let in by mistake.
  const port = await watchPort(net.server, SERVICE, '192.0.2.0/24');
  return { net, daemon, options, port, flood: buildFlood(), grants: new Map(), bans: new Map(), excused: 0 };
}

/** Strangers try the protected port all the time, 200 times a second. */
export function keepTrying({ net: { clientB }, flood }: World): () => void {
  let going = true;
  let child: ReturnType<typeof startProcess> | undefined;
  const begin = (): void => {
    const args = ['-d', clientB.server4, '-p', `${SERVICE}`, '-s', '203.0.113.128/25'];
    child = startProcess(clientB.namespace, [flood, ...args, '-r', '200', '-n', '10000', '-t', '50']);
    child.on('exit', () => going && begin());
  };
  begin();
  return () => {
    going = false;
    child?.kill('SIGKILL');
  };
}

/** Sends from this address from now on. */
export async function sendFrom(client: Client, source: string): Promise<void> {
  const network = source.startsWith('192') ? '192.0.2.0/24' : '198.51.100.0/24';
  const { code, stderr } = await client.exec([
    'ip',
    'route',
    'replace',
    network,
    'dev',
    'eth0',
    'src',
    source,
  ]);
  if (code !== 0) throw new Error(stderr);
}

export function isLetIn({ net: { clientA } }: World, owner: string, wanted: boolean): Promise<boolean> {
  return clientA.canConnect(clientA.server4, SERVICE, wanted ? CONNECT_TIMEOUT : REFUSED_AFTER, owner);
}

/** Whether a stranger reaches what is open to everyone who is not banned. */
export function isServed({ net: { clientB } }: World, stranger: string, wanted: boolean): Promise<boolean> {
  return clientB.canConnect(clientB.server4, OPEN_PORT, wanted ? CONNECT_TIMEOUT : REFUSED_AFTER, stranger);
}

/** Looks from outside at a few of those whom the model knows; answers with what is not as it should be. */
export async function lookAround(
  world: World,
  pick: (from: readonly string[]) => string | undefined,
): Promise<string[]> {
  const now = Date.now();
  const those = (map: ReadonlyMap<string, number>, is: (until: number) => boolean): string | undefined =>
    pick([...map].filter(([, until]) => is(until)).map(([address]) => address));
  const wrong: string[] = [];
  const inside = those(world.grants, (until) => until > now + CONNECT_TIMEOUT + NEAR_END);
  if (inside !== undefined && !(await isLetIn(world, inside, true)))
    wrong.push(`${inside} is not let in any more`);
  const over = those(world.grants, (until) => until < now - END_SLACK);
  if (over !== undefined && (await isLetIn(world, over, false))) wrong.push(`${over} is let in still`);
  const banned = those(world.bans, (until) => until > now + NEAR_END);
  if (banned !== undefined && (await isServed(world, banned, false)))
    wrong.push(`${banned} is not banned any more`);
  const free = those(world.bans, (until) => until < now - END_SLACK);
  if (free !== undefined && !(await isServed(world, free, true))) wrong.push(`${free} is banned still`);
  if (!(await isServed(world, INNOCENT, true))) wrong.push(`${INNOCENT} is banned without a reason`);
  const { leaked } = await world.port.read();
  if (leaked !== world.excused) wrong.push(`${leaked - world.excused} SYNs of strangers got past the rules`);
  return wrong;
}

type Ends = ReadonlyMap<string, number>;

/** Holds what the kernel, the daemon, its state file and the model say against each other; ends the daemon. */
export async function agree(world: World): Promise<string[]> {
  const { net, daemon } = world;
  // The commands find the daemon by the file, which may be a wrong one.
  daemon.rewrite(BASE);
  const horizon = Date.now() + NEAR_END;
  const far = (ends: Ends): Ends => new Map([...ends].filter(([, until]) => until > horizon));
  const kernel = { grants: await kernelGrants(net), bans: await banEnds(net) };
  const rows = await Promise.all([told(world, 'grants', 'grantee'), told(world, 'bans', 'target')]);
  const status = JSON.parse((await nfknock(net.server, daemon, 'status', '--json')).stdout) as {
    bans: number;
    doors: { name: string; open: number }[];
    state: { ok: boolean };
    firewall: { ok: boolean };
  };
  await daemon.stop();
  const kept = openStore(join(daemon.folder, 'state.db'), { now: Date.now() }).store;
  const stored = kept.load(Date.now());
  kept.close();
  const file = {
    grants: new Map(
      stored.grants.map(({ grantee, until }) => [
        grantee === 'any' ? 'any' : plain(formatCidr(grantee)),
        until,
      ]),
    ),
    bans: new Map(stored.bans.map(({ target, until }) => [plain(formatCidr(target)), until])),
  };
  const [grants, bans] = rows;
  const wrong = [
    ...differences('grants: kernel and daemon', far(kernel.grants), far(grants), 'same'),
    ...differences('grants: state file and daemon', far(file.grants), far(grants), 'same'),
    ...differences('grants: model and daemon', far(world.grants), far(grants), 'same'),
    ...differences('bans: kernel and daemon', far(kernel.bans), far(bans), 'same'),
    ...differences('bans: state file and daemon', far(file.bans), far(bans), 'same'),
    // Forged packets of the floods have banned others besides.
    ...differences('bans: model and daemon', far(world.bans), far(bans), 'at least'),
  ];
  if (Math.abs(status.bans - bans.size) > 0 && far(bans).size === bans.size)
    wrong.push(`status counts ${status.bans} bans`);
  if (!status.state.ok || !status.firewall.ok) wrong.push(`status: ${JSON.stringify(status)}`);
  return wrong;
}

/** Kernel and daemon may tell an end in whole seconds. */
const SAME_END = 2_100;

function differences(what: string, one: Ends, other: Ends, how: 'same' | 'at least'): string[] {
  const wrong = [...one].flatMap(([address, until]) => {
    const there = other.get(address);
    if (there === undefined) return [`${what}: ${address} only in the first`];
    return Math.abs(there - until) > SAME_END
      ? [`${what}: ${address} ends ${there - until} ms later in the second`]
      : [];
  });
  if (how === 'at least') return wrong;
  return [
    ...wrong,
    ...[...other.keys()].filter((key) => !one.has(key)).map((key) => `${what}: ${key} only in the second`),
  ];
}

async function kernelGrants({ server }: Net): Promise<Ends> {
  const ends = new Map<string, number>();
  for (const tool of ['iptables', 'ip6tables']) {
    const { stdout } = await server.exec([tool, '-S', 'NFKNOCK-GRANT']);
    for (const rule of stdout.split('\n').filter((line) => line.startsWith('-A'))) {
      const source = / -s (\S+)\/(?:32|128) /.exec(rule)?.[1] ?? 'any';
      if (ends.has(source)) ends.set(`${source} twice`, Number.MAX_SAFE_INTEGER);
      ends.set(source, Number(/until=(\d+)/.exec(rule)?.[1]));
    }
  }
  return ends;
}

async function banEnds({ server }: Net): Promise<Ends> {
  const now = Date.now();
  return new Map([...(await kernelBans(server))].map(([target, seconds]) => [target, now + seconds * 1000]));
}

async function told(world: World, command: string, field: string): Promise<Ends> {
  const { stdout } = await nfknock(world.net.server, world.daemon, command, '--json');
  const rows = JSON.parse(stdout) as readonly Readonly<Record<string, string>>[];
  return new Map(rows.map((row) => [row[field] ?? '', Date.parse(row['until'] ?? '')]));
}

function plain(cidr: string): string {
  return cidr.replace(/\/(32|128)$/, '');
}

/** What the daemon's process holds: resident bytes and open descriptors. */
export function footprint({ daemon }: World): { readonly rss: number; readonly files: number } {
  const status = readFileSync(`/proc/${daemon.pid}/status`, 'utf8');
  const rss = Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
  return { rss, files: readdirSync(`/proc/${daemon.pid}/fd`).length };
}
