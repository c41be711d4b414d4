import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { type Clock, systemClock } from './clock.ts';
import type { Config } from './config/config.ts';
import { settingsOf } from './config/settings.ts';
import { type ControlServer, openControl } from './control/server.ts';
import { createEngine, type Engine } from './engine/engine.ts';
import type { EngineEvent, NfknockEvent } from './engine/event.ts';
import type { Order } from './engine/order.ts';
import { openFirewall } from './firewall/iptables.ts';
import { type Announcer, createAnnouncer } from './live/announce.ts';
import { createHandler } from './live/control.ts';
import { doorOf, hookSubject, nextSequence, oneTimePorts, useUp } from './live/doors.ts';
import { findExempt } from './live/exempt.ts';
import { createHooks, type Hooks } from './live/hook.ts';
import { createIntake } from './live/intake.ts';
import { type Parts, warn } from './live/parts.ts';
import { createRecall } from './live/recall.ts';
import { createReloader } from './live/reload.ts';
import { reconcile } from './live/restore.ts';
import { createSettle, type DoorEvent, words } from './live/settle.ts';
import { openSources } from './live/sources.ts';
import { createVigil } from './live/vigil.ts';
import { type Logger, openLogger } from './log/logger.ts';
import type { Metrics } from './metrics/server.ts';
import type { Milliseconds } from './packet/time.ts';
import { openStore } from './state/sqlite.ts';
import type { Store } from './state/store.ts';

/*
 * The only place where the rooms meet. Data goes one way:
 *
 *   queue ─▶ intake: decode, judge ─▶ events ─▶ settle: durable, in force, announced ─▶ log · metrics · control
 *                         ▲ orders: people, conntrack, reload, what the kernel refused
 */
export interface DaemonOptions {
  readonly config: Config;
  readonly configFile: string;
  readonly version: string;
  /** Leave the rules as they are: they were installed before by someone with more privilege. */
  readonly install: boolean;
}

export interface Daemon {
  reload(): Promise<void>;
  stop(reason: string): Promise<void>;
  /** Resolves when the daemon can't go on, with why. */
  readonly failed: Promise<Error>;
}

/** Starts the daemon. Rejects with what the system refused; then nothing is left running. */
export async function startDaemon(options: DaemonOptions): Promise<Daemon> {
  const { config } = options;
  const clock = systemClock;
  const { store, notice } = openStore(config.state, { now: clock.wall(), history: config.bans.max });
  const cleanUp: (() => Promise<void> | void)[] = [() => store.close()];
  try {
    return await start();
  } catch (error) {
    for (const each of cleanUp.reverse()) await each();
    throw error;
  }

  async function start(): Promise<Daemon> {
    const logger = openLogger(config.log);
    cleanUp.push(() => logger.close());
    let control: ControlServer | undefined;
    let metrics: Metrics | undefined;
    const announcer = createAnnouncer(config, clock, logger, {
      publish: (line) => control?.publish(line),
      watched: () => (control?.subscribers() ?? 0) > 0,
      observe: (event) => metrics?.observe(event),
    });
    const firewall = await openFirewall({
      config,
      now: clock.wall,
      oneTime: (door) => oneTimePorts(door, (path) => readFileSync(path, 'utf8')),
    });
    cleanUp.push(() => firewall.close());
    const engine = createEngine(
      settingsOf(config, (door) => nextSequence(door).next),
      randomKey(),
    );
    const hooks = createHooks(({ door, failure, output }) => {
      if (failure !== null)
        announcer.announce({ event: 'command.failed', at: clock.now(), door, reason: failure });
      if (output !== '')
        announcer.announce({ event: 'command.output', at: clock.now(), door, reason: output });
    });
    cleanUp.push(() => hooks.close());
    let fail: (error: Error) => void = () => undefined;
    const failed = new Promise<Error>((resolve) => {
      fail = resolve;
    });
    const parts = assemble({
      options,
      clock,
      store,
      firewall,
      engine,
      announcer,
      hooks,
      fail,
      metrics: () => metrics,
    });
    for (const door of config.doors) warn(parts, nextSequence(door).warning, door.name);
    warn(parts, notice);

    // The queue first: who finds it taken must not have touched the rules of who has it.
    parts.sources = await openSources(config, parts.intake.onBatch, fail);
    cleanUp.push(() => parts.sources.close());
    if (options.install) await firewall.install();
    parts.order({ order: 'exempt', networks: findExempt() });
    await reconcile(parts, notice === null ? 'known' : 'lost');
    const reloader = createReloader(parts);
    control = await openControl({ path: config.control, handle: createHandler(parts, reloader) });
    cleanUp.push(() => control?.close());
    warn(parts, control.notice);
    if (config.metrics !== null) {
      const { openMetrics } = await import('./metrics/server.ts');
      const { readingOf } = await import('./live/reading.ts');
      metrics = await openMetrics(config.metrics, () => readingOf(parts));
      cleanUp.push(() => metrics?.close());
    }
    const vigil = createVigil(parts);
    cleanUp.push(() => vigil.close());
    announcer.announce({ event: 'daemon.ready', at: clock.now() });
    return {
      failed,
      reload: () => reloader.fromSignal(),
      stop: (reason) => stop(parts, reason, vigil, logger, cleanUp),
    };
  }
}

