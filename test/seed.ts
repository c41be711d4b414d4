import { env } from 'node:process';
import fc from 'fast-check';
import { afterAll, vi } from 'vitest';

/**
 * In continuous integration every run tries the same histories, so that a red run is the change's own doing; by
 * hand each run tries others. FC_SEED repeats one.
 */
const CI_SEED = 20_261_121;

const { CI, FC_SEED } = env;
if (FC_SEED !== undefined) fc.configureGlobal({ seed: Number(FC_SEED) });
else if (CI !== undefined) fc.configureGlobal({ seed: CI_SEED });

/** The seed of this run, for tests that draw numbers themselves: to be named in what they say when they fail. */
export const SEED: number =
  FC_SEED !== undefined ? Number(FC_SEED) : CI !== undefined ? CI_SEED : Date.now() % 1_000_000_000;

// The files of one worker share its process: what one has put in place of something, the next must not find.
afterAll(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
});
