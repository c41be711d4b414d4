import type { Cidr } from '../packet/cidr.ts';
import type { Port, PortRange } from '../packet/port.ts';
import { type Milliseconds, milliseconds } from '../packet/time.ts';
import type { Bans, Config, Listen, LogSettings } from '../policy/config.ts';
import { DAY, ports } from './door.ts';
import { type DoorEntry, doors } from './doors.ts';
import { type Field, type Fields, field, section } from './field.ts';
import { type FleetShape, fleet } from './fleet.ts';
import { decimal, integer, type Kind, listOf, oneOf, orNull, type Schema, truth } from './kind.ts';
import { type Found, textOf, wrong } from './read.ts';
import { spaPort } from './spa-port.ts';
import { cidr, duration, interfaceName, metricsPlace, path, queues, size, socketPath } from './value.ts';

/** Interfaces of one list. */
const INTERFACES_MAX = 64;
/** Networks in `bans.never`. */
const NEVER_MAX = 4096;
const STRIKES_MAX = 1000;
const ESCALATE_MAX = 100;
/** Sources remembered and bans held: 2^22, which is over half a gigabyte of memory. */
const TABLE_MAX = 4_194_304;
/** Packets of a source in `rate.per`: what no single source sends. */
const RATE_PACKETS_MAX = 10_000_000;
/** NFLOG groups are 16 bits. */
const GROUP_MAX = 65_535;
/** Wrong codes of one source that are remembered. */
const WRONG_CODES_MAX = 100;
const LOG_FILES_MAX = 1000;
/** As many as one rule can name. */
const SPA_PORTS_MAX = 15;
const KILOBYTE = 1024;
const TERABYTE = KILOBYTE ** 4;

const ms = milliseconds;
const SECOND: Milliseconds = ms(1000);
const MINUTE: Milliseconds = ms(60_000);
const WEEK: Milliseconds = ms(7 * DAY);
type Items<T> = Field<readonly Found<T>[]>;

export type RootShape = {
  readonly listen: Field<
    Fields<{
      readonly source: Field<Listen['source']>;
      readonly queues: Field<Listen['queues']>;
      readonly group: Field<number>;
      readonly interfaces: Items<string>;
      readonly spa: Items<Port>;
      readonly clock_skew: Field<Milliseconds>;
    }>
  >;
  readonly doors: Field<readonly DoorEntry[]>;
  readonly decoys: Field<'all' | readonly Found<PortRange>[]>;
  readonly allow: Items<PortRange>;
  readonly answer: Field<Config['answer']>;
  readonly accept: Field<Config['accept']>;
  readonly bans: Field<Fields<BansShape>>;
  readonly grants: Field<'rule' | 'set'>;
  readonly memory: Field<Fields<{ readonly sources: Field<number> }>>;
  readonly keys: Field<string>;
  readonly state: Field<string>;
  readonly control: Field<string>;
  readonly log: Field<Fields<LogShape>>;
  readonly metrics: Field<string | null>;
  readonly fleet: Field<Fields<FleetShape> | null>;
};

type LogShape = {
  readonly level: Field<LogSettings['level']>;
  readonly file: Field<string | null>;
  readonly max_size: Field<number>;
  readonly files: Field<number>;
};

export type BansShape = {
  readonly strikes: Field<number>;
  readonly within: Field<Milliseconds>;
  readonly for: Field<Milliseconds>;
  readonly escalate: Field<number>;
  readonly max: Field<Milliseconds>;
  readonly rate: Field<Fields<{ readonly packets: Field<number>; readonly per: Field<Milliseconds> }>>;
  readonly code: Field<Fields<{ readonly wrong: Field<number>; readonly per: Field<Milliseconds> }>>;
  readonly never: Items<Cidr>;
  readonly strike_on_service: Field<boolean>;
  readonly enforce: Field<boolean>;
  readonly scope: Field<Bans['scope']>;
  readonly cut: Field<boolean>;
  readonly limit: Field<number>;
};

