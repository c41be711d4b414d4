import { describe, expect, test } from 'vitest';
import { parseConfig } from '../../../src/config/parse.ts';
import type { EngineEvent, Grantee } from '../../../src/engine/event.ts';
import { layoutOf } from '../../../src/firewall/rules/layout.ts';
import { parseAddress } from '../../../src/packet/address.ts';
import { parseCidr } from '../../../src/packet/cidr.ts';
import { decode } from '../../../src/packet/decode.ts';
import { emptyPacket, type Packet } from '../../../src/packet/packet.ts';
import { milliseconds } from '../../../src/packet/time.ts';
import { createReplayRules, isNew, type ReplayRules } from '../../../src/replay/rules.ts';
import { tcp, udp } from '../source/capture-bytes.ts';

const FRIEND = '198.51.100.7';
const HOST = '192.0.2.1';
const BEHIND = '10.0.0.5';
const SYN = 2;
const ACK = 16;
const FIN = 1;

function rulesOf(...lines: readonly string[]): ReplayRules {
  const parsed = parseConfig(lines.join('\n'), 'test.yaml');
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.faults));
  return createReplayRules(layoutOf(parsed.config));
}

function read(bytes: Uint8Array): Packet {
  const packet = emptyPacket();
  expect(decode(bytes, 0, bytes.length, packet)).toBeNull();
  return packet;
}

const toPort = (port: number, flags = SYN, to = HOST, from = FRIEND): Packet =>
  read(tcp({ from, to, port, flags }));
const toUdp = (port: number): Packet => read(udp(FRIEND, HOST, 4000, port));

/** What became of a packet, in two words. */
function fate(rules: ReplayRules, packet: Packet): string {
  const { judged, accepted } = rules.treat(packet);
  return `${judged ? 'judged' : 'unseen'}, ${accepted ? 'accepted' : 'dropped'}`;
}

function grantEvent(event: 'door.opened' | 'door.closed', door: string, grantee: Grantee): EngineEvent {
  const source = parseAddress(FRIEND);
  if (source === undefined) throw new Error('an address');
  const about = { at: milliseconds(0), source, door, grantee, ports: [] };
  return event === 'door.opened'
    ? { event, ...about, until: milliseconds(1000) }
    : { event, ...about, reason: 'expired' };
}

function cidr(text: string): Grantee {
  const found = parseCidr(text);
  if (found === undefined) throw new Error(`no network: ${text}`);
  return found;
}

describe('which packets the rules hand to the engine', () => {
  const rules = rulesOf(
    'doors: { ssh: { knock: [7000, 8000/udp], opens: [22] } }',
    'decoys: [23, 161/udp]',
    'allow: [80, 443/udp]',
  );

  test('knocks and decoys, whatever their flags', () => {
    for (const packet of [
      toPort(7000),
      toPort(23),
      toPort(23, 0),
      toPort(7000, FIN),
      toUdp(8000),
      toUdp(161),
    ]) {
      expect(fate(rules, packet)).toBe('judged, dropped');
    }
  });

  test('not what is open to everyone', () => {
    expect(fate(rules, toPort(80))).toBe('unseen, accepted');
    expect(fate(rules, toUdp(443))).toBe('unseen, accepted');
    expect(fate(rules, toPort(80, FIN))).toBe('unseen, dropped');
  });

  test('not a protected service, nor any other port', () => {
    for (const packet of [toPort(22), toPort(22, ACK), toPort(9999), toUdp(7000), toPort(8000)]) {
      expect(fate(rules, packet)).toBe('unseen, dropped');
    }
  });

  test('a protected service with strike_on_service', () => {
    const strict = rulesOf(
      'doors: { ssh: { knock: [7000, 7001], opens: [22] } }',
      'bans: { strike_on_service: true }',
    );
    expect(fate(strict, toPort(22))).toBe('judged, dropped');
  });

  test('with `decoys: all` every port but the allowed ones, the services, the DHCP client and traceroute', () => {
    const all = rulesOf('doors: { ssh: { knock: [7000, 7001], opens: [22] } }', 'decoys: all', 'allow: [80]');
    expect([9999, 7000, 1].map((port) => fate(all, toPort(port)))).toEqual(Array(3).fill('judged, dropped'));
    expect(fate(all, toPort(9999, 0))).toBe('judged, dropped');
    expect(fate(all, toPort(22))).toBe('unseen, dropped');
    expect(fate(all, toUdp(68))).toBe('unseen, dropped');
    expect([33_434, 33_534].map((port) => fate(all, toUdp(port)))).toEqual(Array(2).fill('unseen, dropped'));
    expect([33_433, 33_535].map((port) => fate(all, toUdp(port)))).toEqual(Array(2).fill('judged, dropped'));
    expect(fate(all, toUdp(546))).toBe('judged, dropped');
    expect(fate(all, read(udp('2001:db8:9::9', '2001:db8:1::1', 547, 546)))).toBe('unseen, dropped');
  });

  test('a knock on a port that is open to everyone is judged and still reaches its service', () => {
    const observed = rulesOf('doors: { ssh: { knock: [80, 7001], opens: [22] } }', 'allow: [80]');
    expect(fate(observed, toPort(80))).toBe('judged, accepted');
    expect(fate(observed, toPort(80, FIN))).toBe('unseen, dropped');
  });
});

