import { isScalar } from 'yaml';
import type { Cidr } from '../packet/cidr.ts';
import type { FlagRule } from '../packet/flags.ts';
import { formatPort, type PortRange, type PortSpec, parsePort } from '../packet/port.ts';
import { type Milliseconds, milliseconds } from '../packet/time.ts';
import { quoted } from '../text/plain.ts';
import { type Field, type Fields, field, section } from './field.ts';
import { integer, type Kind, listOf, orNull, type Schema, truth } from './kind.ts';
import { type Found, type Read, textOf, type Wanted, wrong } from './read.ts';
import {
  ARGUMENT_CHARACTERS_MAX,
  argument,
  duration,
  flagRule,
  grantee,
  host,
  knockPort,
  knockStep,
  packetMark,
  path,
  portRange,
  ZERO,
} from './value.ts';

/** Steps of a sequence: knockd's own limit. */
export const STEPS_MAX = 32;
/** Ports and ranges in one list. */
const PORTS_MAX = 1024;
/** Words of a command. */
const ARGUMENTS_MAX = 64;
const TOLERATE_MAX = 100;
const USES_MAX = 1_000_000;
const HOLDERS_MAX = 65_536;
/** A code of more than five minutes ago is one that others may have read. */
const CODE_STEPS_MAX = 10;

const ms = milliseconds;
export const DAY: Milliseconds = ms(86_400_000);

/** What a command's words may hold; each stands for what the door knows. */
const PLACEHOLDERS = ['%IP%', '%DOOR%', '%PORTS%', '%KEY%', '%PERSON%', '%MEMBER%'];

type Steps = readonly Found<PortSpec>[];
type Argv = readonly string[] | null;

export type DoorShape = {
  readonly knock: Field<Steps | null>;
  readonly one_time: Field<string | null>;
  readonly code_steps: Field<Fields<{ readonly back: Field<number>; readonly ahead: Field<number> }>>;
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
  readonly grant_mark: Field<number | null>;
  readonly on_open: Field<Argv>;
  readonly on_close: Field<Argv>;
};

/** Instead of a sequence: the door opens by key alone. */
const BY_KEY = 'spa';

const steps: Kind<Steps> = listOf(knockStep, 'a list of ports, one for each knock', [1, STEPS_MAX]);

const KNOCKS: Wanted = {
  noun: 'a list of ports',
  form: 'one port for each knock, for example [7000/tcp, 8000/udp, 9000/tcp]',
};
const COMMAND: Wanted = {
  noun: 'a list of words',
  form: 'a program and its arguments, for example ["/usr/local/bin/notify", "%IP%"]',
};

/** The sequence; a text instead of a list is probably a file, or knockd's form. */
const readSequence: Read<Steps> = (node, spot, reading) => {
  const text = textOf(node);
  if (text === BY_KEY) return [];
  if (text?.startsWith('/') === true) {
    return wrong(node, spot, reading, {
      ...KNOCKS,
      meant: `for a file of sequences write "one_time: ${text}"`,
    });
  }
  if (text?.toLowerCase() === BY_KEY)
    return wrong(node, spot, reading, { ...KNOCKS, meant: `write ${BY_KEY}` });
  const words = text?.split(/[\s,]+/).map((word) => parsePort(word.replace(':', '/').toLowerCase())) ?? [];
  const ports = words.flatMap((port) => (port === undefined ? [] : [formatPort(port)]));
  if (text !== undefined && ports.length === words.length) {
    return wrong(node, spot, reading, {
      ...KNOCKS,
      meant: `write [${ports.slice(0, STEPS_MAX).join(', ')}]`,
    });
  }
  return steps.read(node, spot, reading);
};
const sequence: Kind<Steps> = {
  takes: `${steps.takes}; or \`${BY_KEY}\``,
  schema: { anyOf: [{ const: BY_KEY }, steps.schema] },
  read: readSequence,
};

export const ports: Kind<readonly Found<PortRange>[]> = listOf(portRange, 'a list of ports', [0, PORTS_MAX]);

const commandWords: Kind<readonly Found<string>[]> = listOf(
  argument,
  'a list of words, the first an absolute path',
  [1, ARGUMENTS_MAX],
);
/** Text in which every placeholder is a known one. */
const KNOWN_PLACEHOLDERS = '([^%\\u0000]|%(IP|DOOR|PORTS|KEY|PERSON|MEMBER)%|%(?![A-Za-z][A-Za-z0-9_]+%))*';

const readCommand: Read<readonly string[]> = (node, spot, reading) => {
  const text = isScalar(node) && typeof node.value === 'string' ? node.value : undefined;
  if (text !== undefined) {
    const words = text.split(/\s+/).filter((word) => word !== '');
    const meant = `no shell is run: write the words as a list, [${words.slice(0, 6).map(quoted).join(', ')}]`;
    return wrong(node, spot, reading, { ...COMMAND, meant });
  }
  const words = commandWords.read(node, spot, reading);
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
      const fix = `expected %IP%, %DOOR%, %PORTS%, %KEY%, %PERSON% or %MEMBER%${meant}`;
      reading.fault(place, `${quoted(word)} is not a known placeholder`, fix);
    }
  });
  return sound ? words.map(({ value = '' }) => value) : undefined;
};

