import type { DoorSettings } from '../../src/engine/settings.ts';
import type { PortRange, PortSpec } from '../../src/packet/port.ts';
import { type Bits, bitsOf } from './address.ts';
import { letsIn } from './grant.ts';
import { flagBits, type RefPacket } from './packet.ts';
import type { Kind, PortText, State } from './state.ts';

/** Answers of DHCP servers come to these unasked for. */
const DHCP_CLIENTS: readonly PortText[] = ['68/udp', '546/udp'];

/** One of the one or two sequences of a door. */
export interface Sequence {
  readonly door: DoorSettings;
  readonly kind: Kind;
  readonly steps: readonly PortText[];
  /** Steps of the sequence that a one-time door had before this one. */
  readonly former: readonly PortText[];
}

/** From the first knock to the last; where the door says nothing three seconds a step, and at least ten. */
export function withinOf({ door, steps }: Pick<Sequence, 'door' | 'steps'>): number {
  if (door.within !== null) return door.within;
  const more = (steps.length - 1) * 3000;
  return Math.max(10_000, more);
}

export function portText(packet: RefPacket): PortText {
  return `${packet.port}/${packet.protocol}`;
}

/** Whether the packet is this step; one with `?` in it takes any digit there. */
export function fits(step: PortText | undefined, packet: RefPacket): boolean {
  if (step === undefined) return false;
  const port = portText(packet);
  if (step === port || !step.includes('?')) return step === port;
  return (
    step.length === port.length &&
    [...step].every((sign, at) => sign === port[at] || isAnyDigit(sign, port[at]))
  );
}

function isAnyDigit(sign: string, digit: string | undefined): boolean {
  return sign === '?' && digit !== undefined && '0123456789'.includes(digit);
}

/** What is said of the packet's port: not the digits of a code. */
export function saidPort(state: State, packet: RefPacket): PortText {
  const code = sequencesOf(state)
    .flatMap(({ steps }) => steps)
    .find((step) => step.includes('?') && fits(step, packet));
  return code ?? portText(packet);
}

/** Every sequence there is, in the order in which packets are held against them. */
export function sequencesOf(state: State): readonly Sequence[] {
  return state.settings.doors.flatMap((door) => {
    const oneTime = state.oneTime.get(door.name);
    const both: Sequence[] = [
      { door, kind: 'open', steps: oneTime?.knock ?? texts(door.knock), former: oneTime?.former ?? [] },
      { door, kind: 'close', steps: texts(door.close), former: [] },
    ];
    return both.filter(({ steps, former }) => steps.length + former.length > 0);
  });
}

/** Whether the packet carries the flags that this door wants. UDP has none to want. */
export function flagsFit(door: DoorSettings, packet: RefPacket): boolean {
  if (packet.protocol === 'udp') return true;
  const flags = flagBits(packet.flags);
  return [1, 2, 4, 8, 16, 32].every((bit) => {
    const set = hasBit(flags, bit);
    if (hasBit(door.flags.set, bit) && !set) return false;
    return !(hasBit(door.flags.clear, bit) && set);
  });
}

/** Whether some door, whatever its flags, has this port in a sequence that this source may knock on. */
export function isSequencePort(state: State, packet: RefPacket): boolean {
  return isReachable(state, packet) && sequencesWith(state, packet).length > 0;
}

/** Whether the packet is a knock for some door: its port is in a sequence, and the flags fit. */
export function isKnock(state: State, packet: RefPacket): boolean {
  return (
    isReachable(state, packet) && sequencesWith(state, packet).some(({ door }) => flagsFit(door, packet))
  );
}

function sequencesWith(state: State, packet: RefPacket): readonly Sequence[] {
  return sequencesOf(state).filter(({ steps, former }) =>
    [...steps, ...former].some((step) => fits(step, packet)),
  );
}

/**
 * Chained doors: a port that doors open can be knocked on only by one whom such a door lets in. Where a door has
 * its own service in a sequence nothing is chained, since that door could never be opened.
 */
function isReachable(state: State, packet: RefPacket): boolean {
  const doors = doorsOpening(state, packet);
  const source = bitsOf(packet.source);
  const itself = sequencesWith(state, packet).some(({ door }) => doors.includes(door));
  return doors.length === 0 || itself || isLetIn(state, source, doors);
}

export function isAllowed(state: State, packet: RefPacket): boolean {
  return within(state.settings.allow, packet);
}

/** The doors that open this port. */
export function doorsOpening(state: State, packet: RefPacket): readonly DoorSettings[] {
  return state.settings.doors.filter((door) => within(door.opens, packet));
}

/** Traceroute by UDP goes up from 33434, and sends no more than a hundred packets. */
function isTraceroute({ protocol, port }: RefPacket): boolean {
  return protocol === 'udp' && port >= 33_434 && port < 33_435 + 100;
}

export function isDecoy(state: State, packet: RefPacket): boolean {
  if (sequencesWith(state, packet).length > 0) return false;
  if (doorsOpening(state, packet).length > 0) return false;
  if (isAllowed(state, packet)) return false;
  if (state.settings.decoys === 'all')
    return !DHCP_CLIENTS.includes(portText(packet)) && !isTraceroute(packet);
  return within(state.settings.decoys, packet);
}

/** Whether a grant of one of these doors is in force for the source. */
export function isLetIn(state: State, source: Bits, doors: readonly DoorSettings[]): boolean {
  return state.grants.some(
    (grant) => doors.some((door) => door.name === grant.door) && letsIn(grant, source),
  );
}

export type FlagKind = 'ordinary' | 'backscatter' | 'null' | 'fin' | 'xmas' | 'ack' | 'maimon' | 'flags';

/** What a packet's flags say of its sender. */
export function flagKind(packet: RefPacket): FlagKind {
  if (packet.protocol === 'udp') return 'ordinary';
  const has = (letter: string): boolean => packet.flags.includes(letter);
  if (has('R') || (has('S') && has('A'))) return 'backscatter';
  if (has('S') && !has('F')) return 'ordinary';
  if (packet.flags === '') return 'null';
  if (packet.flags === 'A') return 'ack';
  if (has('F') && has('S')) return 'flags';
  if (has('F') && has('A')) return 'maimon';
  if (has('F') && has('P') && has('U')) return 'xmas';
  if (has('F')) return 'fin';
  return 'flags';
}

function hasBit(flags: number, bit: number): boolean {
  return Math.floor(flags / bit) % 2 === 1;
}

function within(ranges: readonly PortRange[], packet: RefPacket): boolean {
  return ranges.some(
    (range) => range.protocol === packet.protocol && range.first <= packet.port && packet.port <= range.last,
  );
}

function texts(specs: readonly PortSpec[]): readonly PortText[] {
  return specs.map(({ port, digits = 0, protocol }) => {
    const text = String(port);
    return `${text.slice(0, text.length - digits)}${'?'.repeat(digits)}/${protocol}`;
  });
}
