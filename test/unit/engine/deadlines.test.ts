import fc from 'fast-check';
import { expect, it } from 'vitest';
import { createDeadlines } from '../../../src/engine/deadlines.ts';

const SLOTS = 12;

it('deadlines come out by their time, and those of one time in the order in which they were set', () => {
  const step = fc.record({ slot: fc.nat(SLOTS - 1), time: fc.nat(9), remove: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80, size: 'max' }), (steps) => {
      const deadlines = createDeadlines(SLOTS);
      let plain: { slot: number; time: number }[] = [];
      const look = (): void => {
        // A stable sort keeps the order in which they were set.
        const [first] = [...plain].sort((x, y) => x.time - y.time);
        expect(deadlines.first()).toBe(first?.slot ?? -1);
        expect(deadlines.time()).toBe(first?.time ?? Number.POSITIVE_INFINITY);
      };
      for (const { slot, time, remove } of steps) {
        plain = plain.filter((each) => each.slot !== slot);
        if (remove) deadlines.remove(slot);
        else {
          deadlines.set(slot, time);
          plain.push({ slot, time });
        }
        look();
      }
      while (plain.length > 0) {
        const slot = deadlines.first();
        deadlines.remove(slot);
        plain = plain.filter((each) => each.slot !== slot);
        look();
      }
    }),
    { numRuns: 200 },
  );
});
