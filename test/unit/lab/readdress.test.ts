import { readdirSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { parseCidr } from '../../../src/packet/cidr.ts';
import { decode } from '../../../src/packet/decode.ts';
import { emptyPacket } from '../../../src/packet/packet.ts';
import { placesOf, readdress } from '../../lab/readdress.ts';
import { strangersOf } from '../../lab/stranger.ts';

const CAPTURES = new URL('../../fixtures/captures/', import.meta.url).pathname;
const HERE = ['192.0.2.1', '2001:db8:1::1'].flatMap((text) => parseCidr(text) ?? []);
const SOURCE4 = Uint8Array.of(203, 0, 113, 77);
const DOOR4 = Uint8Array.of(198, 51, 100, 2);
const SOURCE6 = Uint8Array.from({ length: 16 }, (_, i) => 0x20 + i);
const DOOR6 = Uint8Array.from({ length: 16 }, (_, i) => 0x80 + i);

/** The one's complement sum over pieces of even length; 0xffff where a checksum in it is right. */
function sum(...pieces: readonly Uint8Array[]): number {
  let total = 0;
  for (const piece of pieces) {
    for (let i = 0; i < piece.length; i += 2) total += ((piece[i] ?? 0) << 8) | (piece[i + 1] ?? 0);
  }
  while (total > 0xffff) total = (total & 0xffff) + (total >>> 16);
  return total;
}

/** Sums of the IPv4 header, 0xffff where there is none, and of the transport with its pseudo header. */
function sumsOf(packet: Uint8Array): readonly [number, number] {
  const places = placesOf(packet);
  if (places === undefined) return [0, 0];
  const isV4 = places.bytes === 4;
  const header = isV4 ? ((packet[0] ?? 0) & 15) * 4 : 40;
  const length = isV4
    ? ((packet[2] ?? 0) << 8) | (packet[3] ?? 0)
    : header + (((packet[4] ?? 0) << 8) | (packet[5] ?? 0));
  const transport = packet.subarray(header, length);
  const addresses = packet.subarray(places.source, places.source + 2 * places.bytes);
  const pseudo = Uint8Array.of(0, packet[isV4 ? 9 : 6] ?? 0, transport.length >>> 8, transport.length & 255);
  return [isV4 ? sum(packet.subarray(0, header)) : 0xffff, sum(addresses, pseudo, transport)];
}

describe('a packet that is given other addresses', () => {
  const files = readdirSync(CAPTURES).filter((name) => name.endsWith('.pcap') && name !== 'fragments.pcap');
  test.each(files)('keeps checksums that are as right or wrong as they were: %s', async (name) => {
    const { packets } = await strangersOf(`${CAPTURES}${name}`, HERE);
    expect(packets.length).toBeGreaterThan(0);
    for (const { bytes } of packets) {
      const changed = bytes.slice();
      const isV6 = placesOf(bytes)?.bytes === 16;
      readdress(changed, isV6 ? SOURCE6 : SOURCE4, isV6 ? DOOR6 : DOOR4);
      if (decode(bytes, 0, bytes.length, emptyPacket()) !== null) continue;
      const [headerBefore, transportBefore] = sumsOf(bytes);
      const [headerAfter, transportAfter] = sumsOf(changed);
      expect(headerAfter === 0xffff).toBe(headerBefore === 0xffff);
      expect(transportAfter === 0xffff).toBe(transportBefore === 0xffff);
      expect(sumsOf(changed)).not.toEqual([0, 0]);
    }
  });

  test('comes back as it was when it is given the old ones', async () => {
    const { packets } = await strangersOf(`${CAPTURES}fragments.pcap`, HERE);
    for (const { bytes } of packets) {
      const changed = bytes.slice();
      readdress(changed, SOURCE4, DOOR4);
      expect(changed.subarray(12, 16)).toEqual(SOURCE4);
      expect(changed.subarray(16, 20)).toEqual(DOOR4);
      readdress(changed, bytes.slice(12, 16), bytes.slice(16, 20));
      expect(changed).toEqual(bytes);
    }
  });

  test('is left alone where it is too short to have addresses, or the addresses are of another family', () => {
    const short = Uint8Array.of(0x45, 0, 0);
    readdress(short, SOURCE4, DOOR4);
    expect(short).toEqual(Uint8Array.of(0x45, 0, 0));
    const packet = new Uint8Array(40).fill(0x45);
    readdress(packet, SOURCE6, DOOR6);
    expect(packet).toEqual(new Uint8Array(40).fill(0x45));
  });
});

describe('of a capture are played', () => {
  test('the packets that were new to the captured machine, and none of its own conversations', async () => {
    const { packets, left } = await strangersOf(`${CAPTURES}connections.pcap`, HERE);
    // Two SYNs of connections that begin in the capture: to its page, and to a decoy.
    expect(packets.map(({ bytes }) => [((bytes[22] ?? 0) << 8) | (bytes[23] ?? 0), bytes[33]])).toEqual([
      [80, 2],
      [23, 2],
    ]);
    expect(packets.length + left).toBe(23);
  });

  test('the pieces of fragmented packets, each by itself', async () => {
    const { packets } = await strangersOf(`${CAPTURES}fragments.pcap`, HERE);
    expect(packets.length).toBe(9);
  });
});
