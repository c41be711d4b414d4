import type { Address } from '../packet/address.ts';
import { type Cidr, contains, formatCidr, hostCidr } from '../packet/cidr.ts';
import { FORMER_MAX, FORMER_WINDOW } from '../policy/limits.ts';
import type { Grantee } from './event.ts';

/**
 * Who held a grant of which door in the last day: the close sequence of a grant that has ended or moved is no offence
 * of theirs. At most FORMER_MAX; the one whose grant ended first goes first. By the door's name, which a reload keeps.
 */
export interface FormerHolders {
  /** A grant has ended. */
  note(door: string, source: Address, grantee: Grantee, now: number): void;
  held(door: string, host: Address, now: number): boolean;
  /** False: it has held nothing, whatever the door. */
  knows(host: Address): boolean;
}

export function createFormerHolders(): FormerHolders {
  const ended = new Map<string, number>();
  /** How many of these there are of each host. */
  const hosts = new Map<string, number>();
  /** The networks, of a door each, that were let in: few, since they are what doors name. */
  const networks = new Map<string, { readonly door: string; readonly network: Cidr; ended: number }>();

  function note(door: string, host: Cidr, now: number): void {
    const key = keyOf(door, host);
    // Set anew, so that the map stands in the order of ends.
    if (!ended.delete(key)) add(formatCidr(host), 1);
    ended.set(key, now);
    if (ended.size <= FORMER_MAX) return;
    const [oldest] = ended.keys();
    if (oldest === undefined) return;
    ended.delete(oldest);
    add(oldest.slice(oldest.lastIndexOf(' ') + 1), -1);
  }

  function add(host: string, more: 1 | -1): void {
    const count = (hosts.get(host) ?? 0) + more;
    if (count === 0) hosts.delete(host);
    else hosts.set(host, count);
  }

  return {
    note(door, source, grantee, now) {
      note(door, hostCidr(source), now);
      if (grantee === 'any') return;
      if (grantee.bits === hostCidr(grantee.address).bits) note(door, grantee, now);
      else if (networks.size < FORMER_MAX || networks.has(keyOf(door, grantee)))
        networks.set(keyOf(door, grantee), { door, network: grantee, ended: now });
    },
    knows: (host) => networks.size > 0 || (hosts.size > 0 && hosts.has(formatCidr(hostCidr(host)))),
    held(door, host, now) {
      const at = ended.get(keyOf(door, hostCidr(host)));
      if (at !== undefined && now - at <= FORMER_WINDOW) return true;
      for (const each of networks.values()) {
        if (each.door === door && now - each.ended <= FORMER_WINDOW && contains(each.network, host))
          return true;
      }
      return false;
    },
  };
}

function keyOf(door: string, network: Cidr): string {
  return `${door} ${formatCidr(network)}`;
}
