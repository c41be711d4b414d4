import type { Family } from '../packet/address.ts';
import { type Cidr, formatCidr } from '../packet/cidr.ts';
import { PORT_MAX, type PortSpec, PROTOCOL_NUMBER } from '../packet/port.ts';
import { PORT_KEYS, portKey } from '../packet/port-key.ts';
import type { Config, Door } from './config.ts';
import { TRACEROUTE, unaskedPorts } from './limits.ts';
import { common, hasPorts, NO_PORTS, type Ports, portsOf, union, without } from './port-set.ts';

/*
 * What is this port? Asked by the rules, the engine, replays, the strength of doors and what looks at the machine; and
 * answered here for all of them, by protocol, port, family and destination. `test/property/port-roles.test.ts` holds
 * their answers against each other.
 */

/** What each port is to packets of one destination. Every port has one role at most; `keys` is beside the others. */
export interface Roles {
  /** Open to everyone. */
  readonly allow: Ports;
  /** Of these: also a knock, so that a copy of each new packet goes to the daemon. */
  readonly observed: Ports;
  /** Opened by a door. */
  readonly services: Ports;
  /** Of these: knocks of the door that opens them; without a grant the packet is a knock. */
  readonly ownKnocks: Ports;
  /** Of these: knocks of another door, which are seen only with the first door's grant. */
  readonly chained: Ports;
  /** Knocks with nothing behind them. */
  readonly knocks: Ports;
  /** Decoys, listed one by one or all that is left. */
  readonly decoys: Ports;
  /** Where every other port is a decoy: closed, and no offence to touch. */
  readonly traced: Ports;
  /** A packet of the right length may be one of a key; any other has the port's role among those above. */
  readonly keys: Ports;
}

/** What the roles are made from: a configuration, or as much of it as the engine has. */
export interface PortPolicy {
  readonly doors: readonly {
    /** Every port of its sequences. */
    readonly knocks: Ports;
    readonly opens: Ports;
    readonly forward: Door['forward'];
  }[];
  readonly decoys: 'all' | Ports;
  readonly allow: Ports;
  readonly keys: Ports;
}

/** The ports in the one-time sequences of a door; none where it has none or they could not be read. */
export type OneTimePorts = (door: Door) => readonly PortSpec[];

export const NO_ONE_TIME: OneTimePorts = () => [];

const FAMILIES: readonly Family[] = [4, 6];
const EVERY: Ports = { tcp: [{ first: 0, last: PORT_MAX }], udp: [{ first: 0, last: PORT_MAX }] };
const TRACED: Ports = { tcp: [], udp: [TRACEROUTE] };

/** Every port of the door's sequence, of its close sequence and of its one-time sequences. */
export function knocksOf(door: Door, oneTime: OneTimePorts): Ports {
  const knock = 'oneTime' in door.knock ? oneTime(door) : door.knock;
  return portsOf([...knock, ...door.close]);
}

/** True where the door's service has a port on this machine: it is served here, or translated from here. */
export function isHere({ forward }: Pick<Door, 'forward'>, family: Family): boolean {
  return forward === null || (forward.dnat && forward.to.address.family === family);
}

/** UDP ports that keys knock at. */
export function keysPorts({ listen }: Pick<Config, 'listen'>): Ports {
  return portsOf(listen.spa.map((port) => ({ protocol: 'udp', port })));
}

type Named = Pick<Config, 'doors' | 'decoys' | 'allow' | 'listen'>;

export function policyOf(config: Named, oneTime: OneTimePorts): PortPolicy {
  return {
    doors: config.doors.map((door) => ({
      knocks: knocksOf(door, oneTime),
      opens: portsOf(door.opens),
      forward: door.forward,
    })),
    decoys: config.decoys === 'all' ? 'all' : portsOf(config.decoys),
    allow: portsOf(config.allow),
    keys: keysPorts(config),
  };
}

/** To this machine, over one family. */
export function rolesOf(config: Named, family: Family, oneTime: OneTimePorts): Roles {
  const policy = policyOf(config, oneTime);
  const here = policy.doors.filter((door) => isHere(door, family));
  return rolesWith(policy, here, portsOfUnasked([family]));
}

/** True where a port of `allow` is a knock too: the daemon must read the NFLOG group for these. */
export function hasObserved(config: Named, oneTime: OneTimePorts): boolean {
  return FAMILIES.some((family) => hasPorts(rolesOf(config, family, oneTime).observed));
}

