import type { Family } from '../packet/address.ts';
import type { PortSpec } from '../packet/port.ts';
import type { Config, Door } from './config.ts';
import { common, NO_PORTS, type Ports, portsOf, union, without } from './port-set.ts';

/** What each port of this machine is to the rules, for one family. Every port has one role. */
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
  /** Decoys listed one by one. */
  readonly decoys: Ports;
}

/** The ports in the one-time sequences of a door; none where it has none or they could not be read. */
export type OneTimePorts = (door: Door) => readonly PortSpec[];

export const NO_ONE_TIME: OneTimePorts = () => [];

/** Every port of the door's sequence, of its close sequence and of its one-time sequences. */
export function knocksOf(door: Door, oneTime: OneTimePorts): Ports {
  const knock = 'oneTime' in door.knock ? oneTime(door) : door.knock;
  return portsOf([...knock, ...door.close]);
}

/** True where the door's service has a port on this machine: it is served here, or translated from here. */
export function isHere(door: Door, family: Family): boolean {
  const { forward } = door;
  return forward === null || (forward.dnat && forward.to.address.family === family);
}

export function rolesOf(config: Config, family: Family, oneTime: OneTimePorts): Roles {
  const here = config.doors.filter((door) => isHere(door, family));
  const services = union(...here.map((door) => portsOf(door.opens)));
  const knocks = union(...config.doors.map((door) => knocksOf(door, oneTime)));
  const ownKnocks = union(...here.map((door) => common(portsOf(door.opens), knocksOf(door, oneTime))));
  // A protected port stays protected, whatever else it was called.
  const allow = without(portsOf(config.allow), services);
  const hidden = without(without(knocks, services), allow);
  const decoys = config.decoys === 'all' ? NO_PORTS : portsOf(config.decoys);
  return {
    allow,
    observed: common(allow, knocks),
    services,
    ownKnocks,
    chained: without(common(services, knocks), ownKnocks),
    knocks: hidden,
    decoys: without(without(without(decoys, services), allow), hidden),
  };
}
