import {
  classic,
  ethernet,
  type Frame,
  ipv4,
  ipv6,
  tcp,
  tcpSegment,
  udp,
  udpDatagram,
} from './capture-bytes.ts';

const KNOCKER = '198.51.100.7';
const FORGER = '203.0.113.66';
const HOST = '192.0.2.1';
const HOST6 = '2001:db8:1::1';
const FORGER6 = '2001:db8:9::9';
/** 2026-11-21T06:40:00Z in microseconds. */
const BEGIN = 1_795_243_200_000_000;
const SECOND = 1_000_000;

/** The packet with some of its bytes replaced. */
function patched(packet: Buffer, at: number, ...bytes: readonly number[]): Buffer {
  const copy = Buffer.from(packet);
  copy.set(bytes, at);
  return copy;
}

const STRAY_SYN = tcp({ from: FORGER, to: HOST, port: 8000, sourcePort: 1024 });
const HOP_BY_HOP_AGAIN = Buffer.from([0, 0, 1, 4, 0, 0, 0, 0]);

/** One packet each, half a second apart; the honest ones knock, the others must not disturb them. */
export const MALFORMED: readonly (readonly [what: string, frame: Buffer])[] = [
  ['an honest first knock', ethernet(tcp({ from: KNOCKER, to: HOST, port: 7000 }))],
  ['a version that is neither 4 nor 6', ethernet(patched(STRAY_SYN, 0, 0x55))],
  ['an IPv4 header of 16 bytes', ethernet(patched(STRAY_SYN, 0, 0x44))],
  ['an IPv4 header of 60 bytes in a packet of 40', ethernet(patched(STRAY_SYN, 0, 0x4f))],
  ['a total length shorter than the header', ethernet(patched(STRAY_SYN, 2, 0, 10))],
  ['a total length longer than the frame', ethernet(patched(STRAY_SYN, 2, 0, 200))],
  ['a TCP header of 16 bytes', ethernet(patched(STRAY_SYN, 32, 0x40))],
  [
    'a TCP header that is cut off',
    ethernet(ipv4(FORGER, HOST, 6, tcpSegment({ from: FORGER, to: HOST, port: 8000 }).subarray(0, 10))),
  ],
  ['a UDP length shorter than its header', ethernet(patched(udp(FORGER, HOST, 1024, 8000), 24, 0, 4))],
  ['an honest second knock', ethernet(udp(KNOCKER, HOST, 40_001, 8000))],
  [
    'a later fragment whose payload looks like a knock',
    ethernet(ipv4(KNOCKER, HOST, 6, tcpSegment({ from: KNOCKER, to: HOST, port: 9000 }), 5)),
  ],
  [
    'an IPv6 packet whose options never end',
    ethernet(ipv6(FORGER6, HOST6, 0, Buffer.concat([HOP_BY_HOP_AGAIN, HOP_BY_HOP_AGAIN]))),
  ],
  ['an IPv6 header that is cut off', ethernet(ipv6(FORGER6, HOST6, 6, Buffer.alloc(0)).subarray(0, 30))],
  ['a frame that says IPv4 and ends', ethernet(STRAY_SYN).subarray(0, 14)],
  [
    'a ping, which is not malformed but no business of ours',
    ethernet(ipv4(FORGER, HOST, 1, Buffer.from([8, 0, 0, 0, 0, 1, 0, 1]))),
  ],
  ['a protocol nobody knows', ethernet(ipv4(FORGER, HOST, 253, Buffer.alloc(40)))],
  [
    'an ARP request',
    Buffer.concat([ethernet(STRAY_SYN).subarray(0, 12), Buffer.from([8, 6]), Buffer.alloc(28)]),
  ],
  ['a UDP datagram with an IPv4 frame marked as IPv6', patched(ethernet(udpPacket()), 12, 0x86, 0xdd)],
  ['an honest last knock', ethernet(tcp({ from: KNOCKER, to: HOST, port: 9000, sourcePort: 40_002 }))],
];

/** The capture that stands in test/fixtures/captures/malformed.pcap. */
export function malformedCapture(): Buffer {
  const frames = MALFORMED.map(
    ([, bytes], index): Frame => ({ bytes, micros: BEGIN + (index * SECOND) / 2 }),
  );
  return classic(frames);
}

function udpPacket(): Buffer {
  return ipv4(FORGER, HOST, 17, udpDatagram(1024, 8000));
}
