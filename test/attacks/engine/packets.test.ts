import { describe, expect, it } from 'vitest';
import { decode } from '../../../src/packet/decode.ts';
import { emptyPacket } from '../../../src/packet/packet.ts';
import { milliseconds } from '../../../src/packet/time.ts';
import { settings, sourcesOf, type World, world } from '../../unit/engine/world.ts';
import { ipv4, ipv6, tcp, tcpSegment, udp, udpDatagram } from '../../unit/source/capture-bytes.ts';

const OWNER = '198.51.100.7';
const HERE = '192.0.2.1';
const OWNER6 = '2001:db8:1::7';
const HERE6 = '2001:db8::1';
const segment = (port: number): Buffer => tcpSegment({ from: OWNER, to: HERE, port, sequence: port });

/** Judges the packet of these bytes; what lies behind them in memory would be the next packet's. */
function judge(w: World, bytes: Uint8Array): string {
  const packet = emptyPacket();
  const memory = Buffer.concat([Buffer.alloc(64, 0xa5), bytes, Buffer.alloc(64, 0x52), segment(9000)]);
  const wrong = decode(memory, 64, bytes.length, packet);
  const emit = (event: World['events'][number]): void => void w.events.push(event);
  if (wrong !== null) return w.engine.malformed(wrong, milliseconds(w.now), emit);
  return w.engine.judge(packet, milliseconds(w.now), emit);
}

/** IPv4 options: so many bytes of no-operations between the header and what follows. */
function withOptions(packet: Buffer, bytes: number): Buffer {
  const header = Buffer.from(packet.subarray(0, 20));
  header[0] = 0x40 | (5 + bytes / 4);
  header.writeUInt16BE(packet.length + bytes, 2);
  return Buffer.concat([header, Buffer.alloc(bytes, 1), packet.subarray(20)]);
}

/** A chain of `count` destination options before a TCP segment. */
function chained(count: number, type = 60): Buffer {
  const headers = Array.from({ length: count }, (_, index) =>
    Buffer.from([index === count - 1 ? 6 : type, 0, 1, 4, 0, 0, 0, 0]),
  );
  return ipv6(OWNER6, HERE6, type, Buffer.concat([...headers, segment(9000)]));
}

const patched = (packet: Buffer, at: number, ...bytes: readonly number[]): Buffer => {
  const copy = Buffer.from(packet);
  copy.set(bytes, at);
  return copy;
};

/** What would be the last knock, hidden or bent in some way, so that it must not be taken for one. */
const BENT: readonly (readonly [string, Buffer])[] = [
  ['a later fragment whose payload looks like a knock', ipv4(OWNER, HERE, 6, segment(9000), 5)],
  [
    'a fragment at offset 1, which would overwrite the flags of a first one',
    ipv4(OWNER, HERE, 6, segment(9000), 1),
  ],
  ['a later fragment with more to come', ipv4(OWNER, HERE, 6, segment(9000), 0x2000 | 8)],
  [
    'a first fragment too small for the ports and flags',
    ipv4(OWNER, HERE, 6, segment(9000).subarray(0, 8), 0x2000),
  ],
  [
    'an IPv4 header that ends within the TCP header',
    patched(tcp({ from: OWNER, to: HERE, port: 9000 }), 0, 0x46),
  ],
  [
    'an IPv4 header of 16 bytes, with a knock in the place of the destination',
    Buffer.concat([patched(ipv4(OWNER, HERE, 6, Buffer.alloc(16)), 0, 0x44).subarray(0, 16), segment(9000)]),
  ],
  [
    'a packet whose TCP header was not all captured',
    tcp({ from: OWNER, to: HERE, port: 9000 }).subarray(0, 28),
  ],
  [
    'an IPv4 header of 16 bytes, which overlaps the next',
    patched(tcp({ from: OWNER, to: HERE, port: 9000 }), 0, 0x44),
  ],
  [
    'a total length that cuts the TCP header off',
    patched(tcp({ from: OWNER, to: HERE, port: 9000 }), 2, 0, 32),
  ],
  [
    'a TCP header that is longer than its packet',
    patched(tcp({ from: OWNER, to: HERE, port: 9000 }), 32, 0xf0),
  ],
  ['a TCP header of 0 bytes', patched(tcp({ from: OWNER, to: HERE, port: 9000 }), 32, 0x00)],
  ['a UDP length beyond the packet', patched(udp(OWNER, HERE, 1, 9000), 24, 255, 255)],
  ['TCP within IPv4 within IPv4', ipv4(OWNER, HERE, 4, ipv4(OWNER, HERE, 6, segment(9000)))],
  ['IPv6 within IPv4', ipv4(OWNER, HERE, 41, ipv6(OWNER6, HERE6, 6, segment(9000)))],
  ['an IPv6 version in an IPv4 packet', patched(tcp({ from: OWNER, to: HERE, port: 9000 }), 0, 0x65)],
  [
    'a later IPv6 fragment',
    ipv6(OWNER6, HERE6, 44, Buffer.concat([Buffer.from([6, 0, 0, 8, 0, 0, 0, 1]), segment(9000)])),
  ],
  ['17 extension headers', chained(17)],
  ['hop-by-hop options that are not first', chained(2, 0)],
  [
    'an extension header that is longer than the packet',
    ipv6(OWNER6, HERE6, 60, Buffer.concat([Buffer.from([6, 255, 0, 0, 0, 0, 0, 0]), segment(9000)])),
  ],
  ['no next header', ipv6(OWNER6, HERE6, 59, segment(9000))],
  ['an encrypted payload', ipv6(OWNER6, HERE6, 50, segment(9000))],
];

