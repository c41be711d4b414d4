import { isPort, type Port } from '../packet/port.ts';
import { milliseconds } from '../packet/time.ts';
import { isDoorName } from '../policy/door-name.ts';
import { type Credential, isKeyName, type Key } from '../spa/key.ts';
import type { Reading, Spot } from './document.ts';
import { DURATION_MAX } from './duration.ts';
import { hidden, knownEntries } from './hidden-reading.ts';
import { CREDENTIAL_WORDS, CREDENTIALS, readCredential } from './key-credential.ts';
import { integer, type Kind, listOf, oneOf, parsed } from './kind.ts';
import { type Entry, type Found, listed } from './read.ts';
import { cidr, duration } from './value.ts';

/** A key with its place in the file. */
export interface FoundKey {
  readonly key: Key;
  readonly spot: Spot;
}

/** Doors of one key. */
const DOORS_MAX = 64;
const NETWORKS_MAX = 256;
const USES_MAX = 1_000_000;
const HOLDERS_MAX = 65_536;
const KNOCKS_MAX = 1_000;
const SECOND = milliseconds(1_000);
const RATE = { knocks: 30, per: milliseconds(60_000) } as const;

const OPTIONS = [
  'person',
  'doors',
  'address',
  'from',
  'to',
  'user',
  'port',
  'expires',
  'uses',
  'holders',
  'for_max',
  'rate',
  'before',
] as const;
const KNOWN: readonly string[] = [...CREDENTIALS, ...OPTIONS];
const BEFORE: readonly string[] = [...CREDENTIALS, 'until'];
/** What a step of a path below a key may be. */
export const KEY_WORDS: readonly string[] = [...KNOWN, ...CREDENTIAL_WORDS, 'until', 'knocks', 'per'];

/** What says nothing of packets of a kind. */
const MEANINGLESS: Readonly<Record<Credential['kind'], readonly string[]>> = {
  fwknop: [],
  secret: ['user'],
  ed25519: ['user'],
  ssh: ['user'],
  totp: ['user', 'address', 'to', 'port', 'for_max'],
  doorman: ['user', 'address', 'for_max'],
};

const text = (pattern: RegExp, noun: string): Kind<string> =>
  parsed((value) => (pattern.test(value) ? value : undefined), {
    noun,
    form: noun,
    schema: { type: 'string' },
  });

