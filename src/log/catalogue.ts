import type { CloseReason, EventName, NfknockEvent } from '../engine/event.ts';
import type { LogSettings } from '../policy/config.ts';
import { REFUSAL_WORDS } from '../text/refusal-words.ts';

/** How much a line matters; the words of `log.level`, the gravest first. */
export type Level = LogSettings['level'];

/** Greater is graver, so that a line is written where `RANK[its level] >= RANK[log.level]`. */
export const RANK: Readonly<Record<Level, number>> = { error: 3, warn: 2, info: 1, debug: 0 };

/** The event called `Name`, every shape of it. */
type Named<Name extends EventName> = Extract<NfknockEvent, { readonly event: Name }>;

/** The field of a line that a property of an event becomes: a ban's target is printed as its source. */
type FieldOf<Key> = Key extends 'target' ? 'source' : Key;

/**
 * Who is let in is said only where it is not the source itself, so `grantee` is never on every line.
 * The rest is on every line unless the event may lack it.
 */
type Presence<Shape, Key extends keyof Shape> = Key extends 'grantee'
  ? 'sometimes'
  : object extends Pick<Shape, Key>
    ? 'sometimes'
    : 'always';

/** Which fields a line of this event has; `forgiven` and `wanted` are for the state file alone. The event's own type decides: a wrong word here does not compile. */
type Fields<Name extends EventName> = {
  readonly [Key in Exclude<
    keyof Named<Name>,
    'at' | 'event' | 'forgiven' | 'wanted'
  > as FieldOf<Key>]: Presence<Named<Name>, Key>;
};

type ReasonOf<Shape> = Shape extends { readonly reason?: infer Reason } ? Extract<Reason, string> : never;

/** What each reason means: a table where the reasons are a closed list, else what the free text is. */
type Reasons<Name extends EventName> = [ReasonOf<Named<Name>>] extends [never]
  ? { readonly reasons?: never }
  : string extends ReasonOf<Named<Name>>
    ? { readonly reasons: string }
    : { readonly reasons: Readonly<Record<ReasonOf<Named<Name>>, string>> };

export type Entry<Name extends EventName> = {
  readonly level: Level;
  /** When the line is written, in one sentence. */
  readonly when: string;
  readonly fields: Fields<Name>;
} & Reasons<Name>;

const RATE = 'more packets a second than `bans.rate` permits';
const CLOSED_BY: Readonly<Record<CloseReason, string>> = {
  expired: 'its time was up',
  knock: "the door's close sequence was knocked",
  revoked: 'someone ran `nfknock revoke`',
  moved: 'another host took its place: the door has no more holders than `holders`',
  used: 'its last permitted connection was made (`uses`)',
  reload: 'the new configuration has no such door, or the door opens something else',
  refused: 'the kernel refused the rule, or a one-time sequence could not be marked used',
  key: 'its key was revoked, or may not open the door any more',
  fleet: 'another member of the fleet, `origin`, ended it',
};

