import { type Cidr, formatCidr } from '../packet/cidr.ts';
import { HISTORIES_MAX, type Keep, type StateChange, type Stored, type StoredGrant } from './store.ts';

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

/** The keys of what a prune forgot. */
export interface Forgotten {
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
  prune(now: number): Forgotten;
  current(now: number): Stored;
}

/** One grantee has one grant of a door. Neither part can hold a line feed. */
export function grantKey(door: string, grantee: 'any' | Cidr): string {
  return `${door}\n${grantee === 'any' ? grantee : formatCidr(grantee)}`;
}

export function createLedger(keep: Keep): Ledger {
  const grants = new Map<string, StoredGrant>();
  const offenders = new Map<string, Offender>();
  const historiesMax = keep.histories ?? HISTORIES_MAX;

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
          put(formatCidr(change.ban.target), { ...change.ban, lifted: false });
          return;
        case 'unban': {
          const key = formatCidr(change.target);
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
        const key = formatCidr(offender.target);
        if (!offenders.has(key)) offenders.set(key, offender);
      }
    },
    prune(now) {
      const forgotten = { grants: [] as string[], offenders: [] as string[] };
      for (const [key, grant] of grants) if (grant.until <= now) forgotten.grants.push(key);
      const ended: string[] = [];
      for (const [key, offender] of offenders) {
        if (isBanned(offender, now)) continue;
        if (offender.until + keep.history <= now) forgotten.offenders.push(key);
        else ended.push(key);
      }
      forgotten.offenders.push(...ended.slice(0, Math.max(0, ended.length - historiesMax)));
      for (const key of forgotten.grants) grants.delete(key);
      for (const key of forgotten.offenders) offenders.delete(key);
      return forgotten;
    },
    current(now) {
      const known = [...offenders.values()];
      return {
        grants: [...grants.values()].filter((grant) => grant.until > now),
        bans: known
          .filter((offender) => isBanned(offender, now))
          .map(({ target, since, until, count }) => ({ target, since, until, count })),
        histories: known
          .filter((offender) => isBanned(offender, now) || offender.until + keep.history > now)
          .map(({ target, count, until }) => ({ target, count, until })),
      };
    },
  };
}

function isBanned(offender: Offender, now: number): boolean {
  return !offender.lifted && offender.until > now;
}
