import { chmodSync, closeSync, existsSync, mkdirSync, openSync, renameSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import Database from 'better-sqlite3';
import type { Cidr } from '../packet/cidr.ts';
import { cidrOf, keyOf } from './key.ts';
import type { Offender } from './ledger.ts';
import type { StoredGrant } from './store.ts';

/** The version of the schema below, as SQLite's `user_version`. */
const SCHEMA_VERSION = 1;

export interface FileOptions {
  /** How long to wait for a process that holds the file, in milliseconds; the thread stands still meanwhile. */
  readonly wait: number;
  /** The file grows to so many pages of 4 KiB at most. */
  readonly pagesMax?: number;
}

const SCHEMA = `
  CREATE TABLE door_grant (
    door TEXT NOT NULL, grantee TEXT NOT NULL, source TEXT NOT NULL, since REAL NOT NULL, until REAL NOT NULL,
    uses_left INTEGER, reason TEXT, PRIMARY KEY (door, grantee)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE offender (
    target TEXT PRIMARY KEY, since REAL NOT NULL, until REAL NOT NULL, count INTEGER NOT NULL, lifted INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE moment (only INTEGER PRIMARY KEY CHECK (only = 0), seen REAL NOT NULL) STRICT;
  PRAGMA user_version = ${SCHEMA_VERSION};
`;

/** What the file held, and how many of its rows made no sense. */
interface Rows {
  readonly grants: readonly StoredGrant[];
  readonly offenders: readonly Offender[];
  readonly unreadable: number;
  /** The last wall time at which the file was written (ms); 0: never. */
  readonly seen: number;
}

/** What the file is to hold: by key, the entry, or undefined where there is none any more. */
export interface Mirror {
  readonly grants: Iterable<readonly [key: string, grant: StoredGrant | undefined]>;
  readonly offenders: Iterable<readonly [key: string, offender: Offender | undefined]>;
}

/** One open state file, which this process holds alone. Every method but `close` throws what SQLite throws. */
export interface StateFile {
  read(): Rows;
  /** One transaction; durable against the process's death when it returns. */
  write(mirror: Mirror, now: number): void;
  /** The same, with everything else gone. */
  replace(mirror: Mirror, now: number): void;
  /** Carries what was written to the disk itself: durable against the machine's death too. */
  sync(): void;
  /** False where the path no longer leads to this file: it was moved, deleted or replaced. */
  inPlace(): boolean;
  close(): void;
}

/** A file that is there but is of no use to this version. */
class UnusableFile extends Error {
  readonly kind: 'damaged' | 'newer';
  constructor(kind: 'damaged' | 'newer', message: string) {
    super(message);
    this.name = 'UnusableFile';
    this.kind = kind;
  }
}

/** What an error says about the file: held by another process, useless, or just not to be written now. */
export function faultOf(error: unknown): 'locked' | 'damaged' | 'newer' | 'unwritable' {
  if (error instanceof UnusableFile) return error.kind;
  if (!(error instanceof Database.SqliteError)) return 'unwritable';
  if (/^SQLITE_(BUSY|LOCKED)/.test(error.code)) return 'locked';
  return /^SQLITE_(CORRUPT|NOTADB|ERROR|SCHEMA|MISMATCH|FORMAT)/.test(error.code) ? 'damaged' : 'unwritable';
}

/**
 * Opens or makes the file: 0600, in a folder that is made 0700 where it is missing. Throws UnusableFile, or
 * what SQLite or the file system throws.
 */
export function openFile(path: string, { wait, pagesMax }: FileOptions): StateFile {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  if (!existsSync(path)) closeSync(openSync(path, 'a', 0o600));
  // From here on nothing else may open the file: closing any descriptor of it would drop SQLite's lock.
  const db = new Database(path, { timeout: wait });
  try {
    chmodSync(path, 0o600);
    prepare(db, path);
    if (pagesMax !== undefined) db.pragma(`max_page_count = ${pagesMax}`);
    return fileOf(db, path);
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

function prepare(db: Database.Database, path: string): void {
  // Exclusive: a second daemon on this file is refused, and the lock dies with the process, however it dies.
  db.pragma('locking_mode = EXCLUSIVE');
  db.pragma('journal_mode = WAL');
  db.pragma('synchronous = NORMAL');
  const version = Number(db.pragma('user_version', { simple: true }));
  if (version > SCHEMA_VERSION) {
    throw new UnusableFile(
      'newer',
      `${path} was written by a newer nfknock (schema ${version}, this one knows ${SCHEMA_VERSION})`,
    );
  }
  const tables = Number(db.prepare('SELECT count(*) FROM sqlite_schema').pluck().get());
  if (version === 0 && tables > 0)
    throw new UnusableFile('damaged', `${path} is not a state file of nfknock`);
  if (version === 0) db.transaction(() => db.exec(SCHEMA)).immediate();
  const check = db.pragma('quick_check(1)', { simple: true });
  if (check !== 'ok')
    throw new UnusableFile('damaged', `${path} is damaged (${String(check).replaceAll('\n', ' ')})`);
}

function fileOf(db: Database.Database, path: string): StateFile {
  const { dev, ino } = statSync(path);
  const putGrant = db.prepare('INSERT OR REPLACE INTO door_grant VALUES (?, ?, ?, ?, ?, ?, ?)');
  const dropGrant = db.prepare('DELETE FROM door_grant WHERE door = ? AND grantee = ?');
  const putOffender = db.prepare('INSERT OR REPLACE INTO offender VALUES (?, ?, ?, ?, ?)');
  const dropOffender = db.prepare('DELETE FROM offender WHERE target = ?');
  const putMoment = db.prepare('INSERT OR REPLACE INTO moment VALUES (0, ?)');

  function put(mirror: Mirror, now: number): void {
    for (const [key, grant] of mirror.grants) {
      if (grant === undefined) dropGrant.run(...key.split('\n'));
      else {
        const { door, grantee, source, since, until, usesLeft, reason } = grant;
        putGrant.run(door, granteeText(grantee), keyOf(source), since, until, usesLeft, reason);
      }
    }
    for (const [key, offender] of mirror.offenders) {
      if (offender === undefined) dropOffender.run(key);
      else putOffender.run(key, offender.since, offender.until, offender.count, offender.lifted ? 1 : 0);
    }
    putMoment.run(now);
  }

  const write = db.transaction(put);
  const replace = db.transaction((mirror: Mirror, now: number) => {
    db.exec('DELETE FROM door_grant; DELETE FROM offender');
    put(mirror, now);
  });

  return {
    read: () => readRows(db),
    write: (mirror, now) => void write(mirror, now),
    replace: (mirror, now) => void replace(mirror, now),
    sync: () => void db.pragma('wal_checkpoint(PASSIVE)'),
    inPlace() {
      const there = statSync(path, { throwIfNoEntry: false });
      return there !== undefined && there.dev === dev && there.ino === ino;
    },
    close: () => void db.close(),
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
}

interface OffenderRow {
  readonly target: string;
  readonly since: number;
  readonly until: number;
  readonly count: number;
  readonly lifted: number;
}

function readRows(db: Database.Database): Rows {
  const grants: StoredGrant[] = [];
  const offenders: Offender[] = [];
  let unreadable = 0;
  for (const row of db.prepare<[], GrantRow>('SELECT * FROM door_grant').iterate()) {
    const grantee = row.grantee === 'any' ? row.grantee : cidrOf(row.grantee);
    const source = cidrOf(row.source);
    const { door, since, until, uses_left: usesLeft, reason } = row;
    if (grantee === undefined || source === undefined) unreadable += 1;
    else grants.push({ door, grantee, source, since, until, usesLeft, reason });
  }
  for (const row of db.prepare<[], OffenderRow>('SELECT * FROM offender').iterate()) {
    const target = cidrOf(row.target);
    if (target === undefined) unreadable += 1;
    else
      offenders.push({
        target,
        since: row.since,
        until: row.until,
        count: row.count,
        lifted: row.lifted !== 0,
      });
  }
  const seen = Number(db.prepare('SELECT seen FROM moment').pluck().get() ?? 0);
  return { grants, offenders, unreadable, seen };
}