const decoys: Kind<'all' | readonly Found<PortRange>[]> = {
  read: (node, spot, reading) => {
    const text = textOf(node);
    if (text === 'all') return 'all';
    if (text !== undefined) {
      const wanted = { noun: 'a list of ports', form: 'all or a list, for example [23/tcp, 3389/tcp]' };
      return wrong(node, spot, reading, {
        ...wanted,
        meant: text === 'none' ? 'for none write []' : undefined,
      });
    }
    return ports.read(node, spot, reading);
  },
  takes: `\`all\`, or ${ports.takes}`,
  schema: { anyOf: [{ const: 'all' }, ports.schema] },
};

const log: LogShape = {
  level: field(oneOf('error', 'warn', 'info', 'debug'), {
    fallback: 'info',
    means: 'the least that is written',
    changes: 'restart',
  }),
  file: field(orNull(path), {
    fallback: null,
    means: 'where to; `null`: standard output, which systemd gives to the journal',
    changes: 'restart',
  }),
  max_size: field(size(KILOBYTE, TERABYTE), {
    fallback: '10MB',
    means: 'the file is rotated before it grows beyond this',
    changes: 'restart',
  }),
  files: field(integer(1, LOG_FILES_MAX), {
    fallback: 5,
    means: 'how many are kept, the one being written included',
    changes: 'restart',
  }),
};

const bans: BansShape = {
  strikes: field(integer(1, STRIKES_MAX), { fallback: 3, means: 'a source is banned at this many strikes' }),
  within: field(duration(SECOND, WEEK), { fallback: '60s', means: 'in this time' }),
  for: field(duration(SECOND), { fallback: '10m', means: 'how long the first ban lasts' }),
  escalate: field(decimal(1, ESCALATE_MAX), {
    fallback: 2,
    means: 'each further ban lasts this many times as long as the one before',
  }),
  max: field(duration(SECOND), { fallback: '7d', means: 'up to this, or up to `for` where that is longer' }),
  rate: section({
    means: 'more packets than this from one source are a scan, and a strike',
    shape: {
      packets: field(integer(1, RATE_PACKETS_MAX), { fallback: 20, means: 'this many' }),
      per: field(duration(ms(1), DAY), { fallback: '1s', means: 'in this time' }),
    },
  }),
  code: section({
    means:
      'more wrong one-time codes than a person makes: the source is banned for `max`. A code that was used already, or is of a few minutes ago, is no wrong one',
    shape: {
      wrong: field(integer(1, WRONG_CODES_MAX), { fallback: 3, means: 'this many' }),
      per: field(duration(MINUTE, ms(14 * DAY)), { fallback: '1d', means: 'in this time' }),
    },
  }),
  never: field(listOf(cidr, 'a list of addresses and networks', [0, NEVER_MAX]), {
    fallback: [],
    means: 'networks that are never banned; they can still knock',
  }),
  strike_on_service: field(truth, {
    fallback: false,
    means: 'touching a protected service without a grant is a strike',
  }),
  enforce: field(truth, { fallback: true, means: '`false`: say what would be banned, ban nothing' }),
  scope: field(oneOf('all', 'hidden'), {
    fallback: 'all',
    means:
      '`all`: every new packet of a banned source is dropped; `hidden`: only those to knock, decoy and protected ports',
  }),
  cut: field(truth, { fallback: false, means: "a ban also ends the source's established connections" }),
  limit: field(integer(1, TABLE_MAX), { fallback: 262_144, means: 'bans held at once' }),
};

