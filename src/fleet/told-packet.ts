import { destinationOf, emptyPacket, type Packet, sourceOf } from '../packet/packet.ts';
import type { ToldPacket } from './records.ts';

/* A packet, and what others are told of it. */

/** All that is told of a packet, as one of its own: the engine's is used again for the next. */
export function copyOf(packet: Packet): Packet {
  const { bytes: _, start: _start, end: _end, ...told } = packet;
  return { ...emptyPacket(), ...told };
}

export function toldOf(
  packet: Packet,
  { id, explained, at }: Pick<ToldPacket, 'id' | 'explained' | 'at'>,
): ToldPacket {
  return {
    ...{ id, explained, at, protocol: packet.protocol, flags: packet.flags, source: sourceOf(packet) },
    destination: destinationOf(packet),
    ...{ sourcePort: packet.sourcePort, port: packet.port, sequence: packet.sequence >>> 0 },
  };
}

export function packetFrom({ source, destination, ...told }: ToldPacket): Packet {
  return {
    ...emptyPacket(),
    ...{ family: source.family, protocol: told.protocol, flags: told.flags },
    ...{ source0: source.a, source1: source.b, source2: source.c, source3: source.d },
    ...{ destination0: destination.a, destination1: destination.b },
    ...{ destination2: destination.c, destination3: destination.d },
    ...{ sourcePort: told.sourcePort, port: told.port, sequence: told.sequence | 0 },
  };
}
