import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { chart, figure } from './chart.ts';
import type { Growth } from './growth.ts';
import type { Opening } from './latency.ts';
import type { Share } from './profile.ts';
import { targetTable } from './targets.ts';
import type { Cost } from './throughput.ts';

export interface Daemon {
  /** Milliseconds from its start to `daemon.ready`, median. */
  readonly ready: number;
  /** Bytes in use once every table is full. */
  readonly full: number;
  readonly sources: number;
  readonly bans: number;
  /** Bans a second that reached the set, each from a forged packet to a decoy, through the whole daemon. */
  readonly bansPerSecond: number;
  /** From the firewall room into a set, in batches of 1,000. */
  readonly batched: number;
}

export interface Replay {
  /** Packets a second of processor. */
  readonly mixed: number;
  readonly flood: number;
}

export interface Results {
  readonly quick: boolean;
  readonly machine: readonly string[];
  readonly costs: readonly Cost[];
  readonly openings: readonly Opening[];
  readonly standing: readonly Opening[];
  readonly growth: readonly Growth[];
  readonly daemon: Daemon | undefined;
  readonly replay: Replay | undefined;
  /** Where the time goes: under forged first knocks, and under decoy hits that are a ban each. */
  readonly knocks: readonly Share[];
  readonly banned: readonly Share[];
  readonly notes: readonly string[];
}

/** Writes the tables and the drawings. */
export function writeResults(folder: string, results: Results): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'results.json'), `${JSON.stringify(results, undefined, 1)}\n`);
  writeFileSync(join(folder, 'RESULTS.md'), markdown(results));
  if (results.costs.length > 0) drawCosts(folder, results.costs);
  if (results.openings.length > 0) drawOpenings(folder, results.openings);
}

function drawCosts(folder: string, costs: readonly Cost[]): void {
  const top = Math.max(...costs.map(({ rate }) => (rate === 0 ? Infinity : rate)));
  const shown = costs.filter(({ rate }) => (rate === 0 ? Infinity : rate) === top);
  const bars = shown.map(({ name, micros }) => ({
    label: name,
    value: micros,
    ours: name.startsWith('nfknock'),
  }));
  writeFileSync(
    join(folder, 'cost.svg'),
    chart(`Processor time a packet, ${rateOf(top === Infinity ? 0 : top)}`, 'µs', bars),
  );
}

function drawOpenings(folder: string, openings: readonly Opening[]): void {
  const idle = openings.filter(({ under, opened }) => under === 'idle' && opened > 0);
  const open = idle.map(({ name, p50 }) => ({ label: name, value: p50, ours: name.startsWith('nfknock') }));
  writeFileSync(
    join(folder, 'opening.svg'),
    chart('From the last knock to an open port, median', 'ms', open),
  );
}

function markdown(results: Results): string {
  const { costs, openings, standing, growth, daemon, replay } = results;
  const parts = [
    '# Results',
    `Written by \`npm run bench\`${results.quick ? ' `-- --quick`: shorter runs, coarser figures' : ''}. Read the ratios: the absolute figures are this machine's.`,
    results.machine.map((line) => `* ${line}`).join('\n'),
    ...(results.notes.length > 0 ? [results.notes.map((line) => `* ${line}`).join('\n')] : []),
    '## What was wanted, and what came of it',
    targetTable(results),
    '## What a packet costs',
    'Forged first knocks, each from a source of its own (IPv6), through the rules that nfknock lays. "textbook C" is libnetfilter_queue with one recv and one verdict a packet, "best C" the bare kernel interface with recvmmsg and one verdict a batch; both drop every packet and do nothing else. knockd reads through libpcap, and nobody counts what it misses: its packets are those that were sent, so what it costs for each that it took is more than its row says. µs are processor time of the whole process, user and system; × is the ratio to textbook C at the same rate.',
    costTable(costs),
    '![processor time a packet](cost.svg)',
    ...(results.knocks.length === 0
      ? []
      : [
          '## Where the time goes',
          "The daemon under all that goes, each packet a first knock of a new source, or each a ban (`strikes: 1`). The kernel's share is what the kernel counts; the rest is shared out as V8's profiler finds it.",
          shareTable(results.knocks, results.banned),
        ]),
    '## From the last knock to an open port',
    'Seen from outside: from before the last knock is sent to the first answer of the port, which is tried every 0.1 ms.',
    openingTable(openings),
    '![from the last knock to an open port](opening.svg)',
    '## Standing under a flood',
    'An honest knocker tries again and again, each time from the next address, without repeating a knock. A door that has not opened after two seconds counts as shut.',
    openingTable(standing),
    '## Growth',
    "What the engine and what surrounds it cost a packet in this daemon's own process, without the kernel, and how much its memory grew by. × is the ratio to the row's smallest size.",
    growthTable(growth),
    ...(daemon === undefined ? [] : ['## The daemon', daemonTable(daemon)]),
    ...(replay === undefined
      ? []
      : [
          '## Replay',
          `${figure(replay.mixed)} packets a second of processor time for mixed traffic, ${figure(replay.flood)} for a flood of sources that come once, start-up included.`,
        ]),
  ];
  return `${parts.join('\n\n')}\n`;
}

