import type Database from 'better-sqlite3';
import type { Family } from '../packet/address.ts';
import { type Cidr, HOST_BITS } from '../packet/cidr.ts';
import { NONE, type Offender, type Offenders } from './offenders.ts';
import { isMoment } from './validate.ts';

/*
 * Bans in the file: a log of batches. A flood of forged decoy hits is a ban each, tens of thousands a second; a row
 * each would take longer than everything else that is done about them. What a batch of changes leaves behind is
 * written as one row, and of what the rows say about a target the last counts. The oldest row is written anew, what
 * still counts of it, as long as the log holds too much that does not: it never grows beyond about twice what it must
 * hold, and no write takes long.
 *
 * An entry has 38 bytes, little-endian:
 *
 *   0 family (4, 6)   1 prefix length   2 count   4 address   20 since   28 until (ms since 1970; see LIFTED, ORDERED)
 *   36 the member of the fleet that said it, by its number; 0: it was made here
 */
const ENTRY_BYTES = 38;
/** Before a fleet was, without the last two. */
const FORMER_ENTRY_BYTES = 36;
/** The family's byte has this bit where the ban ended before its time. */
const LIFTED = 0x80;
/** And this one where somebody wanted the ban. */
const ORDERED = 0x40;
/** A row is cleaned up in one go, which must not keep packets waiting: 1,024 take some 3 ms where caches are cold. */
const ROW_ENTRIES_MAX = 1024;

/** Entries that don't count any more, beside those that do, before a write cleans up. */
const SLACK = 1024;
/** Entries looked at in a quiet moment. */
const QUIET_ENTRIES = 2048;
/** Entries looked at while there is work, for each that is written: two would keep pace. */
const BUSY_ENTRIES = 4;

/** Throws what SQLite throws. Every method is to be called inside a transaction. */
export interface BanLog {
  /** Writes these entries as they are now. */
  append(slots: readonly number[]): void;
  /** Writes everything anew. */
  replace(): void;
  /** Cleans up, in a quiet moment. */
  tidy(): void;
  /**
   * Reads everything into the offenders; answers how many entries were unreadable. No ban ends after `latest` (wall time,
   * ms). `placeOf` answers the number in memory of a member that has this one in the file.
   */
  read(latest: number, placeOf: (place: number) => number | undefined): number;
}

/** The table of that name, as SQLite keeps it. */
export const BAN_LOG_SCHEMA = 'CREATE TABLE ban_log (row INTEGER PRIMARY KEY, entries BLOB NOT NULL) STRICT';

interface Row {
  readonly row: number;
  readonly entries: Buffer;
}

