import { randomInt } from 'node:crypto';
import type { Cidr } from '../packet/cidr.ts';
import { rememberedUntil } from '../policy/limits.ts';
import { createFleetKept, type FleetKept } from './fleet-kept.ts';
import { createMembers, type Members } from './members.ts';
import { createOffenders, NONE, type Offenders } from './offenders.ts';
import { keyOf } from './row-key.ts';
import {
  type FleetChange,
  HISTORIES_MAX,
  type Keep,
  type KeyChange,
  type Spared,
  type StateChange,
  type Stored,
  type StoredBan,
  type StoredGrant,
  type StoredHistory,
} from './store.ts';
import { createUses, type Uses } from './uses.ts';

/** Entries looked at in a second's turn: about a millisecond's work. */
export const SWEEP_STEP = 10_000;
/** Above the greatest word of a hash's key. */
const HASH_KEY_MAX = 2 ** 32;

/** What a sweep forgot: the grants by their keys, and how many offenders. */
interface Forgotten {
  readonly grants: readonly string[];
  readonly offenders: number;
}

/** What changes have touched: grants by their keys, and the slots of offenders. */
export interface Touched {
  readonly grants: ReadonlySet<string>;
  readonly offenders: readonly number[];
  readonly uses: readonly KeyChange[];
  readonly fleet: readonly FleetChange[];
}

/** The live state in memory. Every store has one; a store on disk mirrors it. */
export interface Ledger {
  readonly grants: ReadonlyMap<string, StoredGrant>;
  readonly offenders: Offenders;
  readonly uses: Uses;
  readonly fleet: FleetKept;
  readonly members: Members;
  apply(changes: readonly StateChange[], now: number): Touched;
  /** Takes in grants that a file held, under what is known already: memory is newer than any file. */
  absorb(grants: Iterable<StoredGrant>): void;
  /** Forgets what has ended, looking at this many entries from where it stopped the last time. */
  sweep(now: number, entriesMax: number, spared?: Spared): Forgotten;
  current(now: number, spared?: Spared): Stored;
  /** The grants that are over and not yet swept away. */
  ended(now: number, spared?: Spared): readonly StoredGrant[];
  /** Whether its ban was lifted, and it was not banned again since. */
  isLifted(target: Cidr): boolean;
}

/** One grantee has one grant of a door. Neither part can hold a line feed. */
export function grantKey(door: string, grantee: 'any' | Cidr): string {
  return `${door}\n${grantee === 'any' ? grantee : keyOf(grantee)}`;
}

