import { settingsOf } from '../config/settings.ts';
import type { Order } from '../engine/command.ts';
import { createEngine } from '../engine/engine.ts';
import type { EngineEvent, NfknockEvent } from '../engine/event.ts';
import type { EngineSettings } from '../engine/settings.ts';
import { grantKey } from '../firewall/grant.ts';
import { guarded } from '../guard/guard.ts';
import { ofUntracked } from '../machine/notrack/untracked.ts';
import type { PortSpec } from '../packet/port.ts';
import type { Config } from '../policy/config.ts';
import { createSettle, type DoorEvent, words } from './commit.ts';
import { type Core, type Dependencies, warn } from './dependencies.ts';
import { createHealth } from './health.ts';
import { doorOf, hookSubject, nextSequence, notMarked, useUp } from './hook-subject.ts';
import { createIntake } from './intake.ts';
import { createRecall } from './packet-history.ts';
import { createRestored } from './restored.ts';

/** What is to run. */
export interface Subject extends Pick<Core, 'configFile' | 'version' | 'fail'> {
  readonly config: Config;
}

/** Milliseconds until what has ended is looked at again where that failed. */
const FAULT_PAUSE = 1000;

/** Joins engine, settlement and intake: where an event goes is said here and nowhere else. */
export function assemble(given: Dependencies, subject: Subject): Core {
  const { clock, store, firewall, announcer, hooks } = given;
  let { config } = subject;
  const settings = settingsOf(config, (door) => nextSequence(door).next);
  const engine = createEngine(settings, given.key);
  const health = createHealth(given);
  const surroundings = given.createSurroundings({ config: () => config, clock, announcer, firewall });
  let timer: NodeJS.Timeout | undefined;
  /** A grant by hand uses no sequence up. */
  let byHand = false;
  /** Openings that were refused before anybody heard of them: their ends are not said either. */
  const unsaid = new Set<string>();
  /** What opens each one-time door now, as the engine knows it: its file may have been edited since. */
  const sequences = new Map<string, readonly PortSpec[]>();
  const learn = ({ doors }: EngineSettings): void => {
    for (const { name, oneTime, knock } of doors) if (oneTime) sequences.set(name, knock);
  };
  learn(settings);

  function emit(event: EngineEvent): void {
    switch (event.event) {
      case 'door.opened':
      case 'door.renewed':
        if (!spend(event) || isShut(event)) return;
        settle.take(event);
        return;
      case 'door.closed':
      case 'ban.added':
      case 'ban.extended':
      case 'ban.lifted':
      case 'ban.expired':
        settle.take(event);
        return;
      default:
        announcer.announce(event);
    }
  }

  /** A one-time sequence is used up, durably, before its door opens; where that fails it does not open. */
  function spend(event: DoorEvent): boolean {
    const door = doorOf(config, event.door);
    if (door === undefined || !('oneTime' in door.knock) || byHand) return true;
    try {
      const { next, warning } = useUp(door, sequences.get(door.name) ?? []);
      sequences.set(door.name, next);
      warn(given, warning, door.name);
      later.push({ order: 'sequence', door: door.name, knock: next });
      return true;
    } catch (error) {
      warn(given, notMarked(door, words(error)), door.name);
      later.push(refusalOf(event));
      return false;
    }
  }

  /** Nobody is told that a door is open by which nobody gets in. */
  function isShut(event: DoorEvent): boolean {
    const { source, door, grantee } = event;
    const [why] = ofUntracked(surroundings.shut(door, grantee));
    if (why === undefined) return false;
    const reason = `${why.what}; ${why.fix}`;
    announcer.announce({ event: 'firewall.failed', at: clock.now(), source, door, reason });
    later.push(refusalOf(event));
    return true;
  }

  /** The grant must not be believed. Where it was only renewed it had been announced, and so is its end. */
  function refusalOf(event: DoorEvent): Order {
    const { door, grantee } = event;
    if (event.event === 'door.opened') unsaid.add(grantKey(door, grantee));
    return { order: 'refuse', door, grantee, reason: 'refused' };
  }

  /** Orders that come up while the engine is at work. */
  const later: Order[] = [];

  function flush(): void {
    for (let order = later.shift(); order !== undefined; order = later.shift())
      engine.order(order, clock.now(), emit);
    settle.flush();
    schedule();
  }

  function schedule(least = 0): void {
    clearTimeout(timer);
    const wait = Math.max(least, engine.deadline() - clock.now());
    if (wait === Number.POSITIVE_INFINITY) return;
    // setTimeout takes at most 2^31 − 1 ms; it is looked at again then.
    timer = setTimeout(guarded('engine', expire), Math.min(wait, 2_147_483_647));
    timer.unref();
  }

  function expire(): void {
    // Looked at again whatever comes of it: a grant's end must not wait for a packet.
    schedule(FAULT_PAUSE);
    engine.expire(clock.now(), emit);
    flush();
  }

  const settle = createSettle({
    clock,
    store,
    firewall,
    announce(event: NfknockEvent) {
      if (event.event === 'door.closed' && unsaid.delete(grantKey(event.door, event.grantee))) return;
      announcer.announce(event);
      runHook(event);
    },
    cut: () => config.bans.cut,
    grant: (event) => engine.grant(event.door, event.grantee),
    refused(event) {
      const { door, grantee } = event;
      // It may have ended by itself meanwhile, and that been said.
      if (!core.execute(refusalOf(event)).ok) unsaid.delete(grantKey(door, grantee));
    },
    opened: health.opened,
  });

  function runHook(event: NfknockEvent): void {
    if (event.event !== 'door.opened' && event.event !== 'door.closed') return;
    const door = doorOf(config, event.door);
    const argv = event.event === 'door.opened' ? door?.onOpen : door?.onClose;
    if (argv !== null && argv !== undefined) hooks.run(argv, hookSubject(event));
  }

  const recall = createRecall();
  const intake = createIntake({
    clock,
    engine,
    recall,
    emit,
    isFull: settle.isFull,
    after(count, lag) {
      health.judged(count, lag);
      flush();
    },
  });

  const base = {
    close: () => clearTimeout(timer),
    ...given,
    ...{ configFile: subject.configFile, version: subject.version, fail: subject.fail },
    ...{ engine, health, intake, recall, settle, surroundings },
    since: clock.now(),
    config: () => config,
    configure(next: Config) {
      config = next;
    },
    execute(order: Order) {
      byHand = order.order === 'grant';
      const answer = engine.order(order, clock.now(), emit);
      if (order.order === 'reload') learn(order.settings);
      byHand = false;
      // What waits for a clock that can be believed is taken back too.
      const dropped = order.order === 'revoke' ? restored.drop(order.address, order.door) : 0;
      flush();
      return dropped > 0 && !answer.ok ? { ok: true as const, changed: dropped } : answer;
    },
  };
  const restored = createRestored(base);
  const core: Core = { ...base, restored };
  return core;
}
