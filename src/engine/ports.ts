import { type FlagRule, flagsMatch } from '../packet/flags.ts';
import { PORT_MAX, type Port, type PortRange, type PortSpec, PROTOCOL_NUMBER } from '../packet/port.ts';
import { unaskedPorts, withinOf } from '../policy/limits.ts';
import { type Draft, findKins, type Kin, NO_KIN, wordsOf } from './kin.ts';
import type { DoorSettings, EngineSettings } from './settings.ts';

/** What a port is for; a port can be several. */
export const ROLE = { knock: 1, service: 2, allow: 4, decoy: 8, decoyByAll: 16 } as const;

/** A protocol and a port in one number: the port, and 65536 more for UDP. */
export type PortKey = number;
const UDP_KEY = PORT_MAX + 1;

export function portKey(protocol: number, port: number): PortKey {
  return protocol === PROTOCOL_NUMBER.udp ? UDP_KEY + port : port;
}

export function keyOf(spec: PortSpec): PortKey {
  return portKey(PROTOCOL_NUMBER[spec.protocol], spec.port);
}

export function isUdp(key: PortKey): boolean {
  return key >= UDP_KEY;
}

export function specOf(key: PortKey): PortSpec {
  return isUdp(key)
    ? { protocol: 'udp', port: (key - UDP_KEY) as Port }
    : { protocol: 'tcp', port: key as Port };
}

/** One order of knocks: the one that opens a door, or the one that closes it. */
export interface Sequence {
  /** Its place in the order of judgement: doors as configured, opening before closing. */
  readonly id: number;
  readonly door: number;
  readonly settings: DoorSettings;
  readonly kind: 'open' | 'close';
  readonly steps: readonly PortKey[];
  /** From the first knock to the last, in milliseconds. */
  readonly within: number;
  /** The steps of the one-time sequence that opened this door last: their repeats are still known. */
  readonly spent: readonly PortKey[];
  /** Those that an entry may stand for together with this one; without members: none. */
  readonly kin: Kin;
  /** Its place among them. */
  readonly bit: number;
  /** Itself, as a list. */
  readonly alone: readonly Sequence[];
}

/** The configuration seen from its ports. */
export interface Ports {
  readonly sequences: readonly Sequence[];
  role(key: PortKey): number;
  /** The sequences without kin that begin with this port, by ascending id. */
  firsts(key: PortKey): readonly Sequence[];
  /** Those without kin that this port is a step of, now or in the one-time sequence used last, by ascending id. */
  containing(key: PortKey): readonly Sequence[];
  /** The kins of sequences that begin with this port, and those with a member that it is a step of. */
  kinFirsts(key: PortKey): readonly Kin[];
  kinContaining(key: PortKey): readonly Kin[];
  /** Words that an entry needs to say for which of a kin it stands. */
  readonly words: number;
  /** Whether a packet with these TCP flags is a knock on this port for some door. */
  isKnock(key: PortKey, flags: number): boolean;
  /** The doors that open this port, by index. */
  openers(key: PortKey): readonly number[];
  /** Chained doors: whether a knock port that doors open is one that no door both opens and knocks on. */
  isGated(key: PortKey): boolean;
}

const NO_SEQUENCES: readonly Sequence[] = [];
const NO_KINS: readonly Kin[] = [];
const NO_DOORS: readonly number[] = [];

/** What opens each door now, and for a one-time door what opened it last; by the door's index. */
export interface Knocks {
  readonly now: (readonly PortSpec[])[];
  readonly spent: (readonly PortSpec[])[];
}

