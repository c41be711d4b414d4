import { settingsOf } from '../config/settings.ts';
import type { Command } from '../engine/command.ts';
import { createEngine } from '../engine/engine.ts';
import type { Emit } from '../engine/event.ts';
import { guarded } from '../guard/guard.ts';
import { ofUntracked } from '../machine/notrack/untracked.ts';
import type { Config } from '../policy/config.ts';
import type { DoorEvent } from './commit.ts';
import type { GrantEvent } from './consume.ts';
import type { Core, Dependencies } from './dependencies.ts';
import { createEffects } from './effects.ts';
import { createFleet, type FleetLife } from './fleet.ts';
import { sharingOf } from './fleet-knocks.ts';
import { createHealth } from './health.ts';
import { doorOf, hookSubject, nextSequence } from './hook-subject.ts';
import { createIntake } from './intake.ts';
import { createKeys, type Keys } from './keys.ts';
import { createPacketHistory } from './packet-history.ts';
import { createRestored } from './restored.ts';
import { createStandDown } from './stand-down.ts';
import { suspendable } from './suspendable.ts';

/** What is to run. */
export interface Subject extends Pick<Core, 'configFile' | 'version' | 'fail'> {
  readonly config: Config;
}

/** Milliseconds until what has ended is looked at again where that failed. */
const FAULT_PAUSE = 1000;

/** Joins intake, engine and effects. */
export function assemble(given: Dependencies, subject: Subject): Core {
  const { clock, store, announcer, hooks } = given;
  const firewall = suspendable(given.firewall);
  let { config } = subject;
  const settings = settingsOf(config, (door) => nextSequence(door).next);
  const isAlone = given.fleet === undefined || config.fleet === null;
  const engine = createEngine(settings, given.key, isAlone ? undefined : sharingOf(() => life?.knocks));
  const health = createHealth(given);
  const surroundings = given.createSurroundings({ config: () => config, clock, announcer, firewall });
  const life: FleetLife | undefined =
    given.fleet === undefined || config.fleet === null
      ? undefined
      : createFleet({
          ...{ given: given.fleet, started: config.fleet, version: subject.version },
          ...{ clock, store, engine, announcer, config: () => config },
          collect: (event) => effects.collect(event),
          carryOut: () => effects.carryOut('command'),
          drained: () => effects.drained(),
          isFull: () => effects.isFull(),
          applied: health.applied,
        });
  const own = given.createConsumer(() => config);
  const consumer = life?.consumer(own) ?? own;
  consumer.learn(settings);
  let timer: NodeJS.Timeout | undefined;

  function schedule(least = 0): void {
    clearTimeout(timer);
    const wait = Math.max(least, engine.deadline() - clock.now());
    if (wait === Number.POSITIVE_INFINITY) return;
    // setTimeout takes at most 2^31 − 1 ms; it is looked at again then.
    timer = setTimeout(guarded('engine', expire), Math.min(wait, 2_147_483_647));
    timer.unref();
  }

  function expire(): void {
    // Looked at again whatever comes of it: a grant's end must not wait for a packet.
    schedule(FAULT_PAUSE);
    engine.expire(clock.now(), effects.collect);
    effects.carryOut('command');
  }

  function whyShut({ door, grantee }: GrantEvent): string | null {
    const [why] = ofUntracked(surroundings.shut(door, grantee));
    return why === undefined ? null : `${why.what}; ${why.fix}`;
  }

  function commandOf(event: DoorEvent): () => void {
    const door = event.event === 'door.renewed' ? undefined : doorOf(config, event.door);
    const argv = (event.event === 'door.opened' ? door?.onOpen : door?.onClose) ?? null;
    return () => {
      if (argv !== null) hooks.run(argv, hookSubject(event, config.fleet?.name));
    };
  }

  const keys: Keys = createKeys({
    ...{ clock, store, announcer, engine, config: () => config },
    collect: (event) => effects.collect(event),
    inFleet: life?.usedOnce,
    carryOut: () => effects.carryOut('command'),
    overBudget: (count) => health.count('keys over budget', count),
    settle: (packet, outcome, at) => intake.settle(packet, outcome, at),
  });
  const effects = createEffects({
    ...{ clock, store, firewall, announcer, engine, consumer, whyShut, commandOf, keys },
    cut: () => config.bans.cut,
    sayings: life?.sayings,
    opened: health.opened,
    after: schedule,
  });
  const history = createPacketHistory();
  const intake = createIntake({
    ...{ clock, engine, history, emit: effects.collect, isFull: effects.isFull, prove: keys.prove },
    share: life === undefined ? (_, outcome) => outcome : life.knocks.judged,
    after(count, lag) {
      health.judged(count, lag);
      effects.carryOut('knock');
      life?.knocks.flush();
    },
  });

  const base = {
    ...given,
    ...{ configFile: subject.configFile, version: subject.version, fail: subject.fail },
    ...{ firewall, engine, health, intake, history, effects, surroundings, keys, life },
    since: clock.now(),
    config: () => config,
    configure(next: Config) {
      config = next;
    },
    execute(command: Command, where?: 'here') {
      const emit: Emit =
        where === undefined
          ? effects.collect
          : (event) => {
              life?.sayings.keepHere(event);
              effects.collect(event);
            };
      const answer = engine.execute(command, clock.now(), emit);
      if (command.command === 'reload') consumer.learn(command.settings);
      // What waits for a clock that can be believed is taken back too.
      const dropped = command.command === 'revoke' ? restored.drop(command.address, command.door) : 0;
      effects.carryOut('command');
      return dropped > 0 && !answer.ok ? { ok: true as const, changed: dropped } : answer;
    },
    close: () => clearTimeout(timer),
  };
  const restored = createRestored(base);
  return { ...base, restored, standDown: createStandDown(base) };
}
