import type { Reading } from '../metrics/registry.ts';
import { milliseconds } from '../packet/time.ts';
import type { SourceHealth } from '../source/source.ts';
import type { Parts } from './dependencies.ts';

/** Every queue together. */
export function totalHealth(parts: Pick<Parts, 'sources'>): SourceHealth {
  const all = parts.sources.health();
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
export function readingOf(parts: Parts): Reading {
  const sizes = parts.engine.sizes();
  const open = parts.engine.grantCounts();
  const grants = Object.fromEntries(parts.config.doors.map(({ name }) => [name, open.get(name) ?? 0]));
  return {
    version: parts.version,
    packets: parts.intake.counts(),
    queue: queueOf(totalHealth(parts)),
    lag: parts.lag === null ? null : milliseconds(parts.lag),
    grants,
    bans: sizes.bans,
    sources: Math.max(sizes.attempts, sizes.offenders),
    sourcesMax: sizes.sourcesMax,
    stateOk: parts.store.health().ok,
    logOk: parts.logFault() === null,
    firewallOk: parts.firewallFault === null,
  };
}
