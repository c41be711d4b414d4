import { Histogram, Registry } from 'prom-client';
import type { Milliseconds } from '../packet/time.ts';
import type { Counters } from './counters.ts';
import { type FleetReading, ofFleet } from './fleet.ts';
import { counterOf, gaugeOf, type Sample } from './sampled.ts';

/** How the daemon stands, asked for at each scrape. Counts are since it began. */
export interface Reading {
  readonly version: string;
  /** Packets by outcome: the engine's names. */
  readonly packets: Readonly<Record<string, number>>;
  readonly queue: {
    readonly packets: number;
    readonly batches: number;
    /** Packets waiting for a verdict now; null: unknown. */
    readonly depth: number | null;
    /** Null: unknown. */
    readonly kernelDropped: number | null;
    readonly userDropped: number;
    readonly errors: number;
    readonly overruns: number;
  };
  /** From a packet's arrival to its judgement, lately; null: unknown. */
  readonly lag: Milliseconds | null;
  /** Grants now, by door. */
  readonly grants: Readonly<Record<string, number>>;
  readonly bans: number;
  /** Sources remembered now, of at most so many. */
  readonly sources: number;
  readonly sourcesMax: number;
  readonly keys: KeysReading;
  /** Null: this machine is alone. */
  readonly fleet: FleetReading | null;
  readonly stateOk: boolean;
  readonly firewallOk: boolean;
  readonly stoodDown: boolean;
  readonly logOk: boolean;
}

/** How it stands with keys. */
export interface KeysReading {
  /** MACs computed for packets, and packets for which none was left. */
  readonly macs: number;
  readonly overloaded: number;
  /** Used packets that are remembered now. */
  readonly seen: number;
  /** When each key that has opened did so last, in milliseconds since 1970. */
  readonly lastUsed: Readonly<Record<string, number>>;
}

/** What is measured one by one rather than read at a scrape. */
export interface Measures {
  observeBatch(packets: number): void;
  /** From the last knock's arrival to the rule that the kernel acknowledged. */
  observeOpening(elapsed: Milliseconds): void;
  /** From when another member said something to when it was in force here. */
  observeApplied(elapsed: Milliseconds): void;
}

/** Who is in no fleet has no metrics of one. */
export type Place = 'alone' | 'in a fleet';

/** Packets a batch: up to the 128 messages of one read, and what NFLOG packs into them. */
const BATCH_BUCKETS = [1, 2, 4, 8, 16, 32, 64, 128, 256, 1024, 4096];
/** Seconds: a kept-running iptables-restore takes 0.0004 to 0.0006, a spawned iptables 0.003 to 0.03. */
const OPENING_BUCKETS = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5];

/** A registry of every metric. Nothing is registered in prom-client's global one. */
export function createRegistry(
  counters: Counters,
  read: () => Reading,
  place: Place = 'alone',
): { registry: Registry; measures: Measures } {
  const registry = new Registry();
  fromEvents(registry, counters, read);
  fromReading(registry, read);
  fromKeys(registry, read);
  ofProcess(registry);
  const applied = place === 'alone' ? undefined : ofFleet(registry, () => read().fleet);
  const batch = new Histogram({
    name: 'nfknock_batch_packets',
    help: 'Packets read at once',
    buckets: BATCH_BUCKETS,
    registers: [registry],
  });
  const opening = new Histogram({
    name: 'nfknock_opening_seconds',
    help: 'From the last knock to the rule that the kernel acknowledged',
    buckets: OPENING_BUCKETS,
    registers: [registry],
  });
  return {
    registry,
    measures: {
      observeBatch: (packets) => batch.observe(packets),
      observeOpening: (elapsed) => opening.observe(elapsed / 1000),
      observeApplied: (elapsed) => applied?.observe(elapsed / 1000),
    },
  };
}

function fromEvents(registry: Registry, counters: Counters, read: () => Reading): void {
  const total = counterOf(registry);
  const tallies = (): ReturnType<Counters['doors']> => counters.doors(Object.keys(read().grants));
  total('nfknock_events_total', 'Events by name, whether or not their lines were written', ['event'], () =>
    Object.entries(counters.events()).map(([event, count]) => [{ event }, count]),
  );
  total(
    'nfknock_knocks_total',
    'Knocks by what they came to; no door: a knock that belongs to none',
    ['door', 'result'],
    () =>
      [...tallies()].flatMap(([door, { knocks }]) =>
        Object.entries(knocks).map(([result, count]): Sample => [{ door, result }, count]),
      ),
  );
  const doors = (pick: 'opened' | 'renewed') => (): Sample[] =>
    [...tallies()].filter(isDoor).map(([door, tally]) => [{ door }, tally[pick]]);
  total('nfknock_doors_opened_total', 'Grants made', ['door'], doors('opened'));
  total('nfknock_doors_renewed_total', 'Grants renewed', ['door'], doors('renewed'));
  total('nfknock_doors_closed_total', 'Grants ended, by reason', ['door', 'reason'], () =>
    [...tallies()]
      .filter(isDoor)
      .flatMap(([door, { closed }]) =>
        Object.entries(closed).map(([reason, count]): Sample => [{ door, reason }, count]),
      ),
  );
  total('nfknock_log_lines_suppressed_total', 'Lines counted instead of written', [], () => [
    [{}, counters.suppressed()],
  ]);
}

