import { describe, expect, test } from 'vitest';
import { parseAddress } from '../../../src/packet/address.ts';
import { parseCidr } from '../../../src/packet/cidr.ts';
import { decode } from '../../../src/packet/decode.ts';
import { emptyPacket, type Packet } from '../../../src/packet/packet.ts';
import { createDirection, type Direction, FATE } from '../../../src/replay/direction.ts';
import { createLocalAddresses, LOCAL_ADDRESSES_MAX } from '../../../src/replay/local.ts';
import { WAY } from '../../../src/source/way.ts';
import { tcp, udp } from './capture-bytes.ts';

const HOST = '192.0.2.1';
const PEER = '198.51.100.7';
const OTHER = '203.0.113.9';
const SYN = 2;
const SYN_ACK = 18;
const ACK = 16;
const FIN_ACK = 17;
const RST = 4;
const SECOND = 1000;
const DAY = 86_400 * SECOND;

function read(bytes: Uint8Array): Packet {
  const packet = emptyPacket();
  expect(decode(bytes, 0, bytes.length, packet)).toBeNull();
  return packet;
}
const inbound = (flags: number, sourcePort = 40_000, port = 22): Packet =>
  read(tcp({ from: PEER, to: HOST, sourcePort, port, flags }));
const outbound = (flags: number, port = 40_000, sourcePort = 22): Packet =>
  read(tcp({ from: HOST, to: PEER, sourcePort, port, flags }));

function directionAt(...networks: readonly string[]): Direction {
  return createDirection(createLocalAddresses(networks.flatMap((text) => parseCidr(text) ?? [])));
}

describe('whose packet it is', () => {
  test('what comes to this machine arrives, what it sends is sent, and the rest goes elsewhere', () => {
    const direction = directionAt(HOST);
    expect(direction.fateOf(inbound(SYN), WAY.unknown, 1)).toBe(FATE.arrived);
    expect(direction.fateOf(outbound(SYN, 443), WAY.unknown, 1)).toBe(FATE.sent);
    expect(direction.fateOf(read(tcp({ from: PEER, to: OTHER, port: 22 })), WAY.unknown, 1)).toBe(
      FATE.elsewhere,
    );
  });

  test('a network of addresses can be this machine', () => {
    const direction = directionAt('192.0.2.0/24', '2001:db8:1::/64');
    expect(direction.fateOf(read(tcp({ from: PEER, to: '192.0.2.200', port: 22 })), WAY.unknown, 1)).toBe(
      FATE.arrived,
    );
    const six = read(tcp({ from: '2001:db8:9::9', to: '2001:db8:1::77', port: 22 }));
    expect(direction.fateOf(six, WAY.unknown, 1)).toBe(FATE.arrived);
  });

  test('where the capture says which way a packet went, a forged source deceives nobody', () => {
    const forged = read(tcp({ from: HOST, to: HOST, port: 23 }));
    expect(directionAt(HOST).fateOf(forged, WAY.inbound, 1)).toBe(FATE.arrived);
    expect(directionAt(HOST).fateOf(outbound(SYN), WAY.inbound, 1)).toBe(FATE.elsewhere);
    expect(directionAt(HOST).fateOf(inbound(SYN), WAY.outbound, 1)).toBe(FATE.sent);
    expect(directionAt(HOST).fateOf(inbound(SYN), WAY.other, 1)).toBe(FATE.elsewhere);
  });

  test('as many addresses as the table holds are told apart; the next is refused', () => {
    const local = createLocalAddresses([]);
    for (let last = 0; last < LOCAL_ADDRESSES_MAX; last++) {
      expect(local.add({ family: 4, a: 0x0a00_0000 + last, b: 0, c: 0, d: 0 })).toBe(true);
    }
    expect(local.add({ family: 4, a: 0x0b00_0000, b: 0, c: 0, d: 0 })).toBe(false);
    expect(local.add({ family: 4, a: 0x0a00_0001, b: 0, c: 0, d: 0 })).toBe(true);
    const known = parseAddress('10.0.0.255');
    expect(local.list()).toContainEqual({ address: known, bits: 32 });
  });
});

