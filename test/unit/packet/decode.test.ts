import { describe, expect, it } from 'vitest';
import { decode } from '../../../src/packet/decode.ts';
import { emptyPacket } from '../../../src/packet/packet.ts';
import { ipv4, ipv6, tcp, tcpSegment, udp, udpDatagram } from '../source/capture-bytes.ts';

const FROM = '2001:db8:0:0:0:0:0:7';
const TO = '2001:db8:0:0:0:0:0:1';
const SEGMENT = tcpSegment({ from: FROM, to: TO, port: 7000, sequence: 9 });
const TCP = 6;
const UDP = 17;
const HOP_BY_HOP = 0;
const ROUTING = 43;
const FRAGMENT = 44;
const AUTHENTICATION = 51;
const OPTIONS = 60;

const read = (bytes: Buffer, length = bytes.length): string =>
  decode(bytes, 0, length, emptyPacket()) ?? 'sound';

/** What each length of a packet that was cut off is found to be: the first length of each finding. */
function cuts(bytes: Buffer): readonly string[] {
  const found: string[] = [];
  for (let length = 0; length <= bytes.length; length += 1) {
    const what = read(bytes, length);
    if (!found.at(-1)?.endsWith(` ${what}`)) found.push(`${length} ${what}`);
  }
  return found;
}

/** A packet behind extension headers: each with its kind and its length as its second byte says it. */
function behind(
  headers: readonly (readonly [kind: number, length: number, bytes: number])[],
  last: number,
  rest: Buffer,
): Buffer {
  const parts = headers.map(([, length, bytes], index) => {
    const header = Buffer.alloc(bytes);
    header[0] = headers[index + 1]?.[0] ?? last;
    header[1] = length;
    return header;
  });
  return ipv6(FROM, TO, headers[0]?.[0] ?? last, Buffer.concat([...parts, rest]));
}

describe('a packet that was cut off', () => {
  it('of TCP over IPv4 is known by its first 40 bytes', () => {
    const bytes = tcp({ from: '198.51.100.7', to: '192.0.2.1', port: 7000 });
    expect(cuts(bytes)).toEqual(['0 empty', '1 header length', '20 transport header', '40 sound']);
  });

  it('of UDP over IPv4 is known by its first 28 bytes', () => {
    expect(cuts(udp('198.51.100.7', '192.0.2.1', 1, 8000))).toEqual([
      '0 empty',
      '1 header length',
      '20 transport header',
      '28 sound',
    ]);
  });

  it.each([
    ['TCP', TCP, SEGMENT, 60],
    ['UDP', UDP, udpDatagram(1, 8000), 48],
  ])('of %s over IPv6 is known by its headers', (_, protocol, rest, needed) => {
    expect(cuts(ipv6(FROM, TO, protocol, rest))).toEqual([
      '0 empty',
      '1 header length',
      '40 transport header',
      `${needed} sound`,
    ]);
  });

  it('behind extension headers must have them whole', () => {
    const bytes = behind(
      [
        [HOP_BY_HOP, 0, 8],
        [OPTIONS, 1, 16],
        [AUTHENTICATION, 4, 24],
      ],
      TCP,
      SEGMENT,
    );
    expect(cuts(bytes)).toEqual([
      '0 empty',
      '1 header length',
      '40 extension headers',
      '88 transport header',
      '108 sound',
    ]);
  });
});

describe('a fragment that was cut off', () => {
  it('is known for one once its header is whole, and nothing behind the cut is looked at', () => {
    const bytes = behind([[FRAGMENT, 0, 8]], TCP, SEGMENT);
    bytes.writeUInt16BE(8, 42);
    expect(cuts(bytes)).toEqual(['0 empty', '1 header length', '40 extension headers', '48 fragment']);
  });
});