const PERSON = hidden(
  text(/^[\p{L}\p{N}][\p{L}\p{N} ._@'-]{0,63}$/u, 'the name of a person'),
  "a letter or digit, and at most 63 more, blanks and . _ @ - '",
);
const USER = hidden(
  text(/^[ -~]{1,64}$/, 'the name of a user'),
  'as the client sends it, at most 64 characters',
);
const ADDRESS = hidden(oneOf('optional', 'required'), 'required, or optional');
const DOORS = hidden(
  listOf(
    parsed((value) => (isDoorName(value) ? value : undefined), {
      noun: 'a door',
      form: '',
      schema: { type: 'string' },
    }),
    'a list of doors by their names',
    [1, DOORS_MAX],
  ),
  'names of doors in brackets, for example [ssh]',
);
const NETWORKS = hidden(
  listOf(cidr, 'a list of networks', [1, NETWORKS_MAX]),
  'networks in brackets, for example [203.0.113.0/24]',
);
const PORT: Kind<Port> = hidden(
  parsed(
    (value) => {
      const number = Number(/^(\d{1,5})(?:\/udp)?$/.exec(value)?.[1]);
      return isPort(number) ? number : undefined;
    },
    { noun: 'a UDP port from 1 to 65535', form: '', schema: { type: 'string' } },
  ),
  'one of listen.spa, for example 62210',
);
const USES = hidden(integer(1, USES_MAX), `a whole number from 1 to ${USES_MAX}`);
const HOLDERS = hidden(integer(1, HOLDERS_MAX), `a whole number from 1 to ${HOLDERS_MAX}`);
const KNOCKS = hidden(integer(1, KNOCKS_MAX), `a whole number from 1 to ${KNOCKS_MAX}`);
const TIME = hidden(duration(SECOND, DURATION_MAX), 'a number and a unit, for example 90s, 5m, 2h or 7d');

/** The beginning of a day (UTC), or a moment, in milliseconds since 1970. */
export const moment: Kind<number> = hidden(
  parsed(parseMoment, { noun: 'a date', form: '', schema: { type: 'string' } }),
  'a day, which begins at 00:00 UTC, or a moment: 2027-03-31 or 2027-03-31T18:00:00Z',
);

export function parseMoment(value: string): number | undefined {
  const match = /^(\d{4}-\d{2}-\d{2})(?:T(\d{2}:\d{2}:\d{2})Z)?$/.exec(value);
  if (match === null) return undefined;
  const [, day = '', time = '00:00:00'] = match;
  const at = Date.parse(`${day}T${time}Z`);
  // The 31st of February is the 3rd of March to JavaScript.
  return Number.isNaN(at) || new Date(at).toISOString() !== `${day}T${time}.000Z` ? undefined : at;
}

/** Reads one entry below `keys`. */
export function readKey(name: string, entry: Entry, reading: Reading): Key | undefined {
  if (!isKeyName(name)) {
    const fix = 'write at most 32 of a-z, 0-9, _ and -, the first of them no -';
    reading.fault({ at: entry.keyAt, key: entry.spot.key }, 'this is not the name of a key', fix);
  }
  const entries = knownEntries(entry.node, entry.spot, reading, KNOWN);
  if (entries === undefined) return undefined;
  const credential = credentialOf(entries, entry.spot, reading);
  const take = <T>(option: (typeof OPTIONS)[number], kind: Kind<T>): T | undefined => {
    const found = entries.get(option);
    return found && kind.read(found.node, found.spot, reading);
  };
  const doors = take('doors', DOORS);
  if (!entries.has('doors'))
    reading.fault(entry.spot, 'no doors are named', 'add what it opens, for example doors: [ssh]');
  for (const option of credential === undefined ? [] : MEANINGLESS[credential.kind]) {
    const found = entries.get(option);
    if (found === undefined) continue;
    reading.fault(
      { at: found.keyAt, key: found.spot.key },
      `a key of kind ${credential?.kind} has no use for this`,
      'remove it',
    );
  }
  const limits = {
    person: take('person', PERSON) ?? null,
    address: take('address', ADDRESS) ?? 'optional',
    from: items(take('from', NETWORKS)),
    to: items(take('to', NETWORKS)),
    user: take('user', USER) ?? null,
    port: take('port', PORT) ?? null,
    expires: take('expires', moment) ?? null,
    uses: take('uses', USES) ?? null,
    holders: take('holders', HOLDERS) ?? null,
    forMax: take('for_max', TIME) ?? null,
    rate: rateOf(entries.get('rate'), reading),
    previous: previousOf(entries.get('before'), reading),
  };
  return credential === undefined ? undefined : { name, credential, doors: items(doors), ...limits };
}

/** The one credential of an entry. */
function credentialOf(
  entries: ReadonlyMap<string, Entry>,
  spot: Spot,
  reading: Reading,
): Credential | undefined {
  const given = CREDENTIALS.filter((name) => entries.has(name));
  const [name] = given;
  const entry = name && entries.get(name);
  if (name !== undefined && entry !== undefined && given.length === 1)
    return readCredential(name, entry, reading);
  const problem =
    given.length === 0
      ? 'nothing says what it is proven by'
      : `${listed(given).replace(' or ', ' and ')} stand here at once`;
  reading.fault(spot, problem, `write exactly one of ${listed(CREDENTIALS)}`);
  return undefined;
}

function previousOf(entry: Entry | undefined, reading: Reading): Key['previous'] {
  const entries = entry && knownEntries(entry.node, entry.spot, reading, BEFORE);
  if (entry === undefined || entries === undefined) return null;
  const credential = credentialOf(entries, entry.spot, reading);
  const end = entries.get('until');
  if (end === undefined)
    reading.fault(
      entry.spot,
      'nothing says until when it is taken',
      'add until, for example until: 2027-03-31',
    );
  const until = end && moment.read(end.node, end.spot, reading);
  return credential === undefined || until === undefined ? null : { credential, until };
}

function rateOf(entry: Entry | undefined, reading: Reading): Key['rate'] {
  const entries = entry && knownEntries(entry.node, entry.spot, reading, ['knocks', 'per']);
  const [knocks, per] = [entries?.get('knocks'), entries?.get('per')];
  return {
    knocks: (knocks && KNOCKS.read(knocks.node, knocks.spot, reading)) ?? RATE.knocks,
    per: (per && TIME.read(per.node, per.spot, reading)) ?? RATE.per,
  };
}

function items<T>(list: readonly Found<T>[] | undefined): readonly T[] {
  return (list ?? []).flatMap(({ value }) => (value === undefined ? [] : [value]));
}
