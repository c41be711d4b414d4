import type Database from 'better-sqlite3';
import { BAN_LOG_SCHEMA, openBanLog, widened } from './ban-log.ts';
import { FLEET_HEARD_SCHEMA, FLEET_MEMBER_SCHEMA, FLEET_OWN_SCHEMA } from './fleet-rows.ts';
import { createOffenders } from './offenders.ts';
import { cidrOf } from './row-key.ts';
import { KEY_SCHEMA, SEEN_SCHEMA } from './use-rows.ts';

/** The version of the schema below, as SQLite's `user_version`. */
const SCHEMA_VERSION = 4;

/** Statements as SQLite keeps them, word for word: by them a file is known. */
const GRANT_SCHEMA = `CREATE TABLE door_grant (
    door TEXT NOT NULL, grantee TEXT NOT NULL, source TEXT NOT NULL, since REAL NOT NULL, until REAL NOT NULL,
    uses_left INTEGER, reason TEXT, key TEXT, person TEXT, origin TEXT, PRIMARY KEY (door, grantee)
  ) STRICT, WITHOUT ROWID`;
/** Of version 3, in which no grant came from another member of a fleet. */
const LONE_GRANT_SCHEMA = `CREATE TABLE door_grant (
    door TEXT NOT NULL, grantee TEXT NOT NULL, source TEXT NOT NULL, since REAL NOT NULL, until REAL NOT NULL,
    uses_left INTEGER, reason TEXT, key TEXT, person TEXT, PRIMARY KEY (door, grantee)
  ) STRICT, WITHOUT ROWID`;
/** Of versions 1 and 2, in which no grant was made by a key. */
const KEYLESS_GRANT_SCHEMA = `CREATE TABLE door_grant (
    door TEXT NOT NULL, grantee TEXT NOT NULL, source TEXT NOT NULL, since REAL NOT NULL, until REAL NOT NULL,
    uses_left INTEGER, reason TEXT, PRIMARY KEY (door, grantee)
  ) STRICT, WITHOUT ROWID`;
const MOMENT_SCHEMA =
  'CREATE TABLE moment (only INTEGER PRIMARY KEY CHECK (only = 0), seen REAL NOT NULL) STRICT';
/** Of version 1, in which each offender had a row. */
const OFFENDER_SCHEMA = `CREATE TABLE offender (
    target TEXT PRIMARY KEY, since REAL NOT NULL, until REAL NOT NULL, count INTEGER NOT NULL, lifted INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID`;

/** The tables of each version. */
const TABLES: Readonly<Record<number, readonly (readonly [name: string, sql: string])[]>> = {
  1: [
    ['door_grant', KEYLESS_GRANT_SCHEMA],
    ['moment', MOMENT_SCHEMA],
    ['offender', OFFENDER_SCHEMA],
  ],
  2: [
    ['ban_log', BAN_LOG_SCHEMA],
    ['door_grant', KEYLESS_GRANT_SCHEMA],
    ['moment', MOMENT_SCHEMA],
  ],
  3: [
    ['ban_log', BAN_LOG_SCHEMA],
    ['door_grant', LONE_GRANT_SCHEMA],
    ['key_use', KEY_SCHEMA],
    ['moment', MOMENT_SCHEMA],
    ['seen', SEEN_SCHEMA],
  ],
  [SCHEMA_VERSION]: [
    ['ban_log', BAN_LOG_SCHEMA],
    ['door_grant', GRANT_SCHEMA],
    ['fleet_heard', FLEET_HEARD_SCHEMA],
    ['fleet_member', FLEET_MEMBER_SCHEMA],
    ['fleet_own', FLEET_OWN_SCHEMA],
    ['key_use', KEY_SCHEMA],
    ['moment', MOMENT_SCHEMA],
    ['seen', SEEN_SCHEMA],
  ],
};

