import { systemClock } from '../clock.ts';
import { settingsOf } from '../config/settings.ts';
import { type ControlServer, openControl } from '../control/server.ts';
import { createEngine } from '../engine/engine.ts';
import { type Families, findFamilies, hasIpv6, openOverIpv6 } from '../firewall/iptables/families.ts';
import { openFirewall } from '../firewall/iptables/iptables.ts';
import { tellFaults } from '../guard/guard.ts';
import { randomKey } from '../live/random-key.ts';
import { openLogger } from '../log/logger.ts';
import { findAnswers } from '../machine/on-link.ts';
import type { Metrics } from '../metrics/server.ts';
import type { Config } from '../policy/config.ts';
import { openStore } from '../state/sqlite.ts';
import { createAnnouncer } from './announce.ts';
import { join } from './assemble.ts';
import { words } from './commit.ts';
import { createHandler } from './control-handler.ts';
import { type Parts, warn } from './dependencies.ts';
import { findExempt } from './exemptions.ts';
import { createHooks } from './hook.ts';
import { nextSequence, oneTimePortsOf } from './hook-subject.ts';
import { openSources } from './open-sources.ts';
import { reconcile } from './reconcile.ts';
import { createReloader, type Reloader } from './reload.ts';
import { readingOf } from './sample.ts';
import { createVigil, type Vigil } from './supervise.ts';
import { createSurroundings } from './surroundings.ts';

/*
 * Where the rooms meet. Data goes one way (src/daemon/assemble.ts is the wiring):
 *
 *   queue ─▶ intake: decode, judge ─▶ events ─▶ settle: durable, in force, announced ─▶ log · metrics · control
 *                         ▲ orders: people, conntrack, reload, what the kernel refused
 */
export interface DaemonOptions {
  readonly config: Config;
  readonly configFile: string;
  readonly version: string;
  /** False: the rules were installed before by someone with more privilege; where they are not there that is said. */
  readonly install: boolean;
}

export interface Daemon {
  reload(): Promise<void>;
  stop(reason: string): Promise<void>;
  /** Resolves when the daemon can't go on, with why. */
  readonly failed: Promise<Error>;
}

/** What is to be undone, last first. */
type CleanUp = (() => Promise<void> | void)[];

/** Who serves people and looks after the rest, once they are there: others are older than they are. */
interface Serving {
  control?: ControlServer;
  metrics?: Metrics;
  vigil?: Vigil;
}

/** Starts the daemon. Rejects with what the system refused; then nothing is left running. */
export async function startDaemon(options: DaemonOptions): Promise<Daemon> {
  const cleanUp: CleanUp = [];
  try {
    return await start(options, cleanUp);
  } catch (error) {
    for (const each of cleanUp.reverse()) await each();
    throw error;
  }
}

async function start(options: DaemonOptions, cleanUp: CleanUp): Promise<Daemon> {
  const { config } = options;
  const serving: Serving = {};
  let fail: (error: Error) => void = () => undefined;
  const failed = new Promise<Error>((resolve) => {
    fail = resolve;
  });
  const { parts, notice, closeLog } = await openParts(options, serving, fail, cleanUp);
  tellFaults(parts.faults.report);

  // The queue first: who finds it taken must not have touched the rules of who has it.
  parts.sources = await openSources(config, parts.intake.onBatch, fail);
  cleanUp.push(() => parts.sources.close());
  if (options.install) await parts.firewall.install();
  else await layMissing(parts);
  parts.order({ order: 'exempt', ...(await findExempt()) });
  await reconcile(parts, notice === null ? 'known' : 'lost');
  const reloader = createReloader(parts, () => serving.vigil?.reloaded());
  await serve(parts, reloader, serving, cleanUp);
  for (const door of config.doors) warn(parts, nextSequence(door).warning, door.name);
  warn(parts, notice);
  parts.surroundings = createSurroundings(parts);
  parts.surroundings.glance();
  await parts.surroundings.lookAtTracking();
  parts.announcer.announce({ event: 'daemon.ready', at: parts.clock.now() });
  const vigil = createVigil(parts);
  serving.vigil = vigil;
  cleanUp.push(() => vigil.close());
  return {
    failed,
    reload: () => reloader.fromSignal(),
    async stop(reason) {
      // What it still has to say must not come after the end is said.
      parts.surroundings.close();
      // No packet after this; what was judged is carried to its end. The rules stay: every door is shut.
      parts.sources.close();
      await parts.settle.drained();
      parts.announcer.drain();
      parts.announcer.announce({ event: 'daemon.stopped', at: parts.clock.now(), reason });
      parts.announcer.drain();
      for (const each of cleanUp.reverse()) await each();
      await closeLog();
    },
  };
}

