import type { BanSettings } from './settings.ts';
import type { Subject } from './subject.ts';
import { createTable, NONE, type Table } from './table.ts';

/**
 * What is remembered of an offender (an IPv4 host or an IPv6 /64): its strikes, its rate and its earlier bans.
 * When the table is full, who has the fewest strikes goes first; earlier bans outweigh them all.
 */
export interface Offenders {
  readonly table: Table;
  /** The subject's entry, or NONE. */
  find(subject: Subject): number;
  /** The subject's entry, made if need be. */
  put(subject: Subject): number;
  /** Adds a strike at `now`; answers how many count. */
  strike(slot: number, now: number): number;
  /** How many strikes count at `now`. */
  strikes(slot: number, now: number): number;
  forgive(slot: number): void;
  /** Counts a packet; true if it exceeds the rate. */
  exceeds(slot: number, now: number): boolean;
  /** The bans so far, as escalation counts them. */
  bans(slot: number, now: number): number;
  /** Remembers that the `count`th ban lasts until `until`. */
  remember(slot: number, count: number, until: number): void;
  /** Everything that is remembered of one offender, to be carried into another table. */
  read(slot: number): OffenderRecord;
  write(slot: number, record: OffenderRecord): void;
  /** The packet's number at which the last ban began: attempts that are older are forgotten. */
  readonly forgotten: Float64Array;
}

export interface OffenderRecord {
  /** The moments of the strikes kept, oldest first. */
  readonly moments: readonly number[];
  readonly rateBegun: number;
  readonly rateCount: number;
  readonly banCount: number;
  readonly banUntil: number;
  readonly forgotten: number;
}

const STRIKES_LEVEL_MAX = 31;
const BANNED_LEVEL = 32;

export function createOffenders(capacity: number, settings: BanSettings): Offenders {
  const table = createTable(capacity, BANNED_LEVEL + 1);
  const kept = settings.strikes;
  // The moments of the last `kept` strikes, as a ring an entry: older ones can't matter any more.
  const moments = new Float64Array(capacity * kept);
  const ringNext = new Uint16Array(capacity);
  const ringSize = new Uint16Array(capacity);
  const rateBegun = new Float64Array(capacity);
  const rateCount = new Uint32Array(capacity);
  const banCount = new Uint16Array(capacity);
  const banUntil = new Float64Array(capacity);
  const forgotten = new Float64Array(capacity);

  function find(subject: Subject): number {
    const { offenderHash, family, a, b, offenderC, offenderD } = subject;
    return table.find(offenderHash, family, a, b, offenderC, offenderD, 0);
  }

  function strikes(slot: number, now: number): number {
    let count = 0;
    const size = ringSize[slot] ?? 0;
    const next = ringNext[slot] ?? 0;
    for (let back = 1; back <= size; back += 1) {
      const moment = moments[slot * kept + ((next - back + kept) % kept)] ?? 0;
      if (now - moment <= settings.within) count += 1;
    }
    return count;
  }

  function level(slot: number, count: number): number {
    return (banCount[slot] ?? 0) > 0 ? BANNED_LEVEL : Math.min(count, STRIKES_LEVEL_MAX);
  }

  function momentsOf(slot: number): number[] {
    const size = ringSize[slot] ?? 0;
    const next = ringNext[slot] ?? 0;
    return Array.from(
      { length: size },
      (_, index) => moments[slot * kept + ((next - size + index + kept) % kept)] ?? 0,
    );
  }

  function strike(slot: number, now: number): number {
    const next = ringNext[slot] ?? 0;
    moments[slot * kept + next] = now;
    ringNext[slot] = (next + 1) % kept;
    ringSize[slot] = Math.min((ringSize[slot] ?? 0) + 1, kept);
    const count = strikes(slot, now);
    table.raise(slot, level(slot, count));
    return count;
  }

  return {
    table,
    forgotten,
    find,
    put(subject) {
      const there = find(subject);
      if (there !== NONE) return there;
      const { offenderHash, family, a, b, offenderC, offenderD } = subject;
      const slot = table.insert(offenderHash, family, a, b, offenderC, offenderD, 0, 0);
      ringNext[slot] = 0;
      ringSize[slot] = 0;
      rateCount[slot] = 0;
      rateBegun[slot] = Number.NEGATIVE_INFINITY;
      banCount[slot] = 0;
      forgotten[slot] = -1;
      return slot;
    },
    strike,
    strikes,
    forgive(slot) {
      ringSize[slot] = 0;
    },
    exceeds(slot, now) {
      const begun = rateBegun[slot] ?? 0;
      if (now - begun >= settings.rate.per) {
        rateBegun[slot] = now;
        rateCount[slot] = 1;
      } else {
        rateCount[slot] = (rateCount[slot] ?? 0) + 1;
      }
      if ((rateCount[slot] ?? 0) <= settings.rate.packets) return false;
      rateBegun[slot] = Number.NEGATIVE_INFINITY;
      return true;
    },
    read: (slot) => ({
      moments: momentsOf(slot),
      rateBegun: rateBegun[slot] ?? 0,
      rateCount: rateCount[slot] ?? 0,
      banCount: banCount[slot] ?? 0,
      banUntil: banUntil[slot] ?? 0,
      forgotten: forgotten[slot] ?? -1,
    }),
    write(slot, record) {
      banCount[slot] = record.banCount;
      banUntil[slot] = record.banUntil;
      for (const moment of record.moments) strike(slot, moment);
      rateBegun[slot] = record.rateBegun;
      rateCount[slot] = record.rateCount;
      forgotten[slot] = record.forgotten;
      table.raise(slot, level(slot, record.moments.length));
    },
    bans(slot, now) {
      return now <= (banUntil[slot] ?? 0) + settings.max ? (banCount[slot] ?? 0) : 0;
    },
    remember(slot, count, until) {
      banCount[slot] = Math.min(count, 65_535);
      banUntil[slot] = until;
      table.raise(slot, BANNED_LEVEL);
    },
  };
}
