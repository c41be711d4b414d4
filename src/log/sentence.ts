import type { EventName } from '../engine/event.ts';
import { printable } from '../text/plain.ts';
import { refusalWords } from '../text/refusal-words.ts';
import type { ReadLine } from './entry.ts';

/** Whether escape sequences for colour are written. */
export type Colour = 'coloured' | 'plain';

/** The time that is shown: UTC, as it stands in the log, or that of this machine. */
export type Clock = 'utc' | 'local';

const COLOUR = { red: '31', yellow: '33', green: '32', dim: '2', bold: '1' } as const;
const LEVEL_COLOUR: Readonly<Record<string, keyof typeof COLOUR>> = {
  error: 'red',
  warn: 'yellow',
  debug: 'dim',
};
/** Widths of the columns: the longest level, the longest common event, an IPv4 address. */
const LEVEL_WIDTH = 5;
const EVENT_WIDTH = 17;
const SOURCE_WIDTH = 15;

type Sentence = (line: ReadLine) => string;

const strikes: Sentence = ({ strikes: count, exempt }) => {
  const counted = count === undefined ? '' : `, strike ${count}`;
  return exempt === undefined ? counted : `${counted}, never banned (${exempt})`;
};
const step: Sentence = (line) => (line.step === undefined ? '' : ` (step ${line.step} of ${line.of ?? '?'})`);
/** Doors that a knock is the same to, and that are not named. */
const others: Sentence = ({ count }) => (count === undefined ? '' : `, and ${count} more doors like it`);
const because: Sentence = ({ reason }) => (reason === undefined ? '' : `: ${reason}`);
const inBrackets: Sentence = ({ reason }) => (reason === undefined ? '' : ` (${reason})`);
/** Why a ban was made: `order` is the log's word for what somebody asked for. */
const banReason: Sentence = (line) =>
  line.reason === 'fleet'
    ? said(line)
    : inBrackets(line.reason === 'order' ? { ...line, reason: 'by hand' } : line);
/** Which member of the fleet said it. */
const said: Sentence = ({ origin }) => (origin === undefined ? '' : `, as ${origin} says`);
/** Why, where it was not another member's word alone. */
const why: Sentence = (line) => (line.reason === 'fleet' ? said(line) : `${inBrackets(line)}${said(line)}`);
/** To which member of the fleet it came, where not to this one. */
const came: Sentence = ({ origin }) => (origin === undefined ? '' : `, at ${origin}`);
const until: Sentence = ({ until: moment }) => (moment === undefined ? '' : ` until ${timeOf(moment)}`);
const port: Sentence = (line) => line.port ?? 'a port';
const door: Sentence = (line) => `door ${line.door ?? '?'}`;
const whose: Sentence = ({ person }) => (person === undefined ? '' : ` (${person})`);
/** By which key, and whose. */
const byKey: Sentence = (line) => (line.key === undefined ? '' : `, key ${line.key}${whose(line)}`);
const letIn: Sentence = (line) => {
  const who = line.grantee === undefined ? '' : ` to ${line.grantee === 'any' ? 'everyone' : line.grantee}`;
  return `${door(line)} (${line.ports?.join(', ') ?? '?'})${who}`;
};

