import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { ask } from '../support/asked.ts';
import type { Daemon } from '../support/daemon.ts';
import { type RouterLab, routerLab } from '../support/router-lab.ts';

/* Three whole daemons behind a router that sends each packet of a client to whichever it likes. */

const KNOCKS = [
  ['tcp', 7000],
  ['udp', 8000],
  ['tcp', 9000],
] as const;
const CLIENTS = 200;
/** Of ten clients each. */
const ROUNDS = 8;
/** In milliseconds. */
const GAPS = [2, 10, 50, 100];
const SERVICE = 22;
const CONFIG = {
  log: { level: 'debug' },
  doors: { ssh: { knock: ['7000/tcp', '8000/udp', '9000/tcp'], opens: [SERVICE], for: '5m' } },
  decoys: ['23/tcp'],
};
/**
 * What is aimed at, on a machine that does nothing else: every client, no strike, and hardly later than alone. Otherwise a
 * member may hear of a knock only after a second, and what is more than that is a fault of ours.
 */
const IS_STRICT = process.env['NFKNOCK_STRICT'] !== undefined;
const SHARED = {
  share: ['grants', 'bans', 'knocks'],
  accept: { each: { grants_per_minute: 100_000 } },
  // Three daemons that have to wait for a processor answer each other late.
  wait: IS_STRICT ? '300ms' : '2s',
};

vi.setConfig({ testTimeout: 600_000 });

let lab: RouterLab;
let alone: RouterLab;

beforeAll(async () => {
  lab = await routerLab([CONFIG, CONFIG, CONFIG], () => SHARED);
  alone = await routerLab([CONFIG], () => null);
  await Promise.all(lab.daemons.map(allAreThere));
}, 300_000);
afterAll(async () => {
  await lab?.close();
  await alone?.close();
});

async function allAreThere(daemon: Daemon): Promise<void> {
  for (let tries = 0; tries < 600; tries += 1) {
    const { fleet } = await ask(daemon, { command: 'status' });
    if (fleet?.up === true && fleet.members.length === 2) return;
    await sleep(50);
  }
  throw new Error('the members have not met');
}

/** What was held against these sources, by any member. */
const offences = (from: RouterLab, sources: ReadonlySet<string>): readonly string[] =>
  from.daemons.flatMap(({ lines }) =>
    lines
      .filter(({ source, strikes }) => sources.has(source ?? '') && (strikes ?? 0) > 0)
      .map((line) => JSON.stringify(line)),
  );

/** What all members said of this source. */
function storyOf({ daemons }: RouterLab, source: string): string {
  const lines = daemons.flatMap(({ lines: all }, at) =>
    all.filter((line) => line.source === source).map((line) => `edge${at + 1} ${JSON.stringify(line)}`),
  );
  return lines.sort((x, y) => x.slice(6).localeCompare(y.slice(6))).join('\n');
}

/** At how many members something was decided for each of these sources. */
const openers = (sources: ReadonlySet<string>): number =>
  lab.daemons.filter(({ lines }) =>
    lines.some(
      (line) => line.event === 'door.opened' && line.origin === undefined && sources.has(line.source ?? ''),
    ),
  ).length;

interface Round {
  readonly sources: ReadonlySet<string>;
  readonly took: readonly number[];
  readonly unopened: ReadonlySet<string>;
}

async function knockOften(at: RouterLab, family: 4 | 6, count: number, gap = 10): Promise<Round> {
  const [sources, unopened, took] = [new Set<string>(), new Set<string>(), [] as number[]];
  for (let client = 0; client < count; client += 1) {
    const one = await at.knock({ family, knocks: KNOCKS, gap, service: SERVICE });
    sources.add(one.source);
    if (one.took === null) unopened.add(one.source);
    else took.push(one.took);
  }
  return { sources, took, unopened };
}

function percentile(times: readonly number[], of: number): number {
  const sorted = [...times].sort((x, y) => x - y);
  return sorted[Math.min(sorted.length - 1, Math.floor((sorted.length * of) / 100))] ?? Number.NaN;
}
const figures = (times: readonly number[]): string =>
  `p50 ${percentile(times, 50).toFixed(1)} ms, p99 ${percentile(times, 99).toFixed(1)} ms`;

describe('knocks that a router spreads over three members', () => {
  it.each([4, 6] as const)(
    `open for each of ${CLIENTS} clients of IPv%i, without a strike`,
    async (family) => {
      lab.spread('ports');
      const sources = new Set<string>();
      const failed = new Set<string>();
      let opened = 0;
      for (const gap of GAPS) {
        const round = await knockOften(lab, family, CLIENTS / GAPS.length, gap);
        opened += round.took.length;
        for (const source of round.sources) sources.add(source);
        for (const source of round.unopened) failed.add(source);
        console.info(`IPv${family}, ${gap} ms apart: ${round.took.length} opened, ${figures(round.took)}`);
      }
      // What nobody had a use for would be one by then.
      await sleep(500);
      for (const source of failed) console.info(storyOf(lab, source));
      const held = offences(lab, sources);
      if (IS_STRICT) expect(held).toEqual([]);
      expect(held.length).toBeLessThan(CLIENTS / 10);
      expect(opened).toBeGreaterThanOrEqual(IS_STRICT ? CLIENTS : 0.95 * CLIENTS);
      expect(openers(sources)).toBe(3);
    },
  );

  it('open for most of those that wait for nothing between two knocks', async () => {
    lab.spread('ports');
    // Two clocks may tell one pair of knocks the other way round, not two: that would be worth something to a guesser.
    const { took } = await knockOften(lab, 4, 50, 0);
    console.info(`nothing between two knocks: ${took.length} of 50 opened, ${figures(took)}`);
    expect(took.length).toBeGreaterThan(30);
  });

  it('do not open for most where knocks are not shared', async () => {
    lab.spread('ports');
    const reload = async (fleet: object): Promise<void> => {
      for (const daemon of lab.daemons) {
        daemon.rewrite({
          ...CONFIG,
          fleet: { ...JSON.parse(readFileSync(daemon.config, 'utf8')).fleet, ...fleet },
        });
        await ask(daemon, { command: 'reload' });
      }
    };
    await reload({ share: ['grants', 'bans'] });
    const { sources, took } = await knockOften(lab, 4, 20);
    expect(took.length).toBeLessThan(10);
    expect(offences(lab, sources).length).toBeGreaterThan(0);
    await reload({ share: SHARED.share });
  });

  it('open a port hardly later than on one machine, wherever they come', async () => {
    const took: Record<'alone' | 'together' | 'scattered', number[]> = {
      alone: [],
      together: [],
      scattered: [],
    };
    for (let round = 0; round < ROUNDS; round += 1) {
      took.alone.push(...(await knockOften(alone, 4, 10)).took);
      lab.spread('source');
      took.together.push(...(await knockOften(lab, 4, 10)).took);
      lab.spread('ports');
      took.scattered.push(...(await knockOften(lab, 4, 10)).took);
    }
    const said = Object.entries(took).map(([which, times]) => `${which} ${figures(times)}`);
    console.info(`from the last knock to the open port: ${said.join('; ')}`);
    for (const times of Object.values(took)) expect(times.length).toBeGreaterThan(0.9 * 10 * ROUNDS);
    const [one, together, scattered] = [took.alone, took.together, took.scattered].map((times) =>
      percentile(times, 50),
    );
    expect(together).toBeLessThan((IS_STRICT ? 1.2 : 3) * (one ?? 0));
    expect(scattered).toBeLessThan((one ?? 0) + (IS_STRICT ? 3 : 100));
  });
});
