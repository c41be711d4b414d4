import type { Clock } from '../clock.ts';
import type { EventName, NfknockEvent } from '../engine/event.ts';
import { guarded } from '../guard/guard.ts';
import { lineOf } from '../log/line.ts';
import type { Logger } from '../log/logger.ts';
import { createSuppressor } from '../log/suppress.ts';
import type { Address } from '../packet/address.ts';
import { contains, hostCidr } from '../packet/cidr.ts';
import { SECOND } from '../packet/time.ts';
import type { Config } from '../policy/config.ts';

/** Events remembered for `explain`. */
const RECENT_MAX = 16_384;
/**
 * Events remembered in a second whether they are written or not; beyond that only those that are. A flood would
 * otherwise push everything out within 50 ms, and every event that is kept costs the collector of garbage dear.
 */
const REMEMBERED_PER_SECOND = 1024;

/** People who watch, through the control socket. */
export interface Watchers {
  publish(line: object): void;
  /** How many they are. */
  subscribers(): number;
}

type Refused = Extract<NfknockEvent, { readonly event: 'door.refused' }>;

/** Says events: to the counters always, to the log and the watchers unless a flood would drown them. */
export interface Announcer {
  announce(event: NfknockEvent): void;
  /** From now on these hear of what is written. */
  publishTo(watchers: Watchers): void;
  /** From now on this hears of every event, written or not. */
  observeWith(observe: (event: NfknockEvent) => void): void;
  /** Says what was suppressed and is due. To be called about once a second. */
  tick(): void;
  /** Says everything that was suppressed, for the end. */
  drain(): void;
  /** Times each event was said or suppressed. */
  counts(): ReadonlyMap<EventName, number>;
  /** Times each door was opened. */
  opened(): ReadonlyMap<string, number>;
  /** The last right knock that opened nothing since everybody may come from its address. */
  lastRefused(): Refused | undefined;
  /** The events remembered about a host, oldest first. */
  recent(host: Address): readonly NfknockEvent[];
}

export function createAnnouncer(
  config: { readonly log: Pick<Config['log'], 'level'> },
  clock: Clock,
  logger: Pick<Logger, 'log'>,
): Announcer {
  const suppressor = createSuppressor(config.log.level);
  const counts = new Map<EventName, number>();
  const opened = new Map<string, number>();
  const ring: NfknockEvent[] = [];
  let lastRefused: Refused | undefined;
  let written = 0;
  let second = Number.NEGATIVE_INFINITY;
  let remembered = 0;
  let watchers: Watchers | undefined;
  let observe: ((event: NfknockEvent) => void) | undefined;
  /** To be written once the batch at hand has reached the kernel: nobody waits before a door while a line is made. */
  let unwritten: NfknockEvent[] = [];

  function say(event: NfknockEvent): void {
    if (unwritten.length === 0) setImmediate(guarded('log', write));
    unwritten.push(event);
  }

  function write(): void {
    const events = unwritten;
    unwritten = [];
    for (const event of events) {
      logger.log(event, clock.wallOf);
      if (watchers !== undefined && watchers.subscribers() > 0) watchers.publish(lineOf(event, clock.wallOf));
    }
  }

  function remember(event: NfknockEvent): void {
    ring[written % RECENT_MAX] = event;
    written += 1;
  }

  function isQuiet(at: number): boolean {
    if (at - second >= SECOND) {
      second = at;
      remembered = 0;
    }
    remembered += 1;
    return remembered <= REMEMBERED_PER_SECOND;
  }

  return {
    announce(event) {
      counts.set(event.event, (counts.get(event.event) ?? 0) + 1);
      if (event.event === 'door.opened') opened.set(event.door, (opened.get(event.door) ?? 0) + 1);
      if (event.event === 'door.refused') lastRefused = event;
      observe?.(event);
      // By the event's own moment: to ask the clock for each packet of a flood costs more than the rest of this.
      const said = suppressor.admit(event, event.at);
      if (isQuiet(event.at) || said) remember(event);
      if (said) say(event);
    },
    publishTo(given) {
      watchers = given;
    },
    observeWith(given) {
      observe = given;
    },
    tick() {
      for (const event of suppressor.flush(clock.now())) say(event);
    },
    drain() {
      for (const event of suppressor.drain(clock.now())) say(event);
      write();
    },
    counts: () => counts,
    opened: () => opened,
    lastRefused: () => lastRefused,
    recent(host) {
      const own = hostCidr(host);
      const first = Math.max(0, written - RECENT_MAX);
      const found: NfknockEvent[] = [];
      for (let index = first; index < written; index += 1) {
        const event = ring[index % RECENT_MAX];
        if (event === undefined) continue;
        if ('source' in event && event.source !== undefined && contains(own, event.source)) found.push(event);
        else if ('target' in event && contains(event.target, host)) found.push(event);
      }
      return found;
    },
  };
}