interface Bench {
  readonly options: DaemonOptions;
  readonly clock: Clock;
  readonly store: Store;
  readonly firewall: Parts['firewall'];
  readonly engine: Engine;
  readonly announcer: Announcer;
  readonly hooks: Hooks;
  readonly fail: (error: Error) => void;
  readonly metrics: () => Metrics | undefined;
}

/** Until the queues are open. */
const NO_SOURCES: Parts['sources'] = {
  health: () => [],
  prepare: () => Promise.resolve({ commit: () => undefined, rollback: () => undefined }),
  close: () => undefined,
};

/** Joins engine, settlement and intake: where an event goes is said here and nowhere else. */
function assemble(bench: Bench): Parts {
  const { options, clock, store, firewall, engine, announcer, hooks, fail } = bench;
  let timer: NodeJS.Timeout | undefined;

  function emit(event: EngineEvent): void {
    switch (event.event) {
      case 'door.opened':
      case 'door.renewed':
        if (!spend(event)) return;
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
    const door = doorOf(parts.config, event.door);
    if (door === undefined || !('oneTime' in door.knock) || 'reason' in event) return true;
    try {
      const { next, warning } = useUp(door);
      warn(parts, warning, door.name);
      later.push({ order: 'sequence', door: door.name, knock: next });
      return true;
    } catch (error) {
      warn(
        parts,
        `door ${door.name} did not open: its sequence can't be marked used: ${words(error)}`,
        door.name,
      );
      later.push({ order: 'refuse', door: door.name, grantee: event.grantee, reason: 'refused' });
      return false;
    }
  }

  /** Orders that come up while the engine is at work. */
  const later: Order[] = [];

  function flush(): void {
    for (let order = later.shift(); order !== undefined; order = later.shift())
      engine.order(order, clock.now(), emit);
    settle.flush();
    schedule();
  }

  function schedule(): void {
    clearTimeout(timer);
    const wait = engine.deadline() - clock.now();
    if (wait === Number.POSITIVE_INFINITY) return;
    // setTimeout takes at most 2^31 − 1 ms; it is looked at again then.
    timer = setTimeout(expire, Math.min(Math.max(wait, 0), 2_147_483_647));
    timer.unref();
  }

  function expire(): void {
    engine.expire(clock.now(), emit);
    flush();
  }

  const settle = createSettle({
    clock,
    store,
    firewall,
    announce(event: NfknockEvent) {
      announcer.announce(event);
      runHook(event);
    },
    cut: () => parts.config.bans.cut,
    grant: (event) => engine.grant(event.door, event.grantee),
    refused(event) {
      parts.order({ order: 'refuse', door: event.door, grantee: event.grantee, reason: 'refused' });
    },
    opened: (took) => bench.metrics()?.observeOpening(took as Milliseconds),
  });

  function runHook(event: NfknockEvent): void {
    if (event.event !== 'door.opened' && event.event !== 'door.closed') return;
    const door = doorOf(parts.config, event.door);
    const argv = event.event === 'door.opened' ? door?.onOpen : door?.onClose;
    if (argv !== null && argv !== undefined) hooks.run(argv, hookSubject(event));
  }

  const recall = createRecall();
  const intake = createIntake({
    clock,
    engine,
    recall,
    emit,
    after(count, lag) {
      if (!Number.isNaN(lag)) parts.lag = (parts.lag ?? lag) * 0.9 + lag * 0.1;
      bench.metrics()?.observeBatch(count);
      flush();
    },
  });

  const parts: Parts = {
    config: options.config,
    configFile: options.configFile,
    version: options.version,
    clock,
    engine,
    store,
    firewall,
    announcer,
    recall,
    intake,
    settle,
    sources: NO_SOURCES,
    lag: null,
    firewallFault: null,
    since: clock.now(),
    fail,
    order(order) {
      const answer = engine.order(order, clock.now(), emit);
      flush();
      return answer;
    },
  };
  return parts;
}

async function stop(
  parts: Parts,
  reason: string,
  vigil: { close(): void },
  logger: Logger,
  cleanUp: (() => Promise<void> | void)[],
): Promise<void> {
  const { announcer, settle, clock } = parts;
  vigil.close();
  // No packet after this; what was judged is carried to its end. The rules stay: every door is shut to newcomers.
  parts.sources.close();
  await settle.drained();
  announcer.drain();
  announcer.announce({ event: 'daemon.stopped', at: clock.now(), reason });
  await logger.flush();
  for (const each of cleanUp.reverse()) await each();
}

function randomKey(): readonly [number, number] {
  const bytes = randomBytes(8);
  return [bytes.readInt32LE(0), bytes.readInt32LE(4)];
}
