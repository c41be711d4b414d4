/**
 * Puts fragmented datagrams together as far as a transport header reaches, the way the kernel does it before
 * any rule sees them: pieces in any order, exact repeats ignored, overlaps fatal to the whole datagram.
 */
export interface Reassembly {
  /** Takes a fragment, at a moment that never goes back. */
  add(bytes: Uint8Array, offset: number, length: number, now: number): Uint8Array | Pending;
  /** Datagrams that were never completed, or whose pieces overlapped. */
  lost(): number;
}

/**
 * What became of a fragment that completes nothing: it is kept; or it is kept though it is a later piece and
 * nothing came before it; or it can't be one. What is completed is an unfragmented packet that holds as much as
 * is needed to judge it.
 */
export type Pending = 'kept' | 'first missing' | 'broken';

/** Datagrams being put together at once; then the oldest is given up. */
const DATAGRAMS_MAX = 256;
/** ip_frag_time of Linux (30 s); the IPv6 limit of 60 s is not told apart. */
const REASSEMBLY_MS = 30_000;
/** Bytes of the datagram's payload that are kept: the longest TCP header is 60. */
const PAYLOAD_KEPT_BYTES = 128;
/** Bytes of header that are kept: IPv4 has at most 60; IPv6 with more in front of the fragment header is given up. */
const HEADER_KEPT_BYTES_MAX = 256;
/** Fragments count in units of 8 bytes. */
const UNIT_BYTES = 8;
const UNITS_MAX = 8192;
const PACKET_BYTES_MAX = 65_535;

const IPV4_HEADER_BYTES_MIN = 20;
const IPV6_HEADER_BYTES = 40;
const FRAGMENT_HEADER_BYTES = 8;
const FRAGMENT_HEADER = 44;
/** IPv6 extension headers that may stand in front of the fragment header: hop-by-hop, routing, destination. */
const UNFRAGMENTABLE: ReadonlySet<number> = new Set([0, 43, 60]);

/** Where a fragment's parts are. */
interface Fragment {
  readonly key: string;
  /** Bytes of header in front of the payload, without IPv6's fragment header. */
  readonly header: number;
  /** Where the payload begins, from the packet's first byte, and how much of it there is and was captured. */
  readonly payload: number;
  readonly payloadLength: number;
  readonly captured: number;
  /** Where the payload belongs in the datagram, in bytes. */
  readonly at: number;
  readonly last: boolean;
  /** IPv6: what follows the fragment header, and where the header before it names it. */
  readonly next: number;
  readonly nextAt: number;
}

interface Datagram {
  readonly since: number;
  readonly have: Uint8Array;
  readonly payload: Uint8Array;
  /** The header of the first piece; empty until it has come. */
  head: Uint8Array;
  /** Bytes of payload from its beginning that were captured, as far as they are contiguous. */
  kept: number;
  units: number;
  /** Bytes in all; known once the last piece has come. */
  total: number | undefined;
  broken: boolean;
}

/** Whether the packet is a piece of a greater one: more follow, or some came before. */
export function isFragment(bytes: Uint8Array, offset: number, length: number): boolean {
  const version = (bytes[offset] ?? 0) >>> 4;
  if (version === 4) return length >= IPV4_HEADER_BYTES_MIN && (u16(bytes, offset + 6) & 0x3fff) !== 0;
  if (version !== 6 || length < IPV6_HEADER_BYTES) return false;
  const next = bytes[offset + 6] ?? 0;
  return next === FRAGMENT_HEADER || UNFRAGMENTABLE.has(next)
    ? parseIpv6(bytes, offset, length) !== undefined
    : false;
}

export function createReassembly(): Reassembly {
  const datagrams = new Map<string, Datagram>();
  let lost = 0;

  const expire = (now: number): void => {
    for (const [key, { since }] of datagrams) {
      if (now - since < REASSEMBLY_MS && datagrams.size < DATAGRAMS_MAX) return;
      datagrams.delete(key);
      lost++;
    }
  };
  return {
    lost: () => lost + datagrams.size,
    add(bytes, offset, length, now) {
      const version = (bytes[offset] ?? 0) >>> 4;
      const fragment = version === 4 ? parseIpv4(bytes, offset, length) : parseIpv6(bytes, offset, length);
      if (fragment === undefined) return 'broken';
      expire(now);
      let datagram = datagrams.get(fragment.key);
      if (datagram === undefined) {
        datagram = emptyDatagram(now);
        datagrams.set(fragment.key, datagram);
      }
      const isAlone = datagram.units === 0 && fragment.at > 0;
      place(datagram, fragment, bytes, offset);
      const whole =
        !datagram.broken && datagram.units * UNIT_BYTES >= (datagram.total ?? Number.POSITIVE_INFINITY);
      if (!whole) return isAlone ? 'first missing' : 'kept';
      datagrams.delete(fragment.key);
      return joined(datagram, version);
    },
  };
}

function emptyDatagram(since: number): Datagram {
  return {
    since,
    have: new Uint8Array(UNITS_MAX / 8),
    payload: new Uint8Array(PAYLOAD_KEPT_BYTES),
    head: new Uint8Array(0),
    kept: 0,
    units: 0,
    total: undefined,
    broken: false,
  };
}

