import { env } from 'node:process';
import { describe, expect, test } from 'vitest';
import { explore } from './explore.ts';
import { WORLDS } from './explore-world.ts';

/** Transitions tried in each world in an ordinary run; docs/exploration.md says how to go deeper. */
const { EXPLORE_TRANSITIONS = '2500' } = env;

describe('every short history of packets and times is judged as the reference judges it', () => {
  test.each(WORLDS)('in a world of $name', { timeout: 3_600_000 }, (world) => {
    const { states, transitions, depth, complete, disagreement } = explore(
      world,
      Number(EXPLORE_TRANSITIONS),
    );
    const far = complete ? 'nothing is left to try' : `every history of ${depth} moves`;
    console.log(`${world.name}: ${states} states, ${transitions} transitions, ${far}`);
    if (disagreement !== undefined) expect.fail(disagreement);
    expect(depth).toBeGreaterThan(2);
  });
});
