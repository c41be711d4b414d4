import { expect, it } from 'vitest';
import { chaos } from './chaos.ts';

/** By hand `npm run chaos` sets these: ten minutes at full size. Elsewhere it is short, small, and the same each time. */
const SECONDS = Number(process.env['NFKNOCK_CHAOS'] ?? 15);
const SEED = Number(process.env['NFKNOCK_SEED'] ?? 12);
const ONLY = process.env['NFKNOCK_ONLY'] ?? '';
const LONG = SECONDS >= 300;
const SCALE = LONG ? 1 : 0.2;
/** Growth that is none: V8 gives memory back when it likes, and tables fill up to their size. */
const GROWTH_BYTES_MAX = (LONG ? 24 : 96) * 1024 * 1024;
/** Tools that it keeps running once they are needed, with three pipes each. */
const DESCRIPTORS_MORE_MAX = 8;
const FEWEST_KNOCKS = 8;

// Against: all that can burst or fail at once, in any order
// by: what is named for each, together
it(
  'whatever it is attacked with, it goes on, lets owners in and nobody else, says what is wrong and is well afterwards',
  async () => {
    const report = await chaos({ seconds: SECONDS, seed: SEED, scale: SCALE, only: ONLY, say: console.info });
    const { order, wrong, knocks, slowest, strangers, footprints } = report;
    const early = footprints[Math.floor(footprints.length / 3)];
    const late = footprints.at(-1);
    const growth = (late?.rss ?? 0) - (early?.rss ?? 0);
    const story = `seed ${SEED}, ${knocks} knocks opened, the slowest after ${slowest.toFixed(0)} ms; ${strangers} SYNs of strangers; memory ${mebibytes(early?.rss)}, then ${mebibytes(late?.rss)} MiB; descriptors ${early?.files}, then ${late?.files}`;
    console.info(story);
    expect(wrong, `${story}\n${order.join('\n')}`).toEqual([]);
    expect(knocks).toBeGreaterThan(FEWEST_KNOCKS);
    expect(strangers).toBeGreaterThan(SECONDS * 10);
    expect(growth).toBeLessThan(GROWTH_BYTES_MAX);
    expect((late?.files ?? 0) - (early?.files ?? 0)).toBeLessThanOrEqual(DESCRIPTORS_MORE_MAX);
  },
  (SECONDS * 3 + 400) * 1000,
);

function mebibytes(bytes = 0): string {
  return (bytes / 2 ** 20).toFixed(1);
}
