import { isScalar, type Node } from 'yaml';
import type { Cidr } from '../packet/cidr.ts';
import { type FlagRule, TCP_FLAG } from '../packet/flags.ts';
import { formatPort, type PortRange, type PortSpec, parsePort } from '../packet/port.ts';
import { type Milliseconds, milliseconds } from '../packet/time.ts';
import { DOOR_NAME_MAX, isDoorName } from '../policy/door-name.ts';
import type { Reading, Spot } from './document.ts';
import { quoted } from './fault.ts';
import {
  entriesOf,
  type Field,
  type Fields,
  type Found,
  field,
  integer,
  listOf,
  orNull,
  type Read,
  section,
  textOf,
  truth,
  type Wanted,
  wrong,
} from './read.ts';
import { argument, duration, flagRule, grantee, host, knockPort, path, portRange, ZERO } from './value.ts';

/** Steps of a sequence: knockd's own limit. */
export const STEPS_MAX = 32;
/** Doors of one configuration. */
const DOORS_MAX = 1024;
/** Ports and ranges in one list. */
const PORTS_MAX = 1024;
/** Words of a command. */
const ARGUMENTS_MAX = 64;
const TOLERATE_MAX = 100;
const USES_MAX = 1_000_000;
const HOLDERS_MAX = 65_536;

const ms = milliseconds;
export const DAY: Milliseconds = ms(86_400_000);
const GAP_MAX: Milliseconds = ms(8000);
const FOR: Milliseconds = ms(30_000);
/** A client's first packet: SYN, and none of FIN, RST and ACK. */
const SYN: FlagRule = { set: TCP_FLAG.syn, clear: TCP_FLAG.fin | TCP_FLAG.rst | TCP_FLAG.ack };

/** What a command's words may hold; each stands for what the door knows. */
const PLACEHOLDERS = ['%IP%', '%DOOR%', '%PORTS%'];

type Steps = readonly Found<PortSpec>[];
type Argv = readonly string[] | null;

export type DoorShape = {
  readonly knock: Field<Steps | null>;
  readonly one_time: Field<string | null>;
  readonly within: Field<Milliseconds | null>;
  readonly gap: Field<Fields<{ readonly min: Field<Milliseconds>; readonly max: Field<Milliseconds> }>>;
  readonly tolerate: Field<number>;
  readonly flags: Field<FlagRule>;
  readonly opens: Field<readonly Found<PortRange>[]>;
  readonly for: Field<Milliseconds>;
  readonly close: Field<Steps>;
  readonly uses: Field<number | null>;
  readonly holders: Field<number | null>;
  readonly grant: Field<'source' | 'any' | Cidr>;
  readonly forward: Field<Cidr | null>;
  readonly dnat: Field<boolean>;
  readonly on_open: Field<Argv>;
  readonly on_close: Field<Argv>;
};

/** A door as it stands in the file. */
export interface DoorEntry {
  readonly name: string;
  readonly spot: Spot;
  readonly fields: Fields<DoorShape>;
}

const steps = listOf(knockPort, 'a list of ports, one for each knock', 1, STEPS_MAX);

const KNOCKS: Wanted = {
  noun: 'a list of ports',
  form: 'one port for each knock, for example [7000/tcp, 8000/udp, 9000/tcp]',
};
const COMMAND: Wanted = {
  noun: 'a list of words',
  form: 'a program and its arguments, for example ["/usr/local/bin/notify", "%IP%"]',
};
const DOORS: Wanted = {
  noun: 'a mapping of doors',
  form: 'doors by their names, for example "ssh: { knock: [7000/tcp, 8000/udp, 9000/tcp], opens: [22/tcp] }"',
};

/** The sequence; a text instead of a list is probably a file, or knockd's form. */
const sequence: Read<Steps> = (node, spot, reading) => {
  const text = textOf(node);
  if (text?.startsWith('/') === true) {
    return wrong(node, spot, reading, KNOCKS, `for a file of sequences write "one_time: ${text}"`);
  }
  const words = text?.split(/[\s,]+/).map((word) => parsePort(word.replace(':', '/').toLowerCase())) ?? [];
  const ports = words.flatMap((port) => (port === undefined ? [] : [formatPort(port)]));
  if (text !== undefined && ports.length === words.length) {
    return wrong(node, spot, reading, KNOCKS, `write [${ports.slice(0, STEPS_MAX).join(', ')}]`);
  }
  return steps(node, spot, reading);
};

