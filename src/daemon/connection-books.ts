import type { Clock } from '../clock.ts';
import type { Connection } from '../firewall/connections.ts';
import type { Grantee } from '../firewall/firewall.ts';
import { type Address, sameAddress } from '../packet/address.ts';
import { contains, formatCidr } from '../packet/cidr.ts';
import { ownAddresses } from './exemptions.ts';

/** A connection that was half-way when its grant was used up completes within this or never: SYN_SENT's time-out. */
export const HALF_WAY_MS = 120_000;
/** Connections that are known to be counted; the oldest go first. */
const KNOWN_MAX = 65_536;
/** Grants that were used up, and may have connections half-way. */
const SPENT_MAX = 16_384;
/** How old the list of this machine's addresses may be before an unknown one makes it be read anew. */
const OWN_MS = 50;

/** Connections that were counted. */
export interface Known {
  /** False where it is known already. */
  add(connection: Connection): boolean;
  clear(): void;
}

export function createKnown(): Known {
  const known = new Set<string>();
  return {
    add(connection) {
      const key = keyOf(connection);
      if (known.has(key)) return false;
      known.add(key);
      if (known.size > KNOWN_MAX) for (const oldest of known) return known.delete(oldest);
      return true;
    },
    clear: () => known.clear(),
  };
}

/** The kernel's id of an entry may come again for another; with who and what it is, it does not. */
function keyOf({ source, sourcePort, port, entry }: Connection): string {
  const { a, b, c, d } = source;
  return `${entry.id?.toString('hex')} ${a} ${b} ${c} ${d} ${sourcePort} ${port}`;
}

/** Grants that were used up a moment ago: a connection of theirs may still be half-way. */
export interface Spent {
  add(door: string, grantee: Grantee): void;
  has(door: string, source: Address): boolean;
  grantees(): Iterable<Grantee>;
  /** Those of which no connection can be half-way any more. */
  forget(): void;
  clear(): void;
}

export function createSpent(clock: Pick<Clock, 'now'>): Spent {
  const spent = new Map<
    string,
    { readonly door: string; readonly grantee: Grantee; readonly until: number }
  >();
  return {
    add(door, grantee) {
      const key = `${door} ${grantee === 'any' ? grantee : formatCidr(grantee)}`;
      spent.delete(key);
      spent.set(key, { door, grantee, until: clock.now() + HALF_WAY_MS });
      if (spent.size > SPENT_MAX) for (const oldest of spent.keys()) return void spent.delete(oldest);
    },
    has(name, source) {
      for (const { door, grantee, until } of spent.values())
        if (door === name && until > clock.now() && (grantee === 'any' || contains(grantee, source)))
          return true;
      return false;
    },
    *grantees() {
      for (const { grantee } of spent.values()) yield grantee;
    },
    forget() {
      for (const [key, each] of spent) if (each.until <= clock.now()) spent.delete(key);
    },
    clear: () => spent.clear(),
  };
}

/** This machine's own addresses. */
export interface OwnAddresses {
  has(address: Address): boolean;
}

export function createOwnAddresses(clock: Pick<Clock, 'now'>): OwnAddresses {
  let own: readonly Address[] = [];
  let readAt = Number.NEGATIVE_INFINITY;
  return {
    has(address) {
      const isThere = (): boolean => own.some((each) => sameAddress(each, address));
      if (isThere()) return true;
      if (clock.now() - readAt < OWN_MS) return false;
      readAt = clock.now();
      try {
        own = ownAddresses();
      } catch {
        // No descriptor is left: those that were known are still ours.
      }
      return isThere();
    },
  };
}
