import fc from 'fast-check';
import { historyOf, intent } from '../reference/arbitrary-history.ts';
import { settings } from '../reference/arbitrary-settings.ts';
import { compare } from '../reference/compare.ts';
import { explore } from './explore.ts';
import { WORLDS } from './explore-world.ts';

// Run with a mutated engine: ends with 1 as soon as it is seen to judge otherwise than the reference. The random
// histories come first, since they find most mutants in their first hundreds.
const RUNS = 250;
const SEED = 11;

function holds(orders: number): boolean {
  const histories = fc.tuple(
    settings,
    fc.array(intent(orders), { minLength: 1, maxLength: 60, size: 'max' }),
  );
  return fc.sample(histories, { numRuns: RUNS, seed: SEED }).every(([config, intents]) => {
    return compare(config, historyOf(config, intents)) === undefined;
  });
}

function walks(): boolean {
  return WORLDS.every((world) => explore(world, 300).disagreement === undefined);
}

process.exitCode = holds(4) && holds(0) && walks() ? 0 : 1;
