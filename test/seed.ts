import { env } from 'node:process';
import fc from 'fast-check';
import { afterAll, vi } from 'vitest';

/**
 * In continuous integration every run tries the same histories, so that a red run is the change's own doing; by
 * hand each run tries others. FC_SEED repeats one, and shows the shortest case that fails.
 */
const CI_SEED = 20_261_121;

const { CI, FC_SEED } = env;
if (FC_SEED !== undefined) fc.configureGlobal({ seed: Number(FC_SEED) });
// Looking for the shortest case that fails takes as long as it takes, half an hour with the engine's histories: with the
// seed that a failure names it is done by hand.
else fc.configureGlobal({ endOnFailure: true, ...(CI === undefined ? {} : { seed: CI_SEED }) });

/** The seed of this run, for tests that draw numbers themselves: to be named in what they say when they fail. */
export const SEED: number =
  FC_SEED !== undefined ? Number(FC_SEED) : CI !== undefined ? CI_SEED : Date.now() % 1_000_000_000;

// The files of one worker share its process: what one has put in place of something, the next must not find.
afterAll(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
});