describe('a packet over IPv6', () => {
  it.each([
    ['hop-by-hop options', HOP_BY_HOP, 2, 24],
    ['routing', ROUTING, 2, 24],
    ['options for the destination', OPTIONS, 2, 24],
    ['mobility', 135, 2, 24],
    ['host identity', 139, 2, 24],
    ['shim6', 140, 2, 24],
    ['authentication, which counts words of four bytes', AUTHENTICATION, 4, 24],
    ['a fragment of one piece, whose second byte is no length', FRAGMENT, 77, 8],
  ])('behind a header of %s is read by its own ports', (_, kind, length, bytes) => {
    expect(read(behind([[kind, length, bytes]], TCP, SEGMENT))).toBe('sound');
    const packet = emptyPacket();
    const whole = behind([[kind, length, bytes]], TCP, SEGMENT);
    decode(whole, 0, whole.length, packet);
    expect([packet.port, packet.sequence]).toEqual([7000, 9]);
  });

  it.each([
    [0x0000, 'sound'],
    [0x0001, 'sound'],
    [0x0007, 'sound'],
    [0x0008, 'fragment'],
    [0xfff8, 'fragment'],
  ])('of a fragment whose word of place is %i is: %s', (place, what) => {
    const bytes = behind([[FRAGMENT, 0, 8]], TCP, SEGMENT);
    bytes.writeUInt16BE(place, 42);
    expect(read(bytes)).toBe(what);
  });

  it('of which hop-by-hop options are not the first header is refused', () => {
    const second: [number, number, number][] = [
      [OPTIONS, 0, 8],
      [HOP_BY_HOP, 0, 8],
    ];
    expect(read(behind(second, TCP, SEGMENT))).toBe('extension headers');
  });

  it.each([
    [16, 'sound'],
    [17, 'extension headers'],
  ])('with %i extension headers is: %s', (count, what) => {
    const headers = Array.from({ length: count }, (): [number, number, number] => [OPTIONS, 0, 8]);
    expect(read(behind(headers, TCP, SEGMENT))).toBe(what);
  });

  it.each([58, 59, 50, 1, 255])('that ends in protocol %i is no knock', (protocol) => {
    expect(read(ipv6(FROM, TO, protocol, SEGMENT))).toBe('protocol');
  });
});

describe('lengths that lie', () => {
  const four = (change: (bytes: Buffer) => void, rest = SEGMENT, protocol = TCP): string => {
    const bytes = Buffer.from(ipv4('198.51.100.7', '192.0.2.1', protocol, rest));
    change(bytes);
    return read(bytes);
  };
  const datagram = udpDatagram(1, 8000);

  it.each([
    ['a header of less than 20 bytes', (b: Buffer) => b.writeUInt8(0x44, 0), 'header length'],
    ['a header longer than the packet', (b: Buffer) => b.writeUInt8(0x4f, 0), 'header length'],
    ['a total of less than the header', (b: Buffer) => b.writeUInt16BE(19, 2), 'total length'],
    ['a total of the header alone', (b: Buffer) => b.writeUInt16BE(20, 2), 'transport header'],
    ['a total that ends within the ports', (b: Buffer) => b.writeUInt16BE(39, 2), 'transport header'],
    ['a total beyond what was captured', (b: Buffer) => b.writeUInt16BE(1500, 2), 'sound'],
    ['a TCP header of less than 20 bytes', (b: Buffer) => b.writeUInt8(0x40, 32), 'transport header'],
    ['a TCP header beyond the packet', (b: Buffer) => b.writeUInt8(0x60, 32), 'transport header'],
    ['a version of neither', (b: Buffer) => b.writeUInt8(0x55, 0), 'version'],
    ['a place as a fragment', (b: Buffer) => b.writeUInt16BE(1, 6), 'fragment'],
    ['the flags of a first fragment', (b: Buffer) => b.writeUInt16BE(0x6000, 6), 'sound'],
  ])('%s', (_, change, what) => {
    expect(four(change)).toBe(what);
  });

  it.each([
    [7, 'transport header'],
    [8, 'sound'],
    [9, 'transport header'],
  ])('a datagram of 8 bytes that says it has %i is: %s', (length, what) => {
    expect(four((bytes) => bytes.writeUInt16BE(length, 24), datagram, UDP)).toBe(what);
  });

  it('a TCP header that fills the packet to its end is sound', () => {
    const long = Buffer.concat([SEGMENT, Buffer.alloc(4)]);
    expect(four((bytes) => bytes.writeUInt8(0x60, 32), long)).toBe('sound');
  });
});
