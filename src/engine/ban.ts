import type { Address } from '../packet/address.ts';
import { type Cidr, HOST_BITS, OFFENDER_BITS } from '../packet/cidr.ts';
import { HOSTS_OF_A_NETWORK_MAX } from '../policy/limits.ts';
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
  /** Whether strikes brought it about, or somebody's will, which no key undoes. */
  readonly origin: BanOrigin;
  /** The member of the fleet that said it; without: it was made here. */
  readonly from?: string;
}

export type BanOrigin = 'strikes' | 'order';

/** The bans in force, at most `bans.limit`. */
export interface Bans {
  /** How many there is room for. */
  readonly capacity: number;
  size(): number;
  /** The ban of the subject's offender, or NONE. */
  find(subject: Subject): number;
  /** A ban that the subject's host is under, its own or its network's, or NONE. */
  covering(subject: Subject): number;
  /** Reads what `find` will read; see Table. */
  touch(subject: Subject): number;
  /** The ban that one more of a host of this /64 takes the place of, or NONE where there is room among them. */
  crowdedOut(subject: Subject): number;
  /**
   * Adds or changes the subject's ban, which is this machine's own; one that is new is of strikes. There must be room:
   * see `full`, `first` and `crowdedOut`.
   */
  put(subject: Subject, since: number, until: number, count: number): void;
  /** The subject's ban is what this member of the fleet said. */
  credit(subject: Subject, from: string): void;
  /** Somebody wants the subject's ban. */
  order(subject: Subject): void;
  /** Whether there are as many as may be, or as there is room for. */
  full(limit: number): boolean;
  /** The ban that ends first, or NONE. */
  first(): number;
  /** When the first ban ends, or Infinity. */
  deadline(): number;
  remove(slot: number): void;
  at(slot: number): Ban;
  /** The host whose packet was the last strike, or that was named; undefined where only its network is known. */
  host(slot: number): Address | undefined;
  /** Calls back for every ban; the callback may remove it. */
  each(visit: (slot: number) => void): void;
  /** The ban that was made first, or NONE. */
  oldest(): number;
  /** The ban that was made next after this one, or NONE. */
  newer(slot: number): number;
  /** Calls back for the bans in `most` places of the table from one on; answers where to go on, or NONE at its end. */
  eachOf(from: number, most: number, visit: (slot: number) => void): number;
  /** The bans one by one. Bans may come and go while they are walked: those are seen or not. */
  walk(): Iterable<Ban>;
}

/**
 * How long a ban lasts: `for` × `escalate` for each ban before it, at most `max`. Large counts reach `max`
 * without overflowing: a power that is too large is Infinity.
 */
export function banDuration(settings: BanSettings, count: number): number {
  return Math.min(settings.for * settings.escalate ** (count - 1), settings.max);
}

const NETWORK_BITS = OFFENDER_BITS[6];
const HOST = HOST_BITS[6];
/** Names of members that are told apart; bans of more than these are told as this machine's own. */
const MEMBERS_MAX = 4096;

