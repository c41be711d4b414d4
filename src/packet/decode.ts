import { TCP_FLAGS_MASK } from './flags.ts';
import type { Packet } from './packet.ts';

/** What is wrong with a packet, in words that never come from the packet. */
export type MalformedReason =
  | 'empty'
  | 'version'
  | 'header length'
  | 'total length'
  | 'fragment'
  | 'extension headers'
  | 'transport header'
  | 'protocol';

/** RFC 791: the shortest IPv4 header, in bytes. */
const IPV4_HEADER_BYTES_MIN = 20;
/** RFC 8200: the fixed IPv6 header, in bytes. */
const IPV6_HEADER_BYTES = 40;
/** RFC 9293: the shortest TCP header, in bytes. */
const TCP_HEADER_BYTES_MIN = 20;
/** RFC 768: the UDP header, in bytes. */
const UDP_HEADER_BYTES = 8;
/** Extension headers walked before a packet counts as malformed. RFC 8200 knows seven; nobody sends more. */
const EXTENSION_HEADERS_MAX = 16;

const TCP = 6;
const UDP = 17;

const HOP_BY_HOP = 0;
const ROUTING = 43;
const FRAGMENT = 44;
const AUTHENTICATION = 51;
const DESTINATION_OPTIONS = 60;
const MOBILITY = 135;
const HIP = 139;
const SHIM6 = 140;

/**
 * Decodes the IP packet in `bytes[offset … offset + length)` into `packet`, allocating nothing. The capture may
 * be cut off behind the transport header; bytes behind the packet's own length are padding. Answers null, or
 * why the packet is malformed: `packet` then holds nothing to rely on. It never reads outside the range given.
 */
export function decode(
  bytes: Uint8Array,
  offset: number,
  length: number,
  packet: Packet,
): MalformedReason | null {
  if (length < 1) return 'empty';
  packet.bytes = bytes;
  packet.start = offset;
  const version = at(bytes, offset) >> 4;
  if (version === 4) return decodeIpv4(bytes, offset, length, packet);
  if (version === 6) return decodeIpv6(bytes, offset, length, packet);
  return 'version';
}

function decodeIpv4(
  bytes: Uint8Array,
  offset: number,
  length: number,
  packet: Packet,
): MalformedReason | null {
  const header = (at(bytes, offset) & 15) * 4;
  if (header < IPV4_HEADER_BYTES_MIN || header > length) return 'header length';
  const total = u16(bytes, offset + 2);
  if (total < header) return 'total length';
  // The low 13 bits are the fragment's offset: anything but 0 has no ports, only payload that looks like some.
  if ((u16(bytes, offset + 6) & 0x1fff) !== 0) return 'fragment';
  packet.family = 4;
  packet.source0 = i32(bytes, offset + 12);
  packet.source1 = 0;
  packet.source2 = 0;
  packet.source3 = 0;
  packet.destination0 = i32(bytes, offset + 16);
  packet.destination1 = 0;
  packet.destination2 = 0;
  packet.destination3 = 0;
  packet.length = total;
  packet.end = offset + Math.min(length, total);
  const captured = Math.min(length, total) - header;
  return decodeTransport(bytes, offset + header, captured, total - header, at(bytes, offset + 9), packet);
}

function decodeIpv6(
  bytes: Uint8Array,
  offset: number,
  length: number,
  packet: Packet,
): MalformedReason | null {
  if (length < IPV6_HEADER_BYTES) return 'header length';
  packet.family = 6;
  packet.source0 = i32(bytes, offset + 8);
  packet.source1 = i32(bytes, offset + 12);
  packet.source2 = i32(bytes, offset + 16);
  packet.source3 = i32(bytes, offset + 20);
  packet.destination0 = i32(bytes, offset + 24);
  packet.destination1 = i32(bytes, offset + 28);
  packet.destination2 = i32(bytes, offset + 32);
  packet.destination3 = i32(bytes, offset + 36);
  const total = IPV6_HEADER_BYTES + u16(bytes, offset + 4);
  packet.length = total;
  const captured = Math.min(length, total);
  packet.end = offset + captured;
  let header = at(bytes, offset + 6);
  let here = IPV6_HEADER_BYTES;
  for (let walked = 0; isExtension(header); walked += 1) {
    if (walked === EXTENSION_HEADERS_MAX || here + 8 > captured) return 'extension headers';
    if (header === FRAGMENT && (u16(bytes, offset + here + 2) & 0xfff8) !== 0) return 'fragment';
    const bytesLong = extensionBytes(header, at(bytes, offset + here + 1));
    header = at(bytes, offset + here);
    here += bytesLong;
    // RFC 8200: hop-by-hop options stand first or not at all.
    if (here > captured || header === HOP_BY_HOP) return 'extension headers';
  }
  return decodeTransport(bytes, offset + here, captured - here, total - here, header, packet);
}

function decodeTransport(
  bytes: Uint8Array,
  offset: number,
  captured: number,
  present: number,
  protocol: number,
  packet: Packet,
): MalformedReason | null {
  packet.protocol = protocol;
  if (protocol === TCP) {
    if (captured < TCP_HEADER_BYTES_MIN) return 'transport header';
    const header = (at(bytes, offset + 12) >> 4) * 4;
    if (header < TCP_HEADER_BYTES_MIN || header > present) return 'transport header';
    packet.sequence = i32(bytes, offset + 4);
    packet.flags = at(bytes, offset + 13) & TCP_FLAGS_MASK;
    packet.payload = 0;
    packet.payloadLength = 0;
  } else if (protocol === UDP) {
    if (captured < UDP_HEADER_BYTES) return 'transport header';
    const datagram = u16(bytes, offset + 4);
    if (datagram < UDP_HEADER_BYTES || datagram > present) return 'transport header';
    packet.sequence = 0;
    packet.flags = 0;
    packet.payload = offset + UDP_HEADER_BYTES;
    packet.payloadLength = datagram - UDP_HEADER_BYTES;
  } else {
    return 'protocol';
  }
  packet.sourcePort = u16(bytes, offset);
  packet.port = u16(bytes, offset + 2);
  return null;
}

function isExtension(header: number): boolean {
  switch (header) {
    case HOP_BY_HOP:
    case ROUTING:
    case FRAGMENT:
    case AUTHENTICATION:
    case DESTINATION_OPTIONS:
    case MOBILITY:
    case HIP:
    case SHIM6:
      return true;
    default:
      return false;
  }
}

/** RFC 8200 counts in units of 8 bytes beyond the first 8; RFC 4302 (authentication) in units of 4 beyond 8. */
function extensionBytes(header: number, length: number): number {
  if (header === FRAGMENT) return 8;
  if (header === AUTHENTICATION) return (length + 2) * 4;
  return (length + 1) * 8;
}

/** The callers have checked that `offset` is inside; the fallback only satisfies the type. */
function at(bytes: Uint8Array, offset: number): number {
  return bytes[offset] ?? 0;
}

function u16(bytes: Uint8Array, offset: number): number {
  return (at(bytes, offset) << 8) | at(bytes, offset + 1);
}

function i32(bytes: Uint8Array, offset: number): number {
  return (u16(bytes, offset) << 16) | u16(bytes, offset + 2);
}