const command: Kind<readonly string[]> = {
  read: readCommand,
  takes: commandWords.takes,
  schema: {
    ...commandWords.schema,
    items: [{ type: 'string', pattern: '^/[^%\\u0000]*$', maxLength: ARGUMENT_CHARACTERS_MAX }],
    additionalItems: { ...argument.schema, pattern: `^${KNOWN_PLACEHOLDERS}$` },
  },
};

const shape: DoorShape = {
  knock: field(orNull(sequence), {
    fallback: null,
    means:
      'the sequence: ports such as `7000/tcp` or `8000/udp`; a bare number is tcp. In `1????/tcp` each `?` is the next digit of a one-time code, of which a sequence takes 6 to 8',
  }),
  one_time: field(orNull(path), {
    fallback: null,
    means: 'instead of `knock`: a file with one sequence a line, each of which opens once',
  }),
  code_steps: section({
    means:
      'with a one-time code: which codes are taken besides the present one, each of which is shown for 30 s',
    shape: {
      back: field(integer(0, CODE_STEPS_MAX), { fallback: 2, means: 'as many before it' }),
      ahead: field(integer(0, CODE_STEPS_MAX), { fallback: 1, means: 'as many after it' }),
    },
  }),
  within: field(orNull(duration(ms(1), DAY)), {
    fallback: null,
    means:
      'the longest time from first to last knock; `null`: the greater of 10 s and 3 s for each knock after the first',
  }),
  gap: section({
    means: 'the time between two knocks',
    shape: {
      min: field(duration(ZERO, DAY), { fallback: '0ms', means: 'sooner than this is an offence' }),
      max: field(duration(ms(1), DAY), {
        fallback: '8s',
        means:
          'later than this is too late. Where it is not given and `within` is: half of `within` if that is longer than 8 s, and all of it if it is shorter',
      }),
    },
  }),
  tolerate: field(integer(0, TOLERATE_MAX), {
    fallback: 0,
    means: 'wrong packets that are let pass within one attempt, since forged ones can disturb a knocker',
  }),
  flags: field(flagRule, {
    fallback: 'syn',
    means: 'which TCP flags a knock has, such as `syn,!ack`; a packet without them is ignored',
  }),
  opens: field(ports, {
    fallback: [],
    means: 'the protected ports: `[22/tcp]`, ranges such as `6000-6100/tcp` too',
  }),
  for: field(duration(ms(1000)), {
    fallback: '30s',
    means: 'how long new connections are let in; established ones stay',
  }),
  close: field(listOf(knockPort, 'a list of ports, one for each knock', [0, STEPS_MAX]), {
    fallback: [],
    means: 'a sequence that ends the grant',
  }),
  uses: field(orNull(integer(1, USES_MAX)), {
    fallback: null,
    means: 'the grant ends after this many connections, each counted once both sides have spoken',
  }),
  holders: field(orNull(integer(1, HOLDERS_MAX)), {
    fallback: null,
    means: 'most grants at once; one more ends the oldest',
  }),
  grant: field(grantee, { fallback: 'source', means: 'which addresses are let in' }),
  forward: field(orNull(host), {
    fallback: null,
    means: 'the host behind this machine that has the service',
  }),
  dnat: field(truth, {
    fallback: false,
    means: "with `forward`: this machine's port is translated to that host",
  }),
  grant_mark: field(orNull(packetMark), {
    fallback: null,
    means:
      "a mark such as `0x4e46` that packets of a grant, and knocks, carry before any table judges them, so that a table of others (native nftables, firewalld) accepts by it; it takes the place of another program's mark",
  }),
  on_open: field(orNull(command), {
    fallback: null,
    means:
      'a command as a list of words, run without a shell; `%IP%`, `%DOOR%` and `%PORTS%` are filled in, `%KEY%` and `%PERSON%` where a key opened the door, and `%MEMBER%` in a fleet: where it was knocked at',
  }),
  on_close: field(orNull(command), { fallback: null, means: 'the same when the grant ends' }),
};

/** What `conflicts` refuses, as far as JSON Schema can say it. */
const RULES: readonly Schema[] = [
  {
    oneOf: [
      { properties: { knock: { type: ['array', 'string'] } }, required: ['knock'] },
      { properties: { one_time: { type: 'string' } }, required: ['one_time'] },
    ],
  },
  {
    if: { properties: { dnat: { const: true } }, required: ['dnat'] },
    // biome-ignore lint/suspicious/noThenProperty: a word of JSON Schema
    then: { properties: { forward: { type: 'string' } }, required: ['forward'] },
  },
];

/** One door. */
export const door: Field<Fields<DoorShape>> = section({ means: 'a door', shape, rules: RULES });
