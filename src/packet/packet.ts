import type { Address, Family } from './address.ts';

/**
 * A decoded packet. One object is reused for every packet (`decode` fills it), so nothing may keep it. Filling it
 * allocates nothing: its fields are small integers (addresses are signed 32-bit words in network order, IPv4 in the
 * first word, the rest 0), and its bytes are those of the batch.
 */
export interface Packet {
  family: Family;
  /** IP protocol number: 6 TCP, 17 UDP. */
  protocol: number;
  source0: number;
  source1: number;
  source2: number;
  source3: number;
  destination0: number;
  destination1: number;
  destination2: number;
  destination3: number;
  sourcePort: number;
  /** 0–65535. */
  port: number;
  /** The six TCP flags of TCP_FLAG; 0 for UDP. */
  flags: number;
  /** TCP sequence number as a signed 32-bit word; 0 for UDP. */
  sequence: number;
  /** Whether the packet carries the kernel's (or the capture's) own time stamp. */
  stamped: boolean;
  /** IP length in bytes, as the packet says. */
  length: number;
  /** Where UDP's payload begins in `bytes`, and its length as the packet says; 0 for TCP. */
  payload: number;
  payloadLength: number;
  /** What was captured of the IP packet, borrowed for one call: `bytes[start … end)`. */
  bytes: Uint8Array;
  start: number;
  end: number;
}

const NO_BYTES = new Uint8Array(0);

export function emptyPacket(): Packet {
  return {
    family: 4,
    protocol: 0,
    source0: 0,
    source1: 0,
    source2: 0,
    source3: 0,
    destination0: 0,
    destination1: 0,
    destination2: 0,
    destination3: 0,
    sourcePort: 0,
    port: 0,
    flags: 0,
    sequence: 0,
    stamped: true,
    length: 0,
    payload: 0,
    payloadLength: 0,
    bytes: NO_BYTES,
    start: 0,
    end: 0,
  };
}

/** The packet with its ends exchanged. */
export function reversed(packet: Packet): Packet {
  return {
    ...packet,
    source0: packet.destination0,
    source1: packet.destination1,
    source2: packet.destination2,
    source3: packet.destination3,
    destination0: packet.source0,
    destination1: packet.source1,
    destination2: packet.source2,
    destination3: packet.source3,
    sourcePort: packet.port,
    port: packet.sourcePort,
  };
}

/** Who sent it. Made anew: not for what is done for each packet. */
export function sourceOf({ family, source0: a, source1: b, source2: c, source3: d }: Packet): Address {
  return { family, a, b, c, d };
}

export function destinationOf(packet: Packet): Address {
  const { family, destination0: a, destination1: b, destination2: c, destination3: d } = packet;
  return { family, a, b, c, d };
}
