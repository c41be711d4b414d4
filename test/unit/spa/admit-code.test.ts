import { expect, it } from 'vitest';
import { parseCidr } from '../../../src/packet/cidr.ts';
import { milliseconds } from '../../../src/packet/time.ts';
import { whyNotAdmitted } from '../../../src/spa/admit-code.ts';
import type { Key } from '../../../src/spa/key.ts';
import { createUsage } from '../../../src/spa/usage.ts';
import { address, keyOf, WALL } from './spa-world.ts';

const SOURCE = address('198.51.100.7');
const network = (text: string): Key['from'] => {
  const cidr = parseCidr(text);
  return cidr === undefined ? [] : [cidr];
};
const why = (limits: Partial<Key>, usage = createUsage(new Map())): string | undefined => {
  const key = keyOf('ada', { kind: 'totp', secret: Buffer.alloc(20, 1) }, limits);
  return whyNotAdmitted(key, { source: SOURCE, now: milliseconds(5_000), wall: WALL }, usage);
};

it.each([
  ['says nothing', {}, undefined],
  ['ends later', { expires: WALL + 1 }, undefined],
  ['ends now', { expires: WALL }, 'expired'],
  ['has ended', { expires: WALL - 1 }, 'expired'],
  ['may come from there', { from: network('198.51.100.0/24') }, undefined],
  ['may come from elsewhere', { from: network('198.51.101.0/24') }, 'from'],
  ['has ended, and may come from elsewhere', { expires: WALL, from: network('203.0.113.0/24') }, 'expired'],
] as const)('a right code of a key that %s: %o', (_, limits, reason) => {
  expect(why(limits)).toBe(reason);
});

it('a right code of a key that has opened as often as it may is refused, until its time has passed', () => {
  const key = keyOf(
    'ada',
    { kind: 'totp', secret: Buffer.alloc(20, 1) },
    {
      rate: { knocks: 1, per: milliseconds(1_000) },
    },
  );
  const usage = createUsage(new Map());
  const at = (now: number): string | undefined =>
    whyNotAdmitted(key, { source: SOURCE, now: milliseconds(now), wall: WALL }, usage);
  expect(at(5_000)).toBeUndefined();
  usage.note(key, milliseconds(5_000), WALL);
  expect(at(5_999)).toBe('limit');
  expect(at(6_000)).toBeUndefined();
});