/** To whatever destination, over whatever family: for those who are not told which. */
export function rolesAnywhere(policy: PortPolicy): Roles {
  return rolesWith(policy, policy.doors, portsOfUnasked(FAMILIES));
}

/** Through this machine to a host behind it. Decoys and knocks are seen there where a door is not translated. */
export function rolesBehind(config: Named, to: Cidr, oneTime: OneTimePorts): Roles {
  const { doors, decoys, allow } = policyOf(config, oneTime);
  const behind = doors.filter(({ forward }) => forward?.to.address.family === to.address.family);
  const host = formatCidr(to);
  const mine = behind.filter(({ forward }) => forward !== null && formatCidr(forward.to) === host);
  const services = union(...mine.map(({ opens }) => opens));
  // Who is translated knocks at this machine; who is routed may knock at the host itself.
  const routed = mine.filter(({ forward }) => forward?.dnat !== true);
  const knocks = without(union(...routed.map((door) => door.knocks)), services);
  const listed = decoys === 'all' || routed.length === 0 ? NO_PORTS : decoys;
  return {
    allow: NO_PORTS,
    observed: NO_PORTS,
    services,
    ownKnocks: common(services, ownKnocksOf(behind)),
    chained: NO_PORTS,
    knocks,
    decoys: without(listed, union(services, knocks, allow)),
    traced: NO_PORTS,
    keys: NO_PORTS,
  };
}

function rolesWith(policy: PortPolicy, here: PortPolicy['doors'], unasked: Ports): Roles {
  const services = union(...here.map(({ opens }) => opens));
  const knocks = union(...policy.doors.map((door) => door.knocks));
  const ownKnocks = ownKnocksOf(here);
  // A protected port stays protected, whatever else it was called.
  const allow = without(policy.allow, services);
  const used = union(services, allow, knocks);
  const every = policy.decoys === 'all';
  return {
    allow,
    observed: common(allow, knocks),
    services,
    ownKnocks,
    chained: without(common(services, knocks), ownKnocks),
    knocks: without(knocks, union(services, allow)),
    decoys: without(policy.decoys === 'all' ? without(EVERY, unasked) : policy.decoys, used),
    traced: every ? without(TRACED, used) : NO_PORTS,
    keys: policy.keys,
  };
}

function ownKnocksOf(doors: PortPolicy['doors']): Ports {
  return union(...doors.map(({ opens, knocks }) => common(opens, knocks)));
}

function portsOfUnasked(families: readonly Family[]): Ports {
  return union(...families.map((family) => ({ tcp: [], udp: unaskedPorts(family) })));
}

/** A port's role as bits: what it is called. None: the configuration says nothing of it. */
export const ROLE = {
  knock: 1,
  service: 2,
  allow: 4,
  decoy: 8,
  /** A service that is a knock only for those with a grant of it. */
  chained: 16,
  traced: 32,
} as const;

/** The role of each port, by its key. */
export type RoleTable = Uint8Array;

export function tableOf(roles: Roles): RoleTable {
  const table = new Uint8Array(PORT_KEYS);
  markPorts(table, roles.decoys, ROLE.decoy);
  markPorts(table, roles.traced, ROLE.traced);
  markPorts(table, roles.knocks, ROLE.knock);
  markPorts(table, roles.allow, ROLE.allow);
  markPorts(table, roles.observed, ROLE.knock);
  markPorts(table, roles.services, ROLE.service);
  markPorts(table, roles.ownKnocks, ROLE.knock);
  markPorts(table, roles.chained, ROLE.knock | ROLE.chained);
  return table;
}

/** Adds to what the ports are called. */
export function markPorts(table: RoleTable, ports: Ports, role: number): void {
  for (const protocol of ['tcp', 'udp'] as const)
    for (const { first, last } of ports[protocol]) {
      const offset = portKey(PROTOCOL_NUMBER[protocol], 0);
      for (let key = offset + first; key <= offset + last; key += 1) table[key] = (table[key] ?? 0) | role;
    }
}

/** Whether a packet without a grant reaches the daemon at a port. */
export function isWatched(
  role: number,
  { strikeOnService }: Pick<Config['bans'], 'strikeOnService'>,
): boolean {
  if ((role & ROLE.service) === 0) return (role & (ROLE.knock | ROLE.decoy)) !== 0;
  return (role & ROLE.chained) === 0 && (strikeOnService || (role & ROLE.knock) !== 0);
}
