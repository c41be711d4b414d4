import { readFileSync } from 'node:fs';
import { parseAddress } from '../../../src/packet/address.ts';
import { SECRET, v1Packet } from '../spa/spa-world.ts';
import { classic, ethernet, type Frame, ipv4, ipv6, tcp, udpDatagram } from './capture-bytes.ts';

const VECTORS = new URL('../../fixtures/spa/fwknop.json', import.meta.url);
const SERVER = '198.51.100.1';
const SERVER6 = '2001:db8:1::1';
const ADA = '192.0.2.11';
const BEN = '192.0.2.77';
const BEN6 = '2001:db8:7::7';
const THIEF = '203.0.113.66';
const STRANGER6 = '2001:db8:9::9';
/** When the client made its packets, by its clock. */
const MADE = 1_795_891_572_000;

/** Packets that fwknop's client made, by what was asked of it. */
function fwknop(name: string): string {
  const vectors = JSON.parse(readFileSync(VECTORS, 'utf8')) as { name: string; packet: string }[];
  const found = vectors.find((each) => each.name === name);
  if (found === undefined) throw new Error(`no packet ${name}`);
  return found.packet;
}

/** nfknock's own packet of ben, made at this moment by his clock. */
function own(time: number, parts: Parameters<typeof v1Packet>[1] = {}): Buffer {
  return v1Packet(SECRET, { time, nonce: 7, salt: Buffer.alloc(16, time % 251), ...parts });
}

function spa(from: string, payload: string | Buffer): Buffer {
  const datagram = udpDatagram(40_000, 62_201, Buffer.from(payload as string, 'latin1'));
  return ethernet(from.includes(':') ? ipv6(from, SERVER6, 17, datagram) : ipv4(from, SERVER, 17, datagram));
}

const USED = fwknop('plain access, passphrases');

/** What comes, and after how many milliseconds. */
const PACKETS: readonly (readonly [at: number, what: string, frame: Buffer])[] = [
  [500, 'ada opens', spa(ADA, USED)],
  [700, 'she connects', ethernet(tcp({ from: ADA, to: SERVER, port: 22, sourcePort: 41_000 }))],
  [1_500, 'what she sent, sent again by a thief', spa(THIEF, USED)],
  [2_500, 'the same edited: nobody proves it, and here every port is a decoy', spa(THIEF, `${USED}=AAA`)],
  [3_500, 'the same by herself', spa(ADA, USED)],
  [4_500, 'her clock is an hour and a half behind', spa(ADA, fwknop('time offset minus'))],
  [5_500, 'a command', spa(ADA, fwknop('command'))],
  [6_500, 'ports that no door of hers opens', spa(ADA, fwknop('many ports and protocols'))],
  [7_500, 'a host behind the server', spa(ADA, fwknop('NAT access'))],
  [
    8_500,
    'the longest time, which renews for as long as she may',
    spa(ADA, fwknop('client timeout, the longest')),
  ],
  [9_500, 'ben opens for where he comes from', spa(BEN, own(MADE + 9_400))],
  [10_500, 'ben, four hours and five minutes behind', spa(BEN, own(MADE + 10_500 - 14_700_000))],
  [11_500, 'ben at a door that is not his', spa(BEN, own(MADE + 11_500, { door: 'web' }))],
  [
    12_000,
    'somebody over IPv6, by which the server’s address is known',
    ethernet(tcp({ from: STRANGER6, to: SERVER6, port: 22 })),
  ],
  [12_500, 'ben over IPv6, for IPv4', spa(BEN6, own(MADE + 12_500, { address: parseAddress(BEN) ?? null }))],
  [13_500, 'ben, once more than he may', spa(BEN, own(MADE + 13_500))],
  [14_500, 'noise of the right length', spa(THIEF, Buffer.alloc(144, 0xa5))],
  [60_000, 'long after', ethernet(tcp({ from: BEN, to: SERVER, port: 22, sourcePort: 41_001 }))],
];

/** The capture that stands in test/fixtures/captures/keys.pcap. */
export function keysCapture(): Buffer {
  return classic(PACKETS.map(([at, , bytes]): Frame => ({ bytes, micros: (MADE + at) * 1000 })));
}
