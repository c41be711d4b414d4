import type Database from 'better-sqlite3';
import { isMemberName } from '../policy/fleet.ts';
import { createWideMap } from '../table/wide-map.ts';
import type { Members } from './members.ts';
import type { FleetChange, KeptFleet, KeptRegister } from './store.ts';

/** The tables, as SQLite keeps them: a member's own registers, what of others it has heard, and names by their number. */
export const FLEET_OWN_SCHEMA = `CREATE TABLE fleet_own (
    key TEXT PRIMARY KEY, value TEXT NOT NULL, untold INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID`;
export const FLEET_HEARD_SCHEMA = `CREATE TABLE fleet_heard (
    member TEXT PRIMARY KEY, last TEXT NOT NULL
  ) STRICT, WITHOUT ROWID`;
export const FLEET_MEMBER_SCHEMA =
  'CREATE TABLE fleet_member (place INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT';

/** What a fleet needs to outlive the process. Every method is to be called inside a transaction, and throws what SQLite throws. */
export interface FleetRows {
  write(changes: readonly FleetChange[]): void;
  /** Names that the file does not have yet. */
  putNames(): void;
  replace(changes: readonly FleetChange[]): void;
  read(): { readonly fleet: KeptFleet; readonly unreadable: number };
  /** Which number in memory each of the file's has, and whether all are the same. */
  readNames(): Numbers;
}

export interface Numbers {
  placeOf(place: number): number | undefined;
  /** The file's entries must be written anew: their numbers are others in memory. */
  readonly renumbered: boolean;
}

export function openFleetRows(db: Database.Database, members: Members): FleetRows {
  const put = db.prepare('INSERT OR REPLACE INTO fleet_own VALUES (?, ?, ?)');
  const told = db.prepare('UPDATE fleet_own SET untold = 0 WHERE key = ? AND value = ?');
  const drop = db.prepare('DELETE FROM fleet_own WHERE key = ?');
  const hear = db.prepare('INSERT OR REPLACE INTO fleet_heard VALUES (?, ?)');
  const name = db.prepare('INSERT OR REPLACE INTO fleet_member VALUES (?, ?)');
  /** How many names the file has. */
  let named = 0;

  function putNames(): void {
    const names = members.names();
    for (; named < names.length; named += 1) name.run(named + 1, names[named]);
  }

  function write(changes: readonly FleetChange[]): void {
    for (const change of changes) {
      switch (change.change) {
        case 'register':
          put.run(change.key, change.value, Number(change.untold));
          break;
        case 'told':
          told.run(change.key, change.value);
          break;
        case 'unregister':
          drop.run(change.key);
          break;
        case 'heard':
          hear.run(change.member, change.last);
          break;
        default:
          change satisfies never;
      }
    }
  }

  return {
    write,
    putNames,
    replace(changes) {
      db.exec('DELETE FROM fleet_own; DELETE FROM fleet_heard; DELETE FROM fleet_member');
      named = 0;
      putNames();
      write(changes);
    },
    readNames() {
      const places = new Map<number, number>();
      const rows = db.prepare<[], { place: number; name: string }>(
        'SELECT * FROM fleet_member ORDER BY place',
      );
      for (const row of rows.all())
        if (isMemberName(row.name)) places.set(row.place, members.placeOf(row.name));
      const renumbered = [...places].some(([place, there]) => place !== there);
      named = renumbered ? 0 : places.size;
      return { renumbered, placeOf: (place) => (place === 0 ? 0 : places.get(place)) };
    },
    read() {
      const registers = createWideMap<KeptRegister>();
      const heard = new Map<string, string>();
      let unreadable = 0;
      const own = db.prepare<[], { key: string; value: string; untold: number }>('SELECT * FROM fleet_own');
      for (const { key, value, untold } of own.iterate()) {
        if (untold === 0 || untold === 1) registers.set(key, { value, untold: untold === 1 });
        else unreadable += 1;
      }
      const last = db.prepare<[], { member: string; last: string }>('SELECT * FROM fleet_heard');
      for (const row of last.iterate()) {
        if (isMemberName(row.member) && /^\d{1,16}-\d{1,16}$/.test(row.last)) heard.set(row.member, row.last);
        else unreadable += 1;
      }
      return { fleet: { registers, heard }, unreadable };
    },
  };
}
