import type { Clock } from '../clock.ts';
import type { Engine } from '../engine/engine.ts';
import type { Emit, EngineEvent } from '../engine/event.ts';
import { fault, guarded } from '../guard/guard.ts';
import { sentenceOf } from '../text/error.ts';
import type { Announcer } from './announce.ts';
import { type Commit, type CommitOptions, createCommit, type DoorEvent } from './commit.ts';
import type { Consumer, Consumption, ConsumptionTask, GrantEvent } from './consume.ts';
import { createConsumptions } from './consume-later.ts';
import { warn } from './dependencies.ts';
import type { Sayings } from './fleet-sayings.ts';
import { createGrantQueues, type Origin, type Stage, type Taken } from './grant-queue.ts';
import type { Keys } from './keys.ts';

/*
 * What comes of what the engine says. While packets are judged or a command is executed events are only collected;
 * then each is carried to its end, in these steps:
 *
 *   consume ─▶ commit: durable, then in force ─▶ announce ─▶ the door's command
 *
 * Whatever is slow, refuses, or is killed in between, this holds:
 *
 *  1. Nothing comes of an event while the engine is at work, and events are begun in the order in which it said them.
 *  2. The events of one grant (a door and a grantee) are carried out one after the other, each to its end. Different
 *     grants do not wait for each other, nor does any other event wait for a grant.
 *  3. A grant takes what its door asked for when the engine said it. It is committed once that has been consumed,
 *     announced once it is in force, and its command is run once it was announced. What could not be consumed is neither committed nor announced.
 *  4. What is refused, by a consumption or by the kernel, is taken back from the engine before the next event of the
 *     grant is looked at, with every renewal that came meanwhile. Nobody has heard of an opening that was refused, so
 *     nobody hears of its end; a grant that was to be renewed was announced, so its end is carried out and announced.
 *  5. What has ended while it was being consumed is not put in force, and nobody hears of it.
 *  6. What waits is bounded: this many consumptions at once, each for so long; and where too much waits for the kernel no
 *     packet is judged (`isFull`).
 *  7. Killed after it was consumed, a grant is lost and what it took stays consumed; after it was made durable, the next
 *     start puts it in force; after it was in force, the next start knows it, and its end is announced.
 *
 * Until it is consumed or refused the engine counts the source as a holder: it is struck for nothing, and let in nowhere.
 * docs/decisions/commit-order.md says why it is done in this order.
 */

/** Events of grants that wait for one before them. As many as bans may wait for the kernel. */
const WAITING_MAX = 65_536;
/** The list of collected events is kept for the next batch, unless it was longer. */
const KEPT_MAX = 4096;

export interface Effects {
  /** Takes what the engine says; nothing comes of it before `carryOut`. */
  readonly collect: Emit;
  /** Carries out what was collected. To be called after each batch, command or expiry. */
  carryOut(origin: Origin): void;
  /** Resolves once everything collected so far has come to its end. */
  drained(): Promise<void>;
  /** So much waits that no packet may be judged before some is through. */
  isFull(): boolean;
}

export interface EffectsOptions extends Pick<CommitOptions, 'store' | 'firewall' | 'cut'> {
  /** What the fleet is told; undefined: there is none. */
  readonly sayings: Sayings | undefined;
  readonly clock: Clock;
  readonly engine: Pick<Engine, 'execute' | 'grant'>;
  readonly announcer: Pick<Announcer, 'announce'>;
  readonly consumer: Consumer;
  /** Why nobody would get in by this grant; null: it lets in. */
  readonly whyShut: (event: GrantEvent) => string | null;
  /** The command of the door as it is configured now. */
  readonly commandOf: (event: DoorEvent) => () => void;
  /** What a key used up for an opening, and what is to be said of its packet before the door's. */
  readonly keys: Pick<Keys, 'usedBy' | 'acceptanceOf' | 'judgeCode'>;
  /** How long a door took from its last knock to the kernel's acknowledgement, in milliseconds. */
  readonly opened: (took: number) => void;
  /** Something was carried out: the engine may have another deadline. */
  readonly after: () => void;
}

