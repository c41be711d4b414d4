import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { HOST_BITS } from '../../src/packet/cidr.ts';
import { BAN_LOG_SCHEMA, openBanLog } from '../../src/state/ban-log.ts';
import { createOffenders, type Offender } from '../../src/state/offenders.ts';
import { openStore } from '../../src/state/sqlite.ts';
import { ban, cidr, grant, NOW } from '../unit/state/example.ts';
import { mutate } from './random.ts';
import { check, type Target } from './target.ts';

const OPTIONS = { now: NOW, history: 86_400_000 };

export const state: Target = {
  name: 'state files',
  short: 25,
  long: 20_000,
  start(random) {
    const folder = mkdtempSync(join(tmpdir(), 'nfknock-fuzz-'));
    const path = join(folder, 'state.db');
    const clear = (): void => {
      for (const name of readdirSync(folder)) rmSync(join(folder, name));
    };
    const first = openStore(path, OPTIONS).store;
    const hosts = Array.from({ length: 200 }, (_, host) => host + 1);
    first.write(
      [...hosts.map((host) => ban(`203.0.113.${host}`, NOW + 9_000)), grant('ssh', '198.51.100.7')],
      NOW,
    );
    first.close();
    const sound = readFileSync(path);
    return {
      next() {
        clear();
        let bytes: Buffer = Buffer.from(sound);
        // Mostly a few bytes, whose damage SQLite does not always see; now and then much more.
        if (random(4) === 0) bytes = Buffer.from(mutate(bytes, random));
        else for (let times = 1 + random(4); times > 0; times -= 1) bytes[random(bytes.length)] = random(256);
        if (random(16) === 0) bytes.fill(random(256), random(bytes.length + 1));
        writeFileSync(path, bytes);
        const { store, notice } = openStore(path, OPTIONS);
        const { grants, bans } = store.load(NOW);
        check(
          grants.every(({ until }) => until > NOW),
          'nothing that is over comes back',
        );
        check(
          bans.every(({ until }) => until > NOW),
          'no ban that is over comes back',
        );
        store.write([grant('mail', '198.51.100.8')], NOW);
        const { ok } = store.health();
        store.close();
        const kept = openStore(path, OPTIONS).store;
        const mail = kept.load(NOW).grants.some(({ door }) => door === 'mail');
        kept.close();
        check(!ok || mail, 'what is written to a store that says it is well is there again');
        return notice === null ? (bans.length === hosts.length ? 'whole' : 'in part') : 'set aside';
      },
      close: () => rmSync(folder, { recursive: true, force: true }),
    };
  },
};

const TARGETS = ['203.0.113.1', '198.51.100.7', '2001:db8:0:1::/64', '192.0.2.9', '203.0.113.200'];

/** The rows of bans alone, which are bytes of our own inside SQLite's file: as many cases as a second takes. */
export const banRows: Target = {
  name: 'rows of bans',
  short: 20_000,
  long: 10_000_000,
  start(random) {
    const db = new Database(':memory:');
    db.exec(BAN_LOG_SCHEMA);
    const offenders = createOffenders([1, 2]);
    const log = openBanLog(db, offenders);
    const insert = db.prepare('INSERT INTO ban_log VALUES (1, ?)');
    const clear = db.prepare('DELETE FROM ban_log');
    const row = db.prepare<[], Buffer>('SELECT entries FROM ban_log').pluck();
    const forget = (): void => offenders.each((slot) => offenders.remove(slot));
    const held = (): readonly Offender[] => {
      const found: Offender[] = [];
      offenders.each((slot) => found.push(offenders.at(slot)));
      return found;
    };
    offenders.reserve(TARGETS.length);
    for (const target of TARGETS)
      offenders.put({ target: cidr(target), since: NOW, until: NOW + 9_000, count: 1, lifted: false });
    log.replace();
    const sound = Buffer.from(row.get() ?? []);
    return {
      next() {
        forget();
        clear.run();
        const bytes = mutate(Buffer.from(sound), random);
        insert.run(bytes);
        const unreadable = log.read();
        const found = held();
        const entries = Math.ceil(bytes.length / (sound.length / TARGETS.length));
        check(found.length + unreadable <= entries, 'no ban is made of nothing');
        for (const { target, since, until, count } of found) {
          const { family } = target.address;
          check(family === 4 || family === 6, 'a family is one');
          check(target.bits <= HOST_BITS[family] && count <= 65_535, 'numbers are in range');
          check(Number.isFinite(since) && Number.isFinite(until), 'moments are numbers');
        }
        if (random(16) === 0) {
          log.replace();
          forget();
          check(log.read() === 0, 'what was written anew is sound');
          check(JSON.stringify(held()) === JSON.stringify(found), 'and it is what was read');
        }
        return unreadable > 0 ? 'in part' : found.length === TARGETS.length ? 'whole' : 'other bans';
      },
      close: () => void db.close(),
    };
  },
};
