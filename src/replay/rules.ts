import type { EngineEvent, Grantee } from '../engine/event.ts';
import type { Layout } from '../firewall/rules/layout.ts';
import type { Address, Family } from '../packet/address.ts';
import { type Cidr, contains, formatCidr, HOST_BITS } from '../packet/cidr.ts';
import { TCP_FLAG } from '../packet/flags.ts';
import type { Packet } from '../packet/packet.ts';
import { PORT_MAX, PROTOCOL_NUMBER } from '../packet/port.ts';
import type { Door } from '../policy/config.ts';
import { unaskedPorts } from '../policy/limits.ts';
import { knocksOf, type Roles } from '../policy/port-roles.ts';
import { common, type Ports, portsOf, union, without } from '../policy/port-set.ts';

/** What the rules do with a packet that begins something. */
export interface Treatment {
  /** The daemon sees it. */
  readonly judged: boolean;
  /** It reaches its service. */
  readonly accepted: boolean;
  /** The door whose grant let it in. */
  readonly door: string | null;
}

/**
 * The rules of a configuration as a function, for packets that conntrack calls NEW or INVALID. Bans are left to
 * the engine, which knows them as well as the kernel does.
 */
export interface ReplayRules {
  treat(packet: Packet): Treatment;
  /** Takes in what the events say of grants. */
  note(event: EngineEvent): void;
}

/** What a port is to the rules. */
const ROLE = { none: 0, queue: 1, allow: 2, observed: 3, service: 4, ownKnock: 5, chained: 6 } as const;

const UNSEEN: Treatment = { judged: false, accepted: false, door: null };
const JUDGED: Treatment = { judged: true, accepted: false, door: null };
const ALLOWED: Treatment = { judged: false, accepted: true, door: null };
const OBSERVED: Treatment = { judged: true, accepted: true, door: null };

/** A protocol and a port in one number, as an index: UDP stands behind TCP. */
const UDP_FROM = PORT_MAX + 1;

const { fin: FIN, syn: SYN, rst: RST, ack: ACK } = TCP_FLAG;

export function createReplayRules(layout: Layout): ReplayRules {
  const here = { 4: tableOf(layout, 4), 6: tableOf(layout, 6) };
  const behind = hostsBehind(layout);
  const grants = createGrantBook();

  /** The door that opens this packet's port and that its source holds a grant of. */
  const openDoor = (packet: Packet, doors: ReadonlyMap<string, Ports>): string | undefined =>
    grants.heldBy(packet).find((name) => {
      const opens = doors.get(name);
      return opens !== undefined && includes(opens, packet);
    });
  const opensHere = new Map(layout.config.doors.map((door) => [door.name, portsOf(door.opens)]));

  return {
    note: grants.note,
    treat(packet) {
      const host = behind.length === 0 ? undefined : hostOf(behind, packet);
      const table = host?.table ?? here[packet.family];
      const key = packet.protocol === PROTOCOL_NUMBER.udp ? UDP_FROM + packet.port : packet.port;
      const role = table[key] ?? ROLE.none;
      if (role === ROLE.none) return UNSEEN;
      if (role === ROLE.queue) return JUDGED;
      const begins = isNew(packet);
      if (role === ROLE.allow) return begins ? ALLOWED : UNSEEN;
      if (role === ROLE.observed) return begins ? OBSERVED : UNSEEN;
      const door = begins ? openDoor(packet, host?.opens ?? opensHere) : undefined;
      if (door !== undefined) return role === ROLE.chained ? JUDGED : { ...ALLOWED, door };
      return role === ROLE.ownKnock ? JUDGED : UNSEEN;
    },
  };
}

/** Whether conntrack calls a packet without a connection NEW: a SYN, or an ACK, which it takes up midway. Else INVALID. */
export function isNew(packet: Packet): boolean {
  if (packet.protocol !== PROTOCOL_NUMBER.tcp) return true;
  const flags = packet.flags & (FIN | SYN | RST | ACK);
  return flags === SYN || flags === ACK;
}

type RoleTable = Uint8Array;

function tableOf(layout: Layout, family: Family): RoleTable {
  const { bans, decoys } = layout.config;
  const roles: Roles = layout.roles[family];
  const table = new Uint8Array(2 * UDP_FROM);
  if (decoys === 'all') {
    table.fill(ROLE.queue);
    mark(table, { tcp: [], udp: unaskedPorts(family) }, ROLE.none);
  }
  mark(table, roles.decoys, ROLE.queue);
  mark(table, roles.knocks, ROLE.queue);
  mark(table, roles.allow, ROLE.allow);
  mark(table, roles.observed, ROLE.observed);
  mark(table, roles.services, bans.strikeOnService ? ROLE.ownKnock : ROLE.service);
  mark(table, roles.ownKnocks, ROLE.ownKnock);
  mark(table, roles.chained, ROLE.chained);
  return table;
}

