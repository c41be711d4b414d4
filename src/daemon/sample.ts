import type { Reading } from '../metrics/registry.ts';
import { milliseconds } from '../packet/time.ts';
import type { SourceHealth } from '../source/source.ts';
import type { Running } from './dependencies.ts';
import { fleetReading } from './fleet-status.ts';

/** Every queue together. */
export function totalHealth(core: Pick<Running, 'sources'>): SourceHealth {
  const all = core.sources.health();
  const sum = (key: Exclude<keyof SourceHealth, 'complete'>): number =>
    all.reduce((total, health) => total + health[key], 0);
  return {
    packets: sum('packets'),
    batches: sum('batches'),
    depth: sum('depth'),
    kernelDropped: sum('kernelDropped'),
    userDropped: sum('userDropped'),
    errors: sum('errors'),
    overruns: sum('overruns'),
    complete: all.every((health) => health.complete),
  };
}

/** What can't be known is null, never 0. */
function queueOf({ complete, depth, kernelDropped, ...known }: SourceHealth): Reading['queue'] {
  return {
    ...known,
    depth: complete ? depth : null,
    kernelDropped: complete ? kernelDropped : null,
  };
}

/** How the daemon stands, for a scrape. */
export function readingOf(core: Running): Reading {
  const sizes = core.engine.sizes();
  const { faults, lag } = core.health.snapshot();
  const open = core.engine.grantCounts();
  const grants = Object.fromEntries(core.config().doors.map(({ name }) => [name, open.get(name) ?? 0]));
  return {
    version: core.version,
    packets: core.intake.counts(),
    queue: queueOf(totalHealth(core)),
    lag: lag === null ? null : milliseconds(lag),
    grants,
    bans: sizes.bans,
    sources: Math.max(sizes.attempts, sizes.offenders),
    sourcesMax: sizes.sourcesMax,
    keys: core.keys.reading(),
    fleet: fleetReading(core),
    stateOk: faults.state === null,
    logOk: faults.log === null,
    firewallOk: faults.firewall === null && core.standDown.now() === undefined,
    stoodDown: core.standDown.now() !== undefined,
  };
}
