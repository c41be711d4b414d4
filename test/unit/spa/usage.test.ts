import fc from 'fast-check';
import { expect, it } from 'vitest';
import { milliseconds } from '../../../src/packet/time.ts';
import { createUsage } from '../../../src/spa/usage.ts';
import { keyOf, SECRET } from './spa-world.ts';

const at = milliseconds;
const limits = fc.record({
  knocks: fc.integer({ min: 1, max: 6 }),
  per: fc.integer({ min: 1_000, max: 4_000 }),
});

it('a key opens as often as its rate says in any window of its time, to the millisecond, and no more', () => {
  fc.assert(
    fc.property(
      limits,
      // Steps that come to lie on both sides of the window's edge, and on it.
      fc.array(fc.oneof(fc.integer({ min: 0, max: 1_500 }), fc.constantFrom(0, 1, 999, 1_000, 1_001)), {
        maxLength: 40,
      }),
      ({ knocks, per }, steps) => {
        const key = keyOf('ben', SECRET, { rate: { knocks, per: at(per) } });
        const usage = createUsage(new Map());
        const opened: number[] = [];
        let now = 5_000;
        for (const step of steps) {
          now += step;
          const lately = opened.filter((moment) => now - moment < per).length;
          expect(usage.permits(key, at(now))).toBe(lately < knocks);
          if (lately >= knocks) continue;
          usage.note(key, at(now), now);
          opened.push(now);
        }
      },
    ),
  );
});

it('at the edge: the moment that the first has had its time one more opens, and not a millisecond before', () => {
  const key = keyOf('ben', SECRET, { rate: { knocks: 2, per: at(1_000) } });
  const usage = createUsage(new Map());
  for (const moment of [100, 600]) usage.note(key, at(moment), moment);
  expect(usage.permits(key, at(1_099))).toBe(false);
  expect(usage.permits(key, at(1_100))).toBe(true);
  usage.note(key, at(1_100), 1_100);
  expect(usage.permits(key, at(1_599))).toBe(false);
  expect(usage.permits(key, at(1_600))).toBe(true);
});

it('a rate that a reload has changed counts what was before it, and uses are counted for good', () => {
  const usage = createUsage(new Map([['ben', { uses: 1, last: 0 }]]));
  const with_ = (knocks: number, per: number, uses: number | null) =>
    keyOf('ben', SECRET, { rate: { knocks, per: at(per) }, uses });
  for (const moment of [0, 10_000, 20_000]) usage.note(with_(9, 60_000, null), at(moment), moment);
  expect(usage.permits(with_(3, 60_000, null), at(20_001))).toBe(false);
  expect(usage.permits(with_(3, 15_000, null), at(20_001))).toBe(true);
  // A longer time again: what a shorter one has let go of in between is gone, and nothing else.
  expect(usage.permits(with_(2, 60_000, null), at(20_002))).toBe(false);
  expect(usage.permits(with_(9, 60_000, 4), at(90_000))).toBe(false);
  expect(usage.permits(with_(9, 60_000, 5), at(90_000))).toBe(true);
});

it('what is counted and what comes to light later are one sum, and the latest moment is the last', () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof(fc.record({ uses: fc.nat(9), last: fc.nat(99) }), fc.nat(99)), { maxLength: 12 }),
      (steps) => {
        const key = keyOf('ben', SECRET, {});
        const usage = createUsage(new Map());
        let uses = 0;
        let last = Number.NEGATIVE_INFINITY;
        for (const step of steps) {
          if (typeof step === 'number') {
            expect(usage.note(key, at(step), step)).toEqual({ uses: uses + 1, last: step });
            uses += 1;
            last = step;
          } else {
            usage.add('ben', step);
            uses += step.uses;
            last = Math.max(last, step.last);
          }
          expect(usage.of('ben')).toEqual({ uses, last });
        }
        expect(usage.of('ada')).toBeUndefined();
      },
    ),
  );
});