export function createLedger(keep: Keep): Ledger {
  const grants = new Map<string, StoredGrant>();
  const offenders = createOffenders([randomInt(HASH_KEY_MAX), randomInt(HASH_KEY_MAX)]);
  // A table that doubles moves all that it holds in one go: a quarter of a million for a fifth of a second. What nothing was
  // written to takes no memory of the machine.
  if (keep.bans !== undefined) offenders.reserve(keep.bans + (keep.histories ?? HISTORIES_MAX));

  const uses = createUses();
  const fleet = createFleetKept();
  const members = createMembers();

  /** Answers the slot of the offender that it touched, or NONE. */
  function applyOne(
    change: Exclude<StateChange, KeyChange | FleetChange>,
    touched: Set<string>,
    now: number,
  ): number {
    switch (change.change) {
      case 'grant': {
        const key = grantKey(change.grant.door, change.grant.grantee);
        grants.set(key, change.grant);
        touched.add(key);
        return NONE;
      }
      case 'ungrant': {
        const key = grantKey(change.door, change.grantee);
        grants.delete(key);
        touched.add(key);
        return NONE;
      }
      case 'ban': {
        const { from, ...ban } = change.ban;
        const place = from === undefined ? 0 : members.placeOf(from);
        return offenders.put({ ...ban, lifted: false, from: place });
      }
      case 'unban': {
        const slot = offenders.find(change.target);
        if (slot === NONE || offenders.isLifted(slot)) return NONE;
        const offender = offenders.at(slot);
        return offenders.put({ ...offender, until: Math.min(offender.until, now), lifted: true });
      }
      case 'forgive': {
        const slot = offenders.find(change.target);
        if (slot === NONE || isBanned(offenders, slot, now)) return NONE;
        // A history that is over already; an entry must be written, since the file is a log.
        return offenders.put({
          target: change.target,
          since: 0,
          until: 0,
          count: 1,
          lifted: true,
          origin: 'strikes',
          from: 0,
        });
      }
      default:
        return change satisfies never;
    }
  }

  return {
    grants,
    offenders,
    uses,
    fleet,
    members,
    apply(changes, now) {
      offenders.reserve(changes.length);
      const touched = { grants: new Set<string>(), offenders: [] as number[], uses: [] as KeyChange[] };
      const told: FleetChange[] = [];
      for (const change of changes) {
        if (isOfKeys(change)) {
          uses.apply(change);
          touched.uses.push(change);
          continue;
        }
        if (isOfFleet(change)) {
          if (fleet.apply(change)) told.push(change);
          continue;
        }
        const slot = applyOne(change, touched.grants, now);
        if (slot !== NONE) touched.offenders.push(slot);
      }
      return { ...touched, fleet: told };
    },
    absorb(old) {
      for (const grant of old) {
        const key = grantKey(grant.door, grant.grantee);
        if (!grants.has(key)) grants.set(key, grant);
      }
    },
    sweep: createSweep(grants, offenders, keep),
    current(now, spared = none) {
      const stored = {
        grants: [] as StoredGrant[],
        bans: [] as StoredBan[],
        histories: [] as StoredHistory[],
      };
      for (const grant of grants.values()) if (grant.until > now || spared(grant)) stored.grants.push(grant);
      offenders.each((slot) => {
        const { target, since, until, count, origin, from } = offenders.at(slot);
        const banned = isBanned(offenders, slot, now);
        const name = members.nameOf(from);
        const whose = name === undefined ? {} : { from: name };
        if (banned) stored.bans.push({ target, since, until, count, origin, ...whose });
        if (banned || rememberedUntil(since, until) > now)
          stored.histories.push({ target, count, since, until });
      });
      return stored;
    },
    ended: (now, spared = none) =>
      [...grants.values()].filter((grant) => grant.until <= now && !spared(grant)),
    isLifted(target) {
      const slot = offenders.find(target);
      return slot !== NONE && offenders.isLifted(slot);
    },
  };
}

function isOfKeys(change: StateChange): change is KeyChange {
  return change.change === 'seen' || change.change === 'floor' || change.change === 'key_used';
}

function isOfFleet(change: StateChange): change is FleetChange {
  const { change: kind } = change;
  return kind === 'register' || kind === 'told' || kind === 'unregister' || kind === 'heard';
}

const none: Spared = () => false;

/** Goes round and round, a step at a call, so that a full table never holds up the packets. */
function createSweep(grants: Map<string, StoredGrant>, offenders: Offenders, keep: Keep): Ledger['sweep'] {
  const historiesMax = keep.histories ?? HISTORIES_MAX;
  /** Histories seen in this round, and how many too many the last one had: the first ones met are the oldest. */
  let histories = 0;
  let tooMany = 0;

  return (now, entriesMax, spared = none) => {
    const over: string[] = [];
    for (const [key, grant] of grants) if (grant.until <= now && !spared(grant)) over.push(key);
    for (const key of over) grants.delete(key);
    let forgotten = 0;
    for (let looked = 0; looked < entriesMax; looked += 1) {
      const slot = offenders.walk();
      if (slot === NONE) {
        tooMany = Math.max(0, histories - historiesMax);
        histories = 0;
        break;
      }
      if (isBanned(offenders, slot, now)) continue;
      const isOver = rememberedUntil(offenders.since(slot), offenders.until(slot)) <= now;
      if (isOver || tooMany > 0) {
        offenders.remove(slot);
        forgotten += 1;
      } else histories += 1;
      if (!isOver && tooMany > 0) tooMany -= 1;
    }
    return { grants: over, offenders: forgotten };
  };
}

function isBanned(offenders: Offenders, slot: number, now: number): boolean {
  return !offenders.isLifted(slot) && offenders.until(slot) > now;
}
