import type { Clock } from '../clock.ts';
import type { Measures } from '../metrics/registry.ts';
import { milliseconds } from '../packet/time.ts';
import type { Store } from '../state/store.ts';
import type { Announcer } from './announce.ts';
import { createFaults } from './faults.ts';
import { createLosses, type KernelEvents } from './losses.ts';
import { createLately, type Lately } from './recent-count.ts';

/** What can be at fault for longer than a moment, besides the state file and the log, which know it themselves. */
type Part = 'config' | 'firewall' | 'ipv6' | 'metrics' | 'uses';
/**
 * What is worrying where it happens often: the rules were changed by others, packets were lost unjudged, or packets of
 * keys not looked into.
 */
type Incident = 'external changes' | 'lost packets' | 'keys over budget';

export interface HealthSnapshot {
  /** Of each part what is wrong with it; null: nothing. */
  readonly faults: Readonly<Record<Part | 'log' | 'state', string | null>>;
  /** In the last minute. */
  readonly lately: Readonly<Record<Incident, number>>;
  /** The kernel's messages that were missed: since the start, and in the last minute. */
  readonly missed: { readonly total: number; readonly lately: number };
  /** Exceptions that nobody had thought of: since the start, and the last one of the last minute in words. */
  readonly exceptions: { readonly total: number; readonly last: string | null };
  /** Milliseconds from a packet's arrival to its judgement, smoothed over the last batches; null: no stamps. */
  readonly lag: number | null;
}

/** How the daemon is: told by each part of itself, and asked by `status` and metrics. */
export interface Health {
  /** What is wrong with a part now; null: nothing is. */
  report(part: Part, fault: string | null): void;
  count(incident: Incident, count: number): void;
  /** Messages of the kernel were missed. */
  missed(what: KernelEvents, count: number): void;
  /** An exception: it has cost what was at hand. */
  caught(part: string, error: unknown): void;
  /** A batch has been judged; `lag` is its last packet's, NaN where it had no stamp. */
  judged(count: number, lag: number): void;
  /** A door took so long from its last knock to the kernel's acknowledgement. In milliseconds. */
  opened(took: number): void;
  /** Something that another member said was in force so long after. In milliseconds. */
  applied(took: number): void;
  /** Anyone who keeps distributions of these. */
  measureWith(measures: Measures): void;
  /** Says what was missed since it was last called. */
  tick(): void;
  snapshot(): HealthSnapshot;
}

export interface HealthOptions {
  readonly clock: Clock;
  readonly announcer: Pick<Announcer, 'announce'>;
  readonly store: Pick<Store, 'health'>;
  readonly logFault: () => string | null;
}

export function createHealth({ clock, announcer, store, logFault }: HealthOptions): Health {
  const faults: Record<Part, string | null> = {
    config: null,
    firewall: null,
    ipv6: null,
    metrics: null,
    uses: null,
  };
  const incidents: Record<Incident, Lately> = {
    'external changes': createLately(clock),
    'lost packets': createLately(clock),
    'keys over budget': createLately(clock),
  };
  const exceptions = createFaults(clock, announcer);
  const losses = createLosses(clock, announcer);
  let measures: Measures | undefined;
  let lag: number | null = null;
  return {
    report(part, fault) {
      faults[part] = fault;
    },
    count: (incident, count) => incidents[incident].add(count),
    missed: losses.add,
    caught: exceptions.report,
    judged(count, last) {
      if (!Number.isNaN(last)) lag = (lag ?? last) * 0.9 + last * 0.1;
      measures?.observeBatch(count);
    },
    opened: (took) => measures?.observeOpening(milliseconds(took)),
    applied: (took) => measures?.observeApplied(milliseconds(took)),
    measureWith(given) {
      measures = given;
    },
    tick: losses.tick,
    snapshot: () => ({
      faults: { ...faults, log: logFault(), state: store.health().reason },
      lately: {
        'external changes': incidents['external changes'].sum(),
        'lost packets': incidents['lost packets'].sum(),
        'keys over budget': incidents['keys over budget'].sum(),
      },
      missed: { total: losses.total(), lately: losses.lately() },
      exceptions: { total: exceptions.total(), last: exceptions.last() },
      lag,
    }),
  };
}
