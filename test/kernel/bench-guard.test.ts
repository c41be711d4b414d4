import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createNet, type Net } from '../bench/net.ts';
import { configOf, createPath, type Kind } from '../bench/path.ts';
import { throughput } from '../bench/throughput.ts';

/*
 * Guards against a change that makes packets dear. Only ratios of processor time measured side by side count, never
 * seconds, and the bounds leave room for a machine that does other work meanwhile. The figures are `npm run bench`'s.
 */

let random = 1;
function next(): number {
  random ^= random << 13;
  random ^= random >>> 17;
  random ^= random << 5;
  return random >>> 0;
}

const DOOR = { knock: ['7000/tcp', '8000/udp', '9000/tcp'], opens: ['22/tcp'] };

/** Microseconds of processor a packet: the least of some runs, since others can only make it more. */
function costOf(config: object, kind: Kind, warmUp: number): number {
  const path = createPath(configOf(config));
  path.run(warmUp, kind);
  return Math.min(...[1, 2, 3].map(() => path.run(100_000, kind)));
}

describe('what a packet costs', () => {
  it('grows little from a quarter of a million sources remembered to a million', () => {
    const kind = { source: next, port: () => 7000 };
    const cost = (sources: number): number =>
      costOf({ doors: { ssh: DOOR }, memory: { sources } }, kind, sources * 1.2);
    const few = cost(262_144);
    expect(cost(1_000_000)).toBeLessThan(2 * few);
  });

  it('grows little from one door to a thousand', () => {
    const cost = (count: number): number => {
      const names = Array.from({ length: count }, (_, door) => door);
      const doors = Object.fromEntries(
        names.map((door) => [
          `door${door}`,
          { ...DOOR, knock: [`${10_000 + door}/tcp`, '8000/udp', '9000/tcp'] },
        ]),
      );
      return costOf({ doors }, { source: next, port: () => 10_000 + (next() % count) }, 400_000);
    };
    const one = cost(1);
    // Doors that share a knock have a bit each in a mask, 32 words for a thousand: that is 1.8 to 1.9 times as much.
    expect(cost(1000)).toBeLessThan(2.5 * one);
  });
});

describe('the whole daemon', () => {
  let net: Net;
  beforeAll(() => {
    net = createNet();
  });
  afterAll(() => net.close());

  it('needs no more processor time a packet than a C reader that does nothing', async () => {
    const names = ['textbook C', 'nfknock'] as const;
    const ratios: number[] = [];
    // The median of three: something else on the machine may take one of them.
    for (let time = 0; time < 3; time += 1) {
      const costs = await throughput(net, { rates: [100_000], seconds: 1, names }, () => undefined);
      const [textbook, daemon] = names.map((name) => costs.find((cost) => cost.name === name));
      ratios.push((daemon?.micros ?? Number.POSITIVE_INFINITY) / (textbook?.micros ?? 0));
      if (time === 0) expect(daemon?.lost).toBe(0);
    }
    expect(ratios.sort((x, y) => x - y)[1], ratios.join(', ')).toBeLessThan(1.25);
  });
});
