import type { Address } from '../packet/address.ts';
import type { PortSpec } from '../packet/port.ts';
import type { Milliseconds } from '../packet/time.ts';
import type { EngineEvent, NfknockEvent } from './event.ts';

/** The packet that opens by a key: where it came from, and the port it came to. */
export interface KeyPacket {
  readonly source: Address;
  readonly port: PortSpec;
}

/** What is said of packets to the ports of keys that no key proved, by port, and of those that were not looked into. */
export function keyCounts(
  unproven: ReadonlyMap<PortSpec['port'], number>,
  over: number,
  at: Milliseconds,
): readonly NfknockEvent[] {
  const counts = [...unproven].map(([port, count]): NfknockEvent => {
    return { event: 'spa.unauthenticated', at, port: { protocol: 'udp', port }, count };
  });
  return over > 0 ? [...counts, { event: 'spa.overload', at, count: over }] : counts;
}

/** What is said of the packet that an opening came of; undefined: nothing. */
export function acceptanceOf(event: EngineEvent, packet: KeyPacket | undefined): NfknockEvent | undefined {
  if (packet === undefined || (event.event !== 'door.opened' && event.event !== 'door.renewed'))
    return undefined;
  const { key, person, door, at } = event;
  const { source, port } = packet;
  if (key === undefined) return undefined;
  return { event: 'spa.accepted', at, source, door, port, key, ...(person === undefined ? {} : { person }) };
}
