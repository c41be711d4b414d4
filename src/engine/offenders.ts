import { OFFENDER_BITS } from '../packet/cidr.ts';
import { HOSTS_OF_A_NETWORK_MAX } from '../policy/limits.ts';
import type { BanSettings } from './settings.ts';
import type { Subject } from './subject.ts';
import { createTable, NONE, type Table } from './table.ts';

/**
 * What is remembered of an offender (an IPv4 host, an IPv6 /64 or a host of it): its strikes, its rate and its earlier
 * bans. Of the hosts of one /64 there are at most HOSTS_OF_A_NETWORK_MAX.
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
  /** When the last strike was; of no matter where none counts. */
  lastStrike(slot: number): number;
  forgive(slot: number): void;
  /** Forgives strikes and earlier bans; true if there were bans to forgive. */
  pardon(slot: number): boolean;
  /** Counts a packet; true if it exceeds the rate. */
  exceeds(slot: number, now: number): boolean;
  /** The bans so far, as escalation counts them. */
  bans(slot: number, now: number): number;
  /** Remembers until `keptUntil` that there was a `count`th ban. */
  remember(slot: number, count: number, keptUntil: number): void;
  /** Everything that is remembered of one offender, to be carried into another table. */
  read(slot: number): OffenderRecord;
  /** The packet's number at which the last ban began, or −1: attempts that are older are forgotten. */
  forgotten(slot: number): number;
  forget(slot: number, turn: number): void;
  /** Other times and rates hold from now on, with as many strikes to a ban. */
  configure(settings: BanSettings): void;
  /** What a reload has left of the table before: each of its entries is moved when it is looked for. */
  before(): Offenders | undefined;
  /** Nothing is left of that. */
  settle(): void;
}

export interface OffenderRecord {
  /** The moments of the strikes kept, oldest first. */
  readonly moments: readonly number[];
  readonly rateBegun: number;
  readonly rateCount: number;
  readonly banCount: number;
  /** When the count of bans is forgotten. */
  readonly keptUntil: number;
  readonly forgotten: number;
}

/** Bans counted: escalation has reached its longest long before. */
const BANS_MAX = 65_535;
const NETWORK_BITS = OFFENDER_BITS[6];
const STRIKES_LEVEL_MAX = 31;
const BANNED_LEVEL = 32;
/** How many levels there are. */
export const OFFENDER_LEVELS: number = BANNED_LEVEL + 1;

/*
 * A record lies side by side, as the table's cells do: with three strikes it is one line of a processor's cache.
 * Moments are 64-bit floats; counts are pairs of 32-bit integers in the place of one.
 *
 *   0 rateBegun   1 rateCount, banCount   2 ringNext, ringSize   3 keptUntil   4 forgotten   5 … moments
 */
const RATE_BEGUN = 0;
const KEPT_UNTIL = 3;
const FORGOTTEN = 4;
const MOMENTS = 5;
const RATE_COUNT = 2;
const BAN_COUNT = 3;
const RING_NEXT = 4;
const RING_SIZE = 5;

