import type { Clock } from '../clock.ts';
import type { EngineEvent, NfknockEvent } from '../engine/event.ts';
import type { GrantView } from '../engine/views.ts';
import type { Change, Firewall } from '../firewall/firewall.ts';
import { guarded, owned } from '../guard/guard.ts';
import { hostCidr } from '../packet/cidr.ts';
import type { Milliseconds } from '../packet/time.ts';
import type { StateChange, Store, StoredGrant } from '../state/store.ts';
import { sentenceOf } from '../text/error.ts';
import type { Sayings } from './fleet-sayings.ts';

/** Bans that come within this many milliseconds of each other go to the disk and the kernel as one. */
const BAN_GATHER = 20;
/** Bans that may wait for the kernel, at about 1 kB each. A flood has some 10,000 in progress. */
const WAITING_MAX = 65_536;

export interface CommitOptions {
  readonly clock: Clock;
  readonly store: Store;
  readonly firewall: Pick<Firewall, 'apply'>;
  /** Whether a ban also ends established connections. */
  readonly cut: () => boolean;
  readonly grant: (event: DoorEvent) => GrantView | undefined;
  /** What a key has used up by this opening: it is kept in the same transaction. */
  readonly usedBy: (event: DoorEvent) => readonly StateChange[];
  /** What the fleet is told of this machine's doing; without a fleet nothing. */
  readonly sayings?: Pick<Sayings, 'rowsOf' | 'tell' | 'retract'> | undefined;
  /** Bans that are in force, and what the kernel refused of them. */
  readonly announce: (event: NfknockEvent) => void;
  /** It is durable and in force. */
  readonly inForce: (event: DoorEvent) => void;
  /** It is durable, and the kernel did not take it. */
  readonly failed: (event: DoorEvent, error: unknown) => void;
}

export type DoorEvent = Extract<
  EngineEvent,
  { readonly event: 'door.opened' | 'door.renewed' | 'door.closed' }
>;
export type BanEvent = Extract<
  EngineEvent,
  { readonly event: 'ban.added' | 'ban.extended' | 'ban.lifted' | 'ban.expired' }
>;

/**
 * Durable, then in force: every event that changes what the kernel lets in or keeps out goes through here, in that
 * order. Killed between the two, a grant that is kept but not in force is put in force at the next start, and one in
 * force was kept before. Of one grant no event may be taken before the one before it is in force or has failed.
 */
export interface Commit {
  take(event: DoorEvent | BanEvent): void;
  /** Carries on what was taken. */
  flush(): void;
  /** Resolves once everything taken so far is in force or has failed, and bans are announced. */
  drained(): Promise<void>;
  /**
   * So many bans wait for the kernel that no more may come before some are through: it holds sets or tables up while
   * a flood is being banned, and what waits would fill the memory.
   */
  isFull(): boolean;
}

