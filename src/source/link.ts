import { nflogPayloadAt, nflogWay } from './link-nflog.ts';
import { PPP_IP, pppPayload } from './link-ppp.ts';
import { WAY } from './way.ts';

/**
 * Link layers: where a frame's IP header begins. Numbers are the LINKTYPE values of
 * https://www.tcpdump.org/linktypes.html; captures of some systems carry the DLT value instead, which is why
 * raw IP has three.
 */
const LINK = {
  null: 0,
  ethernet: 1,
  ppp: 9,
  rawBsd: 12,
  rawOpenBsd: 14,
  pppSerial: 50,
  pppoe: 51,
  raw: 101,
  loop: 108,
  linuxCooked: 113,
  ipv4: 228,
  ipv6: 229,
  nflog: 239,
  linuxCooked2: 276,
} as const;

const SUPPORTED: ReadonlySet<number> = new Set(Object.values(LINK));

const ETHERTYPE = {
  ipv4: 0x0800,
  ipv6: 0x86dd,
  vlan: 0x8100,
  qinq: 0x88a8,
  qinqOld: 0x9100,
  pppoe: 0x8864,
} as const;

const ETHERNET_HEADER_BYTES = 14;
const VLAN_TAG_BYTES = 4;
/** Linux itself takes two tags apart; more is allowed since some carriers stack three, and bounded. */
const VLAN_TAGS_MAX = 8;
const COOKED_HEADER_BYTES = 16;
const COOKED2_HEADER_BYTES = 20;
const FAMILY_HEADER_BYTES = 4;
const PPPOE_HEADER_BYTES = 6;

/** AF_INET is 2 everywhere; AF_INET6 is 10 on Linux, 24 and 28 on the BSDs, 30 on macOS. */
const FAMILY_IPV4 = 2;
const FAMILIES_IPV6: ReadonlySet<number> = new Set([10, 24, 28, 30]);

/** What a frame is that holds no IP packet: ARP, spanning tree, or a family that its link layer denies. */
export const NOT_IP = -1;

/** The packet types of both Linux cooked headers (`PACKET_*` of linux/if_packet.h). */
const PACKET_OTHERHOST = 3;
const PACKET_OUTGOING = 4;

export function isSupportedLink(link: number): boolean {
  return SUPPORTED.has(link);
}

/** Words for an error: what can be read. */
export const SUPPORTED_LINKS =
  'Ethernet (1), Linux cooked (113, 276), raw IP (101, 12, 14, 228, 229), loopback (0, 108), NFLOG (239), PPP (9, 50), PPPoE (51)';

/**
 * Bytes from the frame's first byte to its IP header, or NOT_IP. `length` bytes of the frame are there; the
 * answer is never greater.
 */
export function ipHeaderAt(link: number, bytes: Uint8Array, at: number, length: number): number {
  switch (link) {
    case LINK.ethernet:
      if (length < ETHERNET_HEADER_BYTES) return NOT_IP;
      return behindEthertype(bytes, at, 12, length);
    case LINK.linuxCooked:
      if (length < COOKED_HEADER_BYTES) return NOT_IP;
      return behindEthertype(bytes, at, 14, length);
    case LINK.linuxCooked2:
      if (length < COOKED2_HEADER_BYTES) return NOT_IP;
      return behindTags(u16(bytes, at), bytes, at, COOKED2_HEADER_BYTES, length);
    case LINK.raw:
    case LINK.rawBsd:
    case LINK.rawOpenBsd:
      return 0;
    case LINK.ipv4:
      return ofFamily(4, bytes, at, 0, length);
    case LINK.ipv6:
      return ofFamily(6, bytes, at, 0, length);
    case LINK.nflog:
      return behindNflog(bytes, at, length);
    case LINK.ppp:
    case LINK.pppSerial:
      return behindPpp(bytes, at, 0, length);
    case LINK.pppoe:
      return behindPppoe(bytes, at, 0, length);
    case LINK.null:
    case LINK.loop:
      return length < FAMILY_HEADER_BYTES ? NOT_IP : behindFamily(bytes, at, length);
    default:
      return NOT_IP;
  }
}

