import { type Address, sameAddress } from '../packet/address.ts';
import { portKey } from '../packet/port-key.ts';
import type { Milliseconds } from '../packet/time.ts';
import type { Ban } from './ban.ts';
import type { Grantee } from './event.ts';
import type { Grant } from './grant.ts';
import { describe, type Search, type SourceState, searchSources } from './sources.ts';
import type { State } from './state.ts';
import { NONE } from './table.ts';

/** What the engine tells of itself; nothing is changed by asking. */
export interface Views {
  grants(): readonly GrantView[];
  /** The grants one by one: may be walked in pieces, while packets are judged in between. */
  eachGrant(): Iterable<GrantView>;
  /** The grants that the host knocked for, or was named for. */
  grantsOf(host: Address): readonly GrantView[];
  /** How many grants each door has; a door without any is not there. */
  grantCounts(): ReadonlyMap<string, number>;
  /** The grant of that door to that grantee, while it is in force. */
  grant(door: string, grantee: Grantee): GrantView | undefined;
  bans(): readonly Ban[];
  /** The bans one by one: may be walked in pieces, while packets are judged in between. */
  eachBan(): Iterable<Ban>;
  /** The ban that this host is under, its own or its network's. */
  ban(host: Address): Ban | undefined;
  /**
   * Who has strikes or is part-way through a sequence, at most `limit`: the most strikes first, then the furthest.
   * The search takes long in full tables: it stops between pieces, and packets may be judged before it goes on.
   */
  sources(now: Milliseconds, limit: number): Search;
  source(address: Address, now: Milliseconds): SourceState;
  sizes(): Sizes;
  /** Whether the port is a knock, a service, a decoy or allowed: others are nobody's business. */
  isWatched(protocol: number, port: number): boolean;
  /** When an attempt that may have been in progress last had to make room for another one; −Infinity: never. */
  crowded(): number;
}

/** A grant with its door's name. */
export interface GrantView extends Omit<Grant, 'door'> {
  readonly door: string;
}

/** Entries in use, and the most there can be. */
export interface Sizes {
  readonly attempts: number;
  readonly offenders: number;
  readonly bans: number;
  readonly grants: number;
  readonly sourcesMax: number;
  readonly bansMax: number;
}

export function viewsOf(state: State): Views {
  const { subject } = state.subjects;
  const nameOf = (door: number): string => state.settings.doors[door]?.name ?? '';
  const view = (grant: Grant): GrantView => ({ ...grant, door: nameOf(grant.door) });
  return {
    grants: () => state.grants.all().map(view),
    *eachGrant() {
      for (const grant of state.grants.walk()) yield view(grant);
    },
    grantsOf(host) {
      state.subjects.ofAddress(host);
      const held = state.grants.heldBy(subject);
      return held.filter(({ source }) => sameAddress(source, host)).map(view);
    },
    grantCounts() {
      const counts = new Map<string, number>();
      for (const { door } of state.grants.walk()) {
        const name = nameOf(door);
        counts.set(name, (counts.get(name) ?? 0) + 1);
      }
      return counts;
    },
    grant(door, grantee) {
      const index = state.settings.doors.findIndex((each) => each.name === door);
      const grant = state.grants.find(index, grantee);
      return grant === undefined ? undefined : view(grant);
    },
    bans() {
      const bans: Ban[] = [];
      state.bans.each((slot) => bans.push(state.bans.at(slot)));
      return bans;
    },
    eachBan: () => state.bans.walk(),
    ban(host) {
      state.subjects.ofAddress(host);
      const slot = state.bans.covering(subject);
      return slot === NONE ? undefined : state.bans.at(slot);
    },
    sources: (now, limit) => searchSources(state, now, limit),
    source: (address, now) => describe(state, address, now),
    crowded: () => state.attempts.crowded(),
    isWatched: (protocol, port) => state.ports.role(portKey(protocol, port)) !== 0,
    sizes: () => ({
      attempts: state.attempts.table.size() + (state.moving?.old.table.size() ?? 0),
      offenders: state.offenders.table.size() + (state.offenders.before()?.table.size() ?? 0),
      bans: state.bans.size(),
      grants: state.grants.size(),
      sourcesMax: state.settings.sources,
      bansMax: state.settings.bans.limit,
    }),
  };
}
