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
/** First knocks, and knocks that a member has placed for others: there may be many others. */
const ANSWERS_PER_SECOND = 4_000;

const MINUTE = 60_000;
/** Minutes whose grants are counted: older ones are over wherever a door is open for less than a week. */
const MINUTES_MAX = 7 * 24 * 60;

/** So many in a second, evenly or at once. */
export interface Bucket {
  take(now: number): boolean;
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
    take(now) {
      fill(now);
      if (tokens < 1) return false;
      tokens -= 1;
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
   * told over days. `isNew`: no register of it is there yet. `later`: there is too much of it in this second alone.
   */
  admits(
    member: string,
    register: Register,
    how: { readonly live: boolean; readonly isNew: boolean },
    now: number,
  ): 'yes' | 'no' | 'later';
  /** A register that this member had brought up is gone. */
  release(member: string, register: Register): void;
  knock(member: string, now: number): boolean;
  offence(member: string, now: number): boolean;
  answer(member: string, now: number): boolean;
  /** How many registers of bans the member has brought up. */
  bansOf(member: string): number;
  change(limits: Limits): void;
  forget(member: string): void;
}

interface Account {
  bans: number;
  /** By the minute that they were opened in. */
  readonly grants: Map<number, number>;
  rate: Bucket;
  readonly knocks: Bucket;
  readonly offences: Bucket;
  readonly answers: Bucket;
}

export function createBudget(initial: Limits): Budget {
  let limits = initial;
  const accounts = new Map<string, Account>();

  function accountOf(member: string): Account {
    const there = accounts.get(member);
    if (there !== undefined) return there;
    const made: Account = {
      bans: 0,
      grants: new Map(),
      rate: createBucket(limits.bansPerSecond),
      knocks: createBucket(KNOCKS_PER_SECOND),
      offences: createBucket(OFFENCES_PER_SECOND),
      answers: createBucket(ANSWERS_PER_SECOND),
    };
    accounts.set(member, made);
    return made;
  }

  /** New ones, and renewals: a grant that is opened again is one more. */
  function admitsGrant(account: Account, opened: number): boolean {
    const minute = Math.floor(opened / MINUTE);
    const before = account.grants.get(minute) ?? 0;
    if (before >= limits.grantsPerMinute) return false;
    account.grants.set(minute, before + 1);
    if (account.grants.size > MINUTES_MAX)
      account.grants.delete(account.grants.keys().next().value ?? minute);
    return true;
  }

  return {
    admits(member, register, { live, isNew }, now) {
      const account = accountOf(member);
      if (register.kind === 'grant' && !isTomb(register))
        return admitsGrant(account, register.opened) ? 'yes' : 'no';
      // Ends of grants are charged as bans are: each is a register that is kept.
      if (isNew && account.bans >= limits.bans) return 'no';
      if (live && !account.rate.take(now)) return 'later';
      if (isNew && register.kind !== 'amnesty') account.bans += 1;
      return 'yes';
    },
    release(member, register) {
      const account = accounts.get(member);
      if (account === undefined || register.kind === 'amnesty') return;
      account.bans = Math.max(0, account.bans - 1);
    },
    knock: (member, now) => accountOf(member).knocks.take(now),
    offence: (member, now) => accountOf(member).offences.take(now),
    answer: (member, now) => accountOf(member).answers.take(now),
    bansOf: (member) => accounts.get(member)?.bans ?? 0,
    change(next) {
      limits = next;
      for (const account of accounts.values()) account.rate = createBucket(next.bansPerSecond);
    },
    forget: (member) => void accounts.delete(member),
  };
}
