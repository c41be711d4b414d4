import { once } from 'node:events';
import { FORGED, memoryOf, type Net, processorOf, SERVER6, sleep } from './net.ts';
import { isThere, lostByQueue, type Name, type Rival, startRival } from './rival.ts';

export interface Cost {
  readonly name: Name;
  /** Packets a second asked for; 0: as many as go. */
  readonly rate: number;
  /** Packets a second that reached the rules. */
  readonly offered: number;
  /** Share of them that the reader never saw, 0–1; undefined where nobody counts. */
  readonly lost: number | undefined;
  /** Microseconds of processor, user and system, for each packet taken. */
  readonly micros: number;
  /** Bytes. */
  readonly memory: number;
}

export interface Plan {
  readonly rates: readonly number[];
  readonly seconds: number;
  readonly names: readonly Name[];
}

/** Forged first knocks, each of a source of its own: what costs the daemon most. */
export async function throughput(net: Net, plan: Plan, say: (cost: Cost) => void): Promise<readonly Cost[]> {
  const costs: Cost[] = [];
  for (const rate of plan.rates) {
    for (const name of plan.names.filter(isThere)) {
      const rival = await startRival(net, name);
      // Compilers and tables warm up first; nobody restarts a daemon for a flood.
      await flood(net, { rate: 100_000, seconds: 0.5, port: '7000' });
      await settled(rival);
      const cost = await measure(net, rival, rate, plan.seconds);
      await rival.stop();
      say(cost);
      costs.push(cost);
    }
  }
  return costs;
}

async function measure(net: Net, rival: Rival, rate: number, seconds: number): Promise<Cost> {
  const used = (): number => rival.pids.reduce((sum, pid) => sum + processorOf(pid), 0);
  const before = { offered: net.offered(), taken: rival.taken(), lost: lostByQueue(net), used: used() };
  const sent = await flood(net, { rate, seconds, port: '7000' });
  await settled(rival);
  const offered = rival.name === 'knockd' ? sent.sent : net.offered() - before.offered;
  const taken = rival.taken();
  const isLogged = rival.name.includes('NFLOG');
  const seen = taken === undefined ? offered : taken - (before.taken ?? 0);
  const lost = isLogged ? offered - seen : lostByQueue(net) - before.lost;
  return {
    name: rival.name,
    rate,
    offered: offered / sent.seconds,
    lost: taken === undefined ? undefined : Math.max(0, lost) / offered,
    micros: ((used() - before.used) * 1e6) / Math.max(1, isLogged ? seen : offered - lost),
    memory: rival.pids.reduce((sum, pid) => sum + memoryOf(pid), 0),
  };
}

/** Waits until the reader has nothing left to do. */
async function settled(rival: Rival): Promise<void> {
  const used = (): number => rival.pids.reduce((sum, pid) => sum + processorOf(pid), 0);
  for (let last = -1, now = used(), looks = 0; now - last > 0.01 && looks < 20; looks += 1) {
    last = now;
    await sleep(100);
    now = used();
  }
}

export interface Flood {
  readonly rate: number;
  readonly seconds: number;
  /** A port, or a range. */
  readonly port: string;
  /** Default: sources at random. */
  readonly source?: string;
  readonly seed?: number;
}

const SECONDS_MAX = 60;
const COUNT_MAX = 10_000_000;
let floods = 0;

export function floodArgv(net: Net, { rate, seconds, port, source = FORGED }: Flood): readonly string[] {
  floods += 1;
  const count = rate === 0 ? COUNT_MAX : Math.min(COUNT_MAX, Math.round(rate * seconds));
  const time = Math.min(SECONDS_MAX, Math.max(1, Math.ceil(seconds * (rate === 0 ? 1 : 2))));
  return [
    `${net.folder}/flood`,
    '-d',
    SERVER6,
    '-s',
    source,
    '-p',
    port,
    '-r',
    `${rate}`,
    '-n',
    `${count}`,
    '-t',
    `${time}`,
    '-e',
    `${floods}`,
  ];
}

export async function flood(net: Net, what: Flood): Promise<{ sent: number; seconds: number }> {
  const child = net.start(net.client, floodArgv(net, what), 'pipe');
  let text = '';
  child.stdout?.on('data', (data) => {
    text += data;
  });
  await once(child, 'close');
  return JSON.parse(text);
}