const SENTENCE: { readonly [Name in EventName]: Sentence } = {
  'daemon.ready': (line) => `ready${because(line)}`,
  'daemon.stopped': (line) => `stopped${because(line)}`,
  'daemon.reloaded': () => 'the new configuration is in force',
  'config.rejected': (line) => `the new configuration is wrong, the old one stays${because(line)}`,
  'config.warning': (line) => `${line.door === undefined ? 'the configuration' : door(line)}${because(line)}`,
  'knock.accepted': (line) =>
    `${door(line)}: knocked ${port(line)}, step ${line.step ?? '?'} of ${line.of ?? '?'}${others(line)}${came(line)}`,
  'knock.wrong': (line) => {
    const which = line.door === undefined ? '' : ` at ${door(line)}${step(line)}`;
    if (line.reason?.startsWith('code ') === true) {
      const more = line.detail === undefined ? '' : `: ${line.detail}`;
      return `a ${line.reason.replace('code ', '')} code${which} opens nothing${byKey(line)}${more}`;
    }
    return `wrong knock on ${port(line)}${which}${because(line)}${strikes(line)}${others(line)}${came(line)}`;
  },
  'knock.ignored': (line) => `${door(line)}: knocked ${port(line)} without effect${because(line)}`,
  'knock.elsewhere': (line) => `a knock on ${port(line)} waits for the other members`,
  'knock.too_fast': (line) =>
    `${door(line)}: knocked ${port(line)} too soon${step(line)}${strikes(line)}${others(line)}`,
  'knock.expired': (line) =>
    `${door(line)}: knocked ${port(line)} too late${step(line)}${because(line)}${others(line)}`,
  'decoy.hit': (line) =>
    line.reason === 'service'
      ? `touched the service ${port(line)} without a grant${strikes(line)}${came(line)}`
      : `touched decoy ${port(line)}${strikes(line)}${came(line)}`,
  'scan.detected': (line) =>
    line.reason === 'rate'
      ? `too many packets, the last to ${port(line)}${strikes(line)}`
      : `${line.reason ?? ''} scan of ${port(line)}${strikes(line)}${came(line)}`,
  'packet.malformed': (line) => `a packet that cannot be read${because(line)}`,
  'ban.added': (line) => {
    const which = line.count === undefined || line.count < 2 ? '' : `, ban number ${line.count}`;
    const why = line.reason === 'strikes' ? ` after ${line.strikes ?? '?'} strikes` : banReason(line);
    return `${line.shadow === true ? 'would be banned' : 'banned'}${until(line)}${why}${which}`;
  },
  'ban.extended': (line) => `ban extended${until(line)}${banReason(line)}`,
  'ban.lifted': (line) => `ban lifted${why(line)}`,
  'ban.expired': () => 'ban over',
  'door.opened': (line) => `opened ${letIn(line)}${until(line)}${why(line)}${byKey(line)}`,
  'door.renewed': (line) => `renewed ${letIn(line)}${until(line)}${why(line)}${byKey(line)}`,
  'door.refused': (line) => `${door(line)} not opened${because(line)}${byKey(line)}`,
  'door.closed': (line) => `closed ${letIn(line)}${why(line)}${byKey(line)}`,
  'fleet.joined': ({ members }) => `joined the fleet: ${members?.join(', ') ?? '?'}`,
  'fleet.apart': (line) => `apart from the fleet${because(line)}`,
  'fleet.member': ({ member, reason }) => `member ${member ?? '?'} of the fleet: ${reason ?? '?'}`,
  'fleet.refused': ({ member, count, reason }) =>
    `${count ?? '?'} words of member ${member ?? '?'} are not believed: ${reason ?? '?'}`,
  'spa.accepted': (line) => `${door(line)}: a packet to ${port(line)} was accepted${byKey(line)}`,
  'spa.rejected': (line) =>
    `a packet to ${port(line)} opens nothing${byKey(line)}: ${line.detail ?? refusalWords(line.reason ?? '?')}${strikes(line)}`,
  'spa.unauthenticated': (line) => `${line.count ?? '?'} packets to ${port(line)} that no key proves`,
  'spa.overload': (line) => `${line.count ?? '?'} packets not looked into: more than can be proven`,
  'key.added': (line) => `key ${line.key ?? '?'}${whose(line)} is taken from now on`,
  'key.revoked': (line) => `key ${line.key ?? '?'}${whose(line)} opens nothing any more`,
  'command.failed': (line) => `${door(line)}: command failed${because(line)}`,
  'command.output': (line) => `${door(line)}: command said${because(line)}`,
  'state.degraded': (line) => `state is held in memory alone${because(line)}`,
  'state.recovered': () => 'state is written to disk again',
  'firewall.repaired': (line) => `firewall repaired${because(line)}`,
  'firewall.failed': (line) =>
    `firewall refused${line.door === undefined ? '' : ` ${door(line)}`}${because(line)}`,
  'firewall.stood_down': (line) =>
    `stood down: every rule is out and every port open${line.until === undefined ? ', until somebody says: nfknock stand-down --over' : until(line)}`,
  'firewall.resumed': () => 'no longer stood down: the rules are in again',
  'queue.overflow': (line) => `${line.count ?? '?'} packets lost (dropped, not let in)${because(line)}`,
  'events.lost': (line) => `${line.count ?? '?'} of the kernel's messages lost${because(line)}`,
  'daemon.fault': (line) => `a fault of nfknock's own${because(line)}`,
  'log.suppressed': (line) =>
    `${line.count ?? '?'} more lines${line.of_event === undefined || line.of_event === '*' ? '' : ` of ${line.of_event}`} not written`,
};