/** Every event, in the order of the manual. `docs/events.md` and `docs/event.schema.json` are made from it. */
export const CATALOGUE: { readonly [Name in EventName]: Entry<Name> } = {
  'daemon.ready': {
    level: 'info',
    when: 'the rules are in force and packets are being read',
    fields: { reason: 'sometimes' },
    reasons: 'what to know about this start, such as grants restored',
  },
  'daemon.stopped': {
    level: 'info',
    when: 'the daemon ends; protected ports stay closed',
    fields: { reason: 'always' },
    reasons: 'the signal, or what failed',
  },
  'daemon.reloaded': { level: 'info', when: 'a new configuration is in force', fields: {} },
  'config.rejected': {
    level: 'error',
    when: 'a new configuration was wrong and the old one stays in force',
    fields: { reason: 'always' },
    reasons: 'file, line, column, the problem and its fix',
  },
  'config.warning': {
    level: 'warn',
    when: 'the configuration works but is weaker than it looks',
    fields: { reason: 'always', door: 'sometimes' },
    reasons: 'what is weak, and what fixes it',
  },
  'knock.accepted': {
    level: 'info',
    when: 'a source advanced by one step',
    fields: {
      source: 'always',
      door: 'always',
      port: 'always',
      step: 'always',
      of: 'always',
      count: 'sometimes',
      origin: 'sometimes',
    },
  },
  'knock.wrong': {
    level: 'warn',
    when: 'a knock advanced no door, or broke a sequence off',
    fields: {
      source: 'always',
      port: 'always',
      reason: 'always',
      door: 'sometimes',
      step: 'sometimes',
      of: 'sometimes',
      strikes: 'sometimes',
      exempt: 'sometimes',
      count: 'sometimes',
      key: 'sometimes',
      person: 'sometimes',
      detail: 'sometimes',
      origin: 'sometimes',
    },
    reasons: {
      'out of order': 'it was not the next port of the sequence',
      tolerated: "the door's `tolerate` let it pass",
      'code wrong': "the one-time code is no one's; `bans.code` says how many are too many",
      'code used': 'the one-time code, or a later one of its key, has opened before; it is no wrong one',
      'code late':
        'the one-time code is of a few minutes ago, or of later: a clock is off, or it was typed slowly; it is no wrong one',
      'same mistake':
        'it is the next port after a knock that was wrong, too late or too soon, so it is no further strike',
    },
  },
  'knock.ignored': {
    level: 'info',
    when: 'a right knock had no effect; it is no strike',
    fields: { source: 'always', door: 'always', port: 'always', reason: 'always' },
    reasons: {
      'used already': 'it belongs to the one-time sequence that was used last',
      guard:
        'it is the first of a close sequence within 5 s of the opening, or of the opening one within 5 s of a close',
    },
  },
  'knock.elsewhere': {
    level: 'debug',
    when: 'a knock that nothing here explains waits a moment: another member of the fleet may have what goes before it',
    fields: { source: 'always', port: 'always' },
  },
  'knock.too_fast': {
    level: 'warn',
    when: 'a knock came sooner than `gap.min` after the one before; the sequence is broken off',
    fields: {
      source: 'always',
      door: 'always',
      port: 'always',
      step: 'always',
      of: 'always',
      reason: 'always',
      strikes: 'sometimes',
      exempt: 'sometimes',
      count: 'sometimes',
    },
    reasons: { gap: 'less than `gap.min` between two knocks' },
  },
  'knock.expired': {
    level: 'info',
    when: 'a knock came too late; the sequence is broken off, without a strike',
    fields: {
      source: 'always',
      door: 'always',
      port: 'always',
      step: 'always',
      of: 'always',
      reason: 'always',
      count: 'sometimes',
    },
    reasons: {
      gap: 'more than `gap.max` between two knocks',
      within: 'more than `within` since the first knock',
    },
  },
  'decoy.hit': {
    level: 'warn',
    when: 'a source touched a port with nothing behind it',
    fields: {
      source: 'always',
      port: 'always',
      reason: 'sometimes',
      strikes: 'sometimes',
      exempt: 'sometimes',
      origin: 'sometimes',
    },
    reasons: { service: 'a protected service was touched without a grant (`bans.strike_on_service`)' },
  },
  'scan.detected': {
    level: 'warn',
    when: 'a packet that only scanners send, or too many packets',
    fields: {
      source: 'always',
      port: 'always',
      reason: 'always',
      strikes: 'sometimes',
      exempt: 'sometimes',
      origin: 'sometimes',
    },
    reasons: {
      rate: RATE,
      null: 'a TCP packet with no flag',
      fin: 'a TCP packet with FIN alone',
      xmas: 'a TCP packet with FIN, PSH and URG',
      ack: 'a lone ACK that belongs to no connection',
      maimon: 'a TCP packet with FIN and ACK',
      flags: 'TCP flags that no client sends first',
    },
  },
  'packet.malformed': {
    level: 'debug',
    when: 'a packet could not be read; its source is not believed, so nobody is blamed',
    fields: { reason: 'always' },
    reasons: {
      empty: 'no byte of it was there',
      version: 'neither IPv4 nor IPv6',
      'header length': 'an IP header that is shorter than it may be, or longer than the packet',
      'total length': 'lengths that disagree',
      fragment: 'a later fragment: it has no ports',
      'extension headers': 'IPv6 extension headers that are broken, or too many',
      'transport header': 'a TCP or UDP header cut short, or with port 0',
      protocol: 'neither TCP nor UDP',
    },
  },
  'ban.added': {
    level: 'warn',
    when: 'a source is banned; with `"shadow":true` it would be, but `bans.enforce` is false',
    fields: {
      source: 'always',
      until: 'always',
      strikes: 'always',
      reason: 'always',
      count: 'always',
      shadow: 'sometimes',
      origin: 'sometimes',
    },
    reasons: {
      strikes: '`bans.strikes` strikes within `bans.within`',
      order: 'someone ran `nfknock ban`',
      code: '`bans.code.wrong` wrong one-time codes within `bans.code.per`',
      fleet: 'another member of the fleet, `origin`, banned it',
    },
  },
  'ban.extended': {
    level: 'warn',
    when: 'a ban lasts longer than was said before',
    fields: { source: 'always', until: 'always', reason: 'always', count: 'always', origin: 'sometimes' },
    reasons: {
      order: 'someone ran `nfknock ban` again',
      fleet: 'another member of the fleet, `origin`, bans it for longer',
    },
  },
  'ban.lifted': {
    level: 'info',
    when: 'a ban ended before its time',
    fields: { source: 'always', reason: 'always', origin: 'sometimes' },
    reasons: {
      unban: 'someone ran `nfknock unban`',
      limit: '`bans.limit` bans were held, and this one made room for another',
      exempt: 'the source came onto the list of those that are never banned',
      key: 'a key opened a door for the source, which strikes had banned',
      fleet:
        'another member of the fleet, `origin`, lifted it, or let the source in whom a member had banned by itself',
    },
  },
  'ban.expired': { level: 'info', when: "a ban's time was over", fields: { source: 'always' } },
  'door.opened': {
    level: 'info',
    when: 'the rule that lets a source in is in force',
    fields: {
      source: 'always',
      door: 'always',
      ports: 'always',
      grantee: 'sometimes',
      until: 'always',
      reason: 'sometimes',
      key: 'sometimes',
      person: 'sometimes',
      origin: 'sometimes',
    },
    reasons: 'who asked and why, where it was opened by hand',
  },
  'door.renewed': {
    level: 'info',
    when: 'a source that was let in already may stay longer',
    fields: {
      source: 'always',
      door: 'always',
      ports: 'always',
      grantee: 'sometimes',
      until: 'always',
      reason: 'sometimes',
      key: 'sometimes',
      person: 'sometimes',
      origin: 'sometimes',
    },
    reasons: 'who asked and why, where it was renewed by hand',
  },
  'door.refused': {
    level: 'warn',
    when: 'a correct knock opened nothing: many people may share that address, and the door does not say `grant: any`',
    fields: { source: 'always', door: 'always', reason: 'always', key: 'sometimes', person: 'sometimes' },
    reasons: {
      'gateway or name server':
        'the source is a default gateway or name server of this machine, which may forward the packets of others',
    },
  },
  'door.closed': {
    level: 'info',
    when: 'no new connection of the source is let in; established ones stay',
    fields: {
      source: 'always',
      door: 'always',
      ports: 'always',
      grantee: 'sometimes',
      reason: 'always',
      key: 'sometimes',
      person: 'sometimes',
      origin: 'sometimes',
    },
    reasons: CLOSED_BY,
  },
  'spa.accepted': {
    level: 'info',
    when: 'an authenticated packet has opened or renewed a door',
    fields: { source: 'always', door: 'always', port: 'always', key: 'always', person: 'sometimes' },
  },
  'spa.rejected': {
    level: 'warn',
    when: 'an authenticated packet opened nothing; it is no strike, unless another had sent it before',
    fields: {
      source: 'always',
      port: 'always',
      key: 'always',
      person: 'sometimes',
      reason: 'always',
      detail: 'sometimes',
      strikes: 'sometimes',
      exempt: 'sometimes',
    },
    reasons: REFUSAL_WORDS,
  },
  'spa.unauthenticated': {
    level: 'debug',
    when: 'packets to a port of `listen.spa` that no key proves, counted once a second; they are judged as if the port had no keys, and their sources are not believed',
    fields: { port: 'always', count: 'always' },
  },
  'spa.overload': {
    level: 'warn',
    when: 'more packets came to `listen.spa` than may be looked into; a part is kept for sources that a key has proven before',
    fields: { count: 'always' },
  },
  'key.added': {
    level: 'info',
    when: 'the key file names a key that it did not name before',
    fields: { key: 'always', person: 'sometimes' },
  },
  'key.revoked': {
    level: 'info',
    when: 'a key was revoked, or the key file names it no more; its grants have ended',
    fields: { key: 'always', person: 'sometimes' },
  },
  'command.failed': {
    level: 'error',
    when: '`on_open` or `on_close` did not start, failed, or took too long; the grant is unaffected',
    fields: { door: 'always', reason: 'always' },
    reasons: 'the command, and how it ended',
  },
  'command.output': {
    level: 'info',
    when: '`on_open` or `on_close` printed something',
    fields: { door: 'always', reason: 'always' },
    reasons: 'what it printed, cut to a limit',
  },
  'state.degraded': {
    level: 'error',
    when: 'the state file can not be written; grants and bans are held in memory alone',
    fields: { reason: 'always' },
    reasons: 'what the system said, and what fixes it',
  },
  'state.recovered': { level: 'info', when: 'the state file can be written again', fields: {} },
  'firewall.repaired': {
    level: 'warn',
    when: "another program changed nfknock's chains, jumps or sets; they were restored",
    fields: { reason: 'always' },
    reasons: 'what was found',
  },
  'firewall.failed': {
    level: 'error',
    when: 'the kernel refused a rule or a set entry',
    fields: { reason: 'always', source: 'sometimes', door: 'sometimes' },
    reasons: 'the operation, what the kernel said, and what fixes it',
  },
  'firewall.stood_down': {
    level: 'warn',
    when: 'every rule is out, since somebody at the console said so (`nfknock stand-down`, `boot-rules unlay`): what was protected is open to everyone, at most until `until`; without it until somebody ends it',
    fields: { until: 'sometimes' },
  },
  'firewall.resumed': {
    level: 'info',
    when: 'that is over: the rules are in again, with the grants and bans that hold',
    fields: {},
  },
  'queue.overflow': {
    level: 'warn',
    when: 'packets came faster than they were read; what was lost was dropped, nothing was let in',
    fields: { reason: 'always', count: 'always' },
    reasons: 'which limit was met',
  },
  'events.lost': {
    level: 'warn',
    when: 'the kernel told of connections or rules faster than it was read; what may have been missed is looked up at once',
    fields: { reason: 'always', count: 'always' },
    reasons: 'what the kernel was telling of',
  },
  'fleet.joined': {
    level: 'info',
    when: 'what all members of the fleet have said is known here',
    fields: { members: 'always' },
  },
  'fleet.apart': {
    level: 'warn',
    when: "the fleet's engine is away: doors and bans go on here and are told later, one-time doors stay shut",
    fields: { reason: 'always' },
    reasons: 'what the engine or the system said',
  },
  'fleet.member': {
    level: 'info',
    when: 'another member of the fleet has come, has gone, or is configured otherwise',
    fields: { member: 'always', reason: 'always' },
    reasons: {
      joined: 'it is heard of',
      lost: 'it has said nothing for 5 s',
      differs: 'it defines a door of this machine otherwise',
    },
  },
  'fleet.refused': {
    level: 'warn',
    when: 'some of what a member says is not believed; once a second with how much',
    fields: { member: 'always', reason: 'always', count: 'always' },
    reasons: {
      version: 'it speaks another version of the protocol',
      length: 'a message that is cut short or too long',
      address: 'an address that is not of one host or IPv6 /64',
      time: 'a moment that is too far ahead, or lasts too long',
      origin: 'a name that is none',
      limit: 'more than `fleet.accept.each` takes of one member',
      'unknown door': 'this machine has no door of that name',
      'not accepted': '`fleet.accept` takes no such thing of it',
    },
  },
  'daemon.fault': {
    level: 'error',
    when: 'a part of the daemon failed unexpectedly; the daemon goes on',
    fields: { reason: 'always' },
    reasons: 'which part, and what it said',
  },
  'log.suppressed': {
    level: 'warn',
    when: 'a flood would have written `count` more lines of the event `of_event`',
    fields: { of_event: 'always', count: 'always' },
  },
};

/** Every event's name, in the order of the manual. */
export const EVENT_NAMES: readonly EventName[] = Object.keys(CATALOGUE) as EventName[];
