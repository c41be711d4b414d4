import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { untilArgument } from '../../../src/cli/time-argument.ts';
import { type Here, leftOf, type Marker, markerOf, textOf } from '../../../src/rollback/stood-down.ts';

const SINCE = 1_800_000_000;
const MARKER: Marker = {
  ...{ id: 'ab12', since: SINCE, length: 600, until: SINCE + 600, asked: 'length' },
  ...{ boot: 'b1', uptime: 5_000, network: '77', host: true, base: false, laid: true },
};
const HERE: Here = { wall: SINCE, uptime: 5_000, boot: 'b1', network: '77', hasRtc: true };
const seconds = fc.integer({ min: 1, max: 2_000_000 });
/** Where a bound is drawn, so that both its sides are met. */
const near = (bound: number): fc.Arbitrary<number> =>
  fc
    .oneof(fc.integer({ min: -3, max: 3 }), fc.integer({ min: -bound, max: 2 * bound }))
    .map((by) => bound + by);

describe('how long a stand-down lasts', () => {
  it('in its own boot is counted by what has passed, whatever the wall clock is set to', () => {
    fc.assert(
      fc.property(
        seconds.chain((length) => fc.tuple(fc.constant(length), near(length))),
        fc.integer({ min: 0, max: 4_000_000_000 }),
        ([length, passed], wall) => {
          const marker = { ...MARKER, length, until: SINCE + length };
          const left = leftOf(marker, { ...HERE, wall, uptime: 5_000 + Math.max(0, passed) });
          expect(left).toBe(Math.max(0, length - Math.max(0, passed)));
        },
      ),
    );
  });

  it('until a moment ends at that moment too, if the clock is set forward', () => {
    const marker: Marker = { ...MARKER, asked: 'moment' };
    expect(leftOf(marker, { ...HERE, wall: SINCE + 590 })).toBe(10);
    expect(leftOf(marker, { ...HERE, wall: SINCE + 600 })).toBe(0);
    expect(leftOf(marker, { ...HERE, wall: 0 })).toBe(600);
    expect(leftOf(marker, { ...HERE, wall: 0, uptime: 5_600 })).toBe(0);
  });

  // Against: a port that stays open after the time asked for: the command, daemon or session killed, the clock set
  // back, a reboot
  // by: a timer that outlives them and what was in before; counted in uptime; over with a boot whose clock can't be
  // believed
  it('never is longer than was asked, over any reboot, and ends where no clock ran meanwhile', () => {
    fc.assert(
      fc.property(near(600), fc.boolean(), (passed, hasRtc) => {
        const left = leftOf(MARKER, { ...HERE, boot: 'b2', uptime: 9, wall: SINCE + passed, hasRtc });
        expect(left).toBe(hasRtc && passed >= 0 ? Math.max(0, 600 - passed) : 0);
      }),
    );
    const always = { ...MARKER, length: null, until: null };
    expect(leftOf(always, { ...HERE, boot: 'b2', wall: 0, hasRtc: false })).toBe(Number.POSITIVE_INFINITY);
  });

  it('of another network is none: with its number, or of a namespace that a reboot has ended', () => {
    expect(leftOf(MARKER, { ...HERE, network: '78' })).toBe(0);
    expect(leftOf({ ...MARKER, length: null, until: null }, { ...HERE, network: '78' })).toBe(0);
    expect(leftOf({ ...MARKER, host: false }, { ...HERE, boot: 'b2' })).toBe(0);
  });

  it('is written as it is read, and what is not whole is none', () => {
    const word = fc.stringMatching(/^[0-9a-f]{1,32}$/);
    fc.assert(
      fc.property(word, word, fc.option(seconds), fc.boolean(), (id, boot, length, flag) => {
        const until = length === null ? null : SINCE + length;
        const asked = flag ? ('moment' as const) : ('length' as const);
        const marker: Marker = {
          ...MARKER,
          id,
          boot,
          length,
          until,
          asked,
          host: flag,
          base: !flag,
          laid: flag,
        };
        expect(markerOf(textOf(marker))).toEqual(marker);
      }),
    );
    for (const name of ['id', 'since', 'uptime', 'until']) {
      const text = textOf(MARKER).replace(new RegExp(`^${name}=.*$`, 'm'), `${name}=x`);
      expect(markerOf(text), name).toBeUndefined();
    }
    // One of before there was this line.
    expect(markerOf(textOf(MARKER).replace(/^laid=.*\n/m, ''))).toEqual(MARKER);
    expect(markerOf('')).toBeUndefined();
    expect(markerOf(textOf(MARKER).replace('length=600', 'length=-600'))).toBeUndefined();
  });

  // Against: a note that all is to be out, cut off or without a line, taken for one without an end
  // by: it is none, for the daemon, the commands and the boot
  it('that has lost its end or a line never is longer than it was', () => {
    const text = textOf({ ...MARKER, laid: true });
    for (let length = 0; length < text.length; length += 1)
      expect([undefined, MARKER]).toContainEqual(markerOf(text.slice(0, length)));
    for (const line of ['length', 'until', 'base', 'since', 'uptime', 'id'])
      expect(markerOf(text.replace(new RegExp(`^${line}=.*\n`, 'm'), '')), line).toBeUndefined();
  });
});

describe('--until', () => {
  const now = new Date(2026, 10, 29, 18, 0, 0).getTime();
  it.each([
    [undefined, null],
    ['1s', 1_000],
    ['30m', 1_800_000],
    ['18:30', 1_800_000],
    ['18:00', 86_400_000],
    ['17:59', 86_340_000],
    ['2026-11-29 18:00:01', 1_000],
    ['2026-11-29T19:00', 3_600_000],
    ['2026-11-30', 21_600_000],
  ])('%s', (text, length) => {
    expect(untilArgument(text, now).length).toBe(length);
  });
  it('in UTC with a Z', () => {
    const utc = new Date(now + 60_000).toISOString().slice(0, 19);
    expect(untilArgument(`${utc}Z`, now)).toEqual({ length: 60_000, asked: 'moment' });
  });
  it.each([
    '',
    '0',
    '999ms',
    'x',
    '24:00',
    '1:60',
    '2026-11-29',
    '2026-02-31',
    '2026-13-01',
    '25d',
    '2027-11-29',
  ])('refuses %s', (text) => {
    expect(() => untilArgument(text, now)).toThrow(/write 30m|further off|has passed/);
  });
});