/** The line as people read it: time, level, event, source, and a sentence. */
export function renderLine(read: ReadLine, colour: Colour, clock: Clock = 'utc'): string {
  const line = clock === 'utc' ? read : inLocalTime(read);
  const ink = inkOf(colour);
  const level = (line.level ?? '').padEnd(LEVEL_WIDTH);
  const event = line.event.padEnd(EVENT_WIDTH);
  const source = (line.source ?? '-').padEnd(SOURCE_WIDTH);
  const parts = [
    ink('dim', printable(timeOf(line.time))),
    ink(LEVEL_COLOUR[line.level ?? ''], printable(level)),
    ink(line.event.startsWith('door.') ? 'green' : 'bold', printable(event)),
    printable(source),
    printable(sentenceOf(line)),
  ];
  return parts.join('  ').trimEnd();
}

/** A line that is not ours, such as a complaint of the system in between. */
export function renderForeign(text: string, colour: Colour): string {
  return inkOf(colour)('dim', printable(text));
}

function sentenceOf(line: ReadLine): string {
  const known = Object.hasOwn(SENTENCE, line.event) ? SENTENCE[line.event as EventName] : undefined;
  if (known !== undefined) return known(line);
  // An event of a later version: whatever else it says.
  const { time, level, event, source, ...rest } = line;
  void [time, level, event, source];
  return Object.entries(rest)
    .map(([field, value]) => `${field}=${String(value)}`)
    .join(' ');
}

/** `2026-11-21T06:40:00.123Z` without the letters that help programs only. It stays UTC, as in the log. */
function timeOf(iso: string): string {
  const match = /^(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(\.\d{1,3})?\d*Z$/.exec(iso);
  return match === null ? iso : `${match[1]} ${match[2]}${match[3] ?? ''}`;
}

/** The moments of a line as this machine's clock shows them. */
function inLocalTime(line: ReadLine): ReadLine {
  const { time, until: end } = line;
  return { ...line, time: localTime(time), ...(end === undefined ? {} : { until: localTime(end) }) };
}

function localTime(iso: string): string {
  const moment = new Date(iso);
  // What is no moment is shown as it stands.
  if (!/^\d{4}-\d\d-\d\dT.*Z$/.test(iso) || Number.isNaN(moment.getTime())) return iso;
  const two = (count: number, width = 2): string => String(count).padStart(width, '0');
  const date = [moment.getFullYear(), moment.getMonth() + 1, moment.getDate()].map((each) => two(each));
  const clock = [moment.getHours(), moment.getMinutes(), moment.getSeconds()].map((each) => two(each));
  const rest = iso.includes('.') ? `.${two(moment.getMilliseconds(), 3)}` : '';
  return `${date.join('-')} ${clock.join(':')}${rest}`;
}

function inkOf(colour: Colour): (name: keyof typeof COLOUR | undefined, text: string) => string {
  return (name, text) =>
    colour === 'plain' || name === undefined ? text : `\u001b[${COLOUR[name]}m${text}\u001b[0m`;
}
