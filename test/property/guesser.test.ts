import { env } from 'node:process';
import { describe, expect, test } from 'vitest';
import type { DoorSettings, EngineSettings } from '../../src/engine/settings.ts';
import { milliseconds } from '../../src/packet/time.ts';
import { BEST_STREAMS, openedBy, ordersOpened } from '../../src/strength/guesser.ts';
import { door, ports, settings } from '../unit/engine/world.ts';

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
