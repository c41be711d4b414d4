import { readFileSync } from 'node:fs';
import { systemClock } from '../clock.ts';
import { formatFault } from '../config/fault.ts';
import { loadConfig } from '../config/load.ts';
import { loadFleetSecrets } from '../config/load-fleet.ts';
import { loadKeys } from '../config/load-keys.ts';
import { openControl } from '../control/server.ts';
import { findFamilies, hasIpv6 } from '../firewall/iptables/families.ts';
import { openFirewall } from '../firewall/iptables/iptables.ts';
import { guarded } from '../guard/guard.ts';
import { openLogger } from '../log/logger.ts';
import { systemTrust } from '../machine/clock-trust.ts';
import { findAnswers } from '../machine/on-link.ts';
import type { Config } from '../policy/config.ts';
import { findStoodDown, hereAt } from '../rollback/stood-down.ts';
import { openStore } from '../state/sqlite.ts';
import { sentenceOf } from '../text/error.ts';
import { createAnnouncer } from './announce.ts';
import { createOneTimeConsumer } from './consume.ts';
import type { DaemonOptions } from './daemon.ts';
import type { Dependencies } from './dependencies.ts';
import { findExempt } from './exemptions.ts';
import type { FleetGiven } from './fleet.ts';
import { createHooks } from './hook.ts';
import { oneTimePortsOf } from './hook-subject.ts';
import { openSources } from './open-sources.ts';
import { randomKey } from './random-key.ts';
import type { RunOptions } from './run.ts';
import { createSurroundings } from './surroundings.ts';

export interface Opened {
  readonly dependencies: Dependencies;
  readonly findings: Pick<RunOptions, 'stateNotice' | 'ipv6Fault' | 'warnings'>;
  /** Idempotent. */
  readonly close: () => Promise<void>;
}

/**
 * Opens what the daemon needs of this machine, and changes nothing yet: the state file, the log, the way to the kernel.
 * Rejects with what the system refused; then nothing is left open.
 */
export async function openDependencies(options: DaemonOptions): Promise<Opened> {
  const cleanUp: (() => Promise<void> | void)[] = [];
  const close = async (): Promise<void> => {
    for (const each of cleanUp.splice(0).reverse()) await each();
  };
  try {
    return { ...(await open(options, cleanUp)), close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function open(
  { config, configFile }: DaemonOptions,
  cleanUp: (() => Promise<void> | void)[],
): Promise<Omit<Opened, 'close'>> {
  const clock = systemClock;
  const { store, notice } = openStore(config.state, { now: clock.wall(), bans: config.bans.limit });
  cleanUp.push(() => store.close());
  const logger = openLogger(config.log);
  cleanUp.push(() => logger.close());
  const announcer = createAnnouncer(config, clock, logger);
  const families = await findFamilies({ config });
  const firewall = await openFirewall({
    config,
    families: families.usable,
    now: clock.wall,
    oneTime: oneTimePortsOf,
    answers: findAnswers,
  });
  cleanUp.push(() => firewall.close());
  const hooks = createHooks(({ door, failure, output }) => {
    const about = { at: clock.now(), door };
    if (failure !== null) announcer.announce({ event: 'command.failed', ...about, reason: failure });
    if (output !== '') announcer.announce({ event: 'command.output', ...about, reason: output });
  });
  cleanUp.push(() => hooks.close());
  return {
    dependencies: {
      ...{ clock, trust: systemTrust, store, firewall, announcer, hooks, key: randomKey() },
      ...{ logFault: logger.fault, openSources, findExempt, createSurroundings },
      createConsumer: createOneTimeConsumer,
      loadConfig: () => loadConfig(configFile),
      loadKeys,
      findStoodDown: () => findStoodDown(hereAt(clock.wall(), systemTrust)),
      fleet: await openFleet(config.fleet),
      openControl: (handle) => openControl({ path: config.control, handle }),
      // Loaded only where it is wanted: prom-client takes its time.
      openMetrics: async (...given) => (await import('../metrics/server.ts')).openMetrics(...given),
    },
    findings: {
      stateNotice: notice,
      ipv6Fault: families.fault === undefined ? null : sentenceOf(families.fault),
      warnings: hasIpv6() ? [] : ['this kernel has no IPv6: there is only IPv4 to guard'],
    },
  };
}

/** Read and loaded only where there is a fleet: the client of the engine takes its time. */
async function openFleet(fleet: Config['fleet']): Promise<FleetGiven | undefined> {
  if (fleet === null) return undefined;
  const loaded = loadFleetSecrets(fleet);
  if (!loaded.ok) throw new Error(loaded.faults.map(formatFault).join('; '));
  const { password, groupSecret } = loaded.secrets;
  const ca = fleet.ca === null ? null : readFileSync(fleet.ca, 'utf8');
  const { createRedisBus } = await import('../fleet/redis.ts');
  const { engine: address, group, name } = fleet;
  return {
    secret: groupSecret,
    openBus: (surroundings) =>
      createRedisBus({
        ...{ address, group, login: { name, password, ca }, surroundings },
        guard: (work) => guarded('fleet', work)(),
      }),
  };
}
