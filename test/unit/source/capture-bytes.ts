/** Builds captures byte by byte, for tests: packets, link layers and both file formats. */

export interface TcpSpec {
  readonly from: string;
  readonly to: string;
  readonly sourcePort?: number;
  readonly port: number;
  /** FIN 1, SYN 2, RST 4, PSH 8, ACK 16, URG 32. */
  readonly flags?: number;
  readonly sequence?: number;
}

export function ipv4Bytes(text: string): Buffer {
  return Buffer.from(text.split('.').map(Number));
}

/** Takes full and `::`-shortened IPv6. */
export function ipv6Bytes(text: string): Buffer {
  const [head = '', tail] = text.split('::');
  const words = (part: string | undefined): number[] =>
    part === undefined || part === '' ? [] : part.split(':').map((word) => Number.parseInt(word, 16));
  const before = words(head);
  const after = words(tail);
  const zeros = tail === undefined ? 0 : 8 - before.length - after.length;
  const all = [...before, ...Array.from({ length: zeros }, () => 0), ...after];
  return Buffer.from(all.flatMap((word) => [word >>> 8, word & 255]));
}

export function ipv4(from: string, to: string, protocol: number, payload: Uint8Array, fragment = 0): Buffer {
  const header = Buffer.alloc(20);
  header[0] = 0x45;
  header.writeUInt16BE(20 + payload.length, 2);
  header.writeUInt16BE(0x1234, 4);
  header.writeUInt16BE(fragment, 6);
  header[8] = 64;
  header[9] = protocol;
  ipv4Bytes(from).copy(header, 12);
  ipv4Bytes(to).copy(header, 16);
  header.writeUInt16BE(checksum(header), 10);
  return Buffer.concat([header, payload]);
}

export function ipv6(from: string, to: string, next: number, payload: Uint8Array): Buffer {
  const header = Buffer.alloc(40);
  header[0] = 0x60;
  header.writeUInt16BE(payload.length, 4);
  header[6] = next;
  header[7] = 64;
  ipv6Bytes(from).copy(header, 8);
  ipv6Bytes(to).copy(header, 24);
  return Buffer.concat([header, payload]);
}

export function tcpSegment(spec: TcpSpec): Buffer {
  const segment = Buffer.alloc(20);
  segment.writeUInt16BE(spec.sourcePort ?? 40_000, 0);
  segment.writeUInt16BE(spec.port, 2);
  segment.writeUInt32BE(spec.sequence ?? 1000, 4);
  segment[12] = 0x50;
  segment[13] = spec.flags ?? 2;
  segment.writeUInt16BE(64_240, 14);
  return segment;
}

export function udpDatagram(sourcePort: number, port: number, payload: Uint8Array = Buffer.alloc(0)): Buffer {
  const header = Buffer.alloc(8);
  header.writeUInt16BE(sourcePort, 0);
  header.writeUInt16BE(port, 2);
  header.writeUInt16BE(8 + payload.length, 4);
  return Buffer.concat([header, payload]);
}

/** A TCP packet of either family; a SYN unless told otherwise. */
export function tcp(spec: TcpSpec): Buffer {
  const segment = tcpSegment(spec);
  return spec.from.includes(':')
    ? ipv6(spec.from, spec.to, 6, segment)
    : ipv4(spec.from, spec.to, 6, segment);
}

export function udp(from: string, to: string, sourcePort: number, port: number): Buffer {
  const datagram = udpDatagram(sourcePort, port, Buffer.from('x'));
  return from.includes(':') ? ipv6(from, to, 17, datagram) : ipv4(from, to, 17, datagram);
}

/** An Ethernet frame with the given VLAN tags, outermost first. */
export function ethernet(packet: Uint8Array, ...tags: readonly number[]): Buffer {
  const type = (packet[0] ?? 0) >>> 4 === 6 ? 0x86dd : 0x0800;
  const header = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
  for (const tag of tags) header.push(tag >>> 8, tag & 255, 0, 7);
  return Buffer.concat([Buffer.from(header), Buffer.from([type >>> 8, type & 255]), packet]);
}

export interface Frame {
  readonly bytes: Uint8Array;
  /** Microseconds since 1970. */
  readonly micros: number;
  /** Bytes on the wire, where more than were captured. */
  readonly full?: number;
}

export interface ClassicOptions {
  readonly link?: number;
  readonly nano?: boolean;
  readonly big?: boolean;
  readonly snapshot?: number;
}

export function classic(frames: readonly Frame[], options: ClassicOptions = {}): Buffer {
  const { link = 1, nano = false, big = false, snapshot = 262_144 } = options;
  const word = wordsOf(big);
  const magic = nano ? 0xa1b23c4d : 0xa1b2c3d4;
  const version = big ? Buffer.from([0, 2, 0, 4]) : Buffer.from([2, 0, 4, 0]);
  const parts: Uint8Array[] = [word(magic), version, word(0), word(0), word(snapshot), word(link)];
  for (const { bytes, micros, full } of frames) {
    const fraction = micros % 1e6;
    parts.push(word(Math.floor(micros / 1e6)), word(nano ? fraction * 1000 : fraction));
    parts.push(word(bytes.length), word(full ?? bytes.length), bytes);
  }
  return Buffer.concat(parts);
}