const shape: RootShape = {
  listen: section({
    means: 'where packets come from',
    shape: {
      source: field(oneOf('nfqueue', 'nflog'), {
        fallback: 'nfqueue',
        means:
          'how the kernel hands packets over: `nfqueue`, or `nflog`, which costs a fraction and is for machines under floods',
      }),
      queues: field(queues, {
        fallback: 7219,
        means:
          'the number of the queue, or a range such as `7219-7220`; 0 is what intrusion prevention systems read, and one that accepts would let strangers in while the daemon is down',
      }),
      group: field(integer(0, GROUP_MAX), {
        fallback: 5,
        means: 'the number of the group, with `nflog` and for knock ports with a live service behind them',
      }),
      interfaces: field(listOf(interfaceName, 'a list of network interfaces', [0, INTERFACES_MAX]), {
        fallback: [],
        means: 'interfaces that packets are judged on; empty: all but `lo`',
      }),
      spa: field(listOf(spaPort, 'a list of UDP ports', [0, SPA_PORTS_MAX]), {
        fallback: [],
        means:
          'UDP ports for packets that a key proves, such as `62201/udp`; a range is not taken. They come by a queue of their own, the one after the last of `queues` (with `nflog`: the group after `group`)',
      }),
      clock_skew: field(duration(SECOND, DAY), {
        fallback: '60s',
        means: "how far the clock of a key's owner may be off",
      }),
    },
  }),
  doors,
  decoys: field(decoys, {
    fallback: [],
    means:
      'ports with nothing behind them: a source that touches one is scanning. `all`: every port that is neither open nor a knock',
  }),
  allow: field(ports, { fallback: [], means: 'services that are open to everyone' }),
  answer: field(oneOf('drop', 'closed'), {
    fallback: 'drop',
    means:
      'what a stranger meets at knock, decoy and protected ports: `drop`, nothing; `closed`, what a port says that nothing listens on. Take the one that the other ports of the machine give: in a scan the odd ones stand out. `closed` wants `source: nflog`',
  }),
  accept: field(oneOf('auto', 'return', 'own'), {
    fallback: 'auto',
    means:
      'what decides on packets of open connections and on `allow` in INPUT. `return`: the rules that follow, so that a ban of another program holds there; where they accept nothing, open connections break. `own`: nfknock accepts them before. `auto`: `return` where what follows accepts them, else `own`, and `nfknock status` says which rule is missing',
  }),
  bans: section({ means: 'which sources are banned, and how long', shape: bans }),
  grants: field(oneOf('rule', 'set'), {
    fallback: 'rule',
    means: '`rule`: a rule for each grant; `set`: sets with timeouts, for hundreds at once',
  }),
  memory: section({
    means: 'how much is remembered',
    shape: {
      sources: field(integer(1, TABLE_MAX), {
        fallback: 262_144,
        means: 'sources remembered at once; the least advanced goes first when there are more',
      }),
    },
  }),
  keys: field(path, {
    fallback: '/etc/nfknock/keys.yaml',
    means:
      "the file with the keys of people, read where `listen.spa` names a port or a door takes one-time codes; only the daemon's user may read it",
  }),
  state: field(path, {
    fallback: '/var/lib/nfknock/state.db',
    means: 'the file that grants and bans are kept in',
    changes: 'restart',
  }),
  control: field(socketPath, {
    fallback: '/run/nfknock/control.sock',
    means: 'the socket on which the daemon takes commands',
    changes: 'restart',
  }),
  log: section({ means: 'the event log', shape: log }),
  metrics: field(orNull(metricsPlace), {
    fallback: null,
    means:
      'where metrics are given out: `unix:/run/nfknock/metrics.sock`, or a loopback address such as `127.0.0.1:9477`, which every user of this machine can ask',
    changes: 'restart',
  }),
  fleet,
};

/** What `conflicts` refuses, as far as JSON Schema can say it. */
const ROOT_RULES: readonly Schema[] = [
  // A queued packet can only be dropped.
  {
    if: { properties: { answer: { const: 'closed' } }, required: ['answer'] },
    // biome-ignore lint/suspicious/noThenProperty: a word of JSON Schema
    then: {
      properties: {
        listen: { properties: { source: { const: 'nflog' } }, required: ['source'], type: 'object' },
      },
      required: ['listen'],
    },
  },
  {
    if: { properties: { doors: { maxProperties: 0 } } },
    // biome-ignore lint/suspicious/noThenProperty: a word of JSON Schema
    then: { properties: { decoys: { anyOf: [{ const: 'all' }, { minItems: 1 }] } }, required: ['decoys'] },
  },
  { required: ['doors'] },
];

/** The whole file. */
export const root: Field<Fields<RootShape>> = section({ means: 'the whole file', shape, rules: ROOT_RULES });
