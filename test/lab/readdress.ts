import { type Address, ipv4, ipv6 } from '../../src/packet/address.ts';

/**
 * Gives an IP packet other addresses and keeps its checksums as right or as wrong as they were: they are carried on
 * from the words that change (RFC 1624), not counted anew, so that a packet that was broken on purpose stays broken.
 */

const IPV4 = { header: 20, checksum: 10, source: 12, destination: 16, bytes: 4 } as const;
const IPV6 = { header: 40, source: 8, destination: 24, bytes: 16 } as const;
const PROTOCOL = { icmp: 1, tcp: 6, udp: 17, icmp6: 58 } as const;
/** Where a transport header has its checksum. ICMP's leaves the addresses out. */
const CHECKSUM_AT: Readonly<Record<number, number>> = {
  [PROTOCOL.tcp]: 16,
  [PROTOCOL.udp]: 6,
  [PROTOCOL.icmp6]: 2,
};
/** IPv6 headers in front of the transport header: hop-by-hop, routing, destination options; and fragment. */
const EXTENSIONS: ReadonlySet<number> = new Set([0, 43, 60]);
const FRAGMENT = 44;
/** More in a row is nothing that anyone sends for a purpose. */
const EXTENSIONS_MAX = 8;

/** Where a packet's addresses are, in bytes from its beginning; undefined where it is too short to have any. */
export interface Places {
  readonly source: number;
  readonly destination: number;
  readonly bytes: number;
}

export function placesOf(packet: Uint8Array): Places | undefined {
  const version = (packet[0] ?? 0) >>> 4;
  if (version === 4 && packet.length >= IPV4.header) return IPV4;
  return version === 6 && packet.length >= IPV6.header ? IPV6 : undefined;
}

/** The address that 4 or 16 bytes are. */
export function addressOf(bytes: Uint8Array | readonly number[]): Address {
  const view = new DataView(Uint8Array.from(bytes).buffer);
  if (bytes.length === 4) return ipv4(view.getInt32(0));
  return ipv6(view.getInt32(0), view.getInt32(4), view.getInt32(8), view.getInt32(12));
}

/** Writes both addresses into the packet. They have as many bytes as those that were there. */
export function readdress(packet: Uint8Array, source: Uint8Array, destination: Uint8Array): void {
  const places = placesOf(packet);
  if (places === undefined || source.length !== places.bytes || destination.length !== places.bytes) return;
  const before = sumOf(packet, places.source, 2 * places.bytes);
  packet.set(source, places.source);
  packet.set(destination, places.destination);
  const after = sumOf(packet, places.source, 2 * places.bytes);
  if (places.bytes === IPV4.bytes) carryOn(packet, IPV4.checksum, before, after);
  const transport = places.bytes === IPV4.bytes ? transportV4(packet) : transportV6(packet);
  if (transport === undefined) return;
  const at = transport.at + transport.checksum;
  if (at + 2 > packet.length) return;
  // Over IPv4 a datagram may have none.
  const isNone = transport.protocol === PROTOCOL.udp && u16(packet, at) === 0;
  if (isNone) return;
  carryOn(packet, at, before, after);
  if (transport.protocol === PROTOCOL.udp && u16(packet, at) === 0) packet.fill(0xff, at, at + 2);
}

interface Transport {
  readonly protocol: number;
  readonly at: number;
  readonly checksum: number;
}

/** The transport header, where this packet has it: a later fragment does not. */
function transportV4(packet: Uint8Array): Transport | undefined {
  if ((u16(packet, 6) & 0x1fff) !== 0) return undefined;
  return transportAt(packet[9] ?? 0, ((packet[0] ?? 0) & 15) * 4);
}

function transportV6(packet: Uint8Array): Transport | undefined {
  let protocol = packet[6] ?? 0;
  let at: number = IPV6.header;
  for (let passed = 0; passed < EXTENSIONS_MAX && at + 8 <= packet.length; passed++) {
    if (protocol === FRAGMENT) {
      if ((u16(packet, at + 2) & 0xfff8) !== 0) return undefined;
      protocol = packet[at] ?? 0;
      at += 8;
    } else if (EXTENSIONS.has(protocol)) {
      protocol = packet[at] ?? 0;
      at += ((packet[at + 1] ?? 0) + 1) * 8;
    } else break;
  }
  return transportAt(protocol, at);
}

function transportAt(protocol: number, at: number): Transport | undefined {
  const checksum = CHECKSUM_AT[protocol];
  return checksum === undefined ? undefined : { protocol, at, checksum };
}

/** HC' = ~(~HC + ~m + m') in one's complement (RFC 1624, equation 3). */
function carryOn(packet: Uint8Array, at: number, before: number, after: number): void {
  const sum = folded((~u16(packet, at) & 0xffff) + (~before & 0xffff) + after);
  const checksum = ~sum & 0xffff;
  packet[at] = checksum >>> 8;
  packet[at + 1] = checksum & 0xff;
}

function sumOf(packet: Uint8Array, at: number, bytes: number): number {
  let sum = 0;
  for (let i = at; i < at + bytes; i += 2) sum += u16(packet, i);
  return folded(sum);
}

function folded(sum: number): number {
  let rest = sum;
  while (rest > 0xffff) rest = (rest & 0xffff) + (rest >>> 16);
  return rest;
}

function u16(bytes: Uint8Array, at: number): number {
  return ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
}