function isDoor([door]: readonly [string, unknown]): boolean {
  return door !== '';
}

function fromKeys(registry: Registry, read: () => Reading): void {
  const total = counterOf(registry);
  const gauge = gaugeOf(registry);
  total('nfknock_spa_macs_total', 'MACs computed for packets to the ports of keys', [], () => [
    [{}, read().keys.macs],
  ]);
  total(
    'nfknock_spa_overload_packets_total',
    'Packets to the ports of keys that were not looked into: the budget was spent',
    [],
    () => [[{}, read().keys.overloaded]],
  );
  gauge('nfknock_spa_seen', 'Used packets of keys that are remembered', [], () => [[{}, read().keys.seen]]);
  gauge('nfknock_key_last_used_seconds', 'When a key has last opened a door, since 1970', ['key'], () =>
    Object.entries(read().keys.lastUsed).map(([key, last]): Sample => [{ key }, last / 1000]),
  );
}

function fromReading(registry: Registry, read: () => Reading): void {
  const total = counterOf(registry);
  const gauge = gaugeOf(registry);
  gauge('nfknock_info', 'Always 1; the version is its label', ['version'], () => [
    [{ version: read().version }, 1],
  ]);
  total('nfknock_packets_total', 'Packets judged, by outcome; every one was dropped', ['outcome'], () =>
    Object.entries(read().packets).map(([outcome, count]) => [{ outcome }, count]),
  );
  total('nfknock_queue_packets_total', 'Packets read from the kernel', [], () => [
    [{}, read().queue.packets],
  ]);
  total('nfknock_queue_batches_total', 'Batches read from the kernel', [], () => [
    [{}, read().queue.batches],
  ]);
  total(
    'nfknock_queue_dropped_total',
    'Packets that the kernel dropped before they were read',
    ['where'],
    () => {
      const { kernelDropped, userDropped } = read().queue;
      const socket = [{ where: 'socket' }, userDropped] as const;
      return kernelDropped === null ? [socket] : [[{ where: 'queue' }, kernelDropped], socket];
    },
  );
  total('nfknock_queue_errors_total', 'Messages cut short or with lengths that lie', [], () => [
    [{}, read().queue.errors],
  ]);
  total('nfknock_queue_overruns_total', "Times the socket's buffer ran over", [], () => [
    [{}, read().queue.overruns],
  ]);
  gauge('nfknock_queue_depth', 'Packets waiting for a verdict; NaN: unknown', [], () => [
    [{}, read().queue.depth ?? Number.NaN],
  ]);
  gauge('nfknock_lag_seconds', "From a packet's arrival to its judgement, lately; NaN: unknown", [], () => {
    const { lag } = read();
    return [[{}, lag === null ? Number.NaN : lag / 1000]];
  });
  gauge('nfknock_grants', 'Grants in force', ['door'], () =>
    Object.entries(read().grants).map(([door, count]) => [{ door }, count]),
  );
  gauge('nfknock_bans', 'Bans in force', [], () => [[{}, read().bans]]);
  gauge('nfknock_sources', 'Sources remembered', [], () => [[{}, read().sources]]);
  gauge('nfknock_sources_max', 'Sources that can be remembered at once (memory.sources)', [], () => [
    [{}, read().sourcesMax],
  ]);
  gauge(
    'nfknock_state_ok',
    '1 while the state file is written, 0 while state is held in memory alone',
    [],
    () => [[{}, Number(read().stateOk)]],
  );
  gauge('nfknock_log_ok', '1 while the log file can be written', [], () => [[{}, Number(read().logOk)]]);
  gauge('nfknock_firewall_ok', '1 while the rules are as they should be', [], () => [
    [{}, Number(read().firewallOk)],
  ]);
  gauge(
    'nfknock_stood_down',
    '1 while every rule is out because somebody at the console said so (nfknock stand-down)',
    [],
    () => [[{}, Number(read().stoodDown)]],
  );
}

/** prom-client's default metrics keep a timer of 10 ms running; these cost nothing between scrapes. */
function ofProcess(registry: Registry): void {
  const total = counterOf(registry);
  const gauge = gaugeOf(registry);
  total('process_cpu_seconds_total', 'User and system CPU time spent in seconds', [], () => {
    const { user, system } = process.cpuUsage();
    return [[{}, (user + system) / 1_000_000]];
  });
  gauge('process_resident_memory_bytes', 'Resident memory size in bytes', [], () => [
    [{}, process.memoryUsage.rss()],
  ]);
  gauge('process_uptime_seconds', 'Seconds since the process began', [], () => [[{}, process.uptime()]]);
}
