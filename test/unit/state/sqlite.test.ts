import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openStore } from '../../../src/state/sqlite.ts';
import { type StateChange, StateError, type StoredGrant } from '../../../src/state/store.ts';
import { AS_VERSION_1, AS_VERSION_3, ban, cidr, grant, NOW, narrow, sorted, unban } from './example.ts';

const options = { now: NOW };
let folder = '';
let path = '';

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'nfknock-state-'));
  path = join(folder, 'state.db');
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe('the state file', () => {
  it('is made with its folder, for its owner alone', () => {
    path = join(folder, 'deep/er/state.db');
    const { store, notice } = openStore(path, options);
    store.write([grant('ssh', '198.51.100.7')], NOW);
    expect(notice).toBeNull();
    expect(statSync(join(folder, 'deep/er')).mode & 0o777).toBe(0o700);
    expect(
      readdirSync(join(folder, 'deep/er')).map(
        (name) => statSync(join(folder, 'deep/er', name)).mode & 0o777,
      ),
    ).toEqual([0o600, 0o600]);
    store.close();
  });

  it('is closed to others again where someone opened it', () => {
    openStore(path, options).store.close();
    chmodSync(path, 0o666);
    openStore(path, options).store.close();
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  it('gives everything back after a restart, and leaves one file when it is closed', () => {
    const first = openStore(path, options).store;
    first.write(
      [
        grant('ssh', '198.51.100.7', { reason: 'ticket 4711', usesLeft: 2 }),
        ban('203.0.113.9', NOW + 9000, 3),
      ],
      NOW,
    );
    first.write([ban('2001:db8::/64', NOW + 9000), unban('2001:db8::/64')], NOW + 1);
    const before = first.load(NOW + 1);
    first.close();
    expect(readdirSync(folder)).toEqual(['state.db']);
    const second = openStore(path, options).store;
    expect(sorted(second.load(NOW + 1))).toEqual(sorted(before));
    second.close();
  });

  it('is refused to a second daemon with a line that says what to do, and is free once the first has ended', () => {
    const first = openStore(path, options).store;
    let refused: unknown;
    try {
      openStore(path, options);
    } catch (error) {
      refused = error;
    }
    expect(refused).toBeInstanceOf(StateError);
    expect((refused as StateError).code).toBe('locked');
    expect((refused as StateError).message).toContain(`another nfknock uses ${path}; stop it`);
    first.write([grant('ssh', '198.51.100.7')], NOW);
    first.close();
    const second = openStore(path, options).store;
    expect(second.load(NOW).grants).toHaveLength(1);
    second.close();
  });

  it('brings nothing back that had expired, also where the clock was set back before the restart', () => {
    const first = openStore(path, options).store;
    first.write([grant('ssh', '198.51.100.7'), ban('203.0.113.9', NOW + 40_000)], NOW);
    first.write([grant('web', '198.51.100.8', { until: NOW + 90_000 })], NOW + 50_000);
    first.close();
    const second = openStore(path, options).store;
    const { grants, bans } = second.load(NOW - 1_000_000);
    expect(grants.map(({ door }) => door)).toEqual(['web']);
    expect(bans).toEqual([]);
    second.close();
  });

  it('takes what has ended out of the file itself', () => {
    const store = openStore(path, options).store;
    store.write([grant('ssh', '198.51.100.7'), ban('203.0.113.9', NOW + 1)], NOW);
    store.write([], NOW + 60_000);
    store.write([], NOW + 2 * 86_400_000);
    store.close();
    const db = new Database(path);
    expect(
      db.prepare('SELECT (SELECT count(*) FROM door_grant) + (SELECT count(*) FROM ban_log)').pluck().get(),
    ).toBe(0);
    db.close();
  });
});

describe('a state file of no use', () => {
  it.each([
    ['garbage', Buffer.from('this is no database. '.repeat(500))],
    ['nothing but zeroes', Buffer.alloc(8192)],
    ['a header cut short', Buffer.from('SQLite format 3\0')],
  ])('that holds %s is set aside whole, and the daemon works', (_, bytes) => {
    writeFileSync(path, bytes);
    const { store, notice } = openStore(path, options);
    const aside = join(folder, 'state.db.damaged-20261121T064000Z');
    expect(notice).toContain(`set aside as ${aside}, and a new one was started`);
    expect(readFileSync(aside)).toEqual(bytes);
    store.write([grant('ssh', '198.51.100.7')], NOW);
    expect(store.health()).toEqual({ ok: true, reason: null });
    store.close();
    expect(openStore(path, options).notice).toBeNull();
  });

  it('whose pages were overwritten in the middle is set aside', () => {
    const first = openStore(path, options).store;
    first.write(
      Array.from({ length: 2000 }, (_, i) => ban(`203.0.${i >> 8}.${i & 255}`, NOW + 9000)),
      NOW,
    );
    first.close();
    const bytes = readFileSync(path);
    bytes.fill(0xaa, 4096 * 4, 4096 * 9);
    writeFileSync(path, bytes);
    const { store, notice } = openStore(path, options);
    expect(notice).toMatch(/damaged.*set aside/);
    expect(store.load(NOW).bans).toEqual([]);
    store.close();
  });

  it('of a newer version is set aside with both versions named, and never over an older one', () => {
    for (const expected of ['state.db.newer-20261121T064000Z', 'state.db.newer-20261121T064000Z-2']) {
      openStore(path, options).store.close();
      const db = new Database(path);
      db.pragma('user_version = 7');
      db.close();
      const { store, notice } = openStore(path, options);
      expect(notice).toContain('newer nfknock (schema 7, this one knows 4)');
      expect(notice).toContain(expected);
      expect(readdirSync(folder)).toContain(expected);
      store.close();
    }
  });

  it('whose schema lost a letter is set aside: SQLite would find its values under other names', () => {
    const first = openStore(path, options).store;
    first.write([grant('ssh', '198.51.100.7')], NOW);
    first.close();
    const bytes = readFileSync(path);
    const at = bytes.indexOf('uses_left');
    expect(at).toBeGreaterThan(0);
    bytes.write('uses_lefu', at);
    writeFileSync(path, bytes);
    const { store, notice } = openStore(path, options);
    expect(notice).toMatch(/is damaged \(its tables are not those of version 4\): set aside as/);
    store.write([grant('ssh', '198.51.100.7')], NOW);
    store.close();
    expect(openStore(path, options).store.load(NOW).grants).toHaveLength(1);
  });

  it.each([
    [
      'whose schema names a table twice, and differently',
      "UPDATE sqlite_schema SET tbl_name = 'Ban_log' WHERE name = 'ban_log'",
    ],
    ['of a version that never was', 'PRAGMA user_version = -2'],
    ['of version 1 by its number alone', 'PRAGMA user_version = 1'],
    ['with a table more', 'CREATE TABLE more (x)'],
  ])('%s is set aside, and what is written then is there again', (_, damage) => {
    openStore(path, options).store.close();
    const db = new Database(path);
    db.unsafeMode();
    db.pragma('writable_schema = ON');
    db.exec(damage);
    db.close();
    const { store, notice } = openStore(path, options);
    expect(notice).toMatch(/is damaged \(its tables are not those of version -?\d\): set aside as/);
    store.write([grant('ssh', '198.51.100.7')], NOW);
    store.close();
    expect(openStore(path, options).store.load(NOW).grants).toHaveLength(1);
  });

  it("that is another program's is set aside, not written to", () => {
    const db = new Database(path);
    db.exec('CREATE TABLE door_grant (x); INSERT INTO door_grant VALUES (1)');
    db.close();
    const { store, notice } = openStore(path, options);
    expect(notice).toContain('not a state file of nfknock');
    store.close();
  });

  it('in some rows only loses those rows, and says how many', () => {
    const first = openStore(path, options).store;
    first.write([grant('ssh', '198.51.100.7'), ban('203.0.113.9', NOW + 9000)], NOW);
    first.close();
    const db = new Database(path);
    db.exec(
      "INSERT INTO door_grant VALUES ('ssh', '4:cb007109/33', '6:00/128', 1, 9e15, NULL, NULL, NULL, NULL, NULL)",
    );
    // A family that is none, a prefix that is too long, and five bytes of an entry.
    const rubbish = Buffer.alloc(38 + 38 + 5);
    rubbish[0] = 5;
    rubbish[38] = 4;
    rubbish[37] = 33;
    db.prepare('INSERT INTO ban_log VALUES (99, ?)').run(rubbish);
    db.close();
    const { store, notice } = openStore(path, options);
    expect(notice).toContain('4 entries');
    expect(store.load(NOW)).toMatchObject({ grants: [{ door: 'ssh' }], bans: [{ count: 1 }] });
    store.close();
  });

  it('with moments, uses and counts that can not be brings back no grant and no ban that lasts for ever', () => {
    const day = 86_400_000;
    const first = openStore(path, options).store;
    first.write([grant('ssh', '198.51.100.7'), ban('203.0.113.9', NOW + 9000)], NOW);
    first.close();
    const db = new Database(path);
    const put = db.prepare('INSERT INTO door_grant VALUES (?, ?, ?, ?, ?, ?, NULL, NULL, NULL, NULL)');
    const host = '4:c6336407/32';
    put.run('late', host, host, NOW, NOW + 25 * day, null);
    put.run('later', host, host, NOW, 9e15, null);
    put.run('never', host, host, Number.POSITIVE_INFINITY, NOW + day, null);
    put.run('before', host, host, -1, NOW + day, null);
    put.run('used', host, host, NOW, NOW + day, 0);
    put.run('sound', host, host, NOW, NOW + 24 * day, 1);
    const { entries } = db.prepare<[], { entries: Buffer }>('SELECT entries FROM ban_log').get() ?? {};
    const changed = [
      (bytes: Buffer): unknown => bytes.writeDoubleLE(NOW + 25 * day, 28),
      (bytes: Buffer): unknown => bytes.writeDoubleLE(-NOW, 20),
      (bytes: Buffer): unknown => bytes.writeUInt16LE(0, 2),
    ].map((change, number) => {
      const bytes = Buffer.from(entries ?? []);
      bytes[4] = number;
      change(bytes);
      return bytes;
    });
    db.prepare('INSERT INTO ban_log VALUES (99, ?)').run(Buffer.concat(changed));
    db.close();
    const { store, notice } = openStore(path, options);
    expect(notice).toContain('8 entries');
    const { grants, bans } = store.load(NOW);
    expect(grants.map(({ door }) => door).sort()).toEqual(['sound', 'ssh']);
    expect(bans).toHaveLength(1);
    store.close();
  });

  it('last written at a moment that can not be is read all the same', () => {
    const first = openStore(path, options).store;
    first.write([grant('ssh', '198.51.100.7')], NOW);
    first.close();
    const db = new Database(path);
    db.exec('UPDATE moment SET seen = 1e300');
    db.close();
    const { store, notice } = openStore(path, options);
    expect(notice).toContain('1 entries');
    expect(store.load(NOW).grants).toHaveLength(1);
    store.close();
  });

  it('since a folder stands in its place leaves a store that works in memory and says so', () => {
    mkdirSync(path);
    const { store, notice } = openStore(path, options);
    expect(notice).toContain(`${path} can't be written`);
    expect(store.health()).toEqual({ ok: false, reason: notice });
    store.write([grant('ssh', '198.51.100.7')], NOW);
    expect(store.load(NOW).grants).toHaveLength(1);
    rmSync(path, { recursive: true });
    store.write([], NOW + 1000);
    expect(store.health().ok).toBe(true);
    store.close();
    expect(openStore(path, options).store.load(NOW).grants).toHaveLength(1);
  });
});

describe('what keys have used up', () => {
  it('is there after the process has died, and after the file was replaced', () => {
    const first = openStore(path, options).store;
    const one = { change: 'seen', key: 'ada', id: 'a', stamp: NOW, source: '198.51.100.7/32' } as const;
    first.write([one, { change: 'floor', key: 'ben', stamp: NOW }], NOW, 'machine');
    rmSync(path);
    // The file is written anew from memory.
    first.write([], NOW + 1000);
    first.write([], NOW + 3000);
    first.close();
    const { change, ...seen } = one;
    const kept = openStore(path, options).store.uses();
    expect([change, kept]).toEqual([
      'seen',
      { seen: [seen], floors: new Map([['ben', NOW]]), used: new Map() },
    ]);
  });
});

describe('the log of bans', { timeout: 60_000 }, () => {
  const host = (number: number): string =>
    `203.${(number >> 16) & 255}.${(number >> 8) & 255}.${number & 255}`;
  const rows = (): { readonly rows: number; readonly entries: number } => {
    const db = new Database(path, { readonly: true });
    const found = db
      .prepare<[], { rows: number; bytes: number | null }>(
        'SELECT count(*) AS rows, sum(length(entries)) AS bytes FROM ban_log',
      )
      .get();
    db.close();
    return { rows: found?.rows ?? 0, entries: (found?.bytes ?? 0) / 38 };
  };

  it('takes a thousand bans as one row, and gives back what was said of each last', () => {
    const first = openStore(path, options).store;
    first.write(
      Array.from({ length: 1000 }, (_, i) => ban(host(i), NOW + 9000)),
      NOW,
    );
    first.write([ban(host(7), NOW + 70_000, 2), unban(host(8)), ban(host(9), NOW + 90_000, 5)], NOW + 1);
    first.close();
    expect(rows().rows).toBe(2);
    const second = openStore(path, options).store;
    const { bans, histories } = second.load(NOW + 2);
    second.close();
    expect(bans).toHaveLength(999);
    expect(histories).toHaveLength(1000);
    expect(bans.slice(-2)).toEqual([
      { target: cidr(host(7)), since: NOW, until: NOW + 70_000, count: 2, origin: 'strikes' },
      { target: cidr(host(9)), since: NOW, until: NOW + 90_000, count: 5, origin: 'strikes' },
    ]);
  });

  it('never holds much more than twice what counts, however often the same targets are banned', () => {
    const store = openStore(path, options).store;
    for (let round = 1; round <= 60; round += 1) {
      store.write(
        Array.from({ length: 500 }, (_, i) => ban(host(i), NOW + round, round)),
        NOW,
      );
      store.write([ban(host(70_000 + round), NOW + 9000)], NOW);
    }
    store.close();
    expect(rows().entries).toBeLessThanOrEqual(2 * 560 + 1024 + 500);
    const again = openStore(path, options).store;
    const { histories } = again.load(NOW);
    again.close();
    expect(histories.filter(({ count }) => count === 60)).toHaveLength(500);
    expect(histories).toHaveLength(560);
  });

  it('is cleaned up in quiet moments', () => {
    const store = openStore(path, options).store;
    for (let round = 1; round <= 20; round += 1) store.write([ban(host(1), NOW + round, round)], NOW);
    store.write([], NOW + 60_000);
    store.close();
    expect(rows()).toEqual({ rows: 1, entries: 1 });
  });

  it('gives back what a file of version 1 held, in which each had a row of its own', () => {
    openStore(path, options).store.close();
    const db = new Database(path);
    db.exec(AS_VERSION_1);
    db.close();
    const { store, notice } = openStore(path, options);
    expect(notice).toBeNull();
    expect(store.load(NOW)).toMatchObject({
      bans: [{ target: cidr('203.0.113.9'), count: 3 }],
      histories: [{ count: 3 }, { count: 1 }],
    });
    store.close();
    expect(rows().entries).toBe(2);
  });
});

describe('what a fleet keeps in the file', () => {
  it('is there after a restart, under the names of its members', () => {
    const first = openStore(path, options).store;
    const made = {
      target: cidr('203.0.113.9'),
      since: NOW,
      until: NOW + 9000,
      count: 1,
      origin: 'strikes',
    } as const;
    const other = { ...made, target: cidr('203.0.113.10'), from: 'edge3' };
    first.write(
      [
        { change: 'ban', ban: { ...made, from: 'edge2' } },
        { change: 'ban', ban: other },
        { change: 'register', key: 'a', value: '1', untold: true },
        { change: 'heard', member: 'edge3', last: '5-1' },
      ],
      NOW,
    );
    first.close();
    // A name that is none: the file's numbers are others in memory.
    const db = new Database(path);
    db.exec("UPDATE fleet_member SET name = '<' WHERE name = 'edge2'");
    db.close();
    const { store, notice } = openStore(path, options);
    expect(notice).toContain('1 entries');
    expect(store.load(NOW).bans).toEqual([other]);
    expect(store.fleet().registers.get('a')).toEqual({ value: '1', untold: true });
    expect(store.fleet().heard.get('edge3')).toBe('5-1');
    store.close();
    const again = openStore(path, options);
    expect([again.notice, again.store.load(NOW).bans]).toEqual([null, [other]]);
    again.store.close();
  });
});

describe('a state file of version 3', () => {
  it('gives back its bans and grants, all of this machine, and takes those of a fleet', () => {
    const before = openStore(path, options).store;
    before.write(
      [grant('ssh', '198.51.100.7'), ban('203.0.113.9', NOW + 9000), ban('203.0.113.10', NOW + 9000)],
      NOW,
    );
    const held = sorted(before.load(NOW));
    before.close();
    const db = new Database(path);
    db.exec(AS_VERSION_3);
    const entries = db.prepare<[], { row: number; entries: Buffer }>('SELECT * FROM ban_log').all();
    const put = db.prepare('UPDATE ban_log SET entries = ? WHERE row = ?');
    for (const each of entries) put.run(narrow(each.entries), each.row);
    db.close();
    const { store, notice } = openStore(path, options);
    expect(notice).toBeNull();
    expect(sorted(store.load(NOW))).toEqual(held);
    const one = {
      target: cidr('192.0.2.7'),
      since: NOW,
      until: NOW + 9000,
      count: 1,
      origin: 'order' as const,
    };
    store.write([{ change: 'ban', ban: { ...one, from: 'edge2' } }], NOW);
    store.close();
    const again = openStore(path, options).store;
    expect(again.load(NOW).bans).toContainEqual({ ...one, from: 'edge2' });
    again.close();
  });
});

describe('a state file that can no longer be written', () => {
  it('leaves the state in memory, and is written whole once there is space again', () => {
    const { store } = openStore(path, { ...options, pagesMax: 24 });
    const many = Array.from({ length: 2000 }, (_, i) => grant('ssh', `198.51.${i >> 8}.${i & 255}`));
    store.write([grant('web', '198.51.100.7')], NOW);
    store.write(many, NOW);
    expect(store.health().ok).toBe(false);
    expect(store.health().reason).toContain(`no space for ${path}: free some`);
    expect(store.load(NOW).grants).toHaveLength(2001);
    store.write([ban('203.0.113.9', NOW + 90_000)], NOW + 1);
    store.write(many.slice(1).map(ungrant), NOW + 2);
    store.write([], NOW + 500);
    expect(store.health().ok).toBe(false);
    store.write([], NOW + 1000);
    expect(store.health()).toEqual({ ok: true, reason: null });
    const held = store.load(NOW + 1000);
    store.close();
    const again = openStore(path, options).store;
    expect(sorted(again.load(NOW + 1000))).toEqual(sorted(held));
    expect(held).toMatchObject({ grants: [{}, {}], bans: [{ count: 1 }] });
    again.close();
  });

  it.each([
    [0, 1],
    [1, 3],
    [8, 15],
    [32, 63],
    [64, 123],
    [130, 183],
  ])(
    'is tried again after 1, 2, 4 … seconds, a minute at most: fixed at %i s, it is written at %i s',
    (fixed, written) => {
      mkdirSync(path);
      const { store } = openStore(path, options);
      let recovered = -1;
      for (let second = 0; recovered < 0; second += 1) {
        store.write([], NOW + second * 1000);
        if (store.health().ok) recovered = second;
        if (second === fixed) rmSync(path, { recursive: true });
      }
      expect(recovered).toBe(written);
      store.close();
    },
  );

  it('is tried again at once where the clock was set back', () => {
    mkdirSync(path);
    const { store } = openStore(path, options);
    rmSync(path, { recursive: true });
    store.write([], NOW - 3_600_000);
    expect(store.health().ok).toBe(true);
    store.close();
  });

  it('since it was deleted while the daemon ran is written anew', () => {
    const { store } = openStore(path, options);
    store.write([grant('ssh', '198.51.100.7')], NOW);
    renameSync(path, join(folder, 'elsewhere.db'));
    store.write([], NOW + 1000);
    expect(store.health().reason).toContain('was moved or deleted');
    store.write([], NOW + 2000);
    expect(store.health().ok).toBe(true);
    store.close();
    const again = openStore(path, options).store;
    expect(again.load(NOW).grants).toHaveLength(1);
    again.close();
  });
});

describe('any run of changes', { timeout: 60_000 }, () => {
  const doors = fc.constantFrom('ssh', 'web', 'ftp');
  const hosts = fc.constantFrom('198.51.100.7', '198.51.100.8', '2001:db8::7');
  const until = fc.integer({ min: 1, max: 100_000 }).map((after) => NOW + after);
  const anyChange: fc.Arbitrary<StateChange> = fc.oneof(
    fc
      .record({
        door: doors,
        host: hosts,
        until,
        uses: fc.option(fc.integer({ min: 1, max: 5 })),
        reason: fc.option(fc.string({ unit: 'grapheme' })),
      })
      .map(({ door, host, until: end, uses, reason }) =>
        grant(door, host, { until: end, usesLeft: uses, reason }),
      ),
    fc
      .record({ door: doors, host: hosts })
      .map(({ door, host }): StateChange => ({ change: 'ungrant', door, grantee: cidr(host) })),
    fc
      .record({ host: hosts, until, count: fc.integer({ min: 1, max: 9 }) })
      .map(({ host, until: end, count }) => ban(host, end, count)),
    hosts.map(unban),
  );

  it('is there again after closing and opening, as a map would hold it', () => {
    const file = join(folder, 'model.db');
    fc.assert(
      fc.property(
        fc.array(fc.array(anyChange, { maxLength: 5 }), { maxLength: 12 }),
        fc.nat(100_000),
        (batches, after) => {
          rmSync(file, { force: true });
          const grants = new Map<string, StoredGrant>();
          let store = openStore(file, options).store;
          for (const [index, batch] of batches.entries()) {
            store.write(batch, NOW);
            for (const change of batch) applyToModel(grants, change);
            if (index % 3 === 2) {
              store.close();
              store = openStore(file, options).store;
            }
          }
          const before = store.load(NOW);
          store.close();
          store = openStore(file, options).store;
          expect(sorted(store.load(NOW))).toEqual(sorted(before));
          const expected = [...grants.values()].filter(({ until: end }) => end > NOW + after);
          const held = store.load(NOW + after);
          expect(sorted(held).grants).toEqual(sorted({ ...held, grants: expected }).grants);
          store.close();
        },
      ),
      { numRuns: 60 },
    );
  });
});

function applyToModel(grants: Map<string, StoredGrant>, change: StateChange): void {
  if (change.change === 'grant')
    grants.set(`${change.grant.door} ${JSON.stringify(change.grant.grantee)}`, change.grant);
  if (change.change === 'ungrant') grants.delete(`${change.door} ${JSON.stringify(change.grantee)}`);
}

function ungrant(change: StateChange): StateChange {
  if (change.change !== 'grant') throw new Error('only grants can be ended');
  return { change: 'ungrant', door: change.grant.door, grantee: change.grant.grantee };
}

describe('a boot of the machine', () => {
  it('is known again, told from others, and from a file of which nothing is known', () => {
    const first = openStore(path, options).store;
    expect(first.isOf('one')).toBe(false);
    first.belongsTo('one');
    first.close();
    const second = openStore(path, options).store;
    expect([second.isOf('one'), second.isOf('two'), second.isOf('')]).toEqual([true, false, false]);
    second.close();
  });

  it('with a clock that is behind takes nothing for damaged at the start after it, and knows what is later', () => {
    const first = openStore(path, options).store;
    first.belongsTo('one');
    first.write([grant('ssh', '198.51.100.7', { until: NOW + 3_600_000 })], NOW);
    first.close();
    for (let start = 0; start < 2; start += 1) {
      const { store, notice } = openStore(path, { now: 1_000 });
      expect(notice).toBeNull();
      expect(store.seen()).toBe(NOW);
      expect(store.load(1_000).grants).toHaveLength(1);
      store.write([ban('203.0.113.9/32', 61_000)], 1_000);
      store.close();
    }
  });
});
