import { execFileSync } from 'node:child_process';
import { availableParallelism, loadavg } from 'node:os';
import { figure } from './chart.ts';
import { measureDaemon, replayRate } from './daemon.ts';
import { type Growth, growth, type Sizes } from './growth.ts';
import { floods, type Opening, opening, type Trial } from './latency.ts';
import { machine } from './machine.ts';
import { createNet, type Net } from './net.ts';
import { profile } from './profile.ts';
import { type Replay, type Results, writeResults } from './results.ts';
import { isThere, type Name } from './rival.ts';
import { type Cost, type Plan, throughput } from './throughput.ts';

/* `npm run bench` (scripts/bench.sh, which says how it is called). Ends with the results written, or with why not. */

const quick = process.argv.includes('--quick');
const only = process.argv
  .find((each) => each.startsWith('--only='))
  ?.slice('--only='.length)
  .split(',');
const out = process.argv.find((each) => each.startsWith('--out='))?.slice('--out='.length) ?? 'bench';

const PEERS: readonly Name[] = ['textbook C', 'best C', 'npm nfqueue', 'knockd', 'nfknock', 'nfknock, NFLOG'];
const THROUGHPUT: Plan = quick
  ? { rates: [100_000, 0], seconds: 1, names: ['textbook C', 'best C', 'nfknock', 'nfknock, NFLOG'] }
  : {
      rates: [10_000, 100_000, 300_000, 500_000, 0],
      seconds: 2,
      names: [...PEERS, 'textbook C, 2 queues', 'nfknock, 2 queues'],
    };
const SIZES: Sizes = quick
  ? {
      packets: 100_000,
      sources: [1000, 1_000_000],
      doors: [1, 1000],
      grants: [1, 10_000],
      bans: [10, 100_000],
    }
  : {
      packets: 300_000,
      sources: [1000, 10_000, 100_000, 262_144, 1_000_000],
      doors: [1, 10, 100, 1000],
      grants: [1, 100, 10_000],
      bans: [10, 1000, 100_000, 1_000_000],
    };

async function latency(net: Net): Promise<readonly Opening[]> {
  const many = quick ? 50 : 1000;
  const few = quick ? 20 : 100;
  const first = { rate: quick ? 50_000 : 300_000, port: '7000' };
  const under = 'forged first knocks';
  return tryAll(net, [
    { name: 'nfknock', under: 'idle', tries: many },
    { name: 'nfknock, NFLOG', under: 'idle', tries: many },
    { name: 'C + iptables -I', under: 'idle', tries: few },
    { name: 'knockd', under: 'idle', tries: few },
    { name: 'nfknock', under, flood: first, tries: few },
    { name: 'nfknock, NFLOG', under, flood: first, tries: few },
    { name: 'C + iptables -I', under, flood: first, tries: quick ? 5 : 30 },
  ]);
}

async function standing(net: Net): Promise<readonly Opening[]> {
  const trials: Trial[] = [];
  for (const rate of quick ? [50_000] : [300_000, 900_000]) {
    for (const name of ['nfknock', 'nfknock, NFLOG'] as const) {
      for (const each of floods(rate)) trials.push({ name, tries: quick ? 10 : 100, ...each });
    }
  }
  for (const rate of quick ? [10_000] : [1000, 10_000, 30_000]) {
    trials.push({
      name: 'knockd',
      under: 'forged first knocks',
      flood: { rate, port: '7000' },
      tries: quick ? 3 : 5,
    });
  }
  return tryAll(net, trials);
}

async function tryAll(net: Net, trials: readonly Trial[]): Promise<readonly Opening[]> {
  const openings: Opening[] = [];
  for (const trial of trials) {
    const found = await opening(net, trial);
    if (found === undefined) continue;
    openings.push(found);
    say(
      `${found.name}, ${found.under} ${found.rate}/s: ${found.opened} of ${found.tries}, p50 ${figure(found.p50)} ms, p99 ${figure(found.p99)} ms`,
    );
  }
  return openings;
}

function replay(): Replay {
  const run = (mix: string): number =>
    replayRate(
      execFileSync(
        process.execPath,
        ['dist/bench/test/bench/replay.js', quick ? '200000' : '1000000', mix, '--no-goal'],
        {
          encoding: 'utf8',
        },
      ),
    );
  return { mixed: run('mixed'), flood: run('flood') };
}

function say(text: string): void {
  console.log(`bench: ${text}`);
}

/** Each part is written as soon as it is there: a run that is broken off has measured something. */
async function main(): Promise<void> {
  const [load = 0] = loadavg();
  const net = createNet();
  let results: Results = {
    quick,
    machine: machine(load),
    costs: [],
    openings: [],
    standing: [],
    growth: [],
    daemon: undefined,
    replay: undefined,
    knocks: [],
    banned: [],
    notes: notesOf(load),
  };
  const part = async (name: string, measure: () => Promise<Partial<Results>>): Promise<void> => {
    if (only !== undefined && !only.includes(name)) return;
    results = { ...results, ...(await measure()), machine: machine(load) };
    writeResults(out, results);
  };
  try {
    await part('throughput', async () => ({ costs: await throughput(net, THROUGHPUT, sayCost) }));
    await part('latency', async () => ({ openings: await latency(net) }));
    await part('standing', async () => ({ standing: await standing(net) }));
    await part('daemon', async () => {
      const daemon = await measureDaemon(net, quick ? 2 : 7, quick ? 50_000 : 300_000);
      say(`ready in ${figure(daemon.ready)} ms, ${figure(daemon.full / 1e6)} MB with ${daemon.bans} bans`);
      return { daemon };
    });
    await part('profile', async () => ({
      knocks: await profile(net, '7000'),
      banned: await profile(net, '5900', { strikes: 1 }),
    }));
    await part('growth', async () => ({ growth: growth(SIZES, sayGrowth) }));
    await part('replay', async () => ({ replay: replay() }));
    say(`written to ${out}/RESULTS.md`);
  } finally {
    net.close();
  }
}

function notesOf(load: number): readonly string[] {
  const notes: string[] = [];
  if (load > availableParallelism() / 2) {
    notes.push(
      'The machine had other work to do: packets came slower than asked for, each cost more than it would alone, and the slowest openings are those that waited for the processor.',
    );
  }
  if (!quick && !isThere('npm nfqueue'))
    notes.push('The npm package `nfqueue` could not be built here, so it has no rows.');
  return notes;
}

function sayCost({ name, rate, micros, lost, offered }: Cost): void {
  const told = lost === undefined ? 'unknown' : `${figure(lost * 100)} %`;
  say(`${name} at ${rate || 'the limit'}: ${figure(offered)}/s, ${figure(micros)} µs a packet, lost ${told}`);
}

function sayGrowth({ what, size, micros }: Growth): void {
  say(`${size} ${what}: ${figure(micros)} µs a packet`);
}

await main();
