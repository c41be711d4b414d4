import { type Address, type Family, formatAddress } from '../../packet/address.ts';
import { type Cidr, formatCidr, HOST_BITS } from '../../packet/cidr.ts';
import type { Config, Door } from '../../policy/config.ts';
import { NO_ONE_TIME, type OneTimePorts, type Roles, rolesBehind, rolesOf } from '../../policy/port-roles.ts';
import { common, dports, portsOf, without } from '../../policy/port-set.ts';
import { type Answers, NO_ANSWERS, sameAnswers } from './answers.ts';
import { toDaemon } from './hand-over.ts';
import { markOpenings } from './mark.ts';
import { CHAIN, type Table } from './names.ts';

/** What the rules are made from: a configuration, looked through once. */
export interface Layout {
  readonly config: Config;
  readonly oneTime: OneTimePorts;
  readonly roles: Readonly<Record<Family, Roles>>;
  /** Hosts behind this machine that have services of doors, in the order of the doors. */
  readonly behind: readonly HostBehind[];
  readonly doors: ReadonlyMap<string, Door>;
  /** By the door's name: what a grant of it is made of. */
  readonly openings: Readonly<Record<Family, ReadonlyMap<string, readonly Opening[]>>>;
  /** Let through where every port is a decoy. */
  readonly answers: Answers;
}

export interface HostBehind {
  readonly to: Cidr;
  readonly roles: Roles;
}

/** One rule of a grant, less who is let in and until when. */
export interface Opening {
  readonly table: Table;
  readonly chain: string;
  readonly match: string;
  readonly target: string;
}

export function layoutOf(config: Config, oneTime: OneTimePorts = NO_ONE_TIME): Layout {
  const roles = { 4: rolesOf(config, 4, oneTime), 6: rolesOf(config, 6, oneTime) };
  const openings = (family: Family): ReadonlyMap<string, readonly Opening[]> =>
    new Map(
      config.doors.map((door) => [
        door.name,
        [...openingsOf(config, door, family, roles[family]), ...markOpenings(door, family)],
      ]),
    );
  return {
    config,
    oneTime,
    roles,
    behind: hostsBehind(config, oneTime),
    doors: new Map(config.doors.map((door) => [door.name, door])),
    openings: { 4: openings(4), 6: openings(6) },
    answers: NO_ANSWERS,
  };
}

function hostsBehind(config: Config, oneTime: OneTimePorts): readonly HostBehind[] {
  const hosts = config.doors.flatMap(({ forward }) => (forward === null ? [] : [forward.to]));
  const distinct = new Map(hosts.map((to) => [formatCidr(to), to]));
  return [...distinct.values()].map((to) => ({ to, roles: rolesBehind(config, to, oneTime) }));
}

/** The same layout where nothing changes by it. */
export function withAnswers(layout: Layout, answers: Answers): Layout {
  return sameAnswers(layout.answers, answers) ? layout : { ...layout, answers };
}

/** The host that a door's service runs on; throws for a door whose service is here. */
export function targetOf(door: Door): Cidr {
  if (door.forward === null) throw new TypeError(`door ${door.name} forwards nothing`);
  return door.forward.to;
}

function openingsOf(config: Config, door: Door, family: Family, roles: Roles): readonly Opening[] {
  const opens = portsOf(door.opens);
  if (door.forward !== null) return forwardOpenings(door, family);
  const next = common(opens, roles.chained);
  const opening = (match: string, target: string): Opening => ({
    table: 'filter',
    chain: CHAIN.grant,
    match,
    target,
  });
  return [
    ...dports(without(opens, next)).map((match) => opening(match, '-j ACCEPT')),
    // What it opens is the next door's knock: to be seen by the daemon, not by a service.
    ...dports(next).flatMap((match) => toDaemon(config, 'input').map((target) => opening(match, target))),
  ];
}

/**
 * Of a service behind this machine. Where this machine's port is translated, it is so for the grantee only:
 * should someone take our jump out of FORWARD, the service is still reached by nobody else.
 */
function forwardOpenings(door: Door, family: Family): readonly Opening[] {
  const to = targetOf(door);
  if (to.address.family !== family) return [];
  return dports(portsOf(door.opens)).flatMap((match): Opening[] => {
    const accept: Opening = {
      table: 'filter',
      chain: CHAIN.forwardGrant,
      match: `-d ${formatCidr(to)} ${match}`,
      target: '-j ACCEPT',
    };
    if (door.forward?.dnat !== true) return [accept];
    const target = `-j DNAT --to-destination ${formatAddress(hostOf(door, to))}`;
    return [accept, { table: 'nat', chain: CHAIN.translate, match, target }];
  });
}

function hostOf(door: Door, to: Cidr): Address {
  if (to.bits !== HOST_BITS[to.address.family]) {
    throw new RangeError(`door ${door.name}: \`forward\` with \`dnat\` needs one host`);
  }
  return to.address;
}
