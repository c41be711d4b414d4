import { isScalar } from 'yaml';
import { type Milliseconds, milliseconds } from '../packet/time.ts';
import { isDoorName } from '../policy/door-name.ts';
import {
  ENGINE_USERS,
  type EngineAddress,
  type FleetAccept,
  isMachineName,
  isMemberName,
  MEMBER_NAME_MAX,
  type Shared,
} from '../policy/fleet.ts';
import { type Field, type Fields, field, optionalSection, required, section } from './field.ts';
import { engineAddress } from './fleet-engine.ts';
import { integer, type Kind, listOf, oneOf, orNull, parsed } from './kind.ts';
import { type Found, textOf, type Wanted, wrong } from './read.ts';
import { duration, path } from './value.ts';

/** Members of one fleet. */
const MEMBERS_MAX = 1024;
const DOORS_MAX = 1024;
/** Bans of one member held at once: as many as `bans.limit` may be. */
const BANS_MAX = 4_194_304;
const BANS_PER_SECOND_MAX = 1_000_000;
const GRANTS_PER_MINUTE_MAX = 1_000_000;
/** Replicas of one engine. */
const COPIES_MAX = 16;
/** A knock that waited longer would be answered after its attempt's time. */
const WAIT_MAX = milliseconds(2000);

type Names = readonly Found<string>[];

export type FleetShape = {
  readonly name: Field<string>;
  readonly engine: Field<EngineAddress>;
  readonly group: Field<string>;
  readonly password: Field<string>;
  readonly ca: Field<string | null>;
  readonly share: Field<readonly Found<Shared>[]>;
  readonly accept: Field<Fields<AcceptShape>>;
  readonly copies: Field<number>;
  readonly wait: Field<Milliseconds>;
};

type AcceptShape = {
  readonly from: Field<'all' | Names>;
  readonly grants: Field<'all' | 'none' | Names>;
  readonly bans: Field<FleetAccept['bans']>;
  readonly longest: Field<Milliseconds>;
  readonly each: Field<
    Fields<{
      readonly bans: Field<number>;
      readonly bans_per_second: Field<number>;
      readonly grants_per_minute: Field<number>;
    }>
  >;
};

/** A name that is a text: what YAML takes for a number is none, so that `1e3` is not a thousand to other programs. */
function name(kind: Kind<string>, wanted: Wanted): Kind<string> {
  return {
    ...kind,
    read: (node, spot, reading) =>
      isScalar(node) && typeof node.value === 'number'
        ? wrong(node, spot, reading, { ...wanted, meant: 'a number as a name stands in quotes' })
        : kind.read(node, spot, reading),
  };
}

const MEMBER: Wanted = {
  noun: 'the name of a member or a group',
  form: `1 to ${MEMBER_NAME_MAX} of a-z, 0-9 and -, not - first, for example edge1`,
};
const DOOR: Wanted = { noun: 'the name of a door', form: 'one of the doors of this file, for example ssh' };

const memberName = name(
  parsed((text) => (isMemberName(text) ? text : undefined), {
    ...MEMBER,
    hint: memberMeant,
    schema: { type: 'string', pattern: '^[a-z0-9][a-z0-9\\-]*$', maxLength: MEMBER_NAME_MAX },
  }),
  MEMBER,
);

/** That of a machine, which is its user at the engine. */
const machineName = name(
  parsed((text) => (isMachineName(text) ? text : undefined), {
    ...MEMBER,
    hint: (text) =>
      ENGINE_USERS.includes(text) ? 'the engine has a user of its own by this name' : memberMeant(text),
    schema: {
      type: 'string',
      pattern: `^(?!(${ENGINE_USERS.join('|')})$)[a-z0-9][a-z0-9\\-]*$`,
      maxLength: MEMBER_NAME_MAX,
    },
  }),
  MEMBER,
);

function memberMeant(text: string): string | undefined {
  const words = text.toLowerCase().replaceAll(/[^a-z0-9-]+/g, '-');
  const meant = words.replace(/^-+/, '').slice(0, MEMBER_NAME_MAX);
  return isMemberName(meant) ? `write ${meant}` : undefined;
}

const doorName = name(
  parsed((text) => (isDoorName(text) ? text : undefined), {
    ...DOOR,
    schema: { type: 'string', pattern: '^[a-z0-9_][a-z0-9_\\-]*$' },
  }),
  DOOR,
);