export function createBans(limit: number): Bans {
  const table = createTable(limit, 1);
  const deadlines = createDeadlines(limit);
  const since = new Float64Array(limit);
  const until = new Float64Array(limit);
  const counts = new Uint16Array(limit);
  /** 1: by somebody's will. */
  const ordered = new Uint8Array(limit);
  /** The last two words of the host. */
  const hosts = new Int32Array(limit * 2);
  /** Bans of single hosts of IPv6: where there are none, most packets need one look. */
  let singled = 0;
  /** Whose each ban is, as a place in `members`; 0: this machine's own. Not there before another member says a ban. */
  let from: Uint16Array | undefined;
  const members: string[] = [''];

  function find(subject: Subject): number {
    const { offenderHash, family, a, b, offenderC, offenderD, offenderBits } = subject;
    return table.find(offenderHash, family, a, b, offenderC, offenderD, offenderBits);
  }

  function at(slot: number): Ban {
    const family = table.family(slot);
    const [a, b, c, d] = [table.word(slot, 0), table.word(slot, 1), table.word(slot, 2), table.word(slot, 3)];
    const member = members[from?.[slot] ?? 0] ?? '';
    return {
      target: { address: { family, a, b, c, d }, bits: table.extra(slot) },
      since: since[slot] ?? 0,
      until: until[slot] ?? 0,
      count: counts[slot] ?? 0,
      origin: ordered[slot] === 1 ? 'order' : 'strikes',
      ...(member === '' ? {} : { from: member }),
    };
  }

  return {
    capacity: table.capacity,
    size: table.size,
    find,
    covering({ offenderHash, family, a, b, c, d }) {
      const slot =
        family === 4
          ? table.find(offenderHash, 4, a, b, 0, 0, OFFENDER_BITS[4])
          : table.find(offenderHash, 6, a, b, 0, 0, NETWORK_BITS);
      if (slot !== NONE || singled === 0 || family === 4) return slot;
      return table.find(offenderHash, 6, a, b, c, d, HOST);
    },
    crowdedOut({ offenderHash, family, a, b, offenderBits }) {
      if (offenderBits !== HOST) return NONE;
      return table.crowdedOut(offenderHash, family, a, b, HOST, HOSTS_OF_A_NETWORK_MAX);
    },
    touch: (subject) => table.touch(subject.offenderHash),
    put(subject, begin, end, count) {
      let slot = find(subject);
      if (slot === NONE) {
        const { offenderHash, family, a, b, offenderC, offenderD, offenderBits } = subject;
        slot = table.insert(offenderHash, family, a, b, offenderC, offenderD, offenderBits, 0);
        if (offenderBits === HOST) singled += 1;
        hosts.fill(0, 2 * slot, 2 * slot + 2);
        ordered[slot] = 0;
      }
      // Where only the network is named now, who was the last to offend stays known.
      if (subject.c !== 0 || subject.d !== 0) {
        hosts[2 * slot] = subject.c;
        hosts[2 * slot + 1] = subject.d;
      }
      since[slot] = begin;
      until[slot] = end;
      counts[slot] = Math.min(count, 65_535);
      if (from !== undefined) from[slot] = 0;
      deadlines.set(slot, end);
    },
    credit(subject, name) {
      const slot = find(subject);
      if (slot === NONE) return;
      let place = members.indexOf(name);
      if (place === -1 && members.length <= MEMBERS_MAX) place = members.push(name) - 1;
      from ??= new Uint16Array(limit);
      from[slot] = Math.max(0, place);
    },
    order(subject) {
      const slot = find(subject);
      if (slot !== NONE) ordered[slot] = 1;
    },
    full: (most) => table.size() >= Math.min(most, table.capacity),
    first: deadlines.first,
    deadline: deadlines.time,
    remove(slot) {
      if (table.extra(slot) === HOST) singled -= 1;
      deadlines.remove(slot);
      table.remove(slot);
    },
    at,
    host(slot) {
      const [c = 0, d = 0] = [hosts[2 * slot], hosts[2 * slot + 1]];
      if (c === 0 && d === 0 && table.family(slot) === 6) return undefined;
      return { family: table.family(slot), a: table.word(slot, 0), b: table.word(slot, 1), c, d };
    },
    each: table.each,
    oldest: () => table.oldest(0),
    newer: table.newer,
    eachOf(from, most, visit) {
      // Bans that are made meanwhile are not visited: they may take places further on.
      const end = Math.min(table.slots(), from + most);
      for (let slot = from; slot < end; slot += 1) if (table.isUsed(slot)) visit(slot);
      return end < table.slots() ? end : NONE;
    },
    *walk() {
      for (let slot = 0; slot < table.slots(); slot += 1) if (table.isUsed(slot)) yield at(slot);
    },
  };
}
