import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { formatCidr } from '../../../src/packet/cidr.ts';
import { openMemoryStore } from '../../../src/state/memory.ts';
import { openStore } from '../../../src/state/sqlite.ts';
import type { Keep, StateChange, Store } from '../../../src/state/store.ts';
import { ban, cidr, grant, NOW, unban } from './example.ts';

const DAY = 86_400_000;
const folders: string[] = [];

afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

function openSqlite(keep: Keep): Store {
  const folder = mkdtempSync(join(tmpdir(), 'nfknock-state-'));
  folders.push(folder);
  return openStore(join(folder, 'state.db'), { ...keep, now: NOW }).store;
}

describe.each([
  ['memory', (keep: Keep) => openMemoryStore(keep, NOW)],
  ['sqlite', openSqlite],
])('the %s store', { timeout: 30_000 }, (_, open) => {
  it('keeps what a member of a fleet says until it is told, and what of others was heard', () => {
    using store = disposable(open({}));
    const register = (key: string, value: string): StateChange => ({
      ...{ change: 'register', key, value, untold: true },
    });
    store.write([register('a', '1'), register('b', '1'), register('c', '1')], NOW);
    store.write([register('a', '2'), { change: 'told', key: 'a', value: '1' }], NOW);
    store.write(
      [
        { change: 'told', key: 'b', value: '1' },
        { change: 'told', key: 'nothing', value: '1' },
      ],
      NOW,
    );
    store.write(
      [
        { change: 'unregister', key: 'c' },
        { change: 'heard', member: 'edge2', last: '5-1' },
      ],
      NOW,
    );
    expect(Object.fromEntries(store.fleet().registers)).toEqual({
      a: { value: '2', untold: true },
      b: { value: '1', untold: false },
    });
    expect(Object.fromEntries(store.fleet().heard)).toEqual({ edge2: '5-1' });
  });

  it('knows of a ban and a grant which member said it', () => {
    using store = disposable(open({}));
    const made = {
      target: cidr('203.0.113.9'),
      since: NOW,
      until: NOW + 9000,
      count: 1,
      origin: 'strikes',
    } as const;
    store.write([{ change: 'ban', ban: { ...made, from: 'edge2' } }], NOW);
    store.write([grant('ssh', '198.51.100.7', { from: 'edge3' })], NOW);
    expect(store.load(NOW)).toMatchObject({ bans: [{ from: 'edge2' }], grants: [{ from: 'edge3' }] });
    store.write([{ change: 'ban', ban: made }], NOW);
    expect(store.load(NOW).bans).toEqual([made]);
  });

  it('begins empty and well', () => {
    using store = disposable(open({}));
    expect(store.load(NOW)).toEqual({ grants: [], bans: [], histories: [] });
    expect(store.health()).toEqual({ ok: true, reason: null });
  });

  it('gives back a grant with everything that it was made with', () => {
    using store = disposable(open({}));
    store.write([grant('ssh', '198.51.100.7', { usesLeft: 3, reason: 'ticket 4711' })], NOW);
    store.write(
      [
        grant('web', '2001:db8::7', {
          grantee: 'any',
          until: NOW + 0.5,
          holder: { key: 'ada-laptop', person: 'ada' },
        }),
      ],
      NOW,
    );
    expect(store.load(NOW).grants).toEqual([
      {
        door: 'ssh',
        grantee: cidr('198.51.100.7'),
        source: cidr('198.51.100.7'),
        since: NOW,
        until: NOW + 30_000,
        usesLeft: 3,
        reason: 'ticket 4711',
        holder: null,
      },
      {
        door: 'web',
        grantee: 'any',
        source: cidr('2001:db8::7'),
        since: NOW,
        until: NOW + 0.5,
        usesLeft: null,
        reason: null,
        holder: { key: 'ada-laptop', person: 'ada' },
      },
    ]);
  });

  it('gives back what keys have used up, and forgets what a floor covers', () => {
    using store = disposable(open({}));
    const seen = (id: string, stamp: number | null): StateChange => {
      return { change: 'seen', key: 'ada', id, stamp, source: '198.51.100.7/32' };
    };
    store.write([seen('a', NOW), seen('b', NOW + 1), seen('c', null)], NOW);
    store.write([{ change: 'key_used', key: 'ada', uses: 3, last: NOW }], NOW);
    // Of an opening that had to wait.
    store.write([{ change: 'key_used', key: 'ada', uses: 2, last: NOW - 1 }], NOW);
    store.write([{ change: 'floor', key: 'ada', stamp: NOW }], NOW);
    store.write([{ change: 'floor', key: 'ada', stamp: NOW - 5 }], NOW, 'machine');
    const kept = store.uses();
    expect(kept.seen.map(({ id }) => id).sort()).toEqual(['b', 'c']);
    expect(kept.floors).toEqual(new Map([['ada', NOW]]));
    expect(kept.used).toEqual(new Map([['ada', { uses: 3, last: NOW }]]));
  });

  it('holds one grant of a door for one grantee: the later', () => {
    using store = disposable(open({}));
    store.write([grant('ssh', '198.51.100.7'), grant('ssh', '198.51.100.7', { until: NOW + 60_000 })], NOW);
    store.write([grant('web', '198.51.100.7')], NOW);
    expect(store.load(NOW).grants.map(({ door, until }) => [door, until - NOW])).toEqual([
      ['ssh', 60_000],
      ['web', 30_000],
    ]);
  });

  it('ends a grant of one door and leaves the others', () => {
    using store = disposable(open({}));
    store.write(
      [grant('ssh', '198.51.100.7'), grant('web', '198.51.100.7'), grant('ssh', '198.51.100.8')],
      NOW,
    );
    store.write([{ change: 'ungrant', door: 'ssh', grantee: cidr('198.51.100.7') }], NOW);
    store.write([{ change: 'ungrant', door: 'ftp', grantee: 'any' }], NOW);
    expect(
      store
        .load(NOW)
        .grants.map(({ door }) => door)
        .sort(),
    ).toEqual(['ssh', 'web']);
  });

  it('forgets a grant at the moment that it ends, for good', () => {
    using store = disposable(open({}));
    store.write([grant('ssh', '198.51.100.7')], NOW);
    expect(store.load(NOW + 29_999).grants).toHaveLength(1);
    expect(store.load(NOW + 30_000).grants).toHaveLength(0);
    expect(store.load(NOW).grants).toHaveLength(0);
  });

  it('keeps the history of a ban that has ended, and of one that has not', () => {
    using store = disposable(open({}));
    store.write([ban('203.0.113.9', NOW + 1000, 4), ban('2001:db8:0:1::/64', NOW + 5000)], NOW);
    const later = store.load(NOW + 1000);
    expect(later.bans).toEqual([
      { target: cidr('2001:db8:0:1::/64'), since: NOW, until: NOW + 5000, count: 1, origin: 'strikes' },
    ]);
    expect(later.histories).toEqual([
      { target: cidr('203.0.113.9'), count: 4, since: NOW, until: NOW + 1000 },
      { target: cidr('2001:db8:0:1::/64'), count: 1, since: NOW, until: NOW + 5000 },
    ]);
  });

  it('keeps a history for ten times its ban, and at least a day', () => {
    using store = disposable(open({}));
    store.write([ban('203.0.113.9', NOW + 1000, 4)], NOW);
    expect(store.load(NOW + 1000 + DAY - 1).histories).toHaveLength(1);
    expect(store.load(NOW + 1000 + DAY).histories).toHaveLength(0);
    store.write([ban('203.0.113.9', NOW + DAY, 4)], NOW);
    expect(store.load(NOW + 11 * DAY - 1).histories).toHaveLength(1);
    expect(store.load(NOW + 11 * DAY).histories).toHaveLength(0);
  });

  it('forgets a history that was forgiven, and no ban in force', () => {
    using store = disposable(open({}));
    store.write([ban('203.0.113.9', NOW + 1000, 4), ban('203.0.113.10', NOW + 3000, 2)], NOW);
    const forgive = (target: string): StateChange => ({ change: 'forgive', target: cidr(target) });
    store.write([forgive('203.0.113.9'), forgive('203.0.113.10'), forgive('203.0.113.11')], NOW + 2000);
    const { bans, histories } = store.load(NOW + 2000);
    expect(bans).toHaveLength(1);
    expect(histories.map(({ target, count }) => `${formatCidr(target)} ${count}`)).toEqual([
      '203.0.113.10 2',
    ]);
  });

  it('remembers how often a target was banned whose ban was lifted, from that moment', () => {
    using store = disposable(open({}));
    store.write([ban('203.0.113.9', NOW + 9000, 2)], NOW);
    store.write([unban('203.0.113.9'), unban('203.0.113.10')], NOW + 500);
    expect(store.load(NOW + 500)).toEqual({
      grants: [],
      bans: [],
      histories: [{ target: cidr('203.0.113.9'), count: 2, since: NOW, until: NOW + 500 }],
    });
  });

  it('knows whose ban was lifted, until he is banned again', () => {
    using store = disposable(open({}));
    const isLifted = (): boolean => store.isLifted(cidr('203.0.113.9'));
    expect(isLifted()).toBe(false);
    store.write([ban('203.0.113.9', NOW + 9000)], NOW);
    expect(isLifted()).toBe(false);
    store.write([unban('203.0.113.9'), { change: 'forgive', target: cidr('203.0.113.9') }], NOW + 500);
    expect(isLifted()).toBe(true);
    store.write([ban('203.0.113.9', NOW + 9000)], NOW + 600);
    expect(isLifted()).toBe(false);
  });

  it('never brings a lifted ban back, also where the clock is set back', () => {
    using store = disposable(open({}));
    store.write([ban('203.0.113.9', NOW + 9000)], NOW);
    store.write([unban('203.0.113.9')], NOW + 500);
    expect(store.load(NOW - 5000).bans).toEqual([]);
  });

  it('forgets the histories that were touched longest ago when there are too many, and no ban', () => {
    using store = disposable(open({ histories: 2 }));
    store.write(
      [ban('203.0.113.1', NOW + 900_000), ban('203.0.113.2', NOW + 1), ban('203.0.113.3', NOW + 1)],
      NOW,
    );
    store.write([ban('203.0.113.4', NOW + 1), ban('203.0.113.2', NOW + 2, 2)], NOW);
    // One turn counts them, the next forgets.
    store.write([], NOW + 60_000);
    store.write([], NOW + 60_000);
    const { bans, histories } = store.load(NOW + 60_000);
    expect(bans).toHaveLength(1);
    expect(histories.map(({ count, until }) => [count, until - NOW])).toEqual([
      [1, 900_000],
      [1, 1],
      [2, 2],
    ]);
  });

  it('takes no harm from being closed twice or written to afterwards', () => {
    const store = open({});
    store.close();
    store.close();
    expect(() => store.write([grant('ssh', '198.51.100.7')], NOW)).not.toThrow();
  });
});

function disposable(store: Store): Store & Disposable {
  return { ...store, [Symbol.dispose]: () => store.close() };
}