/** A machine behind this one that has services of doors. */
interface HostBehind {
  readonly to: Cidr;
  readonly table: RoleTable;
  readonly opens: ReadonlyMap<string, Ports>;
}

function hostsBehind(layout: Layout): readonly HostBehind[] {
  const { config, oneTime } = layout;
  const byHost = new Map<string, { readonly to: Cidr; readonly doors: Door[] }>();
  for (const door of config.doors) {
    if (door.forward === null) continue;
    const { to } = door.forward;
    const entry = byHost.get(formatCidr(to)) ?? { to, doors: [] };
    entry.doors.push(door);
    byHost.set(formatCidr(to), entry);
  }
  const decoys = config.decoys === 'all' ? portsOf([]) : portsOf(config.decoys);
  return [...byHost.values()].map(({ to, doors }) => {
    const table = new Uint8Array(2 * UDP_FROM);
    const services = union(...doors.map((door) => portsOf(door.opens)));
    const routed = doors.filter((door) => door.forward?.dnat !== true);
    const knocks = union(...routed.map((door) => knocksOf(door, oneTime)));
    if (routed.length > 0) mark(table, without(union(knocks, decoys), services), ROLE.queue);
    mark(table, services, config.bans.strikeOnService ? ROLE.ownKnock : ROLE.service);
    for (const door of doors)
      mark(table, common(portsOf(door.opens), knocksOf(door, oneTime)), ROLE.ownKnock);
    return { to, table, opens: new Map(doors.map((door) => [door.name, portsOf(door.opens)])) };
  });
}

function hostOf(hosts: readonly HostBehind[], packet: Packet): HostBehind | undefined {
  const { family, destination0: a, destination1: b, destination2: c, destination3: d } = packet;
  return hosts.find(({ to }) => contains(to, { family, a, b, c, d }));
}

function mark(table: RoleTable, ports: Ports, role: number): void {
  for (const { first, last } of ports.tcp) table.fill(role, first, last + 1);
  for (const { first, last } of ports.udp) table.fill(role, UDP_FROM + first, UDP_FROM + last + 1);
}

function includes(ports: Ports, packet: Packet): boolean {
  const spans = packet.protocol === PROTOCOL_NUMBER.udp ? ports.udp : ports.tcp;
  return spans.some(({ first, last }) => packet.port >= first && packet.port <= last);
}

/** Who holds a grant of which doors, as the events say it. */
interface GrantBook {
  heldBy(packet: Packet): readonly string[];
  readonly note: (event: EngineEvent) => void;
}

function createGrantBook(): GrantBook {
  const hosts = new Map<string, Set<string>>();
  /** Grants to networks and to everyone: few, since a door has one or names one. */
  const wide = new Map<string, { readonly door: string; readonly grantee: Grantee }>();

  const note = (event: EngineEvent): void => {
    if (event.event !== 'door.opened' && event.event !== 'door.renewed' && event.event !== 'door.closed')
      return;
    const { door, grantee } = event;
    if (grantee !== 'any' && grantee.bits === HOST_BITS[grantee.address.family]) {
      const key = keyOf(grantee.address);
      const doors = hosts.get(key) ?? new Set();
      if (event.event === 'door.closed') doors.delete(door);
      else doors.add(door);
      if (doors.size > 0) hosts.set(key, doors);
      else hosts.delete(key);
      return;
    }
    const key = `${door} ${grantee === 'any' ? grantee : formatCidr(grantee)}`;
    if (event.event === 'door.closed') wide.delete(key);
    else wide.set(key, { door, grantee });
  };
  return {
    note,
    heldBy({ family, source0: a, source1: b, source2: c, source3: d }) {
      if (hosts.size === 0 && wide.size === 0) return [];
      const address: Address = { family, a, b, c, d };
      const held = [...(hosts.get(keyOf(address)) ?? [])];
      for (const { door, grantee } of wide.values()) {
        if (grantee === 'any' || contains(grantee, address)) held.push(door);
      }
      return held;
    },
  };
}

function keyOf({ family, a, b, c, d }: Address): string {
  return family === 4 ? `${a}` : `${a},${b},${c},${d}`;
}