function costTable(costs: readonly Cost[]): string {
  const rows = costs.map((cost) => {
    const base = costs.find(({ name, rate }) => name === 'textbook C' && rate === cost.rate);
    const ratio = base === undefined ? Number.NaN : cost.micros / base.micros;
    const lost = cost.lost === undefined ? 'not told' : `${figure(cost.lost * 100)} %`;
    return `| ${rateOf(cost.rate)} | ${cost.name} | ${figure(cost.offered)} | ${lost} | ${figure(cost.micros)} | ${figure(ratio)} | ${figure(cost.memory / 1e6)} |`;
  });
  return `| asked for | reader | came, a second | lost | µs a packet | × | MB |\n| --- | --- | --: | --: | --: | --: | --: |\n${rows.join('\n')}`;
}

function shareTable(knocks: readonly Share[], banned: readonly Share[]): string {
  const parts = [...new Set([...knocks, ...banned].map(({ part }) => part))];
  const of = (shares: readonly Share[], part: string): string =>
    `${figure(100 * (shares.find((each) => each.part === part)?.share ?? 0))} %`;
  const rows = parts.map((part) => `| ${part} | ${of(knocks, part)} | ${of(banned, part)} |`);
  return `| part | first knocks | bans |\n| --- | --: | --: |\n${rows.join('\n')}`;
}

function openingTable(openings: readonly Opening[]): string {
  const rows = openings.map(
    ({ name, under, rate, offered, opened, tries, p50, p99 }) =>
      `| ${under} | ${under === 'idle' ? '' : rateOf(rate)} | ${under === 'idle' ? '' : figure(offered)} | ${name} | ${opened} of ${tries} | ${figure(p50)} | ${figure(p99)} |`,
  );
  return `| under | asked for | handed on, a second | who | opened | p50 ms | p99 ms |\n| --- | --- | --: | --- | --: | --: | --: |\n${rows.join('\n')}`;
}

function growthTable(growth: readonly Growth[]): string {
  const rows = growth.map(({ what, size, micros, memory }) => {
    const base = growth.find((each) => each.what === what);
    return `| ${what} | ${size.toLocaleString('en')} | ${figure(micros)} | ${figure(micros / (base?.micros ?? micros))} | ${figure(memory / 1e6)} |`;
  });
  return `| of | how many | µs a packet | × | MB |\n| --- | --: | --: | --: | --: |\n${rows.join('\n')}`;
}

function daemonTable({ ready, full, sources, bans, bansPerSecond, batched }: Daemon): string {
  return [
    '| | |',
    '| --- | --: |',
    `| from start to ready, ms | ${figure(ready)} |`,
    `| memory with ${sources.toLocaleString('en')} sources and ${bans.toLocaleString('en')} bans, MB | ${figure(full / 1e6)} |`,
    `| bans into the kernel, a second, in batches of 1,000 | ${figure(batched)} |`,
    `| bans through the whole daemon, a second, each from one forged packet | ${figure(bansPerSecond)} |`,
  ].join('\n');
}

function rateOf(rate: number): string {
  return rate === 0 ? 'all that go' : `${rate.toLocaleString('en')}/s`;
}
