import type Database from 'better-sqlite3';
import type { KeptUses, KeyChange } from './store.ts';
import { isMoment } from './validate.ts';

/** The tables, as SQLite keeps them. Without a stamp a packet is remembered for ever. */
export const SEEN_SCHEMA = `CREATE TABLE seen (
    key TEXT NOT NULL, id TEXT NOT NULL, stamp REAL, source TEXT NOT NULL, PRIMARY KEY (key, id)
  ) STRICT, WITHOUT ROWID`;
export const KEY_SCHEMA = `CREATE TABLE key_use (
    key TEXT PRIMARY KEY, floor REAL, uses INTEGER NOT NULL, last REAL NOT NULL
  ) STRICT, WITHOUT ROWID`;

/** What keys have used up, in the file. Every method is to be called inside a transaction, and throws what SQLite throws. */
export interface UseRows {
  write(changes: readonly KeyChange[]): void;
  /** Writes these, and takes everything else out. */
  replace(changes: readonly KeyChange[]): void;
  /** And how many rows were unreadable. */
  read(): { readonly uses: KeptUses; readonly unreadable: number };
}

interface SeenRow {
  readonly key: string;
  readonly id: string;
  readonly stamp: number | null;
  readonly source: string;
}

interface KeyRow {
  readonly key: string;
  readonly floor: number | null;
  readonly uses: number;
  readonly last: number;
}

export function openUseRows(db: Database.Database): UseRows {
  const putSeen = db.prepare('INSERT OR REPLACE INTO seen VALUES (?, ?, ?, ?)');
  const dropSeen = db.prepare('DELETE FROM seen WHERE key = ? AND stamp <= ?');
  const putFloor = db.prepare(
    'INSERT INTO key_use VALUES (?, ?, 0, 0) ON CONFLICT (key) DO UPDATE SET floor = max(coalesce(floor, excluded.floor), excluded.floor)',
  );
  const putUse = db.prepare(
    'INSERT INTO key_use VALUES (?, NULL, ?, ?) ON CONFLICT (key) DO UPDATE SET uses = max(uses, excluded.uses), last = max(last, excluded.last)',
  );

  function write(changes: readonly KeyChange[]): void {
    for (const change of changes) {
      switch (change.change) {
        case 'seen':
          putSeen.run(change.key, change.id, change.stamp, change.source);
          break;
        case 'floor':
          putFloor.run(change.key, change.stamp);
          dropSeen.run(change.key, change.stamp);
          break;
        case 'key_used':
          putUse.run(change.key, change.uses, change.last);
          break;
        default:
          change satisfies never;
      }
    }
  }

  return {
    write,
    replace(changes) {
      db.exec('DELETE FROM seen; DELETE FROM key_use');
      write(changes);
    },
    read() {
      const seen = db.prepare<[], SeenRow>('SELECT * FROM seen').all();
      const keys = db.prepare<[], KeyRow>('SELECT * FROM key_use').all();
      // A floor that makes no sense would lock its key out for ever, or let what was used open again.
      const isSound = ({ floor, last, uses }: KeyRow): boolean =>
        (floor === null || isMoment(floor)) && isMoment(last) && uses >= 0;
      const sound = keys.filter(isSound);
      return {
        uses: {
          seen: seen.filter(({ stamp }) => stamp === null || isMoment(stamp)),
          floors: new Map(sound.flatMap(({ key, floor }) => (floor === null ? [] : [[key, floor] as const]))),
          used: new Map(
            sound.flatMap(({ key, uses, last }) => (uses === 0 ? [] : [[key, { uses, last }] as const])),
          ),
        },
        unreadable:
          keys.length - sound.length + seen.filter(({ stamp }) => stamp !== null && !isMoment(stamp)).length,
      };
    },
  };
}
