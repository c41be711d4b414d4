import {
  doorName,
  flag,
  list,
  moment,
  nullable,
  number,
  oneOf,
  record,
  type Shape,
  table,
  text,
} from './shape.ts';

/** How the daemon stands, as it goes over the wire and as `--json` prints it: the types, and below what is held against them. */
export interface Status {
  readonly version: string;
  readonly pid: number;
  /** Seconds since the daemon began. */
  readonly uptime: number;
  /** The configuration file in force. */
  readonly config: string;
  readonly doors: readonly DoorStatus[];
  /** Packets by what became of them: the engine's outcomes. */
  readonly packets: Readonly<Record<string, number>>;
  readonly queue: QueueStatus;
  /** Bans now; with `enforce` false they are only said. */
  readonly bans: number;
  readonly enforce: boolean;
  /** Sources remembered now, of at most so many. */
  readonly sources: number;
  readonly sources_max: number;
  readonly state: Health;
  readonly firewall: Health;
  /** The kernel's messages on connections and rules that were missed since the daemon began. */
  readonly events_lost: number;
  /** Exceptions of the daemon's own parts since it began. */
  readonly faults: number;
  /** This machine's part in a fleet; null: it is alone. */
  readonly fleet: FleetRow | null;
  /** What is wrong, in words; empty: nothing. */
  readonly problems: readonly Problem[];
  /** What makes doors weaker than they could be on this machine. */
  readonly warnings: readonly Problem[];
}

export interface FleetRow {
  readonly name: string;
  readonly engine: string;
  readonly up: boolean;
  /** Since when the engine answers, or does not. */
  readonly since: string;
  /** How far this machine's clock is ahead of the engine's, in milliseconds. */
  readonly offset: number;
  /** Bans and grants that the others are still to be told of. */
  readonly outbox: number;
  /** Knocks that wait for other members. */
  readonly parked: number;
  readonly members: readonly FleetMemberRow[];
  /** What was asked to be used once: opened, used elsewhere, not answered. */
  readonly claims: Readonly<Record<string, number>>;
  /** What others said and was not believed; own automatic bans that were not told. */
  readonly refused: number;
  readonly shed: number;
}

export interface FleetMemberRow {
  readonly name: string;
  readonly version: string | null;
  /** When it was last heard of; null: not since the start. */
  readonly seen: string | null;
  /** Milliseconds since then. */
  readonly lag: number | null;
  /** How far its clock is ahead of the engine's, in milliseconds; null: it has not said. */
  readonly offset: number | null;
  readonly bans: number;
  readonly grants: number;
  /** Doors of this machine that it defines otherwise. */
  readonly differs: readonly string[];
}

interface DoorStatus {
  readonly name: string;
  /** What it protects, such as `22/tcp`. */
  readonly ports: readonly string[];
  /** Grants now. */
  readonly open: number;
  /** Times it was opened since the daemon began. */
  readonly opened: number;
}

interface QueueStatus {
  readonly source: 'nfqueue' | 'nflog';
  readonly packets: number;
  readonly batches: number;
  /** Packets waiting for a verdict now; null: unknown, the kernel tells only root. */
  readonly depth: number | null;
  /** Packets that found the queue full; null: unknown, as above. */
  readonly kernel_dropped: number | null;
  readonly user_dropped: number;
  readonly errors: number;
  readonly overruns: number;
  /** Milliseconds from a packet's arrival to its judgement, lately; null: no packet had a stamp. */
  readonly lag: number | null;
}

interface Health {
  readonly ok: boolean;
  readonly reason: string | null;
}

export interface Problem {
  readonly what: string;
  readonly fix: string;
}

const member = record<FleetMemberRow>({
  ...{ name: text, version: nullable(text), seen: nullable(moment), lag: nullable(number) },
  ...{ offset: nullable(number), bans: number, grants: number, differs: list(doorName) },
});
const fleet = record<FleetRow>({
  ...{ name: text, engine: text, up: flag, since: moment, offset: number, outbox: number, parked: number },
  ...{ members: list(member), claims: table(number), refused: number, shed: number },
});
const health = record<Health>({ ok: flag, reason: nullable(text) });
const queue = record<QueueStatus>({
  source: oneOf('nfqueue', 'nflog'),
  packets: number,
  batches: number,
  depth: nullable(number),
  kernel_dropped: nullable(number),
  user_dropped: number,
  errors: number,
  overruns: number,
  lag: nullable(number),
});

/** What the answer to `status` must be. */
export const STATUS_SHAPE: Shape<Status> = record<Status>({
  version: text,
  pid: number,
  uptime: number,
  config: text,
  doors: list(record<DoorStatus>({ name: doorName, ports: list(text), open: number, opened: number })),
  packets: table(number),
  queue,
  bans: number,
  enforce: flag,
  sources: number,
  sources_max: number,
  state: health,
  firewall: health,
  events_lost: number,
  faults: number,
  fleet: nullable(fleet),
  problems: list(record<Problem>({ what: text, fix: text })),
  warnings: list(record<Problem>({ what: text, fix: text })),
});
