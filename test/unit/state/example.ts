import { type Cidr, parseCidr } from '../../../src/packet/cidr.ts';
import type { StateChange, Stored, StoredGrant } from '../../../src/state/store.ts';

/** 2026-11-21T06:40:00Z, in milliseconds. */
export const NOW = 1_795_243_200_000;

export function cidr(text: string): Cidr {
  const parsed = parseCidr(text);
  if (parsed === undefined) throw new Error(`no network: ${text}`);
  return parsed;
}

export function grant(door: string, source: string, more: Partial<StoredGrant> = {}): StateChange {
  const host = cidr(source);
  return {
    change: 'grant',
    grant: {
      door,
      grantee: host,
      source: host,
      since: NOW,
      until: NOW + 30_000,
      usesLeft: null,
      reason: null,
      holder: null,
      ...more,
    },
  };
}

export function ban(target: string, until: number, count = 1): StateChange {
  return { change: 'ban', ban: { target: cidr(target), since: NOW, until, count, origin: 'strikes' } };
}

export function unban(target: string): StateChange {
  return { change: 'unban', target: cidr(target) };
}

/** The same, in an order that does not depend on the store. */
export function sorted(stored: Stored): Stored {
  const by = (entry: unknown): string => JSON.stringify(entry);
  const order = <T>(list: readonly T[]): T[] => [...list].sort((x, y) => (by(x) < by(y) ? -1 : 1));
  return { grants: order(stored.grants), bans: order(stored.bans), histories: order(stored.histories) };
}

/** Makes a file of this version one of version 3, which knew of no fleet; its entries of bans are apart (`narrow`). */
export const AS_VERSION_3: string = `
  DROP TABLE fleet_own;
  DROP TABLE fleet_heard;
  DROP TABLE fleet_member;
  ALTER TABLE door_grant RENAME TO newer;
  CREATE TABLE door_grant (
    door TEXT NOT NULL, grantee TEXT NOT NULL, source TEXT NOT NULL, since REAL NOT NULL, until REAL NOT NULL,
    uses_left INTEGER, reason TEXT, key TEXT, person TEXT, PRIMARY KEY (door, grantee)
  ) STRICT, WITHOUT ROWID;
  INSERT INTO door_grant SELECT door, grantee, source, since, until, uses_left, reason, key, person FROM newer;
  DROP TABLE newer;
  PRAGMA user_version = 3`;

/** Entries of 38 bytes as they were, of 36. */
export function narrow(entries: Buffer): Buffer {
  const count = entries.length / 38;
  return Buffer.concat(Array.from({ length: count }, (_, at) => entries.subarray(at * 38, at * 38 + 36)));
}

/** Makes a file of this version one of version 1, in which each ban had a row of its own: two bans, one lifted. */
export const AS_VERSION_1: string = `
  DROP TABLE ban_log;
  DROP TABLE seen;
  DROP TABLE key_use;
  DROP TABLE fleet_own;
  DROP TABLE fleet_heard;
  DROP TABLE fleet_member;
  DROP TABLE door_grant;
  CREATE TABLE door_grant (
    door TEXT NOT NULL, grantee TEXT NOT NULL, source TEXT NOT NULL, since REAL NOT NULL, until REAL NOT NULL,
    uses_left INTEGER, reason TEXT, PRIMARY KEY (door, grantee)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE offender (
    target TEXT PRIMARY KEY, since REAL NOT NULL, until REAL NOT NULL, count INTEGER NOT NULL, lifted INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  INSERT INTO offender VALUES ('4:cb007109/32', ${NOW}, ${NOW + 9000}, 3, 0);
  INSERT INTO offender VALUES ('6:20010db8000000010000000000000000/64', ${NOW}, ${NOW + 9000}, 1, 1);
  PRAGMA user_version = 1`;