export function createEffects(options: EffectsOptions): Effects {
  const { clock, engine, announcer } = options;
  const { sayings } = options;
  const collected = createCollected(sayings);
  const { collect } = collected;
  // Whoever has the grant from elsewhere hears of its end, though it never was in force here.
  const queues = createGrantQueues(begin, ({ event }) => {
    if (event.event === 'door.closed') sayings?.tell(event);
    else keepUsed(options, event);
  });
  const refused: { readonly event: GrantEvent; readonly stage: Stage }[] = [];
  let working = false;

  const commit: Commit = createCommit({
    ...options,
    announce: announcer.announce,
    grant: (event) => engine.grant(event.door, event.grantee),
    usedBy: options.keys.usedBy,
    inForce(event) {
      const taken = queues.current(event);
      if (taken?.announce === 'yes') tell(taken);
      else if (event.event === 'door.closed') sayings?.tell(event);
      queues.advance(event);
      carryOut('command');
    },
    failed(event, error) {
      const { source, door } = event;
      const about = { at: clock.now(), source, door };
      announcer.announce({ event: 'firewall.failed', ...about, reason: sentenceOf(error) });
      if (event.event === 'door.closed') queues.advance(event);
      else refused.push({ event, stage: 'kept' });
      carryOut('command');
    },
  });

  const later = createConsumptions((event, consumption) => {
    orRefuse(event, () => consumed(event, consumption));
    carryOut('command');
  });

  /** What fails here must not keep the next event of the grant from its turn. */
  const tell = guarded('effects', ({ event, runCommand }: Taken) => {
    if (event.event === 'door.opened') options.opened(Math.max(0, clock.now() - event.at));
    const acceptance = options.keys.acceptanceOf(event);
    if (acceptance !== undefined) announcer.announce(acceptance);
    announcer.announce(event);
    sayings?.tell(event);
    runCommand();
  });

  function carryOut(origin: Origin): void {
    if (working) return;
    working = true;
    try {
      collected.each((event) => take(event, origin));
      for (let each = refused.shift(); each !== undefined; each = refused.shift()) {
        takeBack(each.event, each.stage);
      }
    } finally {
      working = false;
    }
    commit.flush();
    options.after();
  }

  function take(event: EngineEvent, origin: Origin): void {
    switch (event.event) {
      case 'door.opened':
      case 'door.renewed':
      case 'door.closed':
        queues.take(takenOf(options, event, origin));
        return;
      case 'ban.added':
      case 'ban.extended':
      case 'ban.lifted':
      case 'ban.expired':
        commit.take(event);
        return;
      case 'code.knocked':
        options.keys.judgeCode(event);
        return;
      default:
        announcer.announce(event);
    }
  }

  function begin({ event, task }: Taken): void {
    if (event.event === 'door.closed') {
      commit.take(event);
      return;
    }
    orRefuse(event, () => {
      if (task === undefined) enter(event);
      else if (task.when === 'at once') consumed(event, task.consume());
      else later.begin(event, task.consume);
    });
  }

  /** A fault of ours opens no door. */
  function orRefuse(event: GrantEvent, work: () => void): void {
    try {
      work();
    } catch (error) {
      fault('effects', error);
      refused.push({ event, stage: 'asked' });
    }
  }

  function consumed(event: GrantEvent, { accepted, warning, command }: Consumption): void {
    warn(options, warning, event.door);
    if (command !== null) engine.execute(command, clock.now(), collect);
    if (!accepted) refused.push({ event, stage: 'asked' });
    else if (queues.endOf(event) === -1) enter(event);
    else queues.drop(event, 'asked');
  }

  /** Nobody is told that a door is open by which nobody gets in. */
  function enter(event: GrantEvent): void {
    const reason = options.whyShut(event);
    if (reason === null) {
      commit.take(event);
      return;
    }
    const { source, door } = event;
    announcer.announce({ event: 'firewall.failed', at: clock.now(), source, door, reason });
    refused.push({ event, stage: 'asked' });
  }

  /** The grant must not be believed. It may have ended by itself meanwhile. */
  function takeBack(event: GrantEvent, stage: Stage): void {
    const { door, grantee } = event;
    if (queues.endOf(event) === -1)
      engine.execute({ command: 'refuse', door, grantee, reason: 'refused' }, clock.now(), collect);
    collected.each((event) => take(event, 'command'));
    keepUsed(options, event);
    queues.drop(event, stage);
    collected.each((event) => take(event, 'command'));
  }

  return {
    collect,
    carryOut,
    async drained() {
      carryOut('command');
      await Promise.all([commit.drained(), queues.finished()]);
    },
    isFull: () => commit.isFull() || queues.waiting() >= WAITING_MAX,
  };
}

function takenOf({ consumer, commandOf }: EffectsOptions, event: DoorEvent, origin: Origin): Taken {
  return { event, task: taskOf(consumer, event, origin), announce: 'yes', runCommand: commandOf(event) };
}

/** Asked for at once: by the time of its turn a one-time door may ask for the next line, which nobody has knocked. */
function taskOf(consumer: Consumer, event: DoorEvent, origin: Origin): ConsumptionTask | undefined {
  if (event.event === 'door.closed' || origin === 'command') return undefined;
  try {
    return consumer.taskOf(event);
  } catch (error) {
    // A fault of ours opens no door.
    const consume = (): never => {
      throw error;
    };
    return { when: 'at once', line: [], consume };
  }
}

/** What a key has used up for an opening that comes to nothing is used up all the same. */
function keepUsed({ keys, store, clock }: EffectsOptions, event: GrantEvent): void {
  const used = keys.usedBy(event);
  if (used.length > 0) store.write(used, clock.wall(), 'machine');
}

/** What the engine has said, in its order. No list is made for a batch of which nothing is said. */
function createCollected(sayings: Sayings | undefined): {
  collect: Emit;
  each: (take: (event: EngineEvent) => void) => void;
} {
  const note = sayings === undefined ? undefined : guarded('fleet', sayings.decided);
  let collected: EngineEvent[] = [];
  let count = 0;
  let next = 0;
  return {
    collect(event) {
      note?.(event);
      collected[count] = event;
      count += 1;
    },
    /** Also what is said meanwhile. One that fails costs none of the others. */
    each(take) {
      while (next < count) {
        const event = collected[next];
        next += 1;
        try {
          if (event !== undefined) take(event);
        } catch (error) {
          fault('effects', error);
        }
      }
      if (collected.length > KEPT_MAX) collected = [];
      count = 0;
      next = 0;
    },
  };
}
