import { type Connection, type ConnectionWatch, watchConnections } from '../firewall/netlink/conntrack.ts';
import { type Address, sameAddress } from '../packet/address.ts';
import { inRange, type Port } from '../packet/port.ts';
import type { Door } from '../policy/config.ts';
import { stored, words } from './commit.ts';
import { type Parts, warn } from './dependencies.ts';
import { ownAddresses } from './exemptions.ts';

export interface UsesWatch {
  /** Another configuration is in force: doors with `uses` may have come or gone. */
  reloaded(): void;
  close(): void;
}

/**
 * Doors with `uses`: each connection to a door's service that conntrack reports takes one. The kernel is asked to tell
 * of connections only while there is such a door: everybody's new connections cost us and the kernel time.
 */
export function watchUses(parts: Parts): UsesWatch {
  let watch: ConnectionWatch | undefined;
  const follow = (): void => {
    const counted = parts.config.doors.some((door) => door.uses !== null);
    if (counted) watch ??= listen(parts);
    if (counted) return;
    watch?.close();
    watch = undefined;
  };
  follow();
  return { reloaded: follow, close: () => watch?.close() };
}

function listen(parts: Parts): ConnectionWatch | undefined {
  try {
    return watchConnections((connection) => count(parts, connection), {
      onLost: (lost) => parts.losses.add('connections', lost),
    });
  } catch (error) {
    warn(parts, `uses: connections can't be counted: ${words(error)}`);
    return undefined;
  }
}

function count(parts: Parts, connection: Connection): void {
  for (const door of parts.config.doors) {
    if (door.uses === null || !leadsThrough(door, connection)) continue;
    const { ok } = parts.order({ order: 'connected', door: door.name, source: connection.source });
    if (ok) keepUses(parts, door.name);
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
