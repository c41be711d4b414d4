import { formatFault } from '../config/fault.ts';
import { keyWarningText } from '../config/key-warnings.ts';
import type { ControlServer } from '../control/server.ts';
import { tellFaults } from '../guard/guard.ts';
import { readsKeys } from '../policy/codes.ts';
import type { Config } from '../policy/config.ts';
import { openOverIpv6 } from '../policy/open-over-ipv6.ts';
import { sentenceOf } from '../text/error.ts';
import { assemble } from './assemble.ts';
import { createHandler } from './control-handler.ts';
import { type Core, type Dependencies, type Running, warn } from './dependencies.ts';
import { nextSequence } from './hook-subject.ts';
import { executeLifting } from './lift-bans.ts';
import { reconcile } from './reconcile.ts';
import { createReloader, type Reloader } from './reload.ts';
import { readingOf } from './sample.ts';
import { createSupervisor } from './supervise.ts';

/*
 * Where the rooms meet. Data goes one way (src/daemon/assemble.ts is the wiring):
 *
 *   queue ─▶ intake: decode, judge ─▶ events ─▶ effects: consumed, durable, in force, announced ─▶ log · metrics · control
 *                         ▲ commands: people, conntrack, reload, what was refused
 */

/** What is to run, and what was found while its dependencies were opened. */
export interface RunOptions {
  readonly config: Config;
  readonly configFile: string;
  readonly version: string;
  /** False: the rules were installed before by someone with more privilege; where they are not there that is said. */
  readonly install: boolean;
  /** What an owner should know of the state file; null: what was kept is known. */
  readonly stateNotice: string | null;
  /** Why IPv6 can't be guarded; null: it is, or it is not there. */
  readonly ipv6Fault: string | null;
  readonly warnings: readonly string[];
}

export interface Daemon {
  reload(): Promise<void>;
  stop(reason: string): Promise<void>;
  /** Resolves when the daemon can't go on, with why. */
  readonly failed: Promise<Error>;
}

/** How long a start waits for what other members have said, in milliseconds. */
const JOIN_WAIT = 2_000;

/** What is to be undone, last first. */
type CleanUp = (() => Promise<void> | void)[];

/**
 * Runs the daemon over what it is given. Rejects with what the system refused; then nothing that was begun here is left
 * running. `close` closes what was given, at the end.
 */
export async function runDaemon(
  given: Dependencies,
  options: RunOptions,
  close: () => Promise<void>,
): Promise<Daemon> {
  const cleanUp: CleanUp = [];
  try {
    return await start(given, options, close, cleanUp);
  } catch (error) {
    for (const each of cleanUp.reverse()) await each();
    throw error;
  }
}

