import type { FrameSink } from './pcap-batch.ts';
import { DAMAGED, FRAME_BYTES_MAX, type Framing, u16, u32, WANT_MORE } from './pcap-framing.ts';
import { type Clock, readClock, stampOf } from './pcapng-clock.ts';
import { WAY } from './way.ts';

/*
 * pcapng (draft-ietf-opsawg-pcapng). Everything is a block:
 *
 *   type 4 · total length 4 · body · total length 4
 *
 * A section header gives the byte order of all blocks until the next; interface descriptions are numbered in
 * their order within the section; packet blocks name their interface by that number.
 */
const BLOCK = { section: 0x0a0d0d0a, interface: 1, packet: 2, simple: 3, enhanced: 6 } as const;
const BYTE_ORDER_MAGIC = 0x1a2b3c4d;
const VERSION_MAJOR = 1;
const BLOCK_BYTES_MIN = 12;
const SECTION_BODY_BYTES = 16;
const INTERFACE_BODY_BYTES = 8;
const PACKET_BODY_BYTES = 20;
const SIMPLE_BODY_BYTES = 4;
/** Interfaces of one section. A machine with more network namespaces than this exists nowhere. */
const INTERFACES_MAX = 65_536;

const OPTION_END = 0;
const OPTION_FLAGS = 2;
const FLAGS_DIRECTION_MASK = 3;

/** Whether a pcapng file begins here. Its first bytes read the same in both byte orders. */
export function isPcapng(bytes: Uint8Array, at: number): boolean {
  return u32(bytes, at, false) === BLOCK.section;
}

interface Interface {
  readonly link: number;
  /** 0: no limit. */
  readonly snapshot: number;
  readonly clock: Clock;
}

/** Reads a pcapng capture from its first byte on. */
export function createPcapngFraming(sink: FrameSink): Framing {
  const interfaces: Interface[] = [];
  let bigEndian = false;
  let wanted = BLOCK_BYTES_MIN;
  let damage = '';

  const damaged = (what: string): number => {
    damage = what;
    return DAMAGED;
  };
  const body = (bytes: Uint8Array, at: number, length: number): number => {
    const type = u32(bytes, at, bigEndian);
    const shortest = BODY_BYTES_MIN.get(type);
    if (shortest !== undefined && length < BLOCK_BYTES_MIN + shortest) {
      return damaged(`a block of type ${type} has ${length} bytes; it needs ${BLOCK_BYTES_MIN + shortest}`);
    }
    const tail = at + length - 4;
    if (type === BLOCK.section) {
      interfaces.length = 0;
      const major = u16(bytes, at + 12, bigEndian);
      if (major !== VERSION_MAJOR)
        return damaged(`version ${major} of pcapng; only ${VERSION_MAJOR} is known`);
    } else if (type === BLOCK.interface) {
      if (interfaces.length === INTERFACES_MAX) return damaged(`more than ${INTERFACES_MAX} interfaces`);
      interfaces.push({
        link: u16(bytes, at + 8, bigEndian),
        snapshot: u32(bytes, at + 12, bigEndian),
        clock: readClock(bytes, at + 16, tail, bigEndian),
      });
    } else if (type === BLOCK.enhanced) return packet(bytes, at, tail, u32(bytes, at + 8, bigEndian));
    else if (type === BLOCK.packet) return packet(bytes, at, tail, u16(bytes, at + 8, bigEndian));
    else if (type === BLOCK.simple) return simple(bytes, at, tail);
    return length;
  };
  /** The enhanced and the obsolete packet block differ only in how they name the interface. */
  const packet = (bytes: Uint8Array, at: number, tail: number, number: number): number => {
    const from = interfaces[number];
    if (from === undefined) return damaged(unknownInterface(number, interfaces.length));
    const length = u32(bytes, at + 20, bigEndian);
    const start = at + 8 + PACKET_BODY_BYTES;
    if (length > tail - start) {
      return damaged(`a packet says that it holds ${length} bytes; its block has room for ${tail - start}`);
    }
    const stamp = stampOf(from.clock, u32(bytes, at + 12, bigEndian), u32(bytes, at + 16, bigEndian));
    const way = directionOption(bytes, start + ((length + 3) & ~3), tail, bigEndian);
    sink.frame(from.link, bytes, start, length, u32(bytes, at + 24, bigEndian), stamp, way);
    return tail + 4 - at;
  };
  const simple = (bytes: Uint8Array, at: number, tail: number): number => {
    const from = interfaces[0];
    if (from === undefined) return damaged(unknownInterface(0, 0));
    const start = at + 8 + SIMPLE_BODY_BYTES;
    const limit = from.snapshot === 0 ? FRAME_BYTES_MAX : from.snapshot;
    const full = u32(bytes, at + 8, bigEndian);
    sink.frame(from.link, bytes, start, Math.min(full, limit, tail - start), full, 0, WAY.unknown);
    return tail + 4 - at;
  };

  return {
    step(bytes, at, end) {
      wanted = BLOCK_BYTES_MIN;
      if (end - at < BLOCK_BYTES_MIN) return WANT_MORE;
      if (isPcapng(bytes, at)) {
        const order = byteOrderAt(bytes, at + 8);
        if (order === undefined) return damaged('a section header without the byte-order magic 1a2b3c4d');
        bigEndian = order;
      }
      const length = u32(bytes, at + 4, bigEndian);
      if (length < BLOCK_BYTES_MIN || length % 4 !== 0 || length > FRAME_BYTES_MAX) {
        return damaged(`a block says that it has ${length} bytes; ${ALLOWED_LENGTHS}`);
      }
      wanted = length;
      if (end - at < length) return WANT_MORE;
      const again = u32(bytes, at + length - 4, bigEndian);
      if (again !== length)
        return damaged(`a block begins by saying ${length} bytes and ends by saying ${again}`);
      return body(bytes, at, length);
    },
    wanted: () => wanted,
    damage: () => damage,
    unknown: () => false,
  };
}