describe('conntrack, approximately', () => {
  test('an unanswered SYN stays new, however often it is repeated', () => {
    const direction = directionAt(HOST);
    for (const at of [0, 1, 3, 7]) {
      expect(direction.fateOf(inbound(SYN), WAY.unknown, at * SECOND)).toBe(FATE.arrived);
    }
  });

  test('once this machine has answered, what follows is established, for days', () => {
    const direction = directionAt(HOST);
    direction.fateOf(inbound(SYN), WAY.unknown, 1);
    direction.fateOf(outbound(SYN_ACK), WAY.unknown, 1);
    expect(direction.fateOf(inbound(ACK), WAY.unknown, 2)).toBe(FATE.established);
    expect(direction.fateOf(inbound(ACK), WAY.unknown, 4 * DAY)).toBe(FATE.established);
    expect(direction.fateOf(inbound(ACK), WAY.unknown, 9.5 * DAY)).toBe(FATE.arrived);
  });

  test('an answer to a connection of this machine is established', () => {
    const direction = directionAt(HOST);
    direction.fateOf(outbound(SYN, 443, 50_000), WAY.unknown, 1);
    expect(direction.fateOf(inbound(SYN_ACK, 443, 50_000), WAY.unknown, 5)).toBe(FATE.established);
  });

  test('an answer to nothing is not', () => {
    expect(directionAt(HOST).fateOf(inbound(SYN_ACK, 443, 50_000), WAY.unknown, 5)).toBe(FATE.arrived);
  });

  test('a port that answered with RST is closed: the next SYN is new again', () => {
    const direction = directionAt(HOST);
    direction.fateOf(inbound(SYN), WAY.unknown, 1);
    direction.fateOf(outbound(RST | ACK), WAY.unknown, 1);
    expect(direction.fateOf(inbound(SYN), WAY.unknown, 2)).toBe(FATE.arrived);
    expect(direction.fateOf(inbound(ACK), WAY.unknown, 3)).toBe(FATE.arrived);
  });

  test('a RST of the peer belongs to its connection and ends it', () => {
    const direction = directionAt(HOST);
    direction.fateOf(outbound(SYN_ACK), WAY.unknown, 1);
    expect(direction.fateOf(inbound(RST), WAY.unknown, 1)).toBe(FATE.established);
    expect(direction.fateOf(inbound(RST), WAY.unknown, 2)).toBe(FATE.arrived);
  });

  test('after both ends have closed, late packets still belong, and a SYN from the same port is new', () => {
    const direction = directionAt(HOST);
    direction.fateOf(outbound(SYN_ACK), WAY.unknown, 1);
    direction.fateOf(inbound(FIN_ACK), WAY.unknown, 1);
    direction.fateOf(outbound(FIN_ACK), WAY.unknown, 2);
    expect(direction.fateOf(inbound(ACK), WAY.unknown, 3)).toBe(FATE.established);
    expect(direction.fateOf(inbound(SYN), WAY.unknown, 4)).toBe(FATE.arrived);
  });

  test('a SYN inside a connection that stands is none', () => {
    const direction = directionAt(HOST);
    direction.fateOf(outbound(SYN_ACK), WAY.unknown, 1);
    expect(direction.fateOf(inbound(SYN), WAY.unknown, 1)).toBe(FATE.established);
  });

  test('an answer over UDP is established for half a minute, a conversation for two', () => {
    const direction = directionAt(HOST);
    const answer = read(udp(PEER, HOST, 53, 50_000));
    direction.fateOf(read(udp(HOST, PEER, 50_000, 53)), WAY.unknown, 1);
    expect(direction.fateOf(answer, WAY.unknown, 29 * SECOND)).toBe(FATE.established);
    expect(direction.fateOf(answer, WAY.unknown, 148 * SECOND)).toBe(FATE.established);
    expect(direction.fateOf(answer, WAY.unknown, 300 * SECOND)).toBe(FATE.arrived);
  });

  test('what the rules accepted is a connection, though the capture has no answers', () => {
    const direction = directionAt(HOST);
    expect(direction.fateOf(inbound(SYN), WAY.unknown, 1)).toBe(FATE.arrived);
    direction.accepted(inbound(SYN), 0);
    expect(direction.fateOf(inbound(ACK), WAY.unknown, 5)).toBe(FATE.established);
  });

  test('other ports and other peers are other connections', () => {
    const direction = directionAt(HOST);
    direction.fateOf(outbound(SYN_ACK), WAY.unknown, 1);
    expect(direction.fateOf(inbound(ACK, 40_001), WAY.unknown, 1)).toBe(FATE.arrived);
    expect(direction.fateOf(inbound(ACK, 40_000, 23), WAY.unknown, 1)).toBe(FATE.arrived);
    const other = read(tcp({ from: OTHER, to: HOST, sourcePort: 40_000, port: 22, flags: ACK }));
    expect(direction.fateOf(other, WAY.unknown, 1)).toBe(FATE.arrived);
  });

  test('half a million connections cost no more memory than the table, and the newest are known', () => {
    const direction = directionAt(HOST);
    const packet = outbound(SYN_ACK);
    const answer = inbound(ACK);
    for (let number = 0; number < 500_000; number++) {
      packet.destination0 = number;
      direction.fateOf(packet, WAY.unknown, number / 1000);
    }
    answer.source0 = 499_999;
    expect(direction.fateOf(answer, WAY.unknown, 1001)).toBe(FATE.established);
    answer.source0 = 3;
    expect(direction.fateOf(answer, WAY.unknown, 1001)).toBe(FATE.arrived);
  });
});
