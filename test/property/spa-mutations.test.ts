import { env } from 'node:process';
import { describe, expect, it } from 'vitest';
import { SEED } from '../seed.ts';
import { FORMATS, mutateSpa } from './spa-mutate.ts';

/** Changed packets of each format; SPA_MUTATIONS=10000000 for the long run. */
const COUNT = Number(env['SPA_MUTATIONS'] ?? 6_000);
/** What the heap may grow by between a tenth of the way and the end, in bytes. */
const GROWTH_MAX = 32_000_000;

describe(`A changed packet (seed ${SEED})`, () => {
  it.each(FORMATS.map((format) => [format]))(
    'of %s is never taken, never throws, and leaves nothing behind',
    { timeout: 3_600_000 },
    (format) => {
      const { taken, changed, heap, microseconds } = mutateSpa(format, COUNT, SEED);
      expect(taken).toEqual([]);
      expect(changed).toBeGreaterThan(COUNT * 0.8);
      const [early, late] = heap;
      expect(late - early).toBeLessThan(GROWTH_MAX);
      if (env['SPA_MUTATIONS'] !== undefined) {
        console.log(
          `${format}: ${changed} changed, ${microseconds.toFixed(1)} µs each, heap ${early} to ${late}`,
        );
      }
    },
  );
});