export function createOffenders(capacity: number, given: BanSettings, old?: Offenders): Offenders {
  const table = createTable(capacity, OFFENDER_LEVELS);
  let before = old;
  // The moments of the last `kept` strikes, as a ring an entry: older ones can't matter any more.
  const kept = given.strikes;
  let settings = given;
  const size = MOMENTS + kept;
  const floats = new Float64Array(capacity * size);
  const counts = new Int32Array(floats.buffer);

  function momentAt(slot: number, place: number): number {
    return floats[slot * size + MOMENTS + ((place + kept) % kept)] ?? 0;
  }

  const count = (slot: number, which: number): number => counts[2 * slot * size + which] ?? 0;

  const setCount = (slot: number, which: number, value: number): void => {
    counts[2 * slot * size + which] = value;
  };

  function find(subject: Subject): number {
    if (before !== undefined) move(before, subject);
    return findIn(table, subject);
  }

  function move(from: Offenders, subject: Subject): void {
    const there = from.find(subject);
    if (there === NONE) return;
    const record = from.read(there);
    from.table.remove(there);
    // Those of its /64 that came since are younger.
    if (eldestOf(table, subject) === NONE) write(add(subject), record);
  }

  function add(subject: Subject): number {
    const { offenderHash, family, a, b, offenderC, offenderD, offenderBits } = subject;
    const slot = table.insert(offenderHash, family, a, b, offenderC, offenderD, offenderBits, 0);
    const at = slot * size;
    floats[at + RATE_BEGUN] = Number.NEGATIVE_INFINITY;
    setCount(slot, RATE_COUNT, 0);
    setCount(slot, BAN_COUNT, 0);
    setCount(slot, RING_NEXT, 0);
    setCount(slot, RING_SIZE, 0);
    floats[at + FORGOTTEN] = -1;
    return slot;
  }

  function write(slot: number, record: OffenderRecord): void {
    const at = slot * size;
    setCount(slot, BAN_COUNT, record.banCount);
    floats[at + KEPT_UNTIL] = record.keptUntil;
    for (const moment of record.moments) strike(slot, moment);
    floats[at + RATE_BEGUN] = record.rateBegun;
    setCount(slot, RATE_COUNT, record.rateCount);
    floats[at + FORGOTTEN] = record.forgotten;
    table.raise(slot, level(slot, record.moments.length));
  }

  function strikes(slot: number, now: number): number {
    let counting = 0;
    const held = count(slot, RING_SIZE);
    const next = count(slot, RING_NEXT);
    for (let back = 1; back <= held; back += 1) {
      if (now - momentAt(slot, next - back) <= settings.within) counting += 1;
    }
    return counting;
  }

  const level = (slot: number, struck: number): number =>
    count(slot, BAN_COUNT) > 0 ? BANNED_LEVEL : Math.min(struck, STRIKES_LEVEL_MAX);

  function momentsOf(slot: number): number[] {
    const held = count(slot, RING_SIZE);
    const first = count(slot, RING_NEXT) - held;
    return Array.from({ length: held }, (_, index) => momentAt(slot, first + index));
  }

  function strike(slot: number, now: number): number {
    const next = count(slot, RING_NEXT);
    floats[slot * size + MOMENTS + next] = now;
    setCount(slot, RING_NEXT, (next + 1) % kept);
    setCount(slot, RING_SIZE, Math.min(count(slot, RING_SIZE) + 1, kept));
    const struck = strikes(slot, now);
    table.raise(slot, level(slot, struck));
    return struck;
  }

  return {
    table,
    find,
    put(subject) {
      const there = find(subject);
      if (there !== NONE) return there;
      const eldest = eldestOf(table, subject);
      if (eldest !== NONE) table.remove(eldest);
      return add(subject);
    },
    strike,
    strikes,
    lastStrike: (slot) => momentAt(slot, count(slot, RING_NEXT) - 1),
    forgive(slot) {
      setCount(slot, RING_SIZE, 0);
    },
    pardon(slot) {
      const banned = count(slot, BAN_COUNT) > 0;
      setCount(slot, RING_SIZE, 0);
      setCount(slot, BAN_COUNT, 0);
      if (banned) table.raise(slot, 0);
      return banned;
    },
    exceeds(slot, now) {
      const at = slot * size;
      let packets = 1;
      if (now - (floats[at + RATE_BEGUN] ?? 0) >= settings.rate.per) floats[at + RATE_BEGUN] = now;
      else packets += count(slot, RATE_COUNT);
      setCount(slot, RATE_COUNT, packets);
      if (packets <= settings.rate.packets) return false;
      floats[at + RATE_BEGUN] = Number.NEGATIVE_INFINITY;
      return true;
    },
    read: (slot) => ({
      moments: momentsOf(slot),
      rateBegun: floats[slot * size + RATE_BEGUN] ?? 0,
      rateCount: count(slot, RATE_COUNT),
      banCount: count(slot, BAN_COUNT),
      keptUntil: floats[slot * size + KEPT_UNTIL] ?? 0,
      forgotten: floats[slot * size + FORGOTTEN] ?? -1,
    }),
    bans(slot, now) {
      return now <= (floats[slot * size + KEPT_UNTIL] ?? 0) ? count(slot, BAN_COUNT) : 0;
    },
    remember(slot, bans, keptUntil) {
      setCount(slot, BAN_COUNT, Math.min(bans, BANS_MAX));
      floats[slot * size + KEPT_UNTIL] = keptUntil;
      table.raise(slot, BANNED_LEVEL);
    },
    forgotten: (slot) => floats[slot * size + FORGOTTEN] ?? -1,
    forget(slot, turn) {
      floats[slot * size + FORGOTTEN] = turn;
    },
    configure(changed) {
      settings = changed;
    },
    before: () => before,
    settle() {
      before = undefined;
    },
  };
}

function findIn(table: Table, subject: Subject): number {
  const { offenderHash, family, a, b, offenderC, offenderD, offenderBits } = subject;
  return table.find(offenderHash, family, a, b, offenderC, offenderD, offenderBits);
}

/** The host of its /64 that goes where one more comes, or NONE where there is room. */
function eldestOf(table: Table, { offenderHash, family, a, b, offenderBits }: Subject): number {
  if (offenderBits <= NETWORK_BITS) return NONE;
  return table.crowdedOut(offenderHash, family, a, b, offenderBits, HOSTS_OF_A_NETWORK_MAX);
}
