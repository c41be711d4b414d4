import type { Cidr } from '../packet/cidr.ts';
import type { PortRange } from '../packet/port.ts';
import type { Milliseconds } from '../packet/time.ts';
import { milliseconds } from '../packet/time.ts';
import type { Bans, Config, Listen, LogSettings } from '../policy/config.ts';
import { DAY, type DoorEntry, doors, ports } from './door.ts';
import {
  decimal,
  type Field,
  type Fields,
  type Found,
  field,
  integer,
  listOf,
  oneOf,
  orNull,
  type Read,
  section,
  textOf,
  truth,
  wrong,
} from './read.ts';
import { cidr, duration, interfaceName, metricsPlace, path, queues, size, socketPath } from './value.ts';

/** Interfaces of one list. */
const INTERFACES_MAX = 64;
/** Networks in `bans.never`. */
const NEVER_MAX = 4096;
/** Not 0, the queue that every intrusion prevention system reads unless told otherwise. */
const QUEUE_DEFAULT = 7219;
const STRIKES_MAX = 1000;
const ESCALATE_MAX = 100;
/** Sources remembered and bans held: 2^22, which is over half a gigabyte of memory. */
const TABLE_MAX = 4_194_304;
/** Packets of a source in `rate.per`: what no single source sends. */
const RATE_PACKETS_MAX = 10_000_000;
const LOG_FILES_MAX = 1000;
const KILOBYTE = 1024;
const TERABYTE = KILOBYTE ** 4;

const ms = milliseconds;
type Items<T> = Field<readonly Found<T>[]>;

export type RootShape = {
  readonly listen: Field<
    Fields<{
      readonly source: Field<Listen['source']>;
      readonly queues: Field<Listen['queues']>;
      readonly group: Field<number>;
      readonly interfaces: Items<string>;
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
  readonly state: Field<string>;
  readonly control: Field<string>;
  readonly log: Field<
    Fields<{
      readonly level: Field<LogSettings['level']>;
      readonly file: Field<string | null>;
      readonly max_size: Field<number>;
      readonly files: Field<number>;
    }>
  >;
  readonly metrics: Field<string | null>;
};

export type BansShape = {
  readonly strikes: Field<number>;
  readonly within: Field<Milliseconds>;
  readonly for: Field<Milliseconds>;
  readonly escalate: Field<number>;
  readonly max: Field<Milliseconds>;
  readonly rate: Field<Fields<{ readonly packets: Field<number>; readonly per: Field<Milliseconds> }>>;
  readonly never: Items<Cidr>;
  readonly strike_on_service: Field<boolean>;
  readonly enforce: Field<boolean>;
  readonly scope: Field<Bans['scope']>;
  readonly cut: Field<boolean>;
  readonly limit: Field<number>;
};

const decoys: Read<'all' | readonly Found<PortRange>[]> = (node, spot, reading) => {
  const text = textOf(node);
  if (text === 'all') return 'all';
  if (text !== undefined) {
    const wanted = { noun: 'a list of ports', form: 'all or a list, for example [23/tcp, 3389/tcp]' };
    return wrong(node, spot, reading, wanted, text === 'none' ? 'for none write []' : undefined);
  }
  return ports(node, spot, reading);
};

const bans: BansShape = {
  strikes: field(integer(1, STRIKES_MAX), 3),
  within: field(duration(ms(1000), ms(7 * DAY)), ms(60_000)),
  for: field(duration(ms(1000)), ms(600_000)),
  escalate: field(decimal(1, ESCALATE_MAX), 2),
  max: field(duration(ms(1000)), ms(7 * DAY)),
  rate: section({
    packets: field(integer(1, RATE_PACKETS_MAX), 20),
    per: field(duration(ms(1), DAY), ms(1000)),
  }),
  never: field(listOf(cidr, 'a list of addresses and networks', 0, NEVER_MAX), []),
  strike_on_service: field(truth, false),
  enforce: field(truth, true),
  scope: field(oneOf('all', 'hidden'), 'all'),
  cut: field(truth, false),
  limit: field(integer(1, TABLE_MAX), 262_144),
};

const shape: RootShape = {
  listen: section({
    source: field(oneOf('nfqueue', 'nflog'), 'nfqueue'),
    queues: field(queues, { first: QUEUE_DEFAULT, last: QUEUE_DEFAULT }),
    group: field(integer(0, 65_535), 5),
    interfaces: field(listOf(interfaceName, 'a list of network interfaces', 0, INTERFACES_MAX), []),
  }),
  doors,
  decoys: field(decoys, []),
  allow: field(ports, []),
  answer: field(oneOf('drop', 'closed'), 'drop'),
  accept: field(oneOf('auto', 'return', 'own'), 'auto'),
  bans: section(bans),
  grants: field(oneOf('rule', 'set'), 'rule'),
  memory: section({ sources: field(integer(1, TABLE_MAX), 262_144) }),
  state: field(path, '/var/lib/nfknock/state.db'),
  control: field(socketPath, '/run/nfknock/control.sock'),
  log: section({
    level: field(oneOf('error', 'warn', 'info', 'debug'), 'info'),
    file: field(orNull(path), null),
    max_size: field(size(KILOBYTE, TERABYTE), 10 * KILOBYTE * KILOBYTE),
    files: field(integer(1, LOG_FILES_MAX), 5),
  }),
  metrics: field(orNull(metricsPlace), null),
};

/** The whole file. */
export const root: Field<Fields<RootShape>> = section(shape);
