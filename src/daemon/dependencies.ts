import type { Clock } from '../clock.ts';
import type { Order, OrderAnswer } from '../engine/command.ts';
import type { Engine } from '../engine/engine.ts';
import type { IptablesFirewall } from '../firewall/iptables/iptables.ts';
import type { Milliseconds } from '../packet/time.ts';
import type { Config } from '../policy/config.ts';
import type { Store } from '../state/store.ts';
import type { Announcer } from './announce.ts';
import type { Settle } from './commit.ts';
import type { Faults } from './faults.ts';
import type { Intake } from './intake.ts';
import type { Losses } from './losses.ts';
import type { Sources } from './open-sources.ts';
import type { Recall } from './packet-history.ts';
import type { Restored } from './restored.ts';
import type { Surroundings } from './surroundings.ts';

/** What the daemon is made of, for what serves people and the kernel: control, reload, repair. */
export interface Parts {
  config: Config;
  readonly configFile: string;
  readonly version: string;
  readonly clock: Clock;
  readonly engine: Engine;
  readonly store: Store;
  readonly firewall: IptablesFirewall;
  readonly announcer: Announcer;
  readonly recall: Recall;
  readonly intake: Intake;
  readonly settle: Settle;
  sources: Sources;
  /** What an earlier boot left. */
  restored: Restored;
  /** Milliseconds from arrival to judgement, smoothed over the last batches; null: no stamps. */
  lag: number | null;
  /** Null: the kernel holds what it should; else what is wrong. */
  firewallFault: string | null;
  /** Null: IPv6 is guarded, or not there; else why it can't be. */
  ipv6Fault: string | null;
  /** Null: metrics are offered, or not wanted; else why they are not. */
  metricsFault: string | null;
  /** Null: the log is written; else why it is not. */
  readonly logFault: () => string | null;
  /** Null: connections are counted as they come, or no door has `uses`; else why not. */
  usesFault: string | null;
  /** How often someone else changed our rules or sets in the last minute. */
  meddled: () => number;
  /** How many packets were lost in the last minute before they were judged. */
  lost: () => number;
  /** Messages of the kernel that were missed. */
  readonly losses: Losses;
  /** Exceptions that nobody had thought of. */
  readonly faults: Faults;
  surroundings: Surroundings;
  readonly since: Milliseconds;
  order(order: Order): OrderAnswer;
  fail(error: Error): void;
}

export function warn(parts: Pick<Parts, 'announcer' | 'clock'>, warning: string | null, door?: string): void {
  if (warning === null) return;
  const about = door === undefined ? {} : { door };
  parts.announcer.announce({ event: 'config.warning', at: parts.clock.now(), reason: warning, ...about });
}