/** Which way the frame went, as a Linux cooked header or NFLOG's hook says it; other link layers don't. */
export function wayOf(link: number, bytes: Uint8Array, at: number, length: number): number {
  if (link === LINK.nflog) return nflogWay(bytes, at, length);
  let type: number;
  if (link === LINK.linuxCooked && length >= COOKED_HEADER_BYTES) type = u16(bytes, at);
  else if (link === LINK.linuxCooked2 && length >= COOKED2_HEADER_BYTES) type = bytes[at + 10] ?? 0;
  else return WAY.unknown;
  if (type === PACKET_OUTGOING) return WAY.outbound;
  return type === PACKET_OTHERHOST ? WAY.other : WAY.inbound;
}

function behindEthertype(bytes: Uint8Array, at: number, typeAt: number, length: number): number {
  return behindTags(u16(bytes, at + typeAt), bytes, at, typeAt + 2, length);
}

/** Follows VLAN tags: each is two bytes of tag control and the EtherType of what follows. */
function behindTags(first: number, bytes: Uint8Array, at: number, header: number, length: number): number {
  let type = first;
  let next = header;
  for (
    let tags = 0;
    type === ETHERTYPE.vlan || type === ETHERTYPE.qinq || type === ETHERTYPE.qinqOld;
    tags++
  ) {
    if (tags === VLAN_TAGS_MAX || next + VLAN_TAG_BYTES > length) return NOT_IP;
    type = u16(bytes, at + next + 2);
    next += VLAN_TAG_BYTES;
  }
  if (type === ETHERTYPE.ipv4) return ofFamily(4, bytes, at, next, length);
  if (type === ETHERTYPE.pppoe) return behindPppoe(bytes, at, next, length);
  return type === ETHERTYPE.ipv6 ? ofFamily(6, bytes, at, next, length) : NOT_IP;
}

/** PPPoE (RFC 2516): version and type 1, code 1, session 2, length 2; then PPP. Discovery has other codes. */
function behindPppoe(bytes: Uint8Array, at: number, header: number, length: number): number {
  if (header + PPPOE_HEADER_BYTES > length || bytes[at + header + 1] !== 0) return NOT_IP;
  return behindPpp(bytes, at, header + PPPOE_HEADER_BYTES, length);
}

function behindPpp(bytes: Uint8Array, at: number, header: number, length: number): number {
  const { protocol, payload } = pppPayload(bytes, at + header, length - header);
  if (protocol === PPP_IP.ipv4) return ofFamily(4, bytes, at, header + payload, length);
  return protocol === PPP_IP.ipv6 ? ofFamily(6, bytes, at, header + payload, length) : NOT_IP;
}

/** The group's address family says which of the two it is; where it says neither the packet itself does. */
function behindNflog(bytes: Uint8Array, at: number, length: number): number {
  const payload = nflogPayloadAt(bytes, at, length);
  if (payload < 0) return NOT_IP;
  const family = bytes[at] ?? 0;
  if (family === FAMILY_IPV4) return ofFamily(4, bytes, at, payload, length);
  return FAMILIES_IPV6.has(family) ? ofFamily(6, bytes, at, payload, length) : NOT_IP;
}

/** The four bytes are in the order of the machine that captured, which the file does not tell. */
function behindFamily(bytes: Uint8Array, at: number, length: number): number {
  const little = (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8);
  const big = ((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0);
  const family = little === 0 ? big : little;
  if (family === FAMILY_IPV4) return ofFamily(4, bytes, at, FAMILY_HEADER_BYTES, length);
  return FAMILIES_IPV6.has(family) ? ofFamily(6, bytes, at, FAMILY_HEADER_BYTES, length) : NOT_IP;
}

/**
 * The kernel gives a frame to the family that its link layer names and drops it there if the version differs;
 * without this a frame marked IPv4 could be read as IPv6. A frame that ends before the version, or whose version
 * is of neither family, is handed on: the decoder says what is wrong with it.
 */
function ofFamily(version: number, bytes: Uint8Array, at: number, header: number, length: number): number {
  if (header >= length) return length;
  const found = (bytes[at + header] ?? 0) >>> 4;
  return found === version || (found !== 4 && found !== 6) ? header : NOT_IP;
}

function u16(bytes: Uint8Array, at: number): number {
  return ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
}
