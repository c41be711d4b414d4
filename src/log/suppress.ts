import type { DaemonEvent, EventName, NfknockEvent } from '../engine/event.ts';
import type { Address } from '../packet/address.ts';
import { type Milliseconds, milliseconds, SECOND } from '../packet/time.ts';
import { CATALOGUE, type Level, RANK } from './catalogue.ts';

/** Lines of one event written in a second before the rest is counted. */
export const LINES_PER_SECOND = 20;

/**
 * Lines of one event written in a second beyond that, one for each source that has had none in it: a single
 * flooding source can not hide what another does.
 */
export const FIRST_LINES_PER_SECOND = 20;

type LogSuppressed = Extract<DaemonEvent, { readonly event: 'log.suppressed' }>;

/**
 * Keeps a flood of packets from becoming a flood of lines. Time is an argument; memory is a few hundred
 * words, whatever comes.
 */
export interface Suppressor {
  /** Whether this event's line is to be written now. Where not, and it would have been, it is counted. */
  admit(event: NfknockEvent, now: Milliseconds): boolean;
  /** What was counted and is a second old or more; nothing where nothing is due. */
  flush(now: Milliseconds): LogSuppressed[];
  /** Everything counted, due or not: for the end of the daemon. */
  drain(now: Milliseconds): LogSuppressed[];
  /** When `flush` next has something to say; undefined while nothing is counted. */
  deadline(): Milliseconds | undefined;
}

/** One event's second. A knock past the first step has a second of its own: forged first knocks must not hide it. */
interface Meter {
  readonly event: EventName;
  start: number;
  /** Lines written in this second of those that anyone may have. */
  written: number;
  /** Lines written in this second of those kept for a source's first. */
  firsts: number;
  /** The sources that had a line in this second, three words each: two of the address, and the family. */
  readonly seen: Int32Array;
  sources: number;
  /** Lines not written since the last word about it, and when the next is due. */
  suppressed: number;
  due: number;
}

/**
 * The events that packets cause one by one, and the ends of bans, of which a whole table can come at once.
 * Doors, the daemon's life, its configuration and the firewall are never kept from the log.
 */
const METERED = [
  'knock.accepted',
  'knock.wrong',
  'knock.ignored',
  'knock.elsewhere',
  'knock.too_fast',
  'knock.expired',
  'decoy.hit',
  'scan.detected',
  'packet.malformed',
  'ban.added',
  'ban.lifted',
  'ban.expired',
] as const satisfies readonly EventName[];

const NOBODY: Address = { family: 4, a: 0, b: 0, c: 0, d: 0 };

/** `level` is the log's: what is not written anyway is not said to have been kept from it. */
export function createSuppressor(level: Level): Suppressor {
  const meters = new Map<EventName, Meter>(METERED.map((event) => [event, meterOf(event)]));
  const laterSteps = meterOf('knock.accepted');
  const all = [...meters.values(), laterSteps];

  function admit(event: NfknockEvent, now: Milliseconds): boolean {
    if (RANK[CATALOGUE[event.event].level] < RANK[level]) return false;
    const meter = event.event === 'knock.accepted' && event.step > 1 ? laterSteps : meters.get(event.event);
    return meter === undefined || take(meter, event, now);
  }

  function say(meter: Meter, now: Milliseconds): LogSuppressed {
    const count = meter.suppressed;
    meter.suppressed = 0;
    return { event: 'log.suppressed', at: now, of_event: meter.event, count };
  }

  return {
    admit,
    flush: (now) =>
      all.filter((meter) => meter.suppressed > 0 && now >= meter.due).map((meter) => say(meter, now)),
    drain: (now) => all.filter((meter) => meter.suppressed > 0).map((meter) => say(meter, now)),
    deadline() {
      let first = Number.POSITIVE_INFINITY;
      for (const meter of all) if (meter.suppressed > 0 && meter.due < first) first = meter.due;
      return first === Number.POSITIVE_INFINITY ? undefined : milliseconds(first);
    },
  };
}

function meterOf(event: EventName): Meter {
  const seen = new Int32Array(3 * (LINES_PER_SECOND + FIRST_LINES_PER_SECOND));
  return {
    event,
    start: Number.NEGATIVE_INFINITY,
    written: 0,
    firsts: 0,
    seen,
    sources: 0,
    suppressed: 0,
    due: 0,
  };
}

/** On the path of every packet of a flood: once the second is used up it is two comparisons and a sum. */
function take(meter: Meter, event: NfknockEvent, now: number): boolean {
  if (now - meter.start >= SECOND) {
    meter.start = now;
    meter.written = 0;
    meter.firsts = 0;
    meter.sources = 0;
  }
  if (meter.written < LINES_PER_SECOND) {
    meter.written++;
    remember(meter, sourceOf(event));
    return true;
  }
  if (meter.firsts < FIRST_LINES_PER_SECOND && remember(meter, sourceOf(event))) {
    meter.firsts++;
    return true;
  }
  if (meter.suppressed === 0) meter.due = now + SECOND;
  meter.suppressed++;
  return false;
}

function sourceOf(event: NfknockEvent): Address {
  if ('source' in event && event.source !== undefined) return event.source;
  return 'target' in event ? event.target.address : NOBODY;
}

/** True where this source had no line in this second yet. An IPv6 source is its /64, as everywhere for offences. */
function remember(meter: Meter, source: Address): boolean {
  const { seen } = meter;
  const b = source.family === 6 ? source.b : 0;
  for (let i = 0; i < meter.sources * 3; i += 3) {
    if (seen[i] === source.a && seen[i + 1] === b && seen[i + 2] === source.family) return false;
  }
  const end = meter.sources * 3;
  seen[end] = source.a;
  seen[end + 1] = b;
  seen[end + 2] = source.family;
  meter.sources++;
  return true;
}
