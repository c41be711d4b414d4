import { figure } from './chart.ts';
import type { Opening } from './latency.ts';
import type { Results } from './results.ts';
import type { Name } from './rival.ts';

/** One thing that was wanted, and how near the run came. */
interface Target {
  readonly what: string;
  readonly wanted: string;
  /** Undefined: this run did not measure it. */
  readonly reached: number | undefined;
  readonly met: (reached: number) => boolean;
  readonly unit?: string;
}

const FLAT_OUT = 0;

/** What was wanted of the daemon before it was measured, and what this run found. */
export function targetTable(results: Results): string {
  const rows = targetsOf(results).flatMap(({ what, wanted, reached, met, unit = '' }) => {
    if (reached === undefined || !Number.isFinite(reached)) return [];
    return [`| ${what} | ${wanted} | ${figure(reached)}${unit} | ${met(reached) ? 'yes' : '**no**'} |`];
  });
  return `| | wanted | this run | met |\n| --- | --: | --: | --- |\n${rows.join('\n')}`;
}

function targetsOf(results: Results): readonly Target[] {
  return [...costTargets(results), ...openingTargets(results), ...sizeTargets(results)];
}

function atMost(most: number): Target['met'] {
  return (reached) => reached <= most;
}

function atLeast(least: number): Target['met'] {
  return (reached) => reached >= least;
}

function costTargets({ costs }: Results): readonly Target[] {
  const micros = (name: Name, rate: number): number =>
    costs.find((cost) => cost.name === name && cost.rate === rate)?.micros ?? Number.NaN;
  const rates = [...new Set(costs.map(({ rate }) => rate))];
  const worst = (of: Name, to: Name): number =>
    Math.max(...rates.map((rate) => micros(of, rate) / micros(to, rate)));
  const lost = costs.find((cost) => cost.name === 'nfknock' && cost.rate === FLAT_OUT)?.lost;
  return [
    {
      what: 'a packet by NFQUEUE, to textbook C, the worst of all rates',
      wanted: '≤ 0.6 ×',
      reached: worst('nfknock', 'textbook C'),
      met: atMost(0.6),
      unit: ' ×',
    },
    {
      what: 'a packet by NFQUEUE, to the best C, the worst of all rates',
      wanted: '≤ 0.9 ×',
      reached: worst('nfknock', 'best C'),
      met: atMost(0.9),
      unit: ' ×',
    },
    {
      what: 'lost by NFQUEUE of all that the generator could send',
      wanted: '0 %',
      reached: lost === undefined ? undefined : lost * 100,
      met: atMost(0),
      unit: ' %',
    },
    {
      what: 'a packet by NFLOG flat out, to textbook C',
      wanted: '≤ 0.15 ×',
      reached: micros('nfknock, NFLOG', FLAT_OUT) / micros('textbook C', FLAT_OUT),
      met: atMost(0.15),
      unit: ' ×',
    },
    {
      what: 'a packet by NFLOG at 100,000 a second, to textbook C',
      wanted: '≤ 0.35 ×',
      reached: micros('nfknock, NFLOG', 100_000) / micros('textbook C', 100_000),
      met: atMost(0.35),
      unit: ' ×',
    },
  ];
}

function openingTargets({ openings, standing }: Results): readonly Target[] {
  const find = (name: Name, under: 'idle' | 'flood'): Opening | undefined =>
    openings.find((each) => each.name === name && (each.under === 'idle') === (under === 'idle'));
  const idle = find('nfknock', 'idle');
  const slower = (find('knockd', 'idle')?.p50 ?? Number.NaN) / (idle?.p50 ?? Number.NaN);
  const least = (rate: number): number =>
    Math.min(
      ...standing
        .filter((each) => each.name.startsWith('nfknock') && each.rate === rate)
        .map(({ opened, tries }) => (opened / tries) * 100),
    );
  const standingAt = (rate: number, wanted: number): Target => ({
    what: `honest knocks that open under each flood, ${rate.toLocaleString('en')} a second asked for`,
    wanted: `${wanted} %`,
    reached: standing.some((each) => each.rate === rate) ? least(rate) : undefined,
    met: atLeast(wanted),
    unit: ' %',
  });
  return [
    {
      what: 'last knock to open port, idle, median',
      wanted: '≤ 0.6 ms',
      reached: idle?.p50,
      met: atMost(0.6),
      unit: ' ms',
    },
    {
      what: 'the same, 99 of 100',
      wanted: '≤ 2.5 ms',
      reached: idle?.p99,
      met: atMost(2.5),
      unit: ' ms',
    },
    { what: 'knockd takes longer', wanted: '≥ 50 ×', reached: slower, met: atLeast(50), unit: ' ×' },
    {
      what: 'last knock to open port under forged first knocks, 99 of 100',
      wanted: '≤ 50 ms',
      reached: find('nfknock', 'flood')?.p99,
      met: atMost(50),
      unit: ' ms',
    },
    standingAt(300_000, 100),
    standingAt(900_000, 99),
  ];
}

function sizeTargets({ growth, daemon, replay }: Results): readonly Target[] {
  const grows = (what: string, most: number): Target => {
    const rows = growth.filter((each) => each.what === what);
    return {
      what: `a packet, from ${rows[0]?.size.toLocaleString('en')} to ${rows.at(-1)?.size.toLocaleString('en')} ${what}`,
      wanted: `≤ ${most} ×`,
      reached: (rows.at(-1)?.micros ?? Number.NaN) / (rows[0]?.micros ?? Number.NaN),
      met: atMost(most),
      unit: ' ×',
    };
  };
  return [
    grows('sources remembered', 1.5),
    grows('doors', 1.5),
    grows('grants', 1.2),
    grows('bans, each packet one more', 1.2),
    {
      what: 'bans into the kernel, a second, in batches',
      wanted: '≥ 300,000',
      reached: daemon?.batched,
      met: atLeast(300_000),
    },
    {
      what: 'memory with every table full',
      wanted: '≤ 120 MB',
      reached: daemon === undefined ? undefined : daemon.full / 1e6,
      met: atMost(120),
      unit: ' MB',
    },
    {
      what: 'from start to ready',
      wanted: '≤ 300 ms',
      reached: daemon?.ready,
      met: atMost(300),
      unit: ' ms',
    },
    {
      what: 'replay, packets a second of processor: the slower of the two captures',
      wanted: '≥ 500,000',
      reached: replay === undefined ? undefined : Math.min(replay.mixed, replay.flood),
      met: atLeast(500_000),
    },
  ];
}
