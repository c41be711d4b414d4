import { expect, test } from 'vitest';
import { fuzz, TARGETS } from '../fuzz/targets.ts';

// The same cases in each run; scripts/fuzz.sh tries others, and many more.
const SEED = 1;

test.each(TARGETS)('$short broken $name break nothing', { timeout: 120_000 }, (target) => {
  const { kept, cases, outcomes } = fuzz(target, target.short, SEED);
  expect(kept).toBeGreaterThan(0);
  expect(cases).toBe(target.short);
  // A single outcome would mean that nothing, or everything, was broken.
  expect(Object.keys(outcomes).length).toBeGreaterThan(1);
});
