import { type Cidr, OFFENDER_BITS } from '../packet/cidr.ts';
import { createDeadlines } from './deadlines.ts';
import type { BanSettings } from './settings.ts';
import type { Subject } from './subject.ts';
import { createTable, NONE } from './table.ts';

export interface Ban {
  readonly target: Cidr;
  readonly since: number;
  readonly until: number;
  /** Which ban of this offender it is, from 1. */
  readonly count: number;
}

/** The bans in force, at most `bans.limit`. */
export interface Bans {
  size(): number;
  find(subject: Subject): number;
  /** Reads what `find` will read; see Table. */
  touch(subject: Subject): number;
  /** Adds or changes the subject's ban. There must be room: see `full` and `first`. */
  put(subject: Subject, since: number, until: number, count: number): void;
  full(): boolean;
  /** The ban that ends first, or NONE. */
  first(): number;
  /** When the first ban ends, or Infinity. */
  deadline(): number;
  remove(slot: number): void;
  at(slot: number): Ban;
  /** Calls back for every ban; the callback may remove it. */
  each(visit: (slot: number) => void): void;
}

/**
 * How long a ban lasts: `for` × `escalate` for each ban before it, at most `max`. Large counts reach `max`
 * without overflowing: a power that is too large is Infinity.
 */
export function banDuration(settings: BanSettings, count: number): number {
  return Math.min(settings.for * settings.escalate ** (count - 1), settings.max);
}

export function createBans(limit: number): Bans {
  const table = createTable(limit, 1);
  const deadlines = createDeadlines(limit);
  const since = new Float64Array(limit);
  const until = new Float64Array(limit);
  const counts = new Uint16Array(limit);

  function find(subject: Subject): number {
    const { offenderHash, family, a, b, offenderC, offenderD } = subject;
    return table.find(offenderHash, family, a, b, offenderC, offenderD, 0);
  }

  return {
    size: table.size,
    find,
    touch: (subject) => table.touch(subject.offenderHash),
    put(subject, begin, end, count) {
      let slot = find(subject);
      if (slot === NONE) {
        const { offenderHash, family, a, b, offenderC, offenderD } = subject;
        slot = table.insert(offenderHash, family, a, b, offenderC, offenderD, 0, 0);
      }
      since[slot] = begin;
      until[slot] = end;
      counts[slot] = Math.min(count, 65_535);
      deadlines.set(slot, end);
    },
    full: () => table.size() === table.capacity,
    first: deadlines.first,
    deadline: deadlines.time,
    remove(slot) {
      deadlines.remove(slot);
      table.remove(slot);
    },
    at(slot) {
      const family = table.family(slot);
      const [a, b] = [table.word(slot, 0), table.word(slot, 1)];
      return {
        target: { address: { family, a, b, c: 0, d: 0 }, bits: OFFENDER_BITS[family] },
        since: since[slot] ?? 0,
        until: until[slot] ?? 0,
        count: counts[slot] ?? 0,
      };
    },
    each: table.each,
  };
}
