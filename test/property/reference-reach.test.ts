import { env } from 'node:process';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { historyOf, intent } from '../reference/arbitrary-history.ts';
import { settings } from '../reference/arbitrary-settings.ts';
import { play } from '../reference/model.ts';
import { initialState } from '../reference/state.ts';

const { REFERENCE_SHOW } = env;
const SAMPLES = 1_000;

/** Every event and reason that packets and commands can bring about. */
const EVERYTHING = [
  'ban.added code',
  'ban.added strikes',
  'ban.added strikes shadow',
  'ban.added order',
  'ban.expired',
  'ban.extended order',
  'ban.lifted exempt',
  'ban.lifted limit',
  'ban.lifted key',
  'ban.lifted unban',
  'code.knocked',
  'decoy.hit',
  'decoy.hit service',
  'door.closed expired',
  'door.closed knock',
  'door.closed moved',
  'door.closed refused',
  'door.closed reload',
  'door.closed revoked',
  'door.closed used',
  'door.opened',
  'door.renewed',
  'knock.accepted',
  'knock.expired gap',
  'knock.expired within',
  'knock.too_fast gap',
  'knock.ignored guard',
  'knock.ignored used already',
  'knock.wrong code late',
  'knock.wrong code wrong',
  'knock.wrong out of order',
  'knock.wrong same mistake',
  'knock.wrong tolerated',
  'scan.detected ack',
  'scan.detected fin',
  'scan.detected flags',
  'scan.detected maimon',
  'scan.detected null',
  'scan.detected rate',
  'scan.detected xmas',
  'spa.rejected replayed',
];

test('the random histories bring about every event with every reason, each at least once', () => {
  const seen = new Map<string, number>();
  const samples = fc.sample(
    fc.tuple(settings, fc.array(intent(6), { minLength: 1, maxLength: 60, size: 'max' })),
    {
      numRuns: SAMPLES,
      seed: 8,
    },
  );
  for (const [config, intents] of samples) {
    let state = initialState(config);
    for (const move of historyOf(config, intents)) {
      const after = play(state, move);
      state = after.state;
      for (const event of [...after.ends, ...after.said]) {
        const name = [event.event, event.reason, event['shadow'] === true ? 'shadow' : undefined]
          .filter(Boolean)
          .join(' ');
        seen.set(name, (seen.get(name) ?? 0) + 1);
      }
    }
  }
  if (REFERENCE_SHOW !== undefined) console.log([...seen].sort());
  expect(EVERYTHING.filter((name) => (seen.get(name) ?? 0) < 1)).toEqual([]);
});
