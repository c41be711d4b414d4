import { WAY } from './way.ts';

/*
 * LINKTYPE_NFLOG (239), what `tcpdump -i nflog:GROUP` writes:
 *
 *   family 1 · version 1 · resource 2 · attributes, each length 2 · type 2 · value, filled up to a multiple of 4
 *
 * Lengths and types are in the byte order of the machine that captured, which the frame does not tell. The types are
 * those of linux/netfilter/nfnetlink_log.h.
 */
const HEADER_BYTES = 4;
const ATTRIBUTE_HEADER_BYTES = 4;
const NFULA_PACKET_HDR = 1;
const NFULA_PAYLOAD = 9;
/** The upper bits are flags of netlink (nested, network byte order). */
const TYPE_MASK = 0x3fff;
/** The kernel has some twenty. */
const ATTRIBUTES_MAX = 64;
/** NF_INET_* of linux/netfilter.h. */
const HOOK = { localIn: 1, localOut: 3, postRouting: 4 } as const;

/** Bytes to the packet, or -1 where the frame holds none. */
export function nflogPayloadAt(bytes: Uint8Array, at: number, length: number): number {
  return valueAt(bytes, at, length, NFULA_PAYLOAD);
}

/** Which way the packet went, as the hook it was copied in tells. */
export function nflogWay(bytes: Uint8Array, at: number, length: number): number {
  const header = valueAt(bytes, at, length, NFULA_PACKET_HDR);
  // hw_protocol 2 · hook 1
  if (header < 0 || header + 3 > length) return WAY.unknown;
  const hook = bytes[at + header + 2];
  if (hook === HOOK.localIn) return WAY.inbound;
  return hook === HOOK.localOut || hook === HOOK.postRouting ? WAY.outbound : WAY.unknown;
}

function valueAt(bytes: Uint8Array, at: number, length: number, wanted: number): number {
  const little = walk(bytes, at, length, wanted, 'little');
  return little >= 0 ? little : walk(bytes, at, length, wanted, 'big');
}

function walk(
  bytes: Uint8Array,
  at: number,
  length: number,
  wanted: number,
  order: 'little' | 'big',
): number {
  let next = HEADER_BYTES;
  for (let count = 0; count < ATTRIBUTES_MAX && next + ATTRIBUTE_HEADER_BYTES <= length; count++) {
    const size = word(bytes, at + next, order);
    const type = word(bytes, at + next + 2, order) & TYPE_MASK;
    if (size < ATTRIBUTE_HEADER_BYTES) return -1;
    if (type === wanted) return next + ATTRIBUTE_HEADER_BYTES;
    next += (size + 3) & ~3;
  }
  return -1;
}

function word(bytes: Uint8Array, at: number, order: 'little' | 'big'): number {
  const first = bytes[at] ?? 0;
  const second = bytes[at + 1] ?? 0;
  return order === 'little' ? first | (second << 8) : (first << 8) | second;
}
