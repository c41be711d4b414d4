import type { Cidr } from '../packet/cidr.ts';
import { keyOf } from './key.ts';
import {
  HISTORIES_MAX,
  type Keep,
  type StateChange,
  type Stored,
  type StoredBan,
  type StoredGrant,
  type StoredHistory,
} from './store.ts';

/** Entries looked at in a second's turn: about a millisecond's work. */
export const SWEEP_STEP = 10_000;

/** A target that is banned, or was: one entry for the ban and its history, so that the two can't disagree. */
export interface Offender {
  readonly target: Cidr;
  readonly since: number;
  /** When the ban ends or ended (wall time, ms). */
  readonly until: number;
  readonly count: number;
  /** Ended before its time. Said apart from `until`, so that a clock set back brings no lifted ban back. */
  readonly lifted: boolean;
}

/** The keys of what a sweep forgot. */
interface Forgotten {
  readonly grants: readonly string[];
  readonly offenders: readonly string[];
}

/** The live state in memory. Every store has one; a store on disk mirrors it. */
export interface Ledger {
  readonly grants: ReadonlyMap<string, StoredGrant>;
  readonly offenders: ReadonlyMap<string, Offender>;
  apply(change: StateChange, now: number): void;
  /** Takes in what a file held, under what is known already: memory is newer than any file. */
  absorb(grants: Iterable<StoredGrant>, offenders: Iterable<Offender>): void;
  /** Forgets what has ended, looking at so many entries from where it stopped the last time. */
  sweep(now: number, entriesMax: number): Forgotten;
  current(now: number): Stored;
  /** The grants that are over and not yet swept away. */
  ended(now: number): readonly StoredGrant[];
}

/** One grantee has one grant of a door. Neither part can hold a line feed. */
export function grantKey(door: string, grantee: 'any' | Cidr): string {
  return `${door}\n${grantee === 'any' ? grantee : keyOf(grantee)}`;
}

export function createLedger(keep: Keep): Ledger {
  const grants = new Map<string, StoredGrant>();
  const offenders = new Map<string, Offender>();
  function put(key: string, offender: Offender): void {
    // Taken out first, so that the map's order is that of the last touch.
    offenders.delete(key);
    offenders.set(key, offender);
  }

  return {
    grants,
    offenders,
    apply(change, now) {
      switch (change.change) {
        case 'grant':
          grants.set(grantKey(change.grant.door, change.grant.grantee), change.grant);
          return;
        case 'ungrant':
          grants.delete(grantKey(change.door, change.grantee));
          return;
        case 'ban':
          put(keyOf(change.ban.target), { ...change.ban, lifted: false });
          return;
        case 'unban': {
          const key = keyOf(change.target);
          const offender = offenders.get(key);
          if (offender === undefined || offender.lifted) return;
          put(key, { ...offender, until: Math.min(offender.until, now), lifted: true });
          return;
        }
        default:
          change satisfies never;
      }
    },
    absorb(oldGrants, oldOffenders) {
      for (const grant of oldGrants) {
        const key = grantKey(grant.door, grant.grantee);
        if (!grants.has(key)) grants.set(key, grant);
      }
      for (const offender of oldOffenders) {
        const key = keyOf(offender.target);
        if (!offenders.has(key)) offenders.set(key, offender);
      }
    },
    sweep: createSweep(grants, offenders, keep),
    current(now) {
      const stored = {
        grants: [] as StoredGrant[],
        bans: [] as StoredBan[],
        histories: [] as StoredHistory[],
      };
      for (const grant of grants.values()) if (grant.until > now) stored.grants.push(grant);
      for (const offender of offenders.values()) {
        const { target, since, until, count } = offender;
        const banned = isBanned(offender, now);
        if (banned) stored.bans.push({ target, since, until, count });
        if (banned || until + keep.history > now) stored.histories.push({ target, count, until });
      }
      return stored;
    },
    ended: (now) => [...grants.values()].filter((grant) => grant.until <= now),
  };
}

/** Goes round and round, a step at a call, so that a full table never holds up the packets. */
function createSweep(
  grants: Map<string, StoredGrant>,
  offenders: Map<string, Offender>,
  keep: Keep,
): Ledger['sweep'] {
  const historiesMax = keep.histories ?? HISTORIES_MAX;
  let round = offenders.entries();
  /** Histories seen in this round, and how many too many the last one had: the first ones met are the oldest. */
  let histories = 0;
  let tooMany = 0;

  return (now, entriesMax) => {
    const forgotten = { grants: [] as string[], offenders: [] as string[] };
    for (const [key, grant] of grants) if (grant.until <= now) forgotten.grants.push(key);
    for (let looked = 0; looked < entriesMax; looked += 1) {
      const { done, value } = round.next();
      if (done) {
        tooMany = Math.max(0, histories - historiesMax);
        histories = 0;
        round = offenders.entries();
        break;
      }
      const [key, offender] = value;
      if (isBanned(offender, now)) continue;
      const isOver = offender.until + keep.history <= now;
      if (isOver || tooMany > 0) forgotten.offenders.push(key);
      else histories += 1;
      if (!isOver && tooMany > 0) tooMany -= 1;
    }
    for (const key of forgotten.grants) grants.delete(key);
    for (const key of forgotten.offenders) offenders.delete(key);
    return forgotten;
  };
}

function isBanned(offender: Offender, now: number): boolean {
  return !offender.lifted && offender.until > now;
}