describe('a grant', () => {
  const config =
    'doors: { ssh: { knock: [7000, 7001], opens: [22] }, web: { knock: [7002, 7003], opens: [8443] } }';

  test('lets new connections of its source through to the services of its door, until it ends', () => {
    const rules = rulesOf(config);
    rules.note(grantEvent('door.opened', 'ssh', cidr(FRIEND)));
    expect(rules.treat(toPort(22))).toEqual({ judged: false, accepted: true, door: 'ssh' });
    expect(fate(rules, toPort(22, FIN))).toBe('unseen, dropped');
    expect(fate(rules, toPort(8443))).toBe('unseen, dropped');
    expect(fate(rules, toPort(22, SYN, HOST, '198.51.100.8'))).toBe('unseen, dropped');
    rules.note(grantEvent('door.closed', 'ssh', cidr(FRIEND)));
    expect(fate(rules, toPort(22))).toBe('unseen, dropped');
  });

  test.each(['any', '198.51.100.0/24'] as const)('to %s lets others through too', (text) => {
    const rules = rulesOf(config);
    const grantee = text === 'any' ? text : cidr(text);
    rules.note(grantEvent('door.opened', 'ssh', grantee));
    expect(fate(rules, toPort(22, SYN, HOST, '198.51.100.8'))).toBe('unseen, accepted');
    rules.note(grantEvent('door.closed', 'ssh', grantee));
    expect(fate(rules, toPort(22, SYN, HOST, '198.51.100.8'))).toBe('unseen, dropped');
  });

  test('shows the next door its knock, where one door opens what another is knocked on', () => {
    const rules = rulesOf(
      'doors: { first: { knock: [7000, 7001], opens: [9000] }, second: { knock: [9000, 9001], opens: [22] } }',
    );
    expect(fate(rules, toPort(9000))).toBe('unseen, dropped');
    rules.note(grantEvent('door.opened', 'first', cidr(FRIEND)));
    expect(fate(rules, toPort(9000))).toBe('judged, dropped');
  });
});

describe('a service behind this machine', () => {
  test('is reached with a grant; its host is knocked at, and its decoys watched', () => {
    const rules = rulesOf(
      `doors: { db: { knock: [7000, 7001], opens: [5432], forward: ${BEHIND} } }`,
      'decoys: [23]',
    );
    expect(fate(rules, toPort(7000, SYN, BEHIND))).toBe('judged, dropped');
    expect(fate(rules, toPort(23, SYN, BEHIND))).toBe('judged, dropped');
    expect(fate(rules, toPort(5432, SYN, BEHIND))).toBe('unseen, dropped');
    expect(fate(rules, toPort(9999, SYN, BEHIND))).toBe('unseen, dropped');
    rules.note(grantEvent('door.opened', 'db', cidr(FRIEND)));
    expect(rules.treat(toPort(5432, SYN, BEHIND))).toEqual({ judged: false, accepted: true, door: 'db' });
  });
});

test("conntrack's NEW is a SYN, a lone ACK or a datagram; everything else without a connection is INVALID", () => {
  const flags = {
    syn: SYN,
    ack: ACK,
    'ack psh': ACK | 8,
    none: 0,
    fin: FIN,
    'syn fin': SYN | FIN,
    rst: 4,
    'syn ack': SYN | ACK,
    'fin ack': FIN | ACK,
  };
  const found = Object.entries(flags).filter(([, each]) => isNew(toPort(22, each)));
  expect(found.map(([name]) => name)).toEqual(['syn', 'ack', 'ack psh']);
  expect(isNew(toUdp(53))).toBe(true);
});
