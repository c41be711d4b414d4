import { join } from 'node:path';
import { memoryOf, type Net, sleep } from './net.ts';
import type { Daemon } from './results.ts';
import { startRival } from './rival.ts';
import { flood } from './throughput.ts';

/** How long it takes to start, and what it holds when every table is full. */
export async function measureDaemon(net: Net, starts: number, packets: number): Promise<Daemon> {
  const times: number[] = [];
  for (let each = 0; each < starts; each += 1) {
    const begun = performance.now();
    const rival = await startRival(net, 'nfknock');
    times.push(performance.now() - begun);
    await rival.stop();
  }
  times.sort((x, y) => x - y);
  const rival = await startRival(net, 'nfknock', { bans: { strikes: 1 } });
  // First knocks fill the table of attempts; then decoys, of which one is enough, fill the bans.
  await flood(net, { rate: 0, seconds: 4, port: '7000' });
  const before = bansIn(net);
  const begun = performance.now();
  await flood(net, { rate: packets, seconds: 1, port: '5900' });
  let held = bansIn(net);
  for (let looks = 0, last = -1; held > last && looks < 100; looks += 1) {
    last = held;
    await sleep(50);
    held = bansIn(net);
  }
  const bansPerSecond = ((held - before) / (performance.now() - begun)) * 1000;
  await flood(net, { rate: 0, seconds: 4, port: '5900' });
  await sleep(500);
  const status = JSON.parse(
    net.run(net.server, [
      process.execPath,
      'dist/bin/nfknock.js',
      'status',
      '--json',
      '-c',
      join(net.folder, 'nfknock.yaml'),
    ]),
  ) as { bans: number; sources: number };
  const full = memoryOf(rival.pids[0] ?? 0);
  await rival.stop();
  const median = times[Math.floor(times.length / 2)] ?? Number.NaN;
  const batched = Number(net.run(net.server, [process.execPath, 'dist/bench/test/bench/bans.js']));
  return { ready: median, full, sources: status.sources, bans: status.bans, bansPerSecond, batched };
}

function bansIn(net: Net): number {
  const text = net.run(net.server, ['ipset', 'list', '-t']);
  let sum = 0;
  for (const [, entries] of text.matchAll(/^Number of entries: (\d+)/gm)) sum += Number(entries);
  return sum;
}

/** What `replay.ts` says of itself. */
export function replayRate(text: string): number {
  return Number(/: ([\d,]+) a second of processor/.exec(text)?.[1]?.replaceAll(',', '') ?? Number.NaN);
}
