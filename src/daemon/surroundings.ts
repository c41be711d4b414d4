import type { Grantee } from '../firewall/firewall.ts';
import { owned } from '../guard/guard.ts';
import { ofAcceptance } from '../machine/acceptance.ts';
import { type Asking, oneLook, oneQuestion } from '../machine/asking.ts';
import { findInputDefaults } from '../machine/input-default.ts';
import { findInterfaces, unseenOf } from '../machine/interfaces.ts';
import { findReached } from '../machine/look.ts';
import { findNativeTables } from '../machine/native-tables.ts';
import { findUntracked } from '../machine/notrack/find.ts';
import { ofUntracked, shutBy, type Untracked } from '../machine/notrack/untracked.ts';
import {
  type Observation,
  ofAnswer,
  ofAnswersFault,
  ofInterfaces,
  ofListeners,
  ofQueueReaders,
} from '../machine/observations.ts';
import { findQueueReaders } from '../machine/queue-readers.ts';
import type { Config } from '../policy/config.ts';
import { type Core, warn } from './dependencies.ts';
import { oneTimePortsOf } from './hook-subject.ts';

/** What on this machine stands against the configuration, as it was last seen. */
export interface Surroundings {
  /** Under these a port is open, or no knock is heard. */
  problems(): readonly Observation[];
  /** Under these a door is weaker than it could be, or a service is closed that perhaps should not be. */
  warnings(): readonly Observation[];
  /** Looks at what costs little: interfaces, who reads the queue, and what other tables do. */
  glance(): void;
  /** Looks at everything: starts iptables-save, and under a new configuration asks each process for its sockets. */
  look(): Promise<void>;
  /** Which doors can't let anybody in since a rule of others takes their service out of connection tracking. */
  lookAtTracking(): Promise<void>;
  /** Why a grant of a door would let nobody in; nothing: it would. */
  shut(door: string, grantee: Grantee): readonly Untracked[];
  /** Nothing is said after it. */
  close(): void;
}

/** What is needed of the daemon. */
type Observed = Pick<Core, 'config' | 'clock' | 'announcer' | 'firewall'>;

/** Each observation is said as a warning when it comes up, and again when it comes back. */
export function createSurroundings(core: Observed): Surroundings {
  let problems: readonly Observation[] = [];
  let warnings: readonly Observation[] = [];
  let closed = false;
  /** Services that the rules close, and under which configuration: every process is asked for that, so not again and again. */
  let closing: readonly Observation[] = [];
  let asked: Config | undefined;
  let said: ReadonlySet<string> = new Set();

  let readers: readonly Observation[] = [];
  let natives: readonly Observation[] = [];
  let reading = false;
  let again = false;
  let untracked: readonly Untracked[] = [];
  let looking: Promise<void> | undefined;
  /** At the start everything is looked at right after the tracking: no tool is started twice for that. */
  let beginning: Asking | undefined = oneLook();
  /** What our chain has to accept since nothing after it does. */
  let accepting: readonly Observation[] = [];

  function say(): void {
    if (closed) return;
    const now = new Map(
      [...problems, ...readers, ...natives, ...ofUntracked(untracked), ...warnings, ...accepting].map(
        (observation) => [observation.what, observation],
      ),
    );
    for (const [what, observation] of now) if (!said.has(what)) sayOne(observation);
    said = new Set(now.keys());
  }

  /** Where a rule of others keeps people out our own rules are of no effect. */
  function sayOne({ code, key, what, fix }: Observation): void {
    if (code !== 'native-table' && code !== 'notrack') warn(core, `${key}: ${what}; ${fix}`);
    else {
      const reason = `${what}; ${fix}`;
      core.announcer.announce({ event: 'firewall.failed', at: core.clock.now(), reason });
    }
  }

  async function lookAtReaders(): Promise<void> {
    const config = core.config();
    readers = ofQueueReaders(config, await findQueueReaders(config.listen.queues), [process.pid]);
    say();
  }

  /** Takes its time where other tables are long. Asked meanwhile, perhaps under another configuration, it looks once more. */
  async function lookAtTables(): Promise<void> {
    again = reading;
    if (reading) return;
    reading = true;
    try {
      do {
        again = false;
        natives = await findNativeTables(core.config(), oneTimePortsOf);
        say();
      } while (again && !closed);
    } finally {
      reading = false;
    }
  }

  /** It starts tools: anyone who asks while one looks gets what that one finds. */
  function lookAtTracking(asking = beginning ?? oneQuestion): Promise<void> {
    looking ??= findUntracked(core.config(), oneTimePortsOf, asking)
      .then((found) => {
        untracked = found;
        say();
      })
      .finally(() => {
        looking = undefined;
      });
    return looking;
  }

  function glance(asking?: Asking): void {
    const config = core.config();
    problems = ofInterfaces(unseenOf(config.listen.interfaces, findInterfaces()));
    accepting = ofAcceptance(config, core.firewall.acceptances());
    say();
    owned('surroundings', lookAtReaders());
    owned('surroundings', lookAtTables());
    owned('surroundings', lookAtTracking(asking));
  }

  return {
    problems: () => [...problems, ...readers, ...natives, ...ofUntracked(untracked)],
    warnings: () => [...warnings, ...ofAcceptance(core.config(), core.firewall.acceptances())],
    glance: () => glance(),
    lookAtTracking: () => lookAtTracking(),
    shut: (door, grantee) => shutBy(untracked, door, grantee === 'any' ? [4, 6] : [grantee.address.family]),
    close() {
      closed = true;
    },
    async look() {
      const config = core.config();
      const asking = beginning ?? oneLook();
      beginning = undefined;
      const defaults = await findInputDefaults(asking);
      if (asked !== config) {
        asked = config;
        closing = ofListeners(config, await findReached(asking), oneTimePortsOf);
      }
      warnings = [...ofAnswer(config, defaults), ...ofAnswersFault(core.firewall.answersFault()), ...closing];
      glance(asking);
    },
  };
}
