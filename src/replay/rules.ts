import type { EngineEvent, Grantee } from '../engine/event.ts';
import type { Layout } from '../firewall/rules/layout.ts';
import type { Address, Family } from '../packet/address.ts';
import { type Cidr, contains, formatCidr, HOST_BITS } from '../packet/cidr.ts';
import { TCP_FLAG } from '../packet/flags.ts';
import type { Packet } from '../packet/packet.ts';
import { PROTOCOL_NUMBER } from '../packet/port.ts';
import { type PortKey, portKey } from '../packet/port-key.ts';
import type { Door } from '../policy/config.ts';
import { isHere, isWatched, ROLE, type RoleTable, tableOf } from '../policy/port-roles.ts';
import { type Ports, portsOf } from '../policy/port-set.ts';

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

const UNSEEN: Treatment = { judged: false, accepted: false, door: null };
const JUDGED: Treatment = { judged: true, accepted: false, door: null };
const ALLOWED: Treatment = { judged: false, accepted: true, door: null };
const OBSERVED: Treatment = { judged: true, accepted: true, door: null };

const { fin: FIN, syn: SYN, rst: RST, ack: ACK } = TCP_FLAG;

/** Where packets go: to this machine over one family, or to a host behind it. */
interface Destination {
  /** Of a host behind. */
  readonly to: Cidr | null;
  readonly table: RoleTable;
  /** By the door's name: what its grants let in there. */
  readonly opens: ReadonlyMap<string, Ports>;
}

export function createReplayRules(layout: Layout): ReplayRules {
  const { bans, doors } = layout.config;
  const here = { 4: destinationHere(layout, 4), 6: destinationHere(layout, 6) };
  const behind = layout.behind.map(({ to, roles }): Destination => {
    const leading = doors.filter(
      ({ forward }) => forward !== null && formatCidr(forward.to) === formatCidr(to),
    );
    return { to, table: tableOf(roles), opens: opensOf(leading) };
  });
  const grants = createGrantBook();

  /** The door that opens this packet's port and that its source holds a grant of. */
  const openDoor = (packet: Packet, { opens }: Destination): string | undefined =>
    grants.heldBy(packet).find((name) => {
      const ports = opens.get(name);
      return ports !== undefined && includes(ports, packet);
    });

  return {
    note: grants.note,
    treat(packet) {
      const key = portKey(packet.protocol, packet.port);
      const to = behind.length === 0 ? undefined : hostOf(behind, packet, key);
      const destination = to ?? here[packet.family];
      const role = destination.table[key] ?? 0;
      if ((role & (ROLE.allow | ROLE.service)) === 0) return isWatched(role, bans) ? JUDGED : UNSEEN;
      const begins = isNew(packet);
      if ((role & ROLE.allow) !== 0) {
        if (!begins) return UNSEEN;
        return (role & ROLE.knock) === 0 ? ALLOWED : OBSERVED;
      }
      const door = begins ? openDoor(packet, destination) : undefined;
      if (door !== undefined) return (role & ROLE.chained) === 0 ? { ...ALLOWED, door } : JUDGED;
      return isWatched(role, bans) ? JUDGED : UNSEEN;
    },
  };
}

function destinationHere(layout: Layout, family: Family): Destination {
  const doors = layout.config.doors.filter((door) => isHere(door, family));
  return { to: null, table: tableOf(layout.roles[family]), opens: opensOf(doors) };
}

function opensOf(doors: readonly Door[]): ReadonlyMap<string, Ports> {
  return new Map(doors.map((door) => [door.name, portsOf(door.opens)]));
}

/** Whether conntrack calls a packet without a connection NEW: a SYN, or an ACK, which it takes up midway. Else INVALID. */
export function isNew(packet: Packet): boolean {
  if (packet.protocol !== PROTOCOL_NUMBER.tcp) return true;
  const flags = packet.flags & (FIN | SYN | RST | ACK);
  return flags === SYN || flags === ACK;
}

/** Networks may overlap: of those with the packet in them the first that has the port. */
function hostOf(
  hosts: readonly Destination[],
  { family, destination0: a, destination1: b, destination2: c, destination3: d }: Packet,
  key: PortKey,
): Destination | undefined {
  const address: Address = { family, a, b, c, d };
  const around = hosts.filter(({ to }) => to !== null && contains(to, address));
  return around.find(({ table }) => table[key] !== 0) ?? around[0];
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
