import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type Net, sleep, timesOf } from './net.ts';
import { startRival } from './rival.ts';
import { flood } from './throughput.ts';

/** What the daemon's main thread spent its time on while it was flooded. */
export interface Share {
  readonly part: string;
  /** Of the time that it did not wait, 0–1. */
  readonly share: number;
}

interface Profile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: { readonly functionName: string; readonly url: string };
  }[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

const KERNEL = 'the kernel, in its name';
const NATIVE = 'native code outside JavaScript';
const REST = 'the rest of Node';

/** By where the code is; the first that fits counts. */
const PARTS: readonly (readonly [part: string, where: RegExp])[] = [
  [NATIVE, /\((idle|program)\)/],
  ['collecting garbage', /\(garbage collector\)/],
  ['judging: the rules, and their entries in tables', /\/engine\//],
  ['decoding', /\/packet\//],
  ['keeping state', /\/state\/|better-sqlite3/],
  ['telling the kernel', /\/firewall\/|netlink/],
  ['announcing and counting', /\/(log|metrics)\/|\/live\/(announce|recent-count|packet-history)\.js/],
  ['taking batches in', /\/live\/|\/source\/|clock\.js/],
];
/** Profiles the daemon, in its parts, under as many packets to `port` as go. */
export async function profile(net: Net, port: string, bans: object = {}): Promise<readonly Share[]> {
  const folder = join(net.folder, 'profile');
  mkdirSync(folder, { recursive: true });
  const begun = performance.now();
  const rival = await startRival(net, 'nfknock', { bans, profile: folder });
  const start = performance.now() - begun;
  const before = timesOf(rival.pids[0] ?? 0);
  await flood(net, { rate: 0, seconds: 6, port });
  await sleep(200);
  const after = timesOf(rival.pids[0] ?? 0);
  const system = after.system - before.system;
  const share = system / (system + after.user - before.user);
  await rival.stop();
  const [file] = readdirSync(folder);
  if (file === undefined) throw new Error('the daemon left no profile');
  const found = JSON.parse(readFileSync(join(folder, file), 'utf8')) as Profile;
  rmSync(folder, { recursive: true });
  return sharesOf(found, start * 1000, share);
}

/**
 * Leaves out the first `start` microseconds. What the kernel took is told by the kernel: `system`, 0–1. The rest is
 * shared out as V8 found it; native code that libuv calls looks like idleness to V8, and is left out.
 */
function sharesOf({ nodes, samples, timeDeltas }: Profile, start: number, system: number): readonly Share[] {
  const partOf = new Map(
    nodes.map(({ id, callFrame }) => {
      const where = `${callFrame.url} ${callFrame.functionName}`;
      return [id, PARTS.find(([, each]) => each.test(where))?.[0] ?? REST];
    }),
  );
  const spent = new Map<string, number>();
  let at = 0;
  samples.forEach((id, index) => {
    const part = partOf.get(id) ?? REST;
    const took = timeDeltas[index] ?? 0;
    at += took;
    if (at > start) spent.set(part, (spent.get(part) ?? 0) + took);
  });
  spent.delete(NATIVE);
  const known = [...spent.values()].reduce((sum, each) => sum + each, 0);
  const shares = [...spent].map(([part, time]) => ({ part, share: (time / known) * (1 - system) }));
  return [{ part: KERNEL, share: system }, ...shares].sort((x, y) => y.share - x.share);
}
