import type { CloseReason, EventName, NfknockEvent } from '../engine/event.ts';

/** What a knock came to. */
type KnockResult = 'accepted' | 'wrong' | 'too_fast' | 'expired';

/** What happened at one door since the daemon began. */
interface DoorTally {
  readonly knocks: Readonly<Record<KnockResult, number>>;
  readonly opened: number;
  readonly renewed: number;
  readonly closed: Readonly<Record<CloseReason, number>>;
}

/** Sums of events. Observing is a few additions, since every packet of a flood comes by here. */
export interface Counters {
  observe(event: NfknockEvent): void;
  /** By event; those that never happened are 0. */
  events(): Readonly<Record<EventName, number>>;
  /** By the door's name; the empty name holds the knocks that belong to no door. These are there from the start. */
  doors(configured: readonly string[]): ReadonlyMap<string, DoorTally>;
  /** Lines that were counted instead of written. */
  suppressed(): number;
  /** Packets that were lost before they were judged, as the log said. */
  overflowed(): number;
}

/** Doors come from the configuration, never from packets; this bounds what reloads can make of them. */
const DOORS_MAX = 4096;
const NO_DOOR = '';

interface Tally {
  readonly knocks: Record<KnockResult, number>;
  opened: number;
  renewed: number;
  readonly closed: Record<CloseReason, number>;
}

const NOT_CLOSED: Readonly<Record<CloseReason, number>> = {
  expired: 0,
  knock: 0,
  revoked: 0,
  moved: 0,
  used: 0,
  reload: 0,
  refused: 0,
  key: 0,
  fleet: 0,
};

/** A sum that begins at 0 shows its first step, too, to anyone who looks at its rate. */
const NONE: Readonly<Record<EventName, number>> = {
  'daemon.ready': 0,
  'daemon.stopped': 0,
  'daemon.reloaded': 0,
  'config.rejected': 0,
  'config.warning': 0,
  'knock.accepted': 0,
  'knock.wrong': 0,
  'knock.ignored': 0,
  'knock.elsewhere': 0,
  'knock.too_fast': 0,
  'knock.expired': 0,
  'decoy.hit': 0,
  'scan.detected': 0,
  'packet.malformed': 0,
  'ban.added': 0,
  'ban.extended': 0,
  'ban.lifted': 0,
  'ban.expired': 0,
  'door.opened': 0,
  'door.renewed': 0,
  'door.refused': 0,
  'door.closed': 0,
  'spa.accepted': 0,
  'spa.rejected': 0,
  'spa.unauthenticated': 0,
  'spa.overload': 0,
  'key.added': 0,
  'key.revoked': 0,
  'command.failed': 0,
  'command.output': 0,
  'state.degraded': 0,
  'state.recovered': 0,
  'firewall.repaired': 0,
  'firewall.failed': 0,
  'firewall.stood_down': 0,
  'firewall.resumed': 0,
  'queue.overflow': 0,
  'events.lost': 0,
  'daemon.fault': 0,
  'fleet.joined': 0,
  'fleet.apart': 0,
  'fleet.member': 0,
  'fleet.refused': 0,
  'log.suppressed': 0,
};

export function createCounters(): Counters {
  const events = { ...NONE };
  const doors = new Map<string, Tally>();
  let suppressed = 0;
  let overflowed = 0;

  function at(door: string | undefined): Tally {
    const name = door ?? NO_DOOR;
    const found = doors.get(name);
    if (found !== undefined) return found;
    const made: Tally = {
      knocks: { accepted: 0, wrong: 0, too_fast: 0, expired: 0 },
      opened: 0,
      renewed: 0,
      closed: { ...NOT_CLOSED },
    };
    if (doors.size < DOORS_MAX) doors.set(name, made);
    return made;
  }

  function observe(event: NfknockEvent): void {
    events[event.event]++;
    switch (event.event) {
      case 'knock.accepted':
        at(event.door).knocks.accepted++;
        return;
      case 'knock.wrong':
        at(event.door).knocks.wrong++;
        return;
      case 'knock.too_fast':
        at(event.door).knocks.too_fast++;
        return;
      case 'knock.expired':
        at(event.door).knocks.expired++;
        return;
      case 'door.opened':
        at(event.door).opened++;
        return;
      case 'door.renewed':
        at(event.door).renewed++;
        return;
      case 'door.closed':
        at(event.door).closed[event.reason]++;
        return;
      case 'log.suppressed':
        suppressed += event.count;
        return;
      case 'queue.overflow':
        overflowed += event.count;
        return;
      default:
        return;
    }
  }

  return {
    observe,
    events: () => events,
    doors(configured) {
      for (const door of [NO_DOOR, ...configured]) at(door);
      return doors;
    },
    suppressed: () => suppressed,
    overflowed: () => overflowed,
  };
}
