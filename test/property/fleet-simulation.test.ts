import { env } from 'node:process';
import { describe, expect, it } from 'vitest';
import { SEED } from '../seed.ts';
import { runHistory } from '../simulation/history.ts';
import type { Fault } from '../simulation/machine.ts';
import { createDeal, seedOfDay } from '../simulation/seeds.ts';

/** 10,000 by the seeds of the day are part of `npm run test:long`; what they said is in docs/exploration.md. */
const HISTORIES = Number(env['FLEET_HISTORIES'] ?? 150);
/** Each fault shows within so many histories from this one on. */
const SEEN_WITHIN = 300;
const FAULTS: readonly (readonly [Fault, number])[] = [
  ['forgetful', 1],
  ['fails open', 1],
  ['same run', 1],
  ['get then set', 1],
  ['no generations', 1],
  ['doorbells alone', 1],
  ['decides late', 1],
  ['keeps guesses', 90],
  ['untold packets', 200],
];

describe('machines that are one door', () => {
  it('agree after rest, keep lifts, and open a one-time door once, whatever is killed, cut or lost', () => {
    let opened = 0;
    for (let seed = SEED; seed < SEED + HISTORIES; seed += 1) {
      const verdict = runHistory(seed);
      expect(verdict.violations, `npm run fleet:simulate -- --trace ${seed}`).toEqual([]);
      opened += verdict.opened;
    }
    // They did meet one-time doors.
    expect(opened).toBeGreaterThan(HISTORIES / 10);
  });

  // A member was killed after its state file had heard of a lift and before its kernel had; or all bans were lifted, and
  // of one that it had from before a part stood, with a sooner end; or it kept less than it told; or it kept, of a moment
  // ago, what its clock had been wrong about; or it was killed between a lift that it had heard of and its own engine, which
  // had let somebody in after it without knowing; or what it said again for others was taken for its own ban's.
  it.each([570, 818, 1821, 1855, 1952, 2815, 3001, 9753, 20_261_763])(
    'agree after history %i, which once they did not',
    (seed) => {
      expect(runHistory(seed).violations).toEqual([]);
    },
  );

  it('have the same history by the same seed, whatever ran before it', () => {
    const told = (): readonly string[] => {
      const lines: string[] = [];
      runHistory(SEED, undefined, (line) => void lines.push(line));
      return lines;
    };
    const first = told();
    runHistory(SEED + 1);
    expect(told()).toEqual(first);
  });

  it.each(FAULTS)('would not without what is there against "%s"', (fault, from) => {
    const seen = Array.from({ length: SEEN_WITHIN }, (_, at) => at + from).find(
      (seed) => runHistory(seed, fault).violations.length > 0,
    );
    expect(seen, `none of the histories from ${from} on shows it`).toBeDefined();
  });
});

describe('seeds', () => {
  const DAY = 86_400_000;

  it('are the same all day and others the next, and no two of them have one history', () => {
    for (const day of [0, 20_787, 20_788, 20_787 + 338]) {
      const first = seedOfDay(day * DAY, 10_000);
      expect(seedOfDay(day * DAY + DAY - 1, 10_000)).toBe(first);
      expect(seedOfDay((day + 1) * DAY, 10_000)).not.toBe(first);
      // What the generator makes of them is exact.
      expect((first + 9_999) * 2_654_435_761).toBeLessThan(Number.MAX_SAFE_INTEGER);
    }
  });

  it('are dealt out once each, whatever is left at the end', () => {
    const deal = createDeal(7, 120, 50);
    expect([deal.next(), deal.next(), deal.next(), deal.next()]).toEqual([
      { from: 7, count: 50 },
      { from: 57, count: 50 },
      { from: 107, count: 20 },
      undefined,
    ]);
  });
});
