import { destinationOf, type Packet, sourceOf } from '../packet/packet.ts';
import type { Port } from '../packet/port.ts';
import type { Milliseconds } from '../packet/time.ts';
import type { SpaPacket } from './proof.ts';

/** UDP payloads that some format has. */
const PAYLOAD_BYTES = { min: 40, max: 440 } as const;

/** A packet without its payload, which is at hand only while it is looked into. */
export type Arrival = Omit<SpaPacket, 'payload'>;

/** A datagram that was cut short, or has no length of any format, proves nothing. */
export function payloadOf({
  bytes,
  payload: from,
  payloadLength: length,
  end,
}: Packet): Uint8Array | undefined {
  const isWhole = from + length <= end && length >= PAYLOAD_BYTES.min && length <= PAYLOAD_BYTES.max;
  return isWhole ? bytes.subarray(from, from + length) : undefined;
}

export function arrivalOf(packet: Packet, now: Milliseconds, wall: number): Arrival {
  const [source, destination] = [sourceOf(packet), destinationOf(packet)];
  return { source, destination, port: packet.port as Port, now, wall };
}
