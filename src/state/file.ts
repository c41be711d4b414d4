import { chmodSync, closeSync, existsSync, mkdirSync, openSync, renameSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import Database from 'better-sqlite3';
import type { Cidr } from '../packet/cidr.ts';
import { isDoorName } from '../policy/door-name.ts';
import { isMemberName } from '../policy/fleet.ts';
import { openBanLog } from './ban-log.ts';
import { openFleetRows } from './fleet-rows.ts';
import type { Members } from './members.ts';
import type { Offenders } from './offenders.ts';
import { cidrOf, keyOf } from './row-key.ts';
import { prepare, UnusableFile } from './schema.ts';
import type { FleetChange, KeptFleet, KeptUses, KeyChange, StoredGrant } from './store.ts';
import { syncBeside } from './sync-beside.ts';
import { openUseRows } from './use-rows.ts';
import { isMoment, latestEnd } from './validate.ts';
import { openWriteAheadLog } from './write-ahead-log.ts';

export interface FileOptions {
  /** How long to wait for a process that holds the file, in milliseconds; the thread stands still meanwhile. */
  readonly wait: number;
  /** The file grows to this many pages of 4 KiB at most. */
  readonly pagesMax?: number;
}

/** What the file held, and how many of its rows were unreadable. */
interface Rows {
  readonly grants: readonly StoredGrant[];
  readonly uses: KeptUses;
  readonly fleet: KeptFleet;
  /** It is to be written anew: what it says of members is numbered otherwise than in memory. */
  readonly renumbered: boolean;
  readonly unreadable: number;
  /** The last wall time at which the file was written (ms); 0: never. */
  readonly seen: number;
  /** What `mark` left; 0: nothing. */
  readonly mark: number;
}

type KeyedGrants = Iterable<readonly [key: string, grant: StoredGrant | undefined]>;

/** What the file is to hold: grants by their keys, undefined where there is none any more; offenders by their slots. */
export interface Mirror {
  readonly grants: KeyedGrants;
  readonly offenders: readonly number[];
  readonly uses: readonly KeyChange[];
  readonly fleet: readonly FleetChange[];
}

/** One open state file, which this process holds alone. Every method but `close` throws what SQLite throws. */
export interface StateFile {
  /** Reads the offenders into their table. `now` is wall time, ms. */
  read(now: number): Rows;
  /** One transaction; durable against the process's death when it returns. */
  write(mirror: Mirror, now: number): void;
  /** The same with these grants and uses and every offender, and everything else gone. */
  replace(all: Omit<Mirror, 'offenders'>, now: number): void;
  /** Leaves a number in the file's head, positive and of 31 bits. */
  mark(mark: number): void;
  /** One transaction that is on the disk itself when it returns. */
  writeThrough(mirror: Mirror, now: number): void;
  /** One transaction, written when this returns, or throws; resolves once it is on the disk itself. */
  writeBeside(mirror: Mirror, now: number): Promise<void>;
  /** Carries what was written to the disk itself, beside the thread: it answers then or never. */
  flush(done: (error: Error | null) => void): void;
  /** Carries what was written to the disk itself: durable against the machine's death too. */
  sync(): void;
  /** False where the path no longer leads to this file: it was moved, deleted or replaced. */
  inPlace(): boolean;
  close(): void;
}

/** What an error says about the file: held by another process, useless, or just not to be written now. */
export function faultOf(error: unknown): 'locked' | 'damaged' | 'newer' | 'unwritable' {
  if (error instanceof UnusableFile) return error.kind;
  if (!(error instanceof Database.SqliteError)) return 'unwritable';
  if (/^SQLITE_(BUSY|LOCKED)/.test(error.code)) return 'locked';
  return /^SQLITE_(CORRUPT|NOTADB|ERROR|SCHEMA|MISMATCH|FORMAT)/.test(error.code) ? 'damaged' : 'unwritable';
}

/** What is read into memory as it is read, and written as it stands there. */
export interface FileTables {
  readonly offenders: Offenders;
  readonly members: Members;
}

/**
 * Opens or makes the file: 0600, in a folder that is made 0700 where it is missing. Throws UnusableFile, or
 * what SQLite or the file system throws.
 */
export function openFile(path: string, tables: FileTables, { wait, pagesMax }: FileOptions): StateFile {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  if (!existsSync(path)) closeSync(openSync(path, 'a', 0o600));
  // From here on nothing else may open the file: closing any descriptor of it would drop SQLite's lock.
  const db = new Database(path, { timeout: wait });
  try {
    chmodSync(path, 0o600);
    prepare(db, path);
    if (pagesMax !== undefined) db.pragma(`max_page_count = ${pagesMax}`);
    return fileOf(db, path, tables);
  } catch (error) {
    db.close();
    throw error;
  }
}

/** Renames an unusable file, and what SQLite keeps beside it, to a name with the moment in it. Never deletes. */
export function setAside(path: string, kind: 'damaged' | 'newer', now: number): string {
  const stamp = new Date(now).toISOString().replaceAll(/[-:]|\.\d+/g, '');
  let aside = `${path}.${kind}-${stamp}`;
  for (let again = 2; existsSync(aside); again += 1) aside = `${path}.${kind}-${stamp}-${again}`;
  renameSync(path, aside);
  for (const suffix of ['-wal', '-shm', '-journal']) {
    if (existsSync(path + suffix)) renameSync(path + suffix, aside + suffix);
  }
  return aside;
}

function fileOf(db: Database.Database, path: string, { offenders, members }: FileTables): StateFile {
  const { dev, ino } = statSync(path);
  const putGrant = db.prepare('INSERT OR REPLACE INTO door_grant VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)');
  const dropGrant = db.prepare('DELETE FROM door_grant WHERE door = ? AND grantee = ?');
  const putMoment = db.prepare('INSERT OR REPLACE INTO moment VALUES (0, ?)');
  const bans = openBanLog(db, offenders);
  const useRows = openUseRows(db);
  const fleetRows = openFleetRows(db, members);
  const log = openWriteAheadLog(`${path}-wal`);

  function putGrants(grants: KeyedGrants): void {
    for (const [key, grant] of grants) {
      if (grant === undefined) dropGrant.run(...key.split('\n'));
      else {
        const { door, grantee, source, since, until, usesLeft, reason, from = null } = grant;
        const { key = null, person = null } = grant.holder ?? {};
        const who = [door, granteeText(grantee), keyOf(source)];
        putGrant.run(...who, since, until, usesLeft, reason, key, person, from);
      }
    }
  }

  const write = db.transaction((mirror: Mirror, now: number) => {
    putGrants(mirror.grants);
    useRows.write(mirror.uses);
    fleetRows.putNames();
    fleetRows.write(mirror.fleet);
    if (mirror.offenders.length > 0) bans.append(mirror.offenders);
    else bans.tidy();
    putMoment.run(now);
  });
  const replace = db.transaction(({ grants, uses, fleet }: Omit<Mirror, 'offenders'>, now: number) => {
    db.exec('DELETE FROM door_grant');
    putGrants(grants);
    useRows.replace(uses);
    fleetRows.replace(fleet);
    bans.replace();
    putMoment.run(now);
  });

  return {
    read(now) {
      const seen = readSeen(db);
      const latest = latestEnd(now, seen ?? 0);
      const { grants, unreadable } = readGrants(db, latest);
      const kept = useRows.read();
      const ofFleet = fleetRows.read();
      const { placeOf, renumbered } = fleetRows.readNames();
      const inLog = bans.read(latest, placeOf);
      const unreadableMoment = seen === undefined ? 1 : 0;
      return {
        grants,
        uses: kept.uses,
        fleet: ofFleet.fleet,
        renumbered,
        unreadable: unreadable + kept.unreadable + ofFleet.unreadable + inLog + unreadableMoment,
        seen: seen ?? 0,
        mark: Number(db.pragma('application_id', { simple: true })),
      };
    },
    mark: (mark) => void db.pragma(`application_id = ${mark}`),
    write: (mirror, now) => void write(mirror, now),
    writeThrough(mirror, now) {
      write(mirror, now);
      log.sync();
    },
    writeBeside(mirror, now) {
      write(mirror, now);
      return log.syncBeside();
    },
    flush: (done) => syncBeside(`${path}-wal`, done),
    replace: (all, now) => void replace(all, now),
    sync: () => void db.pragma('wal_checkpoint(PASSIVE)'),
    inPlace() {
      const there = statSync(path, { throwIfNoEntry: false });
      return there !== undefined && there.dev === dev && there.ino === ino;
    },
    close() {
      log.close();
      db.close();
    },
  };
}

function granteeText(grantee: 'any' | Cidr): string {
  return grantee === 'any' ? grantee : keyOf(grantee);
}

interface GrantRow {
  readonly door: string;
  readonly grantee: string;
  readonly source: string;
  readonly since: number;
  readonly until: number;
  readonly uses_left: number | null;
  readonly reason: string | null;
  readonly key: string | null;
  readonly person: string | null;
  readonly origin: string | null;
}

function readGrants(db: Database.Database, latest: number): Pick<Rows, 'grants' | 'unreadable'> {
  const grants: StoredGrant[] = [];
  let unreadable = 0;
  for (const row of db.prepare<[], GrantRow>('SELECT * FROM door_grant').iterate()) {
    const grantee = row.grantee === 'any' ? row.grantee : cidrOf(row.grantee);
    const source = cidrOf(row.source);
    const { door, since, until, uses_left: usesLeft, reason } = row;
    const timely = isMoment(since) && isMoment(until) && until <= latest;
    const useful = usesLeft === null || usesLeft > 0;
    const isTold = row.origin === null || isMemberName(row.origin);
    const readable = isDoorName(door) && grantee !== undefined && source !== undefined && isTold;
    if (!readable || !timely || !useful) unreadable += 1;
    else {
      const holder = row.key === null ? null : { key: row.key, person: row.person };
      const from = row.origin === null ? {} : { from: row.origin };
      grants.push({ door, grantee, source, since, until, usesLeft, reason, holder, ...from });
    }
  }
  return { grants, unreadable };
}

/** When the file was last written; 0: never, undefined: what is there is no moment. */
function readSeen(db: Database.Database): number | undefined {
  const seen = Number(db.prepare('SELECT seen FROM moment').pluck().get() ?? 0);
  return isMoment(seen) ? seen : undefined;
}
