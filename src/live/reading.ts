import type { Reading } from '../metrics/registry.ts';
import { milliseconds } from '../packet/time.ts';
import type { SourceHealth } from '../source/source.ts';
import type { Parts } from './parts.ts';

/** Every queue together. */
export function totalHealth(parts: Pick<Parts, 'sources'>): SourceHealth {
  const total = {
    packets: 0,
    batches: 0,
    depth: 0,
    kernelDropped: 0,
    userDropped: 0,
    errors: 0,
    overruns: 0,
  };
  for (const health of parts.sources.health()) {
    for (const key of Object.keys(total) as (keyof SourceHealth)[]) total[key] += health[key];
  }
  return total;
}

/** How the daemon stands, for a scrape. */
export function readingOf(parts: Parts): Reading {
  const sizes = parts.engine.sizes();
  const grants = Object.fromEntries(parts.config.doors.map((door) => [door.name, 0]));
  for (const grant of parts.engine.grants()) grants[grant.door] = (grants[grant.door] ?? 0) + 1;
  return {
    version: parts.version,
    packets: parts.intake.counts(),
    queue: totalHealth(parts),
    lag: parts.lag === null ? null : milliseconds(parts.lag),
    grants,
    bans: sizes.bans,
    sources: Math.max(sizes.attempts, sizes.offenders),
    sourcesMax: sizes.sourcesMax,
    stateOk: parts.store.health().ok,
    firewallOk: parts.firewallFault === null,
  };
}
