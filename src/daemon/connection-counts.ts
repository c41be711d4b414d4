import { type Connection, watchConnections } from '../firewall/netlink/conntrack.ts';
import { type Address, sameAddress } from '../packet/address.ts';
import { inRange, type Port } from '../packet/port.ts';
import type { Door } from '../policy/config.ts';
import { stored, words } from './commit.ts';
import { type Parts, warn } from './dependencies.ts';
import { ownAddresses } from './exemptions.ts';

/** Doors with `uses`: each connection to a door's service that conntrack reports takes one. */
export function watchUses(parts: Parts): { close(): void } | undefined {
  try {
    return watchConnections((connection) => {
      for (const door of parts.config.doors) {
        if (door.uses === null || !leadsThrough(door, connection)) continue;
        const { ok } = parts.order({ order: 'connected', door: door.name, source: connection.source });
        if (ok) keepUses(parts, door.name);
      }
    });
  } catch (error) {
    const counted = parts.config.doors.some((door) => door.uses !== null);
    if (counted) warn(parts, `uses: connections can't be counted: ${words(error)}`);
    return undefined;
  }
}

/**
 * Whether a connection reaches the door's service from outside. What this machine begins, or passes on to another
 * host's port of the same number, is no use of a grant to everyone.
 */
function leadsThrough({ opens, forward }: Door, { source, protocol, host, port }: Connection): boolean {
  if (!opens.some((range) => inRange(range, { protocol, port: port as Port }))) return false;
  if (forward !== null) return sameAddress(forward.to.address, host);
  const own = ownAddresses();
  const isOwn = (address: Address): boolean => own.some((each) => sameAddress(each, address));
  return isOwn(host) && !isOwn(source);
}

function keepUses({ engine, store, clock }: Parts, door: string): void {
  const grants = engine.grants().filter((grant) => grant.door === door);
  store.write(
    grants.map((grant) => ({ change: 'grant' as const, grant: stored(grant, clock) })),
    clock.wall(),
  );
}