/**
 * Rules that someone with more privilege was to lay: where they are not there, ports would be open. Where there are as
 * many as there should be they may still be those of another configuration, with another queue: they are laid anew in
 * any case, which changes nothing where they are right.
 */
async function layMissing({ firewall, announcer, clock }: Parts): Promise<void> {
  const intact = await firewall.intact();
  await firewall.install();
  if (intact) return;
  const reason = 'the rules were not there as this configuration wants them; they are now';
  announcer.announce({ event: 'firewall.repaired', at: clock.now(), reason });
}

interface Opened {
  readonly parts: Parts;
  /** What an owner should know of the state file. */
  readonly notice: string | null;
  readonly closeLog: () => Promise<void>;
}

/** Opens what changes nothing yet: the state file, the log, the way to the kernel. */
async function openParts(
  options: DaemonOptions,
  serving: Serving,
  fail: (error: Error) => void,
  cleanUp: CleanUp,
): Promise<Opened> {
  const { config, configFile, version } = options;
  const clock = systemClock;
  const { store, notice } = openStore(config.state, { now: clock.wall() });
  cleanUp.push(() => store.close());
  const logger = openLogger(config.log);
  cleanUp.push(() => logger.close());
  const announcer = createAnnouncer(config, clock, logger, {
    publish: (line) => serving.control?.publish(line),
    watched: () => (serving.control?.subscribers() ?? 0) > 0,
    observe: (event) => serving.metrics?.observe(event),
  });
  const families = await findFamilies({ config });
  const firewall = await openFirewall({
    config,
    families: families.usable,
    now: clock.wall,
    oneTime: oneTimePortsOf,
    answers: findAnswers,
    onMended: () => serving.vigil?.mended(),
  });
  cleanUp.push(() => firewall.close());
  const settings = settingsOf(config, (door) => nextSequence(door).next);
  const engine = createEngine(settings, randomKey());
  const hooks = createHooks(({ door, failure, output }) => {
    const about = { at: clock.now(), door };
    if (failure !== null) announcer.announce({ event: 'command.failed', ...about, reason: failure });
    if (output !== '') announcer.announce({ event: 'command.output', ...about, reason: output });
  });
  cleanUp.push(() => hooks.close());
  const metrics = (): Metrics | undefined => serving.metrics;
  const opened = {
    config,
    configFile,
    version,
    clock,
    store,
    firewall,
    engine,
    settings,
    announcer,
    hooks,
    fail,
    metrics,
    logFault: () => logger.fault(),
  };
  const parts = join(opened);
  sayFamilies(parts, families);
  return { parts, notice, closeLog: () => logger.close() };
}

/** A machine without IPv6 is sound; one whose IPv6 can't be guarded is not, and goes on for IPv4. */
function sayFamilies(parts: Parts, { fault }: Families): void {
  if (!hasIpv6()) warn(parts, 'this kernel has no IPv6: there is only IPv4 to guard');
  if (fault === undefined) return;
  parts.ipv6Fault = words(fault);
  const reason = `${openOverIpv6(parts.config)}: ${parts.ipv6Fault}`;
  parts.announcer.announce({ event: 'firewall.failed', at: parts.clock.now(), reason });
}

/** Opens what people and their programs ask through. */
async function serve(parts: Parts, reloader: Reloader, serving: Serving, cleanUp: CleanUp): Promise<void> {
  const { config } = parts;
  const control = await openControl({ path: config.control, handle: createHandler(parts, reloader) });
  serving.control = control;
  cleanUp.push(() => control.close());
  warn(parts, control.notice);
  if (config.metrics === null) return;
  // Loaded only where it is wanted: prom-client takes its time.
  const { openMetrics } = await import('../metrics/server.ts');
  try {
    const metrics = await openMetrics(config.metrics, () => readingOf(parts));
    serving.metrics = metrics;
    cleanUp.push(() => metrics.close());
  } catch (error) {
    // Doors open without metrics too. What the server says names the address and the mend.
    parts.metricsFault = `there are no metrics until a restart: ${words(error)}`;
    warn(parts, parts.metricsFault);
  }
}
