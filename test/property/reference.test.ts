import { env } from 'node:process';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { historyOf, intent } from '../reference/arbitrary-history.ts';
import { alikeSettings, relatedSettings, settings } from '../reference/arbitrary-settings.ts';
import { compare, report } from '../reference/compare.ts';
import type { Late } from '../reference/late.ts';
import type { Move } from '../reference/move.ts';

/** Histories tried in an ordinary run; `npm run test:long` tries 100, docs/exploration.md says how to try more. */
const { NFKNOCK_RUNS = '25' } = env;
const RUNS = { numRuns: Number(NFKNOCK_RUNS) };

/** How a packet is looked at: mostly as it comes. */
const lateness = fc.record({
  how: fc.constantFrom('judge', 'judge', 'judge', 'judge', 'place', 'place', 'place', 'conclude', 'rest'),
  before: fc.constantFrom(0, 0, 1, 3, 40, 300, 3000),
  told: fc.boolean(),
  quiet: fc.boolean(),
});
const SLACK = 2;

function withLate(
  history: readonly Move[],
  draws: readonly (typeof lateness extends fc.Arbitrary<infer T> ? T : never)[],
): readonly Move[] {
  return history.map((move, index) => {
    const draw = draws[index];
    if (draw === undefined || draw.how === 'judge' || !('packet' in move)) return move;
    const { how, told, quiet, before } = draw;
    const late = { how: how as Late['how'], told, quiet, came: move.at - before, slack: SLACK };
    return { at: move.at, packet: move.packet, late };
  });
}

describe('the engine of a member whose knocks are shared judges as the reference does', () => {
  test.each([
    ['whatever the settings', settings, 0],
    ['with commands', settings, 4],
    ['with doors that begin with the same knock', alikeSettings, 2],
    ['with doors that share knocks', relatedSettings, 2],
  ])('%s', { timeout: 600_000 }, (_, any, commands) => {
    fc.assert(
      fc.property(
        any,
        fc.array(intent(commands), { minLength: 1, maxLength: 60, size: 'max' }),
        fc.array(lateness, { minLength: 60, maxLength: 60 }),
        fc.constantFrom(0, 0, 0, 1, 2),
        (config, intents, draws, standing) => {
          const history = withLate(historyOf(config, intents), draws);
          if (compare(config, history, standing) !== undefined)
            expect.fail(report(config, history, standing));
        },
      ),
      RUNS,
    );
  });
});

describe('the engine judges as the reference does', () => {
  test.each([
    ['whatever the settings, for packets alone', settings, 0],
    ['whatever the settings, for packets and commands', settings, 4],
    ['with doors that begin with the same knock, for packets alone', alikeSettings, 0],
    ['with doors that begin with the same knock, for packets and commands', alikeSettings, 4],
    ['with doors that share knocks, for packets alone', relatedSettings, 0],
    ['with doors that share knocks, for packets and commands', relatedSettings, 4],
  ])('%s', { timeout: 600_000 }, (_, any, commands) => {
    fc.assert(
      fc.property(
        any,
        fc.array(intent(commands), { minLength: 1, maxLength: 60, size: 'max' }),
        (config, intents) => {
          const history = historyOf(config, intents);
          if (compare(config, history) !== undefined) expect.fail(report(config, history));
        },
      ),
      RUNS,
    );
  });
});