async function start(
  given: Dependencies,
  options: RunOptions,
  close: () => Promise<void>,
  cleanUp: CleanUp,
): Promise<Daemon> {
  const { config } = options;
  let fail: (error: Error) => void = () => undefined;
  const failed = new Promise<Error>((resolve) => {
    fail = resolve;
  });
  const keys = given.loadKeys(config);
  if (!keys.ok) throw new Error(keys.faults.map(formatFault).join('; '));
  const core = assemble(given, { ...options, fail });
  cleanUp.push(core.close);
  tellFaults(core.health.caught);
  sayFindings(core, options);

  // The queue first: who finds it taken must not have touched the rules of who has it.
  const sources = await given.openSources(config, core.intake, fail);
  cleanUp.push(() => sources.close());
  const running: Running = { ...core, sources };
  // Before anything is installed: whoever has taken the rules out wants them out whoever starts anew.
  await core.standDown.look();
  // Rules that stand say that keys may have opened doors before, whatever the state file knows of it.
  const stood = readsKeys(config) && (await core.firewall.intact());
  core.keys.begin(keys.file, stood);
  if (options.install) await core.firewall.install();
  else await installMissing(core);
  await executeLifting(core, { command: 'exempt', ...(await core.findExempt()) });
  await reconcile(core, options.stateNotice === null ? 'known' : 'lost');
  for (const warning of keys.warnings) warn(core, keyWarningText(warning));
  core.keys.look();
  const reloader = createReloader(running);
  await serve(running, reloader, cleanUp);
  // Who was revoked before there was a daemon to be told is not in the file any more.
  const latest = core.loadKeys(config);
  if (latest.ok) core.keys.replace(latest.file);
  for (const door of config.doors) warn(core, nextSequence(door).warning, door.name);
  warn(core, options.stateNotice);
  core.surroundings.glance();
  await core.surroundings.lookAtTracking();
  await joinFleet(core);
  core.announcer.announce({ event: 'daemon.ready', at: core.clock.now() });
  const supervisor = createSupervisor(running);
  reloader.onReloaded(supervisor.reloaded);
  cleanUp.push(supervisor.close);
  return {
    failed,
    reload: () => reloader.fromSignal(),
    async stop(reason) {
      // What it still has to say must not come after the end is said.
      core.surroundings.close();
      // No packet after this; what was judged is carried to its end. The rules stay: every door is shut.
      sources.close();
      await core.keys.drained();
      await core.effects.drained();
      core.life?.stop();
      core.announcer.drain();
      core.announcer.announce({ event: 'daemon.stopped', at: core.clock.now(), reason });
      core.announcer.drain();
      for (const each of cleanUp.reverse()) await each();
      await close();
    },
  };
}

/** What others have said meanwhile holds from the first moment, where it is to be had. */
async function joinFleet({ life, clock, announcer }: Core): Promise<void> {
  if (life === undefined) return;
  life.start();
  if (await life.joined(JOIN_WAIT)) return;
  const { reason } = life.status();
  announcer.announce({ event: 'fleet.apart', at: clock.now(), reason: reason ?? 'it takes long to read' });
}

/** A machine without IPv6 is sound; one whose IPv6 can't be guarded is not, and goes on for IPv4. */
function sayFindings(core: Core, { config, ipv6Fault, warnings }: RunOptions): void {
  for (const warning of warnings) warn(core, warning);
  if (ipv6Fault === null) return;
  core.health.report('ipv6', ipv6Fault);
  const reason = `${openOverIpv6(config)}: ${ipv6Fault}`;
  core.announcer.announce({ event: 'firewall.failed', at: core.clock.now(), reason });
}

/**
 * Rules that someone with more privilege was to install: where they are not there, ports would be open. Where there are
 * as many as there should be they may still be those of another configuration, with another queue: they are installed
 * anew in any case, which changes nothing where they are right.
 */
async function installMissing({ firewall, announcer, clock }: Core): Promise<void> {
  const intact = await firewall.intact();
  await firewall.install();
  if (intact) return;
  const reason = 'the rules were not there as this configuration wants them; they are now';
  announcer.announce({ event: 'firewall.repaired', at: clock.now(), reason });
}

/** Opens what people and their programs ask through. */
async function serve(core: Running, reloader: Reloader, cleanUp: CleanUp): Promise<void> {
  const control: ControlServer = await core.openControl(createHandler(core, reloader));
  core.announcer.publishTo(control);
  cleanUp.push(() => control.close());
  warn(core, control.notice);
  const { metrics: place } = core.config();
  if (place === null) return;
  try {
    const metrics = await core.openMetrics(
      place,
      () => readingOf(core),
      core.life === undefined ? 'alone' : 'in a fleet',
    );
    core.health.measureWith(metrics);
    core.announcer.observeWith(metrics.observe);
    cleanUp.push(() => metrics.close());
  } catch (error) {
    // Doors open without metrics too. What the server says names the address and the fix.
    const fault = `there are no metrics until a restart: ${sentenceOf(error)}`;
    core.health.report('metrics', fault);
    warn(core, fault);
  }
}