/** One of the words, or a list of names. */
function wordOr<const Word extends string>(
  words: readonly Word[],
  names: Kind<Names>,
  example: string,
): Kind<Word | Names> {
  return {
    read: (node, spot, reading) => {
      const text = textOf(node);
      if (text === undefined) return names.read(node, spot, reading);
      const word = words.find((each) => each === text);
      if (word !== undefined) return word;
      const form = `${words.join(', ')} or a list, for example ${example}`;
      return wrong(node, spot, reading, { noun: 'a list of names', form });
    },
    takes: `${words.map((word) => `\`${word}\``).join(', ')}, or ${names.takes}`,
    schema: { anyOf: [{ enum: words }, names.schema] },
  };
}

const accept: AcceptShape = {
  from: field(wordOr(['all'], listOf(memberName, 'a list of members', [0, MEMBERS_MAX]), '[edge1, edge2]'), {
    fallback: 'all',
    means: 'which members are believed: `all`, or their names',
  }),
  grants: field(wordOr(['all', 'none'], listOf(doorName, 'a list of doors', [0, DOORS_MAX]), '[ssh]'), {
    fallback: 'all',
    means: 'whose doors others may open here: `all`, `none` (a feed of bans alone), or doors by name',
  }),
  bans: field(oneOf('enforce', 'shadow', 'none'), {
    fallback: 'enforce',
    means: "what becomes of another member's bans: `shadow` says them and bans nobody",
  }),
  longest: field(duration(milliseconds(1000)), {
    fallback: '7d',
    means: "another member's ban lasts here at most so long",
  }),
  each: section({
    means: 'the most that is taken of one member; what is more is counted and not applied',
    shape: {
      bans: field(integer(0, BANS_MAX), { fallback: 65_536, means: 'bans at once' }),
      bans_per_second: field(integer(1, BANS_PER_SECOND_MAX), { fallback: 2000, means: 'bans in a second' }),
      grants_per_minute: field(integer(1, GRANTS_PER_MINUTE_MAX), {
        fallback: 20,
        means: 'grants in a minute',
      }),
    },
  }),
};

const shape: FleetShape = {
  name: required(machineName, {
    means: 'what the others call this machine; its user at the engine has the same name',
    changes: 'restart',
    form: 'a name of its own, for example name: edge1',
  }),
  engine: required(engineAddress, {
    means:
      'Redis 7.0 or Valkey 8 and later, by TLS unless it is this machine; with `sentinel://` to other hosts the Sentinels and the server that they name are spoken to by TLS',
    changes: 'restart',
    form: 'where Redis or Valkey is, for example engine: rediss://bus.example.net:6379',
  }),
  group: field(memberName, {
    fallback: 'main',
    means: 'the fleet, where several share an engine',
    changes: 'restart',
  }),
  password: field(path, {
    fallback: '/etc/nfknock/fleet.password',
    means:
      "the file with the engine's password, and in its second line the group's secret, which is the same on all members; only the daemon's user may read it. `nfknock fleet users` makes it",
    changes: 'restart',
  }),
  ca: field(orNull(path), {
    fallback: null,
    means: "the certificates (PEM) that sign the engine's; `null`: those that Node.js knows",
    changes: 'restart',
  }),
  share: field(listOf(oneOf('grants', 'bans', 'knocks'), 'a list of what is told', [0, 3]), {
    fallback: ['grants', 'bans'],
    means:
      'what this member tells: `grants`, `bans`, `knocks` (and offences); marks of what opens once are told always',
  }),
  accept: section({ means: 'what is taken from other members', shape: accept }),
  copies: field(integer(0, COPIES_MAX), {
    fallback: 0,
    means: 'replicas of the engine that must hold the mark of a one-time line before its door opens',
    changes: 'restart',
  }),
  wait: field(duration(milliseconds(1), WAIT_MAX), {
    fallback: '300ms',
    means: 'how long a knock that nothing here explains waits for the others',
  }),
};

/** Where the file does not have it this machine is alone. */
export const fleet: Field<Fields<FleetShape> | null> = optionalSection({
  means: 'other machines that are one door with this one',
  shape,
  rules: [{ required: ['name', 'engine'] }],
});
