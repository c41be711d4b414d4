import { isTomb, type Register } from './register.ts';

/*
 * How much is believed of one other member, whoever has its credentials, and how much of what happens here is told. What
 * is over is counted and left out; it never makes anything else late.
 */

/** What one other member may say. */
export interface Limits {
  /** Registers of bans that it brought up, lifted ones too, at once. */
  readonly bans: number;
  readonly bansPerSecond: number;
  /** Grants opened in one minute. */
  readonly grantsPerMinute: number;
}

/** As the configuration has them where it says nothing. */
export const DEFAULT_LIMITS: Limits = { bans: 65_536, bansPerSecond: 2_000, grantsPerMinute: 20 };

/** Own automatic bans that are told in a second. */
export const TOLD_BANS_PER_SECOND = 2_000;
/** Knocks, and offences, of one member that are handled in a second. */
export const KNOCKS_PER_SECOND = 2_000;
export const OFFENCES_PER_SECOND = 500;
/** Told at once, of what may be told in a second: what is late on its way must not be too much for who hears it. */
export const atOnce = (perSecond: number): number => perSecond / 2;
/** Knocks that a member has placed for others: it may have the attempts of all that some 50 members tell of. */
const ANSWERS_PER_SECOND = 50 * KNOCKS_PER_SECOND;
/** Sources that somebody has a first knock of. */
const FIRSTS_PER_SECOND = 1_000;
/** One-time lines that were used up. */
const USED_PER_SECOND = 500;
/** What one member says in a second is not even looked at beyond so many bytes. */
const BYTES_PER_SECOND = 1_048_576;
/** Where automatic bans have taken a member's room there is so much more, 1 of so many, for what people said. */
const ROOM_OF_PEOPLE = 16;

/** Changes that are read at once, however few bans are taken. */
const READ_AT_ONCE = 1_024;
const SECOND = 1_000;
const MINUTE = 60_000;
/** What was left out for want of room is read again when less of it than this is taken. */
const ROOMY = 15 / 16;
/** Minutes whose grants are counted: older ones are over wherever a door is open for less than a week. */
const MINUTES_MAX = 7 * 24 * 60;

/** So many in a second, evenly or at once. */
export interface Bucket {
  /** One, or so many. */
  take(now: number, count?: number): boolean;
  left(now: number): number;
}

export function createBucket(perSecond: number, burst: number = perSecond): Bucket {
  let tokens = burst;
  let filled = Number.NEGATIVE_INFINITY;
  const fill = (now: number): void => {
    if (now > filled) tokens = Math.min(burst, tokens + ((now - filled) * perSecond) / 1_000);
    filled = Math.max(filled, now);
  };
  return {
    take(now, count = 1) {
      fill(now);
      if (tokens < count) return false;
      tokens -= count;
      return true;
    },
    left(now) {
      fill(now);
      return Math.floor(tokens);
    },
  };
}

export interface Budget {
  /**
   * Whether this of another member is taken in. `live`: it is told now, so its rate counts; what who joins reads was
   * told over days, so as much as it has room for comes at once. `isNew`: no register of it is there yet. `isOver`: it holds no more, but it may have to be known.
   * Answers from when on it would be taken in otherwise; Infinity: once there is room.
   */
  admits(member: string, register: Register, how: How, now: number): 'yes' | { readonly from: number };
  /** A register that this member had brought up is gone. */
  release(member: string, register: Register): void;
  /** Whether so little room is left to the member that what holds no more is not to take any. */
  isTight(member: string): boolean;
  /** Members of which something was left out for want of room, and that have room again; each once. */
  roomy(): readonly string[];
  knock(member: string, now: number): boolean;
  offence(member: string, now: number): boolean;
  answer(member: string, now: number): boolean;
  first(member: string, now: number): boolean;
  used(member: string, now: number): boolean;
  /** A message of so many bytes, before anybody looks at it. */
  bytes(member: string, length: number, now: number): boolean;
  /** How many registers of bans the member has brought up. */
  bansOf(member: string): number;
  change(limits: Limits): void;
  forget(member: string): void;
}

interface How {
  readonly live: boolean;
  readonly isNew: boolean;
  readonly isOver: boolean;
}

interface Account {
  bans: number;
  /** Of these all but automatic bans, and their ends. */
  people: number;
  /** Something was left out for want of room. */
  isWanting: boolean;
  /** By the minute that they were opened in. */
  readonly grants: Map<number, number>;
  rate: Bucket;
  /** Lifts don't wait behind bans. */
  lifts: Bucket;
  /** Changes that are read. */
  reads: Bucket;
  readonly knocks: Bucket;
  readonly offences: Bucket;
  readonly answers: Bucket;
  readonly firsts: Bucket;
  readonly used: Bucket;
  readonly bytes: Bucket;
}

