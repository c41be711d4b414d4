import { expect, test } from 'vitest';
import { fuzz, TARGETS } from '../fuzz/targets.ts';

// The same cases in each run; scripts/fuzz.sh tries others, and many more.
const SEED = 1;

// Against: broken input of every kind
// by: fuzzing
// Against: a state file that a disk has damaged
// by: known by the words of its tables, values that can't be are skipped, set aside and never deleted
test.each(TARGETS)('$short broken $name break nothing', { timeout: 120_000 }, (target) => {
  const { kept, cases, outcomes } = fuzz(target, target.short, SEED);
  expect(kept).toBeGreaterThan(0);
  expect(cases).toBe(target.short);
  // A single outcome would mean that nothing, or everything, was broken.
  expect(Object.keys(outcomes).length).toBeGreaterThan(1);
});
