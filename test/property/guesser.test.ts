import { env } from 'node:process';
import { describe, expect, test } from 'vitest';
import type { DoorSettings, EngineSettings } from '../../src/engine/settings.ts';
import { milliseconds } from '../../src/packet/time.ts';
import { BEST_STREAMS, openedBy, orderedTime, ordersOpened } from '../../src/strength/guesser.ts';
import { door, ports, settings, world } from '../unit/engine/world.ts';

/** `NFKNOCK_LONG=1` searches streams of four ports that are longer by two. */
const { NFKNOCK_LONG } = env;
const PORTS = ['7000', '8000', '9000', '7100', '8100'];

function doorOf(steps: number): { readonly one: DoorSettings; readonly config: EngineSettings } {
  const gap = { min: milliseconds(0), max: milliseconds(8000) };
  const one = door({ knock: ports(...PORTS.slice(0, steps)), within: null, gap });
  return { one, config: settings({ doors: [one] }) };
}

/** Every stream of so many knocks, but for the names of its ports; the same port twice running is a repeat. */
function* streams(steps: number, length: number, begun = 'a', used = 1): Generator<string> {
  if (begun.length === length) {
    yield begun;
    return;
  }
  for (let next = 0; next < Math.min(steps, used + 1); next += 1) {
    const letter = String.fromCharCode(97 + next);
    if (begun.endsWith(letter)) continue;
    yield* streams(steps, length, begun + letter, Math.max(used, next + 1));
  }
}

function best(steps: number, length: number): { readonly opened: number; readonly stream: string } {
  const { one, config } = doorOf(steps);
  let found = { opened: 0, stream: '' };
  for (const stream of streams(steps, length)) {
    const opened = openedBy(config, one, stream);
    if (opened > found.opened) found = { opened, stream };
  }
  return found;
}

describe('a guesser who knows the ports of a door but not their order, with three strikes and one address', () => {
  test.each([
    [1, 1, 1, true],
    [2, 2, 2, true],
    [3, 6, 5, true],
    [4, 24, 7, false],
    [5, 120, 8, false],
  ])(
    'opens, of the orders of %i ports, with the best stream known, %i: %i',
    (steps, orders, opened, isMost) => {
      const { one, config } = doorOf(steps);
      expect(ordersOpened(config, one)).toEqual({ ports: steps, orders, opened, isMost });
    },
  );

  test('is all of them where nobody is banned, and unknown where a port comes twice', () => {
    const { one, config } = doorOf(4);
    const free = { ...config, bans: { ...config.bans, enforce: false } };
    expect(ordersOpened(free, one)).toEqual({ ports: 4, orders: 24, opened: 24, isMost: true });
    const twice = door({ knock: ports('7000', '8000', '7000') });
    expect(ordersOpened(settings({ doors: [twice] }), twice)).toBeUndefined();
  });

  test('takes his time where a packet more in the second would be an offence', () => {
    const { one, config } = doorOf(3);
    const slow = { ...config, bans: { ...config.bans, rate: { packets: 2, per: milliseconds(1000) } } };
    expect(ordersOpened(slow, one)?.opened).toBe(5);
  });

  // Against: trying several orders of known ports in one stream
  // by: three strikes, and what excuses one weighed against what it gives
  test('with three ports no stream of up to nine knocks opens more', { timeout: 120_000 }, () => {
    expect(best(3, 9).opened).toBe(5);
  });

  test('with four ports no stream of up to eight knocks opens more', { timeout: 600_000 }, () => {
    expect(best(4, NFKNOCK_LONG === undefined ? 8 : 10).opened).toBeLessThanOrEqual(7);
  });

  test('has the streams for one to five ports', () => {
    expect(BEST_STREAMS).toHaveLength(5);
  });
});

describe('the time that a guesser needs who knows the ports from a scan', () => {
  /** The first configuration of an older README: the ports shone through, and this door was open after 359 s. */
  const FIRST = 3;

  test.each([2, FIRST, 4])('of %i ports is not told kinder than it is', (steps) => {
    const { one } = doorOf(steps);
    const config = settings({ doors: [one], decoys: [] });
    const told = orderedTime(config, one);
    const names = PORTS.slice(0, steps);
    const needed = ordersOf(names).map((secret) =>
      secondsToOpen(settings({ ...config, doors: [{ ...one, knock: ports(...secret) }] }), names),
    );
    expect(told).toBeLessThanOrEqual(median(needed) * 1.05);
    // Nor far too harsh: who reads it should believe it.
    expect(told).toBeGreaterThan(median(needed) / 2);
  });

  test('is no time at all for three ports, minutes for four, and unknown where a port comes twice', () => {
    const [three, four] = [doorOf(3), doorOf(4)];
    expect(orderedTime(three.config, three.one)).toBeLessThan(1);
    expect(orderedTime(four.config, four.one)).toBeGreaterThan(60);
    expect(orderedTime(three.config, door({ knock: ports('7000', '8000', '7000') }))).toBeUndefined();
  });

  test('counts bans where the first strike is one', () => {
    const { one, config } = doorOf(4);
    const strict = { ...config, bans: { ...config.bans, strikes: 1 } };
    expect(orderedTime(strict, one)).toBeGreaterThan(config.bans.for / 1000);
    const free = { ...config, bans: { ...config.bans, enforce: false } };
    expect(orderedTime(free, one)).toBeLessThan(10);
  });
});

/** A guesser who never lets it come to a ban: one order after the other, and a minute's rest after the second strike. */
function secondsToOpen(config: EngineSettings, names: readonly string[]): number {
  const w = world(config);
  const began = w.now;
  let seen = 0;
  for (const port of ordersOf(names).flat()) {
    w.now += 60;
    w.send(port);
    if (w.names().includes('door.opened')) return (w.now - began) / 1000;
    const fresh = w.events.slice(seen);
    seen = w.events.length;
    if (fresh.some((event) => 'strikes' in event && event.strikes === 2)) w.pass(60_100);
  }
  return Number.POSITIVE_INFINITY;
}

function ordersOf(names: readonly string[]): readonly (readonly string[])[] {
  if (names.length < 2) return [names];
  return names.flatMap((first) =>
    ordersOf(names.filter((each) => each !== first)).map((rest) => [first, ...rest]),
  );
}

function median(of: readonly number[]): number {
  return [...of].sort((one, other) => one - other)[Math.ceil(of.length / 2) - 1] ?? Number.NaN;
}
