import { describe, expect, test } from 'vitest';
import { decode } from '../../../src/packet/decode.ts';
import { emptyPacket, type Packet } from '../../../src/packet/packet.ts';
import { createReassembly, isFragment, type Reassembly } from '../../../src/source/fragments.ts';
import { ipv4, ipv6, tcpSegment, udpDatagram } from './capture-bytes.ts';

const FROM = '203.0.113.9';
const HOST = '192.0.2.1';
const FROM6 = '2001:db8:9::9';
const HOST6 = '2001:db8:1::1';
const MORE = 0x2000;
const SEGMENT = tcpSegment({ from: FROM, to: HOST, port: 23, sourcePort: 4444 });
const LATE = 30_001;

/** A TCP header in three pieces, as nmap -f sends it. */
const PIECES = [
  ipv4(FROM, HOST, 6, SEGMENT.subarray(0, 8), MORE),
  ipv4(FROM, HOST, 6, SEGMENT.subarray(8, 16), MORE | 1),
  ipv4(FROM, HOST, 6, SEGMENT.subarray(16), 2),
] as const;
const [FIRST, SECOND, THIRD] = PIECES;

function piece6(payload: Uint8Array, at: number, more: boolean): Buffer {
  const header = Buffer.from([6, 0, (at >>> 8) & 255, (at & 0xf8) | (more ? 1 : 0), 0, 0, 0, 7]);
  return ipv6(FROM6, HOST6, 44, Buffer.concat([header, payload]));
}

function add(reassembly: Reassembly, packet: Uint8Array, now = 0): ReturnType<Reassembly['add']> {
  expect(isFragment(packet, 0, packet.length)).toBe(true);
  return reassembly.add(packet, 0, packet.length, now);
}

function decoded(joined: ReturnType<Reassembly['add']>): Packet {
  if (typeof joined === 'string') throw new Error(`not whole: ${joined}`);
  const packet = emptyPacket();
  expect(decode(joined, 0, joined.length, packet)).toBeNull();
  return packet;
}

describe('a datagram in pieces', () => {
  test('is judged once it is whole', () => {
    const reassembly = createReassembly();
    expect(add(reassembly, FIRST)).toBe('kept');
    expect(add(reassembly, SECOND)).toBe('kept');
    expect(decoded(add(reassembly, THIRD))).toMatchObject({
      port: 23,
      sourcePort: 4444,
      flags: 2,
      sequence: 1000,
    });
    expect(reassembly.lost()).toBe(0);
  });

  test('may come in any order; a later piece with none before it says so', () => {
    const reassembly = createReassembly();
    expect(add(reassembly, THIRD)).toBe('first missing');
    expect(add(reassembly, SECOND)).toBe('kept');
    expect(decoded(add(reassembly, FIRST)).port).toBe(23);
  });

  test('may have pieces twice', () => {
    const reassembly = createReassembly();
    for (const piece of [FIRST, FIRST, SECOND, SECOND]) add(reassembly, piece);
    expect(decoded(add(reassembly, THIRD)).port).toBe(23);
  });

  test('is given up when pieces overlap, as the kernel does', () => {
    const reassembly = createReassembly();
    add(reassembly, FIRST);
    add(reassembly, ipv4(FROM, HOST, 6, SEGMENT.subarray(0, 16), MORE));
    add(reassembly, SECOND);
    expect(add(reassembly, THIRD)).toBe('kept');
    expect(reassembly.lost()).toBe(1);
  });

  test('is given up when its pieces take longer than half a minute', () => {
    const reassembly = createReassembly();
    add(reassembly, FIRST, 0);
    add(reassembly, SECOND, 0);
    expect(add(reassembly, THIRD, LATE)).toBe('first missing');
    expect(reassembly.lost()).toBe(2);
  });

  test('is never mixed with another of the same source', () => {
    const reassembly = createReassembly();
    const other = Buffer.from(SECOND);
    other.writeUInt16BE(0x4321, 4);
    add(reassembly, FIRST);
    expect(add(reassembly, other)).toBe('first missing');
    expect(add(reassembly, THIRD)).toBe('kept');
  });

  test('is put together for IPv6 as well', () => {
    const reassembly = createReassembly();
    const segment = tcpSegment({ from: FROM6, to: HOST6, port: 3389, sourcePort: 4444 });
    expect(add(reassembly, piece6(segment.subarray(0, 16), 0, true))).toBe('kept');
    expect(decoded(add(reassembly, piece6(segment.subarray(16), 16, false)))).toMatchObject({
      family: 6,
      port: 3389,
      flags: 2,
    });
  });

  test('of 64 kB keeps its header and its true length, not its content', () => {
    const reassembly = createReassembly();
    const datagram = udpDatagram(4444, 161, Buffer.alloc(60_000));
    let joined: ReturnType<Reassembly['add']> = 'kept';
    for (let at = 0; at < datagram.length; at += 1480) {
      const more = at + 1480 < datagram.length ? MORE : 0;
      joined = add(reassembly, ipv4(FROM, HOST, 17, datagram.subarray(at, at + 1480), more | (at / 8)));
    }
    expect(decoded(joined)).toMatchObject({ protocol: 17, port: 161 });
    expect((joined as Uint8Array).length).toBeLessThan(200);
  });
});

describe('what is no piece', () => {
  test('a whole packet, also with "do not fragment" or an IPv6 fragment header of its own', () => {
    const whole = ipv4(FROM, HOST, 6, SEGMENT, 0x4000);
    expect(isFragment(whole, 0, whole.length)).toBe(false);
    const atomic = piece6(SEGMENT, 0, false);
    expect(isFragment(atomic, 0, atomic.length)).toBe(false);
  });

  test('a piece with a broken header is left to the decoder', () => {
    const broken = Buffer.from(SECOND);
    broken[0] = 0x4f;
    expect(add(createReassembly(), broken)).toBe('broken');
  });

  test('a piece that ends in the middle of a unit, or beyond what a datagram can be, spoils it', () => {
    const reassembly = createReassembly();
    add(reassembly, ipv4(FROM, HOST, 6, SEGMENT.subarray(0, 9), MORE));
    add(reassembly, SECOND);
    expect(add(reassembly, THIRD)).not.toBeInstanceOf(Uint8Array);
    const far = ipv4(FROM, HOST, 17, Buffer.alloc(64), 0x1fff);
    expect(add(createReassembly(), far)).toBe('first missing');
  });

  test('a flood of first pieces takes no more memory than the table; the oldest are given up', () => {
    const reassembly = createReassembly();
    for (let number = 0; number < 10_000; number++) {
      const piece = Buffer.from(FIRST);
      piece.writeUInt16BE(number, 4);
      add(reassembly, piece, number / 10);
    }
    expect(reassembly.lost()).toBe(10_000);
  });
});
