import type { Clock } from '../clock.ts';
import type { LoadedKeys } from '../config/load-keys.ts';
import type { Parsed } from '../config/parse.ts';
import type { ControlOptions, ControlServer } from '../control/server.ts';
import type { Command, CommandAnswer } from '../engine/command.ts';
import type { Engine } from '../engine/engine.ts';
import type { HashKey } from '../engine/hash.ts';
import type { Firewall } from '../firewall/firewall.ts';
import type { ClockTrust } from '../machine/clock-trust.ts';
import type { openMetrics } from '../metrics/server.ts';
import type { Milliseconds } from '../packet/time.ts';
import type { Config } from '../policy/config.ts';
import type { StoodDown } from '../rollback/stood-down.ts';
import type { Store } from '../state/store.ts';
import type { Announcer } from './announce.ts';
import type { Consumer } from './consume.ts';
import type { Effects } from './effects.ts';
import type { Exempt } from './exemptions.ts';
import type { FleetGiven, FleetLife } from './fleet.ts';
import type { Health } from './health.ts';
import type { Hooks } from './hook.ts';
import type { Intake } from './intake.ts';
import type { Keys } from './keys.ts';
import type { Sources, Takers } from './open-sources.ts';
import type { PacketHistory } from './packet-history.ts';
import type { Restored } from './restored.ts';
import type { StandDown } from './stand-down.ts';
import type { Surroundings } from './surroundings.ts';
import type { SuspendableFirewall } from './suspendable.ts';

/** All that touches the kernel, a disk, people or time is given to the daemon here; a test gives its own. */
export interface Dependencies {
  readonly clock: Clock;
  readonly trust: ClockTrust;
  readonly store: Store;
  readonly firewall: Firewall;
  readonly announcer: Announcer;
  readonly hooks: Hooks;
  /** Whether somebody at the console has taken every rule out, and until when. */
  readonly findStoodDown: () => StoodDown | undefined;
  /** Why the log can't be written; null: it is. */
  readonly logFault: () => string | null;
  /** Of the engine's tables. */
  readonly key: HashKey;
  readonly loadConfig: () => Parsed;
  /** Reads the key file that a configuration names. */
  readonly loadKeys: (config: Config) => LoadedKeys;
  readonly openSources: (config: Config, takers: Takers, onError: (error: Error) => void) => Promise<Sources>;
  readonly openControl: (handle: ControlOptions['handle']) => Promise<ControlServer>;
  readonly openMetrics: typeof openMetrics;
  /** The way to the other members; undefined: this machine is alone. */
  readonly fleet?: FleetGiven | undefined;
  /** What grants take: one-time lines. */
  readonly createConsumer: (config: () => Config) => Consumer;
  readonly findExempt: () => Promise<Exempt>;
  readonly createSurroundings: (
    core: Pick<Core, 'config' | 'clock' | 'announcer' | 'firewall'>,
  ) => Surroundings;
}

/** What runs, as its parts see each other. Nothing in it is replaced while it runs. */
export interface Core extends Dependencies {
  readonly firewall: SuspendableFirewall;
  readonly standDown: StandDown;
  readonly configFile: string;
  readonly version: string;
  readonly since: Milliseconds;
  readonly engine: Engine;
  readonly health: Health;
  readonly intake: Intake;
  readonly history: PacketHistory;
  /** What an earlier boot left. */
  readonly restored: Restored;
  readonly keys: Keys;
  readonly effects: Effects;
  /** This machine's part in the fleet; undefined: it is alone. */
  readonly life: FleetLife | undefined;
  readonly surroundings: Surroundings;
  /** What is in force. */
  config(): Config;
  /** From now on another is; the engine, the rules and the sources have it already. */
  configure(next: Config): void;
  /** `here`: what comes of it holds on this machine alone. */
  execute(command: Command, where?: 'here'): CommandAnswer;
  /** The daemon can't go on. */
  fail(error: Error): void;
  /** Ends what would come by itself. Idempotent. */
  close(): void;
}

/** And what packets come from, once that is open. */
export interface Running extends Core {
  readonly sources: Sources;
}

export function warn(
  { announcer, clock }: { readonly announcer: Pick<Announcer, 'announce'>; readonly clock: Clock },
  warning: string | null,
  door?: string,
): void {
  if (warning === null) return;
  const about = door === undefined ? {} : { door };
  announcer.announce({ event: 'config.warning', at: clock.now(), reason: warning, ...about });
}