export function createCommit(options: CommitOptions): Commit {
  const { clock, firewall, announce, sayings } = options;
  let doors: DoorEvent[] = [];
  let bans: BanEvent[] = [];
  /** A ban was lifted that is in the way of an opening. */
  let urgent = false;
  let timer: NodeJS.Timeout | undefined;
  let lastBans = Number.NEGATIVE_INFINITY;
  /** Bans that the kernel has been told and has not answered for. */
  let told = 0;
  let under = new Set<Promise<void>>();

  function follow(work: Promise<void>): void {
    under.add(work);
    owned(
      'commit',
      work.finally(() => under.delete(work)),
    );
  }

  function commitDoors(): void {
    if (doors.length === 0) return;
    const events = doors;
    doors = [];
    const kept = keep(options, events.flatMap(doorState), events);
    const changes = events.flatMap((event) => doorChanges(event, wall));
    follow(
      firewall.apply(changes, kept).then(
        () => {
          for (const event of events) options.inForce(event);
        },
        () => commitSingly(events),
      ),
    );
  }

  /** One that the kernel refuses must not take the others down with it. */
  async function commitSingly(events: readonly DoorEvent[]): Promise<void> {
    for (const event of events) {
      try {
        await firewall.apply(doorChanges(event, wall));
      } catch (error) {
        retract(options, event);
        options.failed(event, error);
        continue;
      }
      options.inForce(event);
    }
  }

  function commitBans(): void {
    clearTimeout(timer);
    timer = undefined;
    if (bans.length === 0) return;
    const events = bans;
    bans = [];
    urgent = false;
    lastBans = clock.now();
    told += events.length;
    const kept = keep(options, banStates(events), events);
    const answered = (): void => {
      told -= events.length;
      for (const event of events) announce(event);
      if (sayings !== undefined) for (const event of events) sayings.tell(event);
    };
    follow(
      firewall.apply(banChanges(events), kept).then(answered, (error: unknown) => {
        announce({ event: 'firewall.failed', at: clock.now(), reason: sentenceOf(error) });
        answered();
      }),
    );
  }

  function doorState(event: DoorEvent): readonly StateChange[] {
    if (event.event === 'door.closed')
      return [{ change: 'ungrant', door: event.door, grantee: event.grantee }];
    const grant = options.grant(event);
    const forgiven = (event.forgiven ?? []).map((target): StateChange => ({ change: 'forgive', target }));
    const used = [...forgiven, ...options.usedBy(event)];
    return grant === undefined ? used : [...used, { change: 'grant', grant: stored(grant, clock) }];
  }

  /** What the state file is to keep. A flood passes here: no list a ban. */
  function banStates(events: readonly BanEvent[]): readonly StateChange[] {
    const states: StateChange[] = [];
    for (const event of events) {
      const { target } = event;
      if (event.event === 'ban.lifted') states.push({ change: 'unban', target });
      // The state file knows by itself when a ban is over, and keeps its history.
      else if (event.event !== 'ban.expired') {
        const { at, until, count, reason, origin: from } = event;
        const origin = reason === 'order' || event.wanted === true ? 'order' : 'strikes';
        const ban = { target, since: wall(at), until: wall(until), count, origin } as const;
        states.push({ change: 'ban', ban: from === undefined ? ban : { ...ban, from } });
      }
    }
    return states;
  }

  function banChanges(events: readonly BanEvent[]): readonly Change[] {
    const cut = options.cut();
    const changes: Change[] = [];
    for (const event of events) {
      const { target } = event;
      // The set ends it by its own timeout, but that is whole seconds: until then it would hold the place of another,
      // and a set that is full takes none. A newer ban of the same target comes later in this order.
      if (event.event === 'ban.lifted' || event.event === 'ban.expired') {
        changes.push({ change: 'unban', target });
      } else {
        changes.push({ change: 'ban', target, until: wall(event.until) });
        if (cut) changes.push({ change: 'cut', target });
      }
    }
    return changes;
  }

  function wall(at: Milliseconds): number {
    return clock.wallOf(at);
  }

  return {
    take(event) {
      if (event.event === 'door.opened' || event.event === 'door.renewed' || event.event === 'door.closed') {
        doors.push(event);
      } else if (event.event === 'ban.added' && event.shadow === true) {
        announce(event);
      } else {
        bans.push(event);
        if (event.event === 'ban.lifted' && event.reason === 'key') urgent = true;
      }
    },
    flush() {
      // Whom a door is opened for must not find himself still banned.
      if (urgent) commitBans();
      commitDoors();
      if (bans.length === 0 || timer !== undefined) return;
      const wait = lastBans + BAN_GATHER - clock.now();
      if (wait <= 0) commitBans();
      else timer = setTimeout(guarded('commit', commitBans), wait);
    },
    isFull: () => bans.length + told >= WAITING_MAX,
    async drained() {
      commitDoors();
      commitBans();
      while (under.size > 0) await Promise.allSettled(under);
      under = new Set();
    },
  };
}

/** In the same transaction: who is killed after it tells the others at the next start. */
function withSaid(
  { sayings }: Pick<CommitOptions, 'sayings'>,
  states: readonly StateChange[],
  events: readonly (DoorEvent | BanEvent)[],
): readonly StateChange[] {
  return sayings === undefined ? states : [...states, ...events.flatMap(sayings.rowsOf)];
}

/** The others hear nothing of what the kernel did not take. */
function retract({ sayings, store, clock }: CommitOptions, event: DoorEvent): void {
  const rows = sayings?.retract(event) ?? [];
  if (rows.length > 0) store.write(rows, clock.wall());
}

function doorChanges(event: DoorEvent, wall: (at: Milliseconds) => number): readonly Change[] {
  const { door, grantee } = event;
  if (event.event === 'door.closed') return [{ change: 'close', door, grantee }];
  return [{ change: 'open', door, grantee, until: wall(event.until) }];
}

/** With what the fleet is to be told of it. Resolves once the disk has it; undefined: nothing of it waits for that. */
function keep(
  options: CommitOptions,
  changes: readonly StateChange[],
  events: readonly (DoorEvent | BanEvent)[],
): Promise<void> | undefined {
  const { store, clock } = options;
  const all = withSaid(options, changes, events);
  if (events.some(mustSurvive)) return store.writeThrough(all, clock.wall());
  store.write(all, clock.wall());
  return undefined;
}

/**
 * What ended before its time, by anybody's will, and what people ordered must not be undone by a power cut: it is on the
 * disk before it is announced. Knocks, strikes and what ends by itself do not wait for the disk.
 */
function mustSurvive(event: DoorEvent | BanEvent): boolean {
  switch (event.event) {
    case 'door.closed':
      return event.reason !== 'expired';
    case 'door.opened':
    case 'door.renewed':
      // By a key: its packet must not open once more, whatever happens to the machine.
      return event.key !== undefined;
    case 'ban.lifted':
      return true;
    case 'ban.added':
    case 'ban.extended':
      return event.reason === 'order' || event.wanted === true;
    default:
      return false;
  }
}

export function stored(grant: GrantView, clock: Clock): StoredGrant {
  const { door, grantee, usesLeft, reason, holder, from } = grant;
  return {
    door,
    grantee,
    source: hostCidr(grant.source),
    since: clock.wallOf(grant.since as Milliseconds),
    until: clock.wallOf(grant.until as Milliseconds),
    usesLeft,
    reason,
    holder,
    ...(from === undefined ? {} : { from }),
  };
}