/** A file that is there but is of no use to this version. */
export class UnusableFile extends Error {
  readonly kind: 'damaged' | 'newer';
  constructor(kind: 'damaged' | 'newer', message: string) {
    super(message);
    this.name = 'UnusableFile';
    this.kind = kind;
  }
}

interface OffenderRow {
  readonly target: string;
  readonly since: number;
  readonly until: number;
  readonly count: number;
  readonly lifted: number;
}

/** Makes the tables, or brings those of an earlier version up to this one. Throws what SQLite throws, and UnusableFile. */
export function prepare(db: Database.Database, path: string): void {
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
  const tables = tablesOf(db);
  if (version === 0 && tables.length > 0)
    throw new UnusableFile('damaged', `${path} is not a state file of nfknock`);
  // SQLite takes a damaged schema for another one: values would be found under the wrong names, or not at all.
  if (version !== 0 && JSON.stringify(tables) !== JSON.stringify(asKept(TABLES[version])))
    throw new UnusableFile('damaged', `${path} is damaged (its tables are not those of version ${version})`);
  if (version === 0) db.transaction(() => create(db)).immediate();
  if (version >= 1 && version < SCHEMA_VERSION) db.transaction(() => bringUp(db, version)).immediate();
  const check = db.pragma('quick_check(1)', { simple: true });
  if (check !== 'ok')
    throw new UnusableFile('damaged', `${path} is damaged (${String(check).replaceAll('\n', ' ')})`);
}

/** All that the file says of its tables, but where in it they begin. */
function tablesOf(db: Database.Database): readonly unknown[] {
  return db.prepare('SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY name').raw().all();
}

function asKept(tables: readonly (readonly [name: string, sql: string])[] = []): readonly unknown[] {
  return tables.map(([name, sql]) => ['table', name, name, sql]);
}

function create(db: Database.Database): void {
  for (const [, sql] of TABLES[SCHEMA_VERSION] ?? []) db.exec(sql);
  db.pragma(`user_version = ${SCHEMA_VERSION}`);
}

/** In one transaction: a start that is killed finds the version before, whole. */
function bringUp(db: Database.Database, version: number): void {
  if (version === 1) toBanLog(db);
  else widenBanLog(db);
  if (version < 3)
    db.exec('ALTER TABLE door_grant ADD COLUMN key TEXT; ALTER TABLE door_grant ADD COLUMN person TEXT');
  if (version < 3) for (const sql of [SEEN_SCHEMA, KEY_SCHEMA]) db.exec(sql);
  db.exec('ALTER TABLE door_grant RENAME TO lone');
  for (const sql of [GRANT_SCHEMA, FLEET_OWN_SCHEMA, FLEET_HEARD_SCHEMA, FLEET_MEMBER_SCHEMA]) db.exec(sql);
  db.exec('INSERT INTO door_grant SELECT *, NULL FROM lone; DROP TABLE lone');
  db.pragma(`user_version = ${SCHEMA_VERSION}`);
}

/** Entries have room for whose word they are. */
function widenBanLog(db: Database.Database): void {
  const put = db.prepare('UPDATE ban_log SET entries = ? WHERE row = ?');
  const rows = db.prepare<[], { row: number }>('SELECT row FROM ban_log').all();
  const read = db.prepare<[number], Buffer>('SELECT entries FROM ban_log WHERE row = ?').pluck();
  for (const { row } of rows) put.run(widened(read.get(row) as Buffer), row);
}

function toBanLog(db: Database.Database): void {
  db.exec(BAN_LOG_SCHEMA);
  const offenders = createOffenders([0, 0]);
  for (const row of db.prepare<[], OffenderRow>('SELECT * FROM offender').iterate()) {
    const target = cidrOf(row.target);
    offenders.reserve(1);
    if (target !== undefined)
      offenders.put({ ...row, target, lifted: row.lifted !== 0, origin: 'strikes', from: 0 });
  }
  openBanLog(db, offenders).replace();
  db.exec('DROP TABLE offender');
}