const ALLOWED_LENGTHS = `a multiple of 4 from ${BLOCK_BYTES_MIN} to ${FRAME_BYTES_MAX} is possible`;

const BODY_BYTES_MIN: ReadonlyMap<number, number> = new Map([
  [BLOCK.section, SECTION_BODY_BYTES],
  [BLOCK.interface, INTERFACE_BODY_BYTES],
  [BLOCK.packet, PACKET_BODY_BYTES],
  [BLOCK.enhanced, PACKET_BODY_BYTES],
  [BLOCK.simple, SIMPLE_BODY_BYTES],
]);

function unknownInterface(number: number, described: number): string {
  return `a packet of interface ${number}; ${described} are described before it`;
}

function byteOrderAt(bytes: Uint8Array, at: number): boolean | undefined {
  if (u32(bytes, at, false) === BYTE_ORDER_MAGIC) return false;
  return u32(bytes, at, true) === BYTE_ORDER_MAGIC ? true : undefined;
}

/** The two lowest bits of a packet's flags option: which way it went. */
function directionOption(bytes: Uint8Array, from: number, tail: number, bigEndian: boolean): number {
  for (let at = from; at + 4 <= tail; ) {
    const code = u16(bytes, at, bigEndian);
    const length = u16(bytes, at + 2, bigEndian);
    if (code === OPTION_END) return WAY.unknown;
    if (code === OPTION_FLAGS && length === 4 && at + 8 <= tail) {
      const direction = u32(bytes, at + 4, bigEndian) & FLAGS_DIRECTION_MASK;
      return direction === 1 ? WAY.inbound : direction === 2 ? WAY.outbound : WAY.unknown;
    }
    at += 4 + ((length + 3) & ~3);
  }
  return WAY.unknown;
}
