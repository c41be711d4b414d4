import { env } from 'node:process';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { historyOf, intent } from '../reference/arbitrary-history.ts';
import { alikeSettings, settings } from '../reference/arbitrary-settings.ts';
import { compare, report } from '../reference/compare.ts';

/** Histories tried in an ordinary run; more by hand, as docs/exploration.md says. */
const { NFKNOCK_RUNS = '100' } = env;
const RUNS = { numRuns: Number(NFKNOCK_RUNS) };

describe('the engine judges as the reference does', () => {
  test.each([
    ['whatever the settings, for packets alone', settings, 0],
    ['whatever the settings, for packets and commands', settings, 4],
    ['with doors that begin with the same knock, for packets alone', alikeSettings, 0],
    ['with doors that begin with the same knock, for packets and commands', alikeSettings, 4],
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
