import type { EngineEvent } from '../../../src/engine/event.ts';
import { type Address, ipv4, parseAddress } from '../../../src/packet/address.ts';
import { hostCidr, offenderOf } from '../../../src/packet/cidr.ts';
import { type PortSpec, parsePort, parsePortRange } from '../../../src/packet/port.ts';
import { milliseconds } from '../../../src/packet/time.ts';
import { createCollector } from '../../../src/report/collect.ts';
import type { ReportData } from '../../../src/report/data.ts';

/** 2026-11-21T06:40:00Z. */
export const BEGIN = 1_795_243_200_000;

export function address(text: string): Address {
  const found = parseAddress(text);
  if (found === undefined) throw new Error(`no address: ${text}`);
  return found;
}

export function port(text: string): PortSpec {
  const found = parsePort(text);
  if (found === undefined) throw new Error(`no port: ${text}`);
  return found;
}

export function decoy(at: number, source: string | Address, strikes = 1): EngineEvent {
  const from = typeof source === 'string' ? address(source) : source;
  return { event: 'decoy.hit', at: milliseconds(BEGIN + at), source: from, port: port('23/tcp'), strikes };
}

export function knock(at: number, source: string, step = 1): EngineEvent {
  const about = {
    at: milliseconds(BEGIN + at),
    source: address(source),
    door: 'ssh',
    port: port('7000/tcp'),
  };
  return { event: 'knock.accepted', ...about, step, of: 3 };
}

export function opened(at: number, source: string): EngineEvent {
  const grant = { source: address(source), door: 'ssh', grantee: hostCidr(address(source)) };
  const ports = [parsePortRange('22/tcp')].filter((range) => range !== undefined);
  return {
    event: 'door.opened',
    at: milliseconds(BEGIN + at),
    ...grant,
    ports,
    until: milliseconds(BEGIN + at + 30_000),
  };
}

export function closed(at: number, source: string): EngineEvent {
  const grant = { source: address(source), door: 'ssh', grantee: hostCidr(address(source)), ports: [] };
  return { event: 'door.closed', at: milliseconds(BEGIN + at), ...grant, reason: 'knock' };
}

export function banned(at: number, source: string): EngineEvent {
  const until = milliseconds(BEGIN + at + 600_000);
  const ban = {
    target: offenderOf(address(source)),
    until,
    strikes: 3,
    reason: 'strikes' as const,
    count: 1,
  };
  return { event: 'ban.added', at: milliseconds(BEGIN + at), ...ban };
}

/** The `number`th address of 198.18.0.0/15. */
export function manyth(number: number): Address {
  return ipv4(0xc612_0000 + number);
}

export function reportOf(events: Iterable<EngineEvent>, title = 'night.pcap'): ReportData {
  const collector = createCollector();
  let last = BEGIN;
  for (const event of events) {
    if (event.event !== 'code.knocked') collector.add(event);
    last = event.at;
  }
  return collector.data({
    title,
    first: BEGIN,
    last,
    fault: null,
    local: ['192.0.2.1'],
    counts: [['packets', 12]],
    doors: [{ name: 'ssh', opens: ['22/tcp'] }],
  });
}
