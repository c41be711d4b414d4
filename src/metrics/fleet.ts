import { Histogram, type Registry } from 'prom-client';
import { counterOf, gaugeOf } from './sampled.ts';

/** This machine's part in a fleet. Counts are since the daemon began. */
export interface FleetReading {
  readonly up: boolean;
  /** Members that are there, this one among them. */
  readonly members: number;
  readonly messages: readonly {
    readonly kind: string;
    readonly direction: 'in' | 'out';
    readonly count: number;
  }[];
  readonly outbox: number;
  readonly parked: number;
  /** What others said and changed nothing here, by why. */
  readonly refused: Readonly<Record<string, number>>;
  readonly claims: Readonly<Record<string, number>>;
  /** How far this machine's clock is ahead of the engine's, in seconds. */
  readonly offset: number;
}

/** Seconds: 0.002 to 0.007 where nobody else is at work. */
const APPLY_BUCKETS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10];

/** Registers them all; answers what keeps how long others' words take. */
export function ofFleet(registry: Registry, read: () => FleetReading | null): Pick<Histogram, 'observe'> {
  const total = counterOf(registry);
  const gauge = gaugeOf(registry);
  gauge('nfknock_fleet_up', "1 while the fleet's engine answers", [], () => [[{}, Number(read()?.up ?? 0)]]);
  gauge('nfknock_fleet_members', 'Members that are there, this one among them', [], () => [
    [{}, read()?.members ?? 0],
  ]);
  total('nfknock_fleet_messages_total', 'Messages to and from others', ['kind', 'direction'], () =>
    (read()?.messages ?? []).map(({ kind, direction, count }) => [{ kind, direction }, count]),
  );
  gauge('nfknock_fleet_outbox', 'Bans, grants and lifts that others are still to be told of', [], () => [
    [{}, read()?.outbox ?? 0],
  ]);
  gauge('nfknock_fleet_parked', 'Knocks that wait for another member to have a use for them', [], () => [
    [{}, read()?.parked ?? 0],
  ]);
  total('nfknock_fleet_refused_total', 'What others said and changed nothing here', ['reason'], () =>
    Object.entries(read()?.refused ?? {}).map(([reason, count]) => [{ reason }, count]),
  );
  total('nfknock_fleet_claims_total', 'What was asked to be used once', ['result'], () =>
    Object.entries(read()?.claims ?? {}).map(([result, count]) => [{ result }, count]),
  );
  gauge('nfknock_fleet_offset_seconds', "How far this clock is ahead of the engine's", [], () => [
    [{}, read()?.offset ?? Number.NaN],
  ]);
  return new Histogram({
    name: 'nfknock_fleet_apply_seconds',
    help: 'From when another member said something to when it was in force here',
    buckets: APPLY_BUCKETS,
    registers: [registry],
  });
}
