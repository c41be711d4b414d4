import { env } from 'node:process';
import { describe, expect, test } from 'vitest';
import { milliseconds } from '../../src/packet/time.ts';
import { door, ports, settings } from '../unit/engine/world.ts';
import { honestCrowd } from './honest-crowd.ts';

/** People in each crowd; `HONEST_PEOPLE=100000` by hand. */
const { HONEST_PEOPLE = '2000' } = env;
const PEOPLE = Number(HONEST_PEOPLE);

/** Mulberry32: the same crowd in every run. */
function dice(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

describe('people with Debian’s knock, up to five tries, default configuration', () => {
  test.each([
    { steps: 3, loss: 0.05, banned: 0.0015, opened: 0.998 },
    { steps: 3, loss: 0.1, banned: 0.009, opened: 0.985 },
    { steps: 3, loss: 0.2, banned: 0.06, opened: 0.91 },
    { steps: 4, loss: 0.05, banned: 0.005, opened: 0.99 },
  ])(
    '$steps steps, $loss of the packets lost: at most $banned banned, at least $opened let in',
    { timeout: 300_000 },
    ({ steps, loss, banned, opened }) => {
      const gap = { min: milliseconds(0), max: milliseconds(8000) };
      const knock = ports('7000', '8000', '9000', '9500').slice(0, steps);
      const config = settings({ doors: [door({ knock, within: null, gap })] });
      const fared = honestCrowd(config, PEOPLE, { loss, late: 0 }, dice(4));
      expect(fared.banned).toBeLessThanOrEqual(banned);
      expect(fared.opened).toBeGreaterThanOrEqual(opened);
      // Where one packet in twenty comes up to 20 ms late, which lets knocks overtake each other.
      const late = honestCrowd(config, PEOPLE, { loss, late: 0.05 }, dice(5));
      expect(late.banned).toBeLessThanOrEqual(2 * banned);
    },
  );
});
