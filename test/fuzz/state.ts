import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { HOST_BITS } from '../../src/packet/cidr.ts';
import { BAN_LOG_SCHEMA, openBanLog } from '../../src/state/ban-log.ts';
import { createOffenders, type Offender } from '../../src/state/offenders.ts';
import { openStore } from '../../src/state/sqlite.ts';
import { AS_VERSION_1, ban, cidr, grant, NOW } from '../unit/state/example.ts';
import { mutate, type Random } from './random.ts';
import { check, type Target } from './target.ts';

/** No end of a grant or a ban can be later: 2200-01-01. */
const LATEST = 7_258_118_400_000;
const OPTIONS = { now: NOW };
const TARGETS = ['203.0.113.1', '198.51.100.7', '2001:db8:0:1::/64', '192.0.2.9', '203.0.113.200'];
/** A file system in memory, where there is one: a case asks for the disk some ten times. */
const FOLDER = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();

/** What a process left: the file, and what SQLite had written beside it where the process was killed. */
interface Left {
  readonly main: Buffer;
  readonly wal: Buffer | null;
}

const PLACES_TRIED = 64;

/** A place where there is something; damage to the rest mostly changes nothing. */
function usedPlace(bytes: Buffer, random: Random): number {
  let at = random(bytes.length);
  for (let tries = 0; bytes[at] === 0 && tries < PLACES_TRIED; tries += 1) at = random(bytes.length);
  return at;
}

/** Three files that an nfknock left: ended, killed, and of version 1. */
function makeSound(path: string): readonly Left[] {
  const wal = `${path}-wal`;
  const left = (): Left => {
    const main = readFileSync(path);
    return { main, wal: existsSync(wal) ? readFileSync(wal) : null };
  };
  const { store } = openStore(path, OPTIONS);
  const bans = TARGETS.map((target) => ban(target, NOW + 9_000));
  store.write([...bans, grant('ssh', '198.51.100.7', { usesLeft: 3, reason: 'ticket 7' })], NOW);
  store.write([grant('web', '2001:db8::7')], NOW);
  const killed = left();
  store.close();
  const ended = left();
  const db = new Database(path);
  db.exec(AS_VERSION_1);
  db.close();
  return [ended, killed, left()];
}

/** The two files as one input: the length of the first (32 bits, little-endian), the first, the second. */
function inputOf(main: Buffer, wal: Buffer | null): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32LE(main.length);
  return Buffer.concat([length, main, wal ?? Buffer.alloc(0)]);
}

function filesOf(input: Buffer): readonly [main: Buffer, wal: Buffer] {
  const length = input.length < 4 ? 0 : input.readUInt32LE();
  return [input.subarray(4, 4 + length), input.subarray(4 + length)];
}

/** Mostly a few bytes, whose damage SQLite does not always see; now and then much more. */
function damage(bytes: Buffer, random: Random): Buffer {
  if (random(4) === 0) return mutate(bytes, random);
  for (let times = 1 + random(4); times > 0; times -= 1) {
    const at = random(4) === 0 ? random(bytes.length) : usedPlace(bytes, random);
    bytes[at] = random(256);
  }
  if (random(16) === 0) bytes.fill(random(256), random(bytes.length + 1));
  return bytes;
}

export const state: Target = {
  name: 'state files',
  short: 500,
  long: 10_000_000,
  start(random) {
    const folder = mkdtempSync(join(FOLDER, 'nfknock-fuzz-'));
    const path = join(folder, 'state.db');
    const clear = (): void => {
      for (const name of readdirSync(folder)) unlinkSync(join(folder, name));
    };
    const sound = makeSound(path);
    return {
      make() {
        const left = sound[random(sound.length)] as Left;
        if (left.wal !== null && random(2) === 0) {
          return inputOf(left.main, mutate(Buffer.from(left.wal), random));
        }
        return inputOf(damage(Buffer.from(left.main), random), left.wal);
      },
      vary(kept) {
        const [main, wal] = filesOf(kept);
        return inputOf(damage(Buffer.from(main), random), wal);
      },
      take(input) {
        clear();
        const [main, wal] = filesOf(input);
        writeFileSync(path, main);
        if (wal.length > 0) writeFileSync(`${path}-wal`, wal);
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
        check(
          [...grants, ...bans].every(({ until }) => until <= LATEST),
          'nothing lasts for ever',
        );
        store.write([grant('mail', '198.51.100.8')], NOW);
        const { ok } = store.health();
        store.close();
        const isAside = notice?.includes('set aside') ?? false;
        check(
          isAside === readdirSync(folder).some((name) => /\.(damaged|newer)-/.test(name)),
          'a useless file is kept under another name, and said to be',
        );
        if (random(8) === 0) {
          const kept = openStore(path, OPTIONS).store;
          const mail = kept.load(NOW).grants.some(({ door }) => door === 'mail');
          kept.close();
          check(!ok || mail, 'what is written to a store that says it is well is there again');
        }
        if (isAside) return 'set aside';
        return notice === null && bans.length > 0 ? 'whole' : 'in part';
      },
      close: () => rmSync(folder, { recursive: true, force: true }),
    };
  },
};

/** As of a file that knows ten members. */
const whose = (place: number): number | undefined => (place <= 10 ? place : undefined);

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
      offenders.put({
        ...{ target: cidr(target), since: NOW, until: NOW + 9_000 },
        ...{ count: 1, lifted: false, origin: 'strikes', from: 0 },
      });
    log.replace();
    const sound = Buffer.from(row.get() ?? []);
    return {
      make: () => mutate(Buffer.from(sound), random),
      vary: (kept) => mutate(kept, random),
      take(bytes) {
        forget();
        clear.run();
        insert.run(bytes);
        const unreadable = log.read(LATEST, whose);
        const found = held();
        const entries = Math.ceil(bytes.length / (sound.length / TARGETS.length));
        check(found.length + unreadable <= entries, 'no ban is made of nothing');
        for (const { target, since, until, count } of found) {
          const { family } = target.address;
          check(family === 4 || family === 6, 'a family is one');
          check(target.bits <= HOST_BITS[family] && count <= 65_535, 'numbers are in range');
          check(since >= 0 && until >= 0 && until <= LATEST, 'moments are such');
        }
        if (random(16) === 0) {
          log.replace();
          forget();
          check(log.read(LATEST, whose) === 0, 'what was written anew is sound');
          check(JSON.stringify(held()) === JSON.stringify(found), 'and it is what was read');
        }
        return unreadable > 0 ? 'in part' : found.length === TARGETS.length ? 'whole' : 'other bans';
      },
      close: () => void db.close(),
    };
  },
};
