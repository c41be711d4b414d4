import type { Family } from '../../src/packet/address.ts';
import { type Cidr, contains } from '../../src/packet/cidr.ts';
import type { PortRange, PortSpec } from '../../src/packet/port.ts';
import type { Config, Door } from '../../src/policy/config.ts';
import type { Wire } from './netfilter.ts';

/*
 * What must become of a packet, said from the configuration alone: no rules, no chains, no lists of ports.
 */

/** `seen`: the daemon gets it, and nobody else. */
export type Meant = 'accept' | 'drop' | 'seen' | 'untouched';

export interface Standing {
  readonly banned: boolean;
  /** Doors whose grants name the source. */
  readonly granted: readonly string[];
  /** Networks that this machine is in, and the ports of its own questions. */
  readonly neighbours: readonly Cidr[];
  readonly questions: { readonly first: number; readonly last: number };
}

/** Where a DHCP client listens: with `decoys: all` it is no decoy. */
const DHCP_CLIENT: Readonly<Record<Family, number>> = { 4: 68, 6: 546 };

type Port = Pick<Wire, 'protocol' | 'port'>;

/** To this machine. */
export function meantInput(config: Config, wire: Wire, standing: Standing): Meant {
  const { family } = wire.source;
  const { bans, decoys } = config;
  if (!isWatched(config, wire.comesIn)) return 'untouched';
  if (wire.protocol === 'ipv6-icmp' && wire.state === 'UNTRACKED') return 'untouched';
  // Told to leave it to others, nfknock decides on nothing that is none of its own.
  const notOurs = config.accept === 'return' ? 'untouched' : 'accept';
  const banned = standing.banned && bans.enforce;
  if (wire.state === 'ESTABLISHED') return banned && isCutAnswer(config, wire) ? 'drop' : notOurs;
  if (banned && bans.scope === 'all') return 'drop';
  if (wire.protocol === 'ipv6-icmp') return 'untouched';
  // What the daemon may be given: an answer that nobody tracks to a connection is none.
  const shown = banned || wire.state === 'RELATED' ? 'drop' : 'seen';

  const doors = config.doors.filter((door) => isHere(door, family));
  const mine = doors.filter((door) => opens(door, wire));
  const knock = config.doors.some((door) => knocks(door, wire));
  if (mine.length > 0) {
    // A session of a service that somebody has taken out of tracking: what has ACK opens none.
    if (isUntrackedSession(wire)) return 'untouched';
    if (banned) return 'drop';
    const own = mine.some((door) => knocks(door, wire));
    const chained = knock && !own;
    const letIn = mine.some(({ name, forward }) => forward === null && standing.granted.includes(name));
    if (letIn && wire.state === 'NEW') return chained ? 'seen' : 'accept';
    return own || (bans.strikeOnService && !chained) ? shown : 'drop';
  }
  if (config.allow.some((range) => holds(range, wire))) return wire.state === 'NEW' ? notOurs : 'untouched';
  if (knock) return shown;
  if (!wire.local) return 'untouched';
  if (decoys !== 'all') return decoys.some((range) => holds(range, wire)) ? shown : 'untouched';
  if (wire.protocol === 'udp' && wire.port === DHCP_CLIENT[family]) return 'untouched';
  if (answersAQuestion(wire, standing)) return 'untouched';
  const traced = wire.protocol === 'udp' && wire.port >= 33_434 && wire.port <= 33_534;
  return wire.state === 'NEW' || wire.state === 'INVALID' ? (traced ? 'drop' : shown) : 'untouched';
}

/** `bans.cut`: to a service that sends unasked, and is heard of no more by whoever is banned there. */
function isCutAnswer({ bans, allow, doors }: Config, wire: Wire): boolean {
  if (!bans.cut || wire.reply !== true || wire.protocol !== 'udp') return false;
  const isService = doors.some((door) => isHere(door, wire.source.family) && opens(door, wire));
  return isService || (bans.scope === 'all' && allow.some((range) => holds(range, wire)));
}

/** Whether its service is met at this machine's own ports. */
function isHere({ forward }: Door, family: Family): boolean {
  return forward === null || (forward.dnat && forward.to.address.family === family);
}

/** A socket waits there that is connected to nobody, as after a question to all the network. */
function answersAQuestion(wire: Wire, { neighbours, questions }: Standing): boolean {
  if (wire.protocol !== 'udp' || !wire.socket) return false;
  if (wire.port < questions.first || wire.port > questions.last) return false;
  return neighbours.some((network) => contains(network, wire.source));
}

/** Whoever is not let in is told that nothing listens there; what may be part of a connection is told nothing. */
export function isAnswered({ answer }: Config, wire: Wire, meant: Meant): boolean {
  if (answer === 'drop' || (meant !== 'drop' && meant !== 'seen')) return false;
  return wire.protocol === 'udp' || (wire.protocol === 'tcp' && !(wire.ack && wire.socket));
}

/** A copy goes to the daemon, whatever becomes of the packet: a knock at a port that is open to everyone. */
export function isCopied(config: Config, wire: Wire, standing: Standing): boolean {
  const meant = meantInput({ ...config, accept: 'own' }, wire, standing);
  if (meant !== 'accept' || wire.state !== 'NEW') return false;
  return (
    config.allow.some((range) => holds(range, wire)) &&
    config.doors.some((door) => knocks(door, wire)) &&
    !config.doors.some((door) => opens(door, wire) && door.forward === null)
  );
}

/** Through this machine to a service behind it: must a stranger be kept from it? */
export function isBehind(config: Config, wire: Wire): readonly Door[] {
  return config.doors.filter(
    (door) => door.forward !== null && contains(door.forward.to, wire.destination) && opens(door, wire),
  );
}

/** Part of a TCP connection that nobody tracks. */
function isUntrackedSession({ protocol, state, ack }: Wire): boolean {
  return protocol === 'tcp' && state === 'UNTRACKED' && ack;
}

function isWatched({ listen }: Config, name: string): boolean {
  if (listen.interfaces.length === 0) return name !== 'lo';
  return listen.interfaces.some((each) =>
    each.endsWith('+') ? name.startsWith(each.slice(0, -1)) : name === each,
  );
}

export function opens(door: Door, port: Port): boolean {
  return door.opens.some((range) => holds(range, port));
}

function knocks({ knock, close }: Door, port: Port): boolean {
  const steps: readonly PortSpec[] = 'oneTime' in knock ? close : [...knock, ...close];
  return steps.some((step) => step.protocol === port.protocol && step.port === port.port);
}

function holds({ protocol, first, last }: PortRange, port: Port): boolean {
  return protocol === port.protocol && port.port >= first && port.port <= last;
}