describe('a bent packet', () => {
  // Against: later fragments, overlapping and lying headers
  // by: the decoder's checks
  it.each(BENT)('%s is no knock, no offence, and disturbs nobody', (_, bent) => {
    const w = world();
    for (const from of [OWNER, OWNER6]) {
      const here = from === OWNER ? HERE : HERE6;
      judge(w, tcp({ from, to: here, port: 7000, sequence: 1 }));
      w.now += 100;
      judge(w, udp(from, here, 40_000, 8000));
      w.now += 100;
    }
    w.said();
    const memory = JSON.stringify([w.engine.sizes(), sourcesOf(w, 10)]);
    expect(judge(w, bent)).toBe('malformed');
    expect(w.engine.grants()).toEqual([]);
    expect(JSON.stringify([w.engine.sizes(), sourcesOf(w, 10)])).toBe(memory);
    for (const from of [OWNER, OWNER6])
      judge(w, tcp({ from, to: from === OWNER ? HERE : HERE6, port: 9000, sequence: 3 }));
    expect(w.engine.grants()).toHaveLength(2);
  });
});

describe('an unusual packet that a host would take', () => {
  it.each([
    ['with 40 bytes of IPv4 options', withOptions(tcp({ from: OWNER, to: HERE, port: 7000 }), 40)],
    ['as a first fragment that holds the whole header', ipv4(OWNER, HERE, 6, segment(7000), 0x2000)],
    ['with padding behind it', Buffer.concat([tcp({ from: OWNER, to: HERE, port: 7000 }), Buffer.alloc(20)])],
    ['with ECN bits', tcp({ from: OWNER, to: HERE, port: 7000, flags: 0xc2 })],
  ])('%s is judged by its real ports', (_, bytes) => {
    expect(judge(world(), bytes)).toBe('accepted');
  });

  // Against: long chains of IPv6 headers
  // by: walked to 16, refused beyond
  it('behind 16 extension headers is found, so that no header hides a port from the rules', () => {
    expect(judge(world(), chained(16))).toBe('wrong');
  });
});

describe('addresses that pretend to be others', () => {
  // Against: IPv4 addresses written as IPv6
  // by: sources are keyed by family and bytes
  it('an IPv4 address written as IPv6 is another source, with no share in a sequence', () => {
    const w = world();
    judge(w, tcp({ from: OWNER, to: HERE, port: 7000, sequence: 1 }));
    w.now += 100;
    judge(w, udp(OWNER, HERE, 40_000, 8000));
    w.now += 100;
    // ::ffff:198.51.100.7
    const last = tcpSegment({ from: OWNER6, to: HERE6, port: 9000, sequence: 3 });
    judge(w, ipv6('0:0:0:0:0:ffff:c633:6407', HERE6, 6, last));
    expect(w.engine.grants()).toEqual([]);
  });
});

describe('any bytes at all', () => {
  it('are judged without a fault, and open nothing unless they are the sequence', () => {
    const w = world(settings({ bans: { enforce: false } }));
    let state = 20_261_121;
    const roll = (below: number): number => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return Math.floor((state / 2 ** 32) * below);
    };
    const sound = [
      tcp({ from: OWNER, to: HERE, port: 9001 }),
      chained(3),
      udp(OWNER6, HERE6, 1, 8001),
      udpDatagram(1, 2),
    ];
    for (let turn = 0; turn < 50_000; turn += 1) {
      const bytes = Buffer.from(sound[roll(sound.length)] ?? []);
      for (let change = roll(4); change >= 0; change -= 1) bytes[roll(bytes.length)] = roll(256);
      w.now += 10;
      judge(w, bytes.subarray(0, roll(4) === 0 ? roll(bytes.length) : bytes.length));
    }
    expect(w.engine.grants()).toEqual([]);
  });
});
