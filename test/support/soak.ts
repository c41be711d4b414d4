import { writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { nfknock } from './bans-lab.ts';
import type { Line } from './daemon.ts';
import {
  agree,
  createWorld,
  footprint,
  isLetIn,
  isServed,
  KNOCKS,
  keepTrying,
  lookAround,
  ownerAt,
  sendFrom,
  strangerAt,
  VARIANTS,
  type Who,
  type World,
} from './soak-world.ts';

/*
 * Everything that happens to a daemon on a bastion, in a random order that a seed repeats: people who knock and
 * renew, scans, floods of forged packets, orders by hand, reloads, other programs that change the rules, kill -9 and
 * restarts. After each a few are looked at from outside; at the end everyone concerned must agree.
 */

export interface SoakOptions {
  readonly seconds: number;
  readonly seed: number;
  readonly who: Who;
  readonly say: (text: string) => void;
}

export interface SoakReport {
  /** How often each thing was done. */
  readonly done: Readonly<Record<string, number>>;
  /** What was not as it should be; empty: all was well. */
  readonly wrong: readonly string[];
  /** SYNs of strangers to the protected port that arrived. */
  readonly strangers: number;
  /** Resident bytes and descriptors of the last daemon, about once a second. */
  readonly footprints: readonly { readonly rss: number; readonly files: number }[];
}

type Action = (world: World, random: Random) => Promise<void>;
type Random = (below: number) => number;

/** How long to wait for what a daemon does within 5 s, on a busy machine. */
const PATIENCE = 20_000;
/** The last part of a soak is without restarts, so that a leak can be seen. */
const STEADY_SHARE = 0.5;

/** Kinds of things that happen at least. */
export const KINDS_LEAST = 9;

export async function soak({ seconds, seed, who, say }: SoakOptions): Promise<SoakReport> {
  const random = randomFrom(seed);
  const world = await createWorld(who);
  const wrong: string[] = [];
  const done: Record<string, number> = {};
  const footprints: { rss: number; files: number }[] = [];
  const stopStrangers = keepTrying(world);
  try {
    const began = performance.now();
    let last = began;
    let deck: string[] = [];
    // On a slow machine it takes longer until enough has happened, but not for ever.
    const goesOn = (ms: number): boolean =>
      ms < seconds * 1000 || (Object.keys(done).length < KINDS_LEAST && ms < seconds * 5_000);
    for (let now = began; goesOn(now - began); now = performance.now()) {
      const steady = (now - began) / (seconds * 1000) > 1 - STEADY_SHARE;
      if (deck.length === 0) deck = shuffled(Object.keys(ACTIONS), random);
      const name = deck.pop() ?? '';
      if (steady && RESTARTS.includes(name)) continue;
      await ACTIONS[name]?.(world, random).catch((error: unknown) => wrong.push(`${name}: ${String(error)}`));
      done[name] = (done[name] ?? 0) + 1;
      const seen = await lookAround(world, (from) => from[random(from.length)]);
      wrong.push(...seen.map((what) => `${((now - began) / 1000).toFixed(0)} s, after ${name}: ${what}`));
      if (steady && performance.now() - last > 1_000) {
        last = performance.now();
        footprints.push(footprint(world));
      }
      if (wrong.length > 20) break;
    }
    stopStrangers();
    await sleep(1_500);
    const { strangers } = await world.port.read();
    wrong.push(...(await agree(world)));
    say(`seed ${seed}, as ${who}: ${JSON.stringify(done)}`);
    return { done, wrong, strangers, footprints };
  } finally {
    stopStrangers();
    await world.daemon.stop('SIGKILL');
    world.net.close();
  }
}

const RESTARTS: readonly string[] = ['kill', 'stop', 'flush and kill'];

const ACTIONS: Readonly<Record<string, Action>> = {
  knock: async (world, random) => {
    const { clientA } = world.net;
    const now = Date.now();
    const free = Array.from({ length: 40 }, (_, index) => ownerAt(index)).filter(
      (address) => (world.grants.get(address) ?? 0) < now - 1_500,
    );
    const owner = free[random(free.length)];
    if (owner === undefined) return;
    await sendFrom(clientA, owner);
    await clientA.exec(['knock', clientA.server4, ...KNOCKS]);
    await opened(world, 'door.opened', owner);
    if (!(await isLetIn(world, owner, true))) throw new Error(`${owner} knocked and is not let in`);
  },
  renew: async (world, random) => {
    const { clientA } = world.net;
    const owner = alive(world.grants, random);
    if (owner === undefined) return;
    await sendFrom(clientA, owner);
    await clientA.exec(['knock', clientA.server4, ...KNOCKS]);
    await opened(world, 'door.renewed', owner);
  },
  'half a knock': async (world, random) => {
    await sendFrom(world.net.clientA, ownerAt(random(40)));
    await world.net.clientA.exec(['knock', world.net.clientA.server4, '7000']);
  },
  touch: async (world, random) => {
    const stranger = newcomer(world, random);
    await sendFrom(world.net.clientB, stranger);
    await world.net.clientB.exec(['knock', world.net.clientB.server4, '2323', '3389', '11', '12']);
    await banned(world, stranger);
  },
  scan: async (world, random) => {
    const stranger = newcomer(world, random);
    const { clientB } = world.net;
    await sendFrom(clientB, stranger);
    await clientB.exec([
      'nmap',
      '-n',
      '-Pn',
      '-sS',
      '--max-retries',
      '0',
      '-T5',
      '-p',
      '1-60',
      clientB.server4,
    ]);
    await banned(world, stranger);
  },
  flood: async ({ net: { clientB }, flood }) => {
    const args = [
      '-d',
      clientB.server4,
      '-s',
      '203.0.113.0/25',
      '-p',
      '7000-7400',
      '-n',
      '20000',
      '-r',
      '20000',
    ];
    await clientB.exec([flood, ...args, '-t', '3']);
  },
  grant: async (world, random) => {
    const owner = ownerAt(random(40));
    const { stdout } = await order(world, 'grant', 'ssh', owner, '--for', '15s', '--json');
    world.grants.set(owner, Date.parse((JSON.parse(stdout) as { until: string }).until));
  },
  revoke: async (world, random) => {
    const owner = alive(world.grants, random);
    if (owner === undefined) return;
    await order(world, 'revoke', owner);
    world.grants.set(owner, 0);
    if (await isLetIn(world, owner, false)) throw new Error(`${owner} was revoked and is let in`);
  },
  ban: async (world, random) => {
    const stranger = newcomer(world, random);
    const { stdout } = await order(world, 'ban', stranger, '--for', '30s', '--json');
    world.bans.set(stranger, Date.parse((JSON.parse(stdout) as { until: string }).until));
  },
  unban: async (world, random) => {
    const stranger = alive(world.bans, random);
    if (stranger === undefined) return;
    await order(world, 'unban', stranger);
    world.bans.set(stranger, 0);
    if (!(await isServed(world, stranger, true))) throw new Error(`${stranger} was unbanned and is banned`);
  },
  reload: async (world, random) => reload(world, VARIANTS[random(VARIANTS.length)] ?? {}, 'daemon.reloaded'),
  'wrong file': async (world) => {
    await reload(world, { doors: { ssh: { knock: [], opens: ['x'] } } }, 'config.rejected');
    writeFileSync(world.daemon.config, 'neither this: is [a configuration\n');
  },
  flush: (world) => tamper(world, 'iptables -F && ip6tables -F'),
  'remove chains': (world) => tamper(world, 'for t in iptables ip6tables; do $t -F; $t -X; done'),
  'go before us': (world) => tamper(world, 'iptables -I INPUT 1 -p tcp --dport 9999 -j ACCEPT'),
  'flush sets': async (world) => {
    if (alive(world.bans, () => 0) !== undefined) await tamper(world, 'ipset flush');
  },
  kill: (world) => restart(world, 'SIGKILL'),
  stop: (world) => restart(world, 'SIGTERM'),
  'flush and kill': async (world) => {
    const { leaked } = await world.port.read();
    await world.net.server.exec(['iptables', '-F']);
    await restart(world, 'SIGKILL');
    world.excused += (await world.port.read()).leaked - leaked;
  },
  idle: (_world, random) => sleep(200 + random(1_000)),
};

/** Someone else changes the rules, and the daemon puts them back. What slips in meanwhile is not its doing. */
async function tamper(world: World, command: string): Promise<void> {
  const { leaked } = await world.port.read();
  try {
    await again(world, 'firewall.repaired', () => world.net.server.exec(['sh', '-c', command]));
  } finally {
    await sleep(50);
    world.excused += (await world.port.read()).leaked - leaked;
  }
}

async function reload(world: World, config: object, event: string): Promise<void> {
  world.daemon.rewrite(config);
  await again(world, event, () => Promise.resolve(world.daemon.signal('SIGHUP')));
}

async function restart(world: World, signal: NodeJS.Signals): Promise<void> {
  const { folder } = world.daemon;
  await world.daemon.stop(signal);
  world.daemon = await world.net.server.startDaemon(VARIANTS[0] ?? {}, {
    ...world.options,
    folder,
    timeout: PATIENCE,
  });
}

async function order(world: World, ...args: readonly string[]): Promise<{ readonly stdout: string }> {
  // The file may be a wrong one; the daemon listens where it did.
  world.daemon.rewrite(VARIANTS[0] ?? {});
  const { code, stdout, stderr } = await nfknock(world.net.server, world.daemon, ...args);
  if (code !== 0) throw new Error(`${args.join(' ')}: ${stderr}`);
  return { stdout };
}

async function opened(world: World, event: string, source: string): Promise<void> {
  const line = await freshLine(world, { event, source });
  world.grants.set(source, Date.parse(line.until ?? ''));
}

async function banned(world: World, source: string): Promise<void> {
  const line = await freshLine(world, { event: 'ban.added', source });
  world.bans.set(source, Date.parse(line.until ?? ''));
}

/** A line whose end lies ahead: the same source may have had others before. */
async function freshLine({ daemon }: World, wanted: Partial<Line>): Promise<Line> {
  const since = Date.now() - 5_000;
  for (let waited = 0; waited < PATIENCE; waited += 20) {
    const found = daemon.seen(wanted).findLast((line) => Date.parse(line.time) > since);
    if (found !== undefined) return found;
    await sleep(20);
  }
  throw new Error(`no ${JSON.stringify(wanted)}, but ${JSON.stringify(daemon.lines.slice(-6))}`);
}

/** Does something and waits for one more of an event. */
async function again({ daemon }: World, event: string, act: () => Promise<unknown>): Promise<void> {
  const before = daemon.seen({ event }).length;
  await act();
  for (let waited = 0; daemon.seen({ event }).length === before; waited += 20) {
    if (waited >= PATIENCE) throw new Error(`no ${event}, but ${JSON.stringify(daemon.lines.slice(-6))}`);
    await sleep(20);
  }
}

/** Someone whose time has a while to go. */
function alive(ends: ReadonlyMap<string, number>, random: Random): string | undefined {
  const those = [...ends].filter(([, until]) => until > Date.now() + 6_000).map(([address]) => address);
  return those[random(those.length)];
}

/** A stranger who is not banned, nor was a moment ago. */
function newcomer(world: World, random: Random): string {
  const free = Array.from({ length: 90 }, (_, index) => strangerAt(index)).filter(
    (address) => (world.bans.get(address) ?? 0) < Date.now() - 2_000,
  );
  return free[random(free.length)] ?? strangerAt(0);
}

function shuffled(names: readonly string[], random: Random): string[] {
  return names
    .map((name) => [random(2 ** 30), name] as const)
    .sort(([x], [y]) => x - y)
    .map(([, name]) => name);
}

/** mulberry32: the same numbers for the same seed. */
function randomFrom(seed: number): Random {
  let state = seed | 0;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let value = Math.imul(state ^ (state >>> 15), 1 | state);
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value;
    return Math.floor((((value ^ (value >>> 14)) >>> 0) / 4_294_967_296) * below);
  };
}