function place(datagram: Datagram, fragment: Fragment, bytes: Uint8Array, offset: number): void {
  const { at, payloadLength, last } = fragment;
  const end = at + payloadLength;
  // Every piece but the last ends on a unit; none may reach beyond what a datagram can be.
  if ((!last && payloadLength % UNIT_BYTES !== 0) || payloadLength === 0 || end > PACKET_BYTES_MAX) {
    datagram.broken = true;
  }
  if (datagram.broken) return;
  const first = at / UNIT_BYTES;
  const count = Math.ceil(payloadLength / UNIT_BYTES);
  const already = countHeld(datagram.have, first, count);
  if (already === count) return;
  if (already > 0 || (datagram.total !== undefined && (last || end > datagram.total))) {
    datagram.broken = true;
    return;
  }
  hold(datagram.have, first, count);
  datagram.units += count;
  if (last) datagram.total = end;
  if (at < PAYLOAD_KEPT_BYTES) {
    const kept = Math.min(fragment.captured, PAYLOAD_KEPT_BYTES - at);
    const start = offset + fragment.payload;
    datagram.payload.set(bytes.subarray(start, start + kept), at);
    datagram.kept += kept;
  }
  if (at === 0) {
    datagram.head = bytes.slice(offset, offset + fragment.header);
    if (fragment.nextAt > 0) datagram.head[fragment.nextAt] = fragment.next;
  }
}

/** The datagram as a packet that was never in pieces, cut off behind what is kept of its payload. */
function joined(datagram: Datagram, version: number): Uint8Array {
  const { head, payload, kept, total = 0 } = datagram;
  const packet = new Uint8Array(head.length + kept);
  packet.set(head);
  packet.set(payload.subarray(0, kept), head.length);
  const length = Math.min(
    version === 4 ? head.length + total : head.length - IPV6_HEADER_BYTES + total,
    PACKET_BYTES_MAX,
  );
  const lengthAt = version === 4 ? 2 : 4;
  packet[lengthAt] = length >>> 8;
  packet[lengthAt + 1] = length & 255;
  if (version === 4) packet.fill(0, 6, 8);
  return packet;
}

function parseIpv4(bytes: Uint8Array, offset: number, length: number): Fragment | undefined {
  const header = ((bytes[offset] ?? 0) & 15) * 4;
  const total = u16(bytes, offset + 2);
  if (header < IPV4_HEADER_BYTES_MIN || header > length || total < header) return undefined;
  const field = u16(bytes, offset + 6);
  const key = `4 ${hex(bytes, offset + 12, 8)} ${hex(bytes, offset + 4, 2)} ${bytes[offset + 9] ?? 0}`;
  return {
    key,
    header,
    payload: header,
    payloadLength: total - header,
    captured: Math.min(length, total) - header,
    at: (field & 0x1fff) * UNIT_BYTES,
    last: (field & 0x2000) === 0,
    next: 0,
    nextAt: 0,
  };
}

function parseIpv6(bytes: Uint8Array, offset: number, length: number): Fragment | undefined {
  const total = IPV6_HEADER_BYTES + u16(bytes, offset + 4);
  let nextAt = 6;
  let header = IPV6_HEADER_BYTES;
  while (bytes[offset + nextAt] !== FRAGMENT_HEADER) {
    if (!UNFRAGMENTABLE.has(bytes[offset + nextAt] ?? 0) || header + UNIT_BYTES > length) return undefined;
    nextAt = header;
    header += ((bytes[offset + header + 1] ?? 0) + 1) * UNIT_BYTES;
    if (header > HEADER_KEPT_BYTES_MAX) return undefined;
  }
  const payload = header + FRAGMENT_HEADER_BYTES;
  if (payload > length || payload > total) return undefined;
  const field = u16(bytes, offset + header + 2);
  // A whole datagram with a fragment header (an "atomic fragment", RFC 6946) is no fragment.
  if ((field & 0xfff9) === 0) return undefined;
  return {
    key: `6 ${hex(bytes, offset + 8, 32)} ${hex(bytes, offset + header + 4, 4)}`,
    header,
    payload,
    payloadLength: total - payload,
    captured: Math.min(length, total) - payload,
    at: field & 0xfff8,
    last: (field & 1) === 0,
    next: bytes[offset + header] ?? 0,
    nextAt,
  };
}

function countHeld(have: Uint8Array, first: number, count: number): number {
  let held = 0;
  for (let unit = first; unit < first + count; unit++) held += ((have[unit >>> 3] ?? 0) >>> (unit & 7)) & 1;
  return held;
}

function hold(have: Uint8Array, first: number, count: number): void {
  for (let unit = first; unit < first + count; unit++) {
    have[unit >>> 3] = (have[unit >>> 3] ?? 0) | (1 << (unit & 7));
  }
}

function hex(bytes: Uint8Array, from: number, count: number): string {
  let text = '';
  for (let at = from; at < from + count; at++) text += (bytes[at] ?? 0).toString(16).padStart(2, '0');
  return text;
}

function u16(bytes: Uint8Array, at: number): number {
  return ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
}
