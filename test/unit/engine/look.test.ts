import { describe, expect, it } from 'vitest';
import { formatAddress } from '../../../src/packet/address.ts';
import { milliseconds } from '../../../src/packet/time.ts';
import { address, cidr, door, ports, ranges, settings, sourcesOf, type World, world } from './world.ts';

const ME = '198.51.100.7';
const SIX = '2001:db8:1:2:3:4:5:6';

const look = (w: World, of: string): object => w.engine.source(address(of), milliseconds(w.now));
const listed = (w: World, limit = 10): readonly string[] =>
  sourcesOf(w, limit).map(({ source }) => formatAddress(source));

describe('what is known of a source', () => {
  it('is its strikes, its progress, its ban and its grants', () => {
    const w = world();
    expect(look(w, ME)).toEqual({
      source: address(ME),
      strikes: 0,
      attempts: [],
      bannedUntil: null,
      grants: [],
    });
    w.knock('7000', '8000/udp');
    expect(look(w, ME)).toMatchObject({ attempts: [{ door: 'ssh', step: 2, of: 3 }], grants: [] });
    w.knock('9000');
    expect(look(w, ME)).toMatchObject({ attempts: [], grants: ['ssh'], bannedUntil: null });
    w.send('23', { from: SIX });
    w.send('2323', { from: SIX });
    w.send('23', { from: '2001:db8:1:2::9' });
    expect(look(w, SIX)).toMatchObject({ strikes: 0, bannedUntil: w.now + 600_000 });
    w.send('23', { from: '2001:db8:1:3::9' });
    expect(look(w, '2001:db8:1:3::a')).toMatchObject({ strikes: 1, bannedUntil: null });
  });

  it('is listed for who is on the way or has strikes, the most strikes first, and no more than asked for', () => {
    const w = world();
    w.send('443');
    w.send('7000', { from: SIX });
    w.now += 1;
    w.send('7000', { from: '203.0.113.1' });
    w.send('23', { from: '203.0.113.2' });
    w.send('2323', { from: '203.0.113.2' });
    w.send('23', { from: '203.0.113.3' });
    expect(listed(w)).toEqual(['203.0.113.2', '203.0.113.3', '203.0.113.1', SIX]);
    expect(listed(w, 2)).toEqual(['203.0.113.2', '203.0.113.3']);
    expect(sourcesOf(w, 10)[3]).toMatchObject({ source: address(SIX), attempts: [{ step: 1 }] });
  });

  it('is not listed once its strikes are too old to count', () => {
    const w = world();
    w.send('23');
    w.now += 60_000;
    expect(listed(w)).toEqual([ME]);
    w.now += 1;
    expect(listed(w)).toEqual([]);
  });
});

describe('an attempt that has run out of time', () => {
  const within = 1 + Math.floor(Math.random() * 4_000);
  const gap = { min: milliseconds(0), max: milliseconds(1 + Math.floor(Math.random() * 4_000)) };
  const limits = [
    ['gap.max', { gap, within: milliseconds(100_000) }, gap.max],
    ['within', { within: milliseconds(within) }, within],
  ] as const;

  it.each(limits)('is not listed: %s of %o', (_, timing, time) => {
    const w = world(settings({ doors: [door(timing)] }));
    w.send('7000');
    w.now += time;
    expect(look(w, ME)).toMatchObject({ attempts: [{ door: 'ssh', step: 1, of: 3 }] });
    expect(listed(w)).toEqual([ME]);
    w.now += 1;
    expect(look(w, ME)).toMatchObject({ attempts: [] });
    expect(listed(w)).toEqual([]);
  });

  it('takes no place from one that goes on, in the list and at its door', () => {
    const w = world(settings({ doors: [door({ within: milliseconds(4_000) })] }));
    w.knock('7000', '8000/udp');
    w.send('7000', { from: SIX });
    w.now += 3_000;
    // A second try beside the first, which runs out before it.
    w.send('7000');
    w.now += 2_000;
    expect(look(w, ME)).toMatchObject({ attempts: [{ door: 'ssh', step: 1 }] });
    w.send('7000', { from: '203.0.113.1' });
    expect(listed(w, 2)).toEqual(['203.0.113.1', ME]);
  });

  it('is none at a close sequence whose grant has ended', () => {
    const w = world(settings({ doors: [door({ close: ports('6001', '6002'), for: milliseconds(8_000) })] }));
    w.knock('7000', '8000/udp', '9000');
    w.now += 6_000;
    w.send('6001');
    expect(look(w, ME)).toMatchObject({ attempts: [{ step: 1, of: 2 }] });
    w.pass(3_000);
    expect(look(w, ME)).toMatchObject({ attempts: [], grants: [] });
  });
});

describe('what is in force', () => {
  it('is told door by door, to whom it was given', () => {
    const network = cidr('203.0.113.0/24');
    const mail = door({ name: 'mail', knock: ports('6100'), opens: ranges('25'), grant: network, uses: 3 });
    const w = world(settings({ doors: [door(), mail] }));
    w.knock('6100');
    const opened = { door: 'mail', grantee: network, since: w.now, until: w.now + 30_000, usesLeft: 3 };
    expect(w.engine.grant('mail', network)).toMatchObject(opened);
    expect(w.engine.grants()).toMatchObject([opened]);
    expect(w.engine.grant('ssh', network)).toBeUndefined();
    expect(w.engine.grant('mail', cidr('203.0.113.0/25'))).toBeUndefined();
    w.knock('7000', '8000/udp', '9000');
    expect(w.engine.grant('ssh', cidr(ME))).toMatchObject({ door: 'ssh', source: address(ME) });
    w.pass(30_000);
    expect(w.engine.grants()).toEqual([]);
  });

  it('is counted, and there is a next end as long as anything is in force', () => {
    const w = world(settings({ sources: 77, bans: { strikes: 1, limit: 5 } }));
    const none = { attempts: 0, offenders: 0, bans: 0, grants: 0, sourcesMax: 77, bansMax: 5 };
    expect(w.engine.sizes()).toEqual(none);
    expect(w.engine.deadline()).toBe(Number.POSITIVE_INFINITY);
    w.knock('7000', '8000/udp', '9000');
    const end = w.now + 30_000;
    expect(w.engine.deadline()).toBe(end);
    w.send('23', { from: '203.0.113.2' });
    w.send('7000', { from: '203.0.113.3' });
    expect(w.engine.sizes()).toEqual({ ...none, attempts: 2, offenders: 3, bans: 1, grants: 1 });
    expect(w.engine.deadline()).toBe(end);
    w.pass(30_000);
    expect(w.engine.deadline()).toBe(w.now - 30_000 + 600_000);
    w.pass(570_000);
    expect(w.engine.deadline()).toBe(Number.POSITIVE_INFINITY);
  });
});
