import { expect, it } from 'vitest';
import { KINDS_LEAST, soak } from '../support/soak.ts';

/** NFKNOCK_LONG=1 (`npm run soak`): ten minutes, or NFKNOCK_SOAK seconds. NFKNOCK_SEED repeats a run; an odd one is the unit's user. */
const LONG = process.env['NFKNOCK_LONG'] === '1';
const SECONDS = Number(process.env['NFKNOCK_SOAK'] ?? (LONG ? 600 : 14));
const SEED = Number(process.env['NFKNOCK_SEED'] ?? (LONG ? Date.now() % 1_000_000 : 5));
/** Growth that is none: V8 gives memory back when it likes. */
const GROWTH_BYTES_MAX = 16 * 1024 * 1024;

it(
  'whatever happens to it, in whatever order, nobody is let in by mistake, nothing is lost, and nothing grows',
  async () => {
    const { wrong, done, strangers, footprints } = await soak({
      seconds: SECONDS,
      seed: SEED,
      who: SEED % 2 === 0 ? 'root' : 'user',
      say: console.info,
    });
    const third = Math.floor(footprints.length / 3);
    const early = footprints.slice(0, third);
    const late = footprints.slice(-third);
    const growth = median(late.map(({ rss }) => rss)) - median(early.map(({ rss }) => rss));
    const files = [median(early.map((each) => each.files)), median(late.map((each) => each.files))];
    console.info(
      `${SECONDS} s, ${strangers} SYNs of strangers, of the last half, without restarts: grown by ${mebibytes(growth)} MiB; descriptors ${files.join(', then ')}; memory in tenths, in MiB: ${tenthsOf(footprints).map(mebibytes).join(' ')}`,
    );
    expect(wrong).toEqual([]);
    expect(Object.keys(done).length).toBeGreaterThanOrEqual(KINDS_LEAST);
    expect(strangers).toBeGreaterThan(SECONDS * 10);
    if (!LONG) return;
    expect(growth).toBeLessThan(GROWTH_BYTES_MAX);
    expect(files[1]).toBe(files[0]);
  },
  (SECONDS + 120) * 1000,
);

function median(values: readonly number[]): number {
  return [...values].sort((x, y) => x - y)[Math.floor(values.length / 2)] ?? 0;
}

/** The median of each tenth of the time. */
function tenthsOf(footprints: readonly { readonly rss: number }[]): readonly number[] {
  const tenth = footprints.length / 10;
  return Array.from({ length: 10 }, (_, index) =>
    median(footprints.slice(index * tenth, (index + 1) * tenth).map(({ rss }) => rss)),
  );
}

function mebibytes(bytes: number): string {
  return (bytes / 2 ** 20).toFixed(1);
}