export function createPorts(settings: EngineSettings, knocks: Knocks): Ports {
  const roles = new Uint8Array(2 * UDP_KEY);
  const sequences: Draft[] = [];
  const firsts = new Map<PortKey, Sequence[]>();
  const containing = new Map<PortKey, Sequence[]>();
  const rules = new Map<PortKey, FlagRule[]>();
  const openers = new Map<PortKey, number[]>();
  const kinFirsts = new Map<PortKey, Kin[]>();
  const kinContaining = new Map<PortKey, Kin[]>();

  function addSequence(
    door: number,
    kind: 'open' | 'close',
    ports: readonly PortSpec[],
    used: readonly PortSpec[],
  ): void {
    const doorSettings = settings.doors[door];
    if (doorSettings === undefined) return;
    const sequence: Draft = {
      id: sequences.length,
      door,
      settings: doorSettings,
      kind,
      steps: ports.map(keyOf),
      within: withinOf(doorSettings.within, ports.length),
      spent: used.map(keyOf),
      kin: NO_KIN,
      bit: 0,
      alone: [],
    };
    sequence.alone = [sequence];
    // An empty sequence keeps its id, so that ids do not move when a one-time door runs dry; it never begins.
    sequences.push(sequence);
    for (const key of portsIn(sequence)) {
      roles[key] = (roles[key] ?? 0) | ROLE.knock;
      const { set, clear } = doorSettings.flags;
      if (!rules.get(key)?.some((rule) => rule.set === set && rule.clear === clear))
        append(rules, key, doorSettings.flags);
    }
  }

  settings.doors.forEach((door, index) => {
    addSequence(index, 'open', knocks.now[index] ?? [], knocks.spent[index] ?? []);
    addSequence(index, 'close', door.close, []);
    for (const key of keysOf(door.opens)) {
      roles[key] = (roles[key] ?? 0) | ROLE.service;
      append(openers, key, index);
    }
  });
  const kins = findKins(sequences);
  for (const kin of kins) {
    const [first] = kin.members[0]?.steps ?? [];
    if (first !== undefined) append(kinFirsts, first, kin);
    for (const key of kin.parts.keys()) append(kinContaining, key, kin);
  }
  for (const sequence of sequences) {
    if (sequence.kin !== NO_KIN) continue;
    const [first] = sequence.steps;
    if (first !== undefined) append(firsts, first, sequence);
    for (const key of portsIn(sequence)) append(containing, key, sequence);
  }
  for (const key of keysOf(settings.allow)) roles[key] = (roles[key] ?? 0) | ROLE.allow;
  markDecoys(roles, settings.decoys);

  return {
    sequences,
    role: (key) => roles[key] ?? 0,
    firsts: (key) => firsts.get(key) ?? NO_SEQUENCES,
    containing: (key) => containing.get(key) ?? NO_SEQUENCES,
    kinFirsts: (key) => kinFirsts.get(key) ?? NO_KINS,
    kinContaining: (key) => kinContaining.get(key) ?? NO_KINS,
    words: wordsOf(kins),
    isKnock(key, flags) {
      const wanted = rules.get(key);
      if (wanted === undefined) return false;
      if (isUdp(key)) return true;
      for (const rule of wanted) if (flagsMatch(rule, flags)) return true;
      return false;
    },
    openers: (key) => openers.get(key) ?? NO_DOORS,
    isGated: (key) => {
      const knocking = sequences.filter((sequence) => sequence.steps.includes(key));
      return !knocking.some((sequence) => openers.get(key)?.includes(sequence.door));
    },
  };
}

function portsIn({ steps, spent }: Draft): ReadonlySet<PortKey> {
  return new Set([...steps, ...spent]);
}

function markDecoys(roles: Uint8Array, decoys: EngineSettings['decoys']): void {
  if (decoys !== 'all') {
    for (const key of keysOf(decoys)) if (roles[key] === 0) roles[key] = ROLE.decoy;
    return;
  }
  const unasked = new Set<PortKey>();
  for (const { first, last } of [...unaskedPorts(4), ...unaskedPorts(6)])
    for (let port = first; port <= last; port += 1) unasked.add(portKey(PROTOCOL_NUMBER.udp, port));
  for (let key = 0; key < roles.length; key += 1) {
    if (roles[key] === 0 && !unasked.has(key)) roles[key] = ROLE.decoy | ROLE.decoyByAll;
  }
}

function* keysOf(ranges: readonly PortRange[]): Iterable<PortKey> {
  for (const { protocol, first, last } of ranges) {
    for (let port: number = first; port <= last; port += 1) yield portKey(PROTOCOL_NUMBER[protocol], port);
  }
}

function append<Key, Item>(map: Map<Key, Item[]>, key: Key, item: Item): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [item]);
  else list.push(item);
}
