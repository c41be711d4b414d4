import { type FlagRule, flagsMatch } from '../packet/flags.ts';
import { type PortRange, type PortSpec, PROTOCOL_NUMBER } from '../packet/port.ts';
import { isUdp, keyOf, type PortKey, portKey } from '../packet/port-key.ts';
import { withinOf } from '../policy/limits.ts';
import { markPorts, ROLE, type RoleTable, rolesAnywhere, tableOf } from '../policy/port-roles.ts';
import { NO_PORTS, portsOf } from '../policy/port-set.ts';
import { type CodePorts, codePortsOf } from './code-ports.ts';
import { type Draft, findKins, isMember, type Kin, NO_KIN, wordsOf } from './kin.ts';
import type { DoorSettings, EngineSettings } from './settings.ts';

/** One order of knocks: the one that opens a door, or the one that closes it. */
export interface Sequence {
  /** Its place in the order of judgement: doors as configured, opening before closing. */
  readonly id: number;
  readonly door: number;
  readonly settings: DoorSettings;
  readonly kind: 'open' | 'close';
  readonly steps: readonly PortKey[];
  /** How many digits of a code each step takes; null: it takes none. */
  readonly digits: readonly number[] | null;
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
  /** Null where no sequence takes a code. */
  readonly codes: CodePorts | null;
  role(key: PortKey): number;
  /** The sequences without kin that open and begin with this port, by ascending id. */
  firsts(key: PortKey): readonly Sequence[];
  /** Those without kin that this port is a step of, by ascending id. */
  containing(key: PortKey): readonly Sequence[];
  /** The one-time sequences that this port was a step of when they were used last, by ascending id. */
  spentAt(key: PortKey): readonly Sequence[];
  /** The same, and the sequences that close of which this port is a step. */
  excusing(key: PortKey): readonly Sequence[];
  /** The kins that open with members that begin with this port, and the kins with a member that it is a step of. */
  kinFirsts(key: PortKey): readonly Kin[];
  kinContaining(key: PortKey): readonly Kin[];
  /** Words that an entry needs to say for which of a kin it stands. */
  readonly words: number;
  /** Whether a packet with these TCP flags is a knock on this port for some door. */
  isKnock(key: PortKey, flags: number): boolean;
  /** Whether the port is a step after the first of some sequence. */
  isLater(key: PortKey): boolean;
  /** The doors that open this port, by index. */
  openers(key: PortKey): readonly number[];
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
  const roles = roleTableOf(settings, knocks);
  const sequences: Draft[] = [];
  const firsts = new Map<PortKey, Sequence[]>();
  const containing = new Map<PortKey, Sequence[]>();
  const spentAt = new Map<PortKey, Sequence[]>();
  const excusing = new Map<PortKey, Sequence[]>();
  const rules = new Map<PortKey, FlagRule[]>();
  const openers = new Map<PortKey, number[]>();
  const later = new Set<PortKey>();
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
      digits: ports.some(({ digits }) => digits !== undefined) ? ports.map(({ digits = 0 }) => digits) : null,
      within: withinOf(doorSettings.within, ports.length),
      spent: used.map(keyOf),
      kin: NO_KIN,
      bit: 0,
      alone: [],
    };
    sequence.alone = [sequence];
    for (const key of sequence.steps.slice(1)) later.add(key);
    // An empty sequence keeps its id, so that ids do not move when a one-time door runs dry; it never begins.
    sequences.push(sequence);
    for (const key of portsIn(sequence)) {
      const { set, clear } = doorSettings.flags;
      if (!rules.get(key)?.some((rule) => rule.set === set && rule.clear === clear))
        append(rules, key, doorSettings.flags);
    }
  }

  settings.doors.forEach((door, index) => {
    addSequence(index, 'open', knocks.now[index] ?? [], knocks.spent[index] ?? []);
    addSequence(index, 'close', door.close, []);
    for (const key of keysOf(door.opens)) append(openers, key, index);
  });
  const codes = codePortsOf(knocks.now.flat());
  const kins = findKins(sequences);
  for (const kin of kins) {
    const opens = kin.everyone[0]?.kind === 'open';
    for (const key of kin.keys()) {
      append(kinContaining, key, kin);
      if (opens && kin.firsts(key) !== undefined) append(kinFirsts, key, kin);
    }
  }
  for (const sequence of sequences) {
    const { kind, steps, spent } = sequence;
    const isOpening = kind === 'open';
    for (const key of new Set(isOpening ? spent : steps)) append(excusing, key, sequence);
    for (const key of new Set(spent)) append(spentAt, key, sequence);
    if (isMember(sequence)) continue;
    const [first] = steps;
    if (isOpening && first !== undefined) append(firsts, first, sequence);
    for (const key of new Set(steps)) append(containing, key, sequence);
  }

  return {
    sequences,
    codes,
    role: (key) => roles[key] ?? 0,
    firsts: (key) => firsts.get(key) ?? NO_SEQUENCES,
    containing: (key) => containing.get(key) ?? NO_SEQUENCES,
    spentAt: (key) => spentAt.get(key) ?? NO_SEQUENCES,
    excusing: (key) => excusing.get(key) ?? NO_SEQUENCES,
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
    isLater: (key) => later.has(key),
    openers: (key) => openers.get(key) ?? NO_DOORS,
  };
}

function portsIn({ steps, spent }: Draft): ReadonlySet<PortKey> {
  return new Set([...steps, ...spent]);
}

/** The engine is not told where a packet was sent to: what is a service of any host is a service. */
export function roleTableOf({ doors, decoys, allow }: EngineSettings, { now, spent }: Knocks): RoleTable {
  const policy = {
    doors: doors.map(({ opens, close }, index) => ({
      knocks: portsOf([...(now[index] ?? []), ...(spent[index] ?? []), ...close]),
      opens: portsOf(opens),
      forward: null,
    })),
    decoys: decoys === 'all' ? decoys : portsOf(decoys),
    allow: portsOf(allow),
    keys: NO_PORTS,
  };
  const table = tableOf(rolesAnywhere(policy));
  // Of a service that is open to everyone too, which no configuration that is read has, visitors are no offenders.
  markPorts(table, policy.allow, ROLE.allow);
  return table;
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