export interface PcapngOptions {
  readonly link?: number;
  readonly big?: boolean;
  /** if_tsresol as in the file: 6 micro, 9 nano, 0x80 | n for powers of two. */
  readonly resolution?: number;
  /** if_tsoffset in seconds. */
  readonly offset?: number;
  readonly block?: 'enhanced' | 'packet' | 'simple';
  /** Two lowest bits of epb_flags. */
  readonly direction?: number;
}

export function pcapng(frames: readonly Frame[], options: PcapngOptions = {}): Buffer {
  const { link = 1, big = false, block = 'enhanced' } = options;
  const parts = [sectionBlock(big), interfaceBlock(link, options)];
  for (const frame of frames) parts.push(packetBlock(frame, 0, block, options));
  return Buffer.concat(parts);
}

export function sectionBlock(big: boolean): Buffer {
  const word = wordsOf(big);
  const version = big ? Buffer.from([0, 1, 0, 0]) : Buffer.from([1, 0, 0, 0]);
  const unknown = Buffer.alloc(8, 0xff);
  return blockOf(0x0a0d0d0a, Buffer.concat([word(0x1a2b3c4d), version, unknown]), big);
}

export function interfaceBlock(link: number, options: PcapngOptions = {}): Buffer {
  const { big = false, resolution, offset } = options;
  const word = wordsOf(big);
  const half = halvesOf(big);
  const parts = [half(link), half(0), word(0), optionOf(2, Buffer.from('eth0'), big)];
  if (resolution !== undefined) parts.push(optionOf(9, Buffer.from([resolution]), big));
  if (offset !== undefined) {
    const value = Buffer.alloc(8);
    if (big) value.writeBigInt64BE(BigInt(offset));
    else value.writeBigInt64LE(BigInt(offset));
    parts.push(optionOf(14, value, big));
  }
  parts.push(optionOf(0, Buffer.alloc(0), big));
  return blockOf(1, Buffer.concat(parts), big);
}

export function packetBlock(
  frame: Frame,
  interfaceNumber: number,
  block: 'enhanced' | 'packet' | 'simple',
  options: PcapngOptions = {},
): Buffer {
  const { big = false, resolution = 6, offset = 0, direction } = options;
  const word = wordsOf(big);
  const half = halvesOf(big);
  const padded = Buffer.concat([frame.bytes, Buffer.alloc((4 - (frame.bytes.length % 4)) % 4)]);
  const full = frame.full ?? frame.bytes.length;
  if (block === 'simple') return blockOf(3, Buffer.concat([word(full), padded]), big);
  const units = unitsOf(frame.micros - offset * 1e6, resolution);
  const stamp = [word(Number(units >> 32n)), word(Number(units & 0xffffffffn))];
  const lengths = [word(frame.bytes.length), word(full)];
  const flags =
    direction === undefined ? [] : [optionOf(2, word(direction), big), optionOf(0, Buffer.alloc(0), big)];
  const from = block === 'enhanced' ? word(interfaceNumber) : Buffer.concat([half(interfaceNumber), half(0)]);
  const body = Buffer.concat([from, ...stamp, ...lengths, padded, ...flags]);
  return blockOf(block === 'enhanced' ? 6 : 2, body, big);
}

export function blockOf(type: number, body: Uint8Array, big: boolean): Buffer {
  const word = wordsOf(big);
  return Buffer.concat([word(type), word(12 + body.length), body, word(12 + body.length)]);
}

function optionOf(code: number, value: Uint8Array, big: boolean): Buffer {
  const half = halvesOf(big);
  return Buffer.concat([half(code), half(value.length), value, Buffer.alloc((4 - (value.length % 4)) % 4)]);
}

function unitsOf(micros: number, resolution: number): bigint {
  const whole = BigInt(Math.floor(micros / 1e6));
  const rest = BigInt(micros) - whole * 1_000_000n;
  const units = (resolution & 0x80) === 0 ? 10n ** BigInt(resolution) : 1n << BigInt(resolution & 0x7f);
  return whole * units + (rest * units) / 1_000_000n;
}

function wordsOf(big: boolean): (value: number) => Buffer {
  return (value) => {
    const bytes = Buffer.alloc(4);
    if (big) bytes.writeUInt32BE(value >>> 0);
    else bytes.writeUInt32LE(value >>> 0);
    return bytes;
  };
}

function halvesOf(big: boolean): (value: number) => Buffer {
  return (value) => {
    const bytes = Buffer.alloc(2);
    if (big) bytes.writeUInt16BE(value);
    else bytes.writeUInt16LE(value);
    return bytes;
  };
}

function checksum(header: Uint8Array): number {
  let sum = 0;
  for (let at = 0; at < header.length; at += 2) sum += ((header[at] ?? 0) << 8) | (header[at + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}