function ratesOf({ bans, bansPerSecond }: Limits): Pick<Account, 'rate' | 'lifts' | 'reads'> {
  return {
    rate: createBucket(bansPerSecond),
    lifts: createBucket(bansPerSecond),
    reads: createBucket(bansPerSecond, Math.max(bans, bansPerSecond, READ_AT_ONCE)),
  };
}

function isOfPeople(register: Register): boolean {
  return register.kind !== 'ban' || register.cause !== 'strikes';
}

export function createBudget(initial: Limits): Budget {
  let limits = initial;
  const accounts = new Map<string, Account>();

  function accountOf(member: string): Account {
    const there = accounts.get(member);
    if (there !== undefined) return there;
    const made: Account = {
      ...{ bans: 0, people: 0, isWanting: false },
      grants: new Map(),
      ...ratesOf(limits),
      knocks: createBucket(KNOCKS_PER_SECOND),
      offences: createBucket(OFFENCES_PER_SECOND),
      answers: createBucket(ANSWERS_PER_SECOND),
      firsts: createBucket(FIRSTS_PER_SECOND),
      used: createBucket(USED_PER_SECOND),
      bytes: createBucket(BYTES_PER_SECOND),
    };
    accounts.set(member, made);
    return made;
  }

  /**
   * New ones, and renewals: a grant that is opened again is one more. Of a minute that has had its number the rest is
   * taken in the minutes that follow.
   */
  function admitsGrant({ grants }: Account, opened: number, now: number): 'yes' | { readonly from: number } {
    const current = Math.floor(now / MINUTE);
    const minutes = [Math.floor(opened / MINUTE), current];
    const minute = minutes.find((each) => (grants.get(each) ?? 0) < limits.grantsPerMinute);
    if (minute === undefined) return { from: (current + 1) * MINUTE };
    grants.set(minute, (grants.get(minute) ?? 0) + 1);
    if (grants.size > MINUTES_MAX) grants.delete(grants.keys().next().value ?? minute);
    return 'yes';
  }

  function hasRoom({ bans, people }: Account, register: Register): boolean {
    if (register.kind === 'amnesty' || bans < limits.bans) return true;
    return isOfPeople(register) && people < Math.floor(limits.bans / ROOM_OF_PEOPLE);
  }

  function charge(account: Account, register: Register, by: 1 | -1): void {
    account.bans = Math.max(0, account.bans + by);
    if (isOfPeople(register)) account.people = Math.max(0, account.people + by);
  }

  return {
    admits(member, register, { live, isNew, isOver }, now) {
      const account = accountOf(member);
      const isLift = register.kind === 'amnesty' || isTomb(register);
      if (register.kind === 'grant' && !isLift && !isOver) return admitsGrant(account, register.opened, now);
      // Ends of grants are charged as bans are: each is a register that is kept.
      if (isNew && !hasRoom(account, register)) {
        account.isWanting = true;
        return { from: Number.POSITIVE_INFINITY };
      }
      const bucket = live ? account[isLift ? 'lifts' : 'rate'] : account.reads;
      if (!bucket.take(now)) return { from: now + SECOND };
      if (isNew && register.kind !== 'amnesty') charge(account, register, 1);
      return 'yes';
    },
    release(member, register) {
      const account = accounts.get(member);
      if (account === undefined || register.kind === 'amnesty') return;
      charge(account, register, -1);
    },
    isTight: (member) => (accounts.get(member)?.bans ?? 0) >= limits.bans / 2,
    roomy() {
      const names: string[] = [];
      for (const [member, account] of accounts) {
        // Not for each that goes: then everything would be read for it.
        const most = Math.max(1, Math.floor(limits.bans * ROOMY));
        if (!account.isWanting || account.bans >= most) continue;
        account.isWanting = false;
        names.push(member);
      }
      return names;
    },
    knock: (member, now) => accountOf(member).knocks.take(now),
    offence: (member, now) => accountOf(member).offences.take(now),
    answer: (member, now) => accountOf(member).answers.take(now),
    first: (member, now) => accountOf(member).firsts.take(now),
    used: (member, now) => accountOf(member).used.take(now),
    bytes: (member, length, now) => accountOf(member).bytes.take(now, length),
    bansOf: (member) => accounts.get(member)?.bans ?? 0,
    change(next) {
      limits = next;
      for (const account of accounts.values()) Object.assign(account, ratesOf(next));
    },
    forget: (member) => void accounts.delete(member),
  };
}