export const ports: Read<readonly Found<PortRange>[]> = listOf(portRange, 'a list of ports', 0, PORTS_MAX);

const command: Read<readonly string[]> = (node, spot, reading) => {
  const text = isScalar(node) && typeof node.value === 'string' ? node.value : undefined;
  if (text !== undefined) {
    const words = text.split(/\s+/).filter((word) => word !== '');
    const hint = `no shell is run: write the words as a list, [${words.slice(0, 6).map(quoted).join(', ')}]`;
    return wrong(node, spot, reading, COMMAND, hint);
  }
  const words = listOf(
    argument,
    'a list of words, the first an absolute path',
    1,
    ARGUMENTS_MAX,
  )(node, spot, reading);
  if (words === undefined) return undefined;
  let sound = words.every(({ value }) => value !== undefined);
  words.forEach(({ value, spot: place }, index) => {
    if (value === undefined) return;
    if (index === 0 && (!value.startsWith('/') || value.includes('%'))) {
      sound = false;
      const fix = 'expected a path that begins with /, for example /usr/local/bin/notify';
      reading.fault(place, `${quoted(value)} is not the absolute path of a program`, fix);
    }
    for (const [word] of value.matchAll(/%[A-Za-z][A-Za-z0-9_]+%/g)) {
      if (PLACEHOLDERS.includes(word)) continue;
      sound = false;
      const meant = PLACEHOLDERS.includes(word.toUpperCase()) ? `; write ${word.toUpperCase()}` : '';
      const fix = `expected %IP%, %DOOR% or %PORTS%${meant}`;
      reading.fault(place, `${quoted(word)} is not a known placeholder`, fix);
    }
  });
  return sound ? words.map(({ value = '' }) => value) : undefined;
};

const shape: DoorShape = {
  knock: field(orNull(sequence), null),
  one_time: field(orNull(path), null),
  within: field(orNull(duration(ms(1), DAY)), null),
  gap: section({ min: field(duration(ZERO, DAY), ZERO), max: field(duration(ms(1), DAY), GAP_MAX) }),
  tolerate: field(integer(0, TOLERATE_MAX), 0),
  flags: field(flagRule, SYN),
  opens: field(ports, []),
  for: field(duration(ms(1000)), FOR),
  close: field(listOf(knockPort, 'a list of ports, one for each knock', 0, STEPS_MAX), []),
  uses: field(orNull(integer(1, USES_MAX)), null),
  holders: field(orNull(integer(1, HOLDERS_MAX)), null),
  grant: field(grantee, 'source'),
  forward: field(orNull(host), null),
  dnat: field(truth, false),
  on_open: field(orNull(command), null),
  on_close: field(orNull(command), null),
};

const door = section(shape);

export const doors: Field<readonly DoorEntry[]> = {
  read: readDoors,
  absent: (spot, reading) => {
    reading.fault(
      spot,
      'the key doors is missing',
      `expected ${DOORS.form}; for decoys and bans alone write "doors: {}"`,
    );
    return undefined;
  },
};

function readDoors(node: Node | null, spot: Spot, reading: Reading): readonly DoorEntry[] | undefined {
  const entries = entriesOf(node, spot, reading, DOORS);
  if (entries === undefined) return undefined;
  if (entries.size > DOORS_MAX)
    reading.fault(spot, `there are ${entries.size} doors`, `write at most ${DOORS_MAX}`);
  const found: DoorEntry[] = [];
  for (const [name, entry] of entries) {
    if (!isDoorName(name)) {
      const meant = name
        .toLowerCase()
        .replaceAll(/[^a-z0-9_-]+/g, '-')
        .replace(/^-+/, '')
        .slice(0, DOOR_NAME_MAX);
      reading.fault(
        { at: entry.keyAt, key: entry.spot.key },
        `${quoted(name)} is not a name for a door`,
        `expected 1 to ${DOOR_NAME_MAX} of a-z, 0-9, _ and -, not - first, for example ${meant === '' ? 'door' : meant}`,
      );
    }
    const fields = door.read(entry.node, entry.spot, reading);
    if (fields !== undefined) found.push({ name, spot: { at: entry.keyAt, key: entry.spot.key }, fields });
  }
  return found;
}