export function openBanLog(db: Database.Database, offenders: Offenders): BanLog {
  const insert = db.prepare('INSERT INTO ban_log VALUES (?, ?)');
  const drop = db.prepare('DELETE FROM ban_log WHERE row = ?');
  const clear = db.prepare('DELETE FROM ban_log');
  const oldest = db.prepare<[], Row>('SELECT row, entries FROM ban_log ORDER BY row LIMIT 1');
  const all = db.prepare<[], Row>('SELECT row, entries FROM ban_log ORDER BY row');
  const buffer = Buffer.alloc(ROW_ENTRIES_MAX * ENTRY_BYTES);
  /** Entries in the log, and the number of its last row. */
  let held = 0;
  let last = Number(db.prepare('SELECT max(row) FROM ban_log').pluck().get() ?? 0);

  function write(slots: readonly number[]): void {
    for (let first = 0; first < slots.length; first += ROW_ENTRIES_MAX) {
      const count = Math.min(ROW_ENTRIES_MAX, slots.length - first);
      last += 1;
      for (let index = 0; index < count; index += 1) {
        const slot = slots[first + index] ?? NONE;
        writeEntry(buffer, index * ENTRY_BYTES, offenders.at(slot));
        offenders.setRow(slot, last);
      }
      insert.run(last, buffer.subarray(0, count * ENTRY_BYTES));
      held += count;
    }
  }

  /** Looks through the oldest rows while there is too much that does not count: at most about `entriesMax`. */
  function clean(most: number, entriesMax: number): void {
    for (let looked = 0; held > most && looked < entriesMax; ) {
      const row = oldest.get();
      if (row === undefined) return;
      const counting: number[] = [];
      const count = Math.floor(row.entries.length / ENTRY_BYTES);
      for (let index = 0; index < count; index += 1) {
        const entry = readEntry(row.entries, index * ENTRY_BYTES);
        const slot = entry === undefined ? NONE : offenders.find(entry.target);
        if (slot !== NONE && offenders.row(slot) === row.row) counting.push(slot);
      }
      drop.run(row.row);
      held -= count;
      looked += count + 1;
      write(counting);
    }
  }

  return {
    append(slots) {
      write(slots);
      clean(2 * offenders.size() + SLACK, BUSY_ENTRIES * slots.length);
    },
    replace() {
      clear.run();
      held = 0;
      const slots: number[] = [];
      offenders.each((slot) => slots.push(slot));
      write(slots);
    },
    tidy: () => clean(1.5 * offenders.size(), QUIET_ENTRIES),
    read(latest, placeOf) {
      let unreadable = 0;
      held = 0;
      for (const { row, entries } of all.iterate()) {
        const count = Math.floor(entries.length / ENTRY_BYTES);
        if (count * ENTRY_BYTES !== entries.length) unreadable += 1;
        offenders.reserve(count);
        held += count;
        for (let index = 0; index < count; index += 1) {
          const entry = readEntry(entries, index * ENTRY_BYTES);
          const from = placeOf(entry?.from ?? 0);
          if (entry === undefined || entry.until > latest || from === undefined) unreadable += 1;
          else offenders.setRow(offenders.put({ ...entry, from }), row);
        }
      }
      return unreadable;
    },
  };
}

/** A row of former entries as one of today's. What is broken off at its end stays so. */
export function widened(row: Buffer): Buffer {
  const count = Math.floor(row.length / FORMER_ENTRY_BYTES);
  const rest = row.subarray(count * FORMER_ENTRY_BYTES);
  const wide = Buffer.alloc(count * ENTRY_BYTES + rest.length);
  for (let index = 0; index < count; index += 1)
    row.copy(wide, index * ENTRY_BYTES, index * FORMER_ENTRY_BYTES, (index + 1) * FORMER_ENTRY_BYTES);
  rest.copy(wide, count * ENTRY_BYTES);
  return wide;
}

function writeEntry(buffer: Buffer, at: number, offender: Offender): void {
  const { target, since, until, count, lifted, origin, from } = offender;
  const { family, a, b, c, d } = target.address;
  buffer[at] = family | (lifted ? LIFTED : 0) | (origin === 'order' ? ORDERED : 0);
  buffer[at + 1] = target.bits;
  buffer.writeUInt16LE(count, at + 2);
  buffer.writeInt32LE(a, at + 4);
  buffer.writeInt32LE(b, at + 8);
  buffer.writeInt32LE(c, at + 12);
  buffer.writeInt32LE(d, at + 16);
  buffer.writeDoubleLE(since, at + 20);
  buffer.writeDoubleLE(until, at + 28);
  buffer.writeUInt16LE(from, at + 36);
}

function readEntry(buffer: Buffer, at: number): Offender | undefined {
  const head = buffer[at] ?? 0;
  const family = head & ~(LIFTED | ORDERED);
  const bits = buffer[at + 1] ?? 0;
  if (!isFamily(family) || bits > HOST_BITS[family]) return undefined;
  const since = buffer.readDoubleLE(at + 20);
  const until = buffer.readDoubleLE(at + 28);
  const count = buffer.readUInt16LE(at + 2);
  if (!isMoment(since) || !isMoment(until) || count === 0) return undefined;
  const word = (index: number): number => buffer.readInt32LE(at + 4 + 4 * index);
  const target: Cidr = { address: { family, a: word(0), b: word(1), c: word(2), d: word(3) }, bits };
  const origin = (head & ORDERED) === 0 ? 'strikes' : 'order';
  const lifted = (head & LIFTED) !== 0;
  return { target, since, until, count, lifted, origin, from: buffer.readUInt16LE(at + 36) };
}

function isFamily(value: number): value is Family {
  return value === 4 || value === 6;
}
