import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Clock } from '../clock.ts';
import type { LeftOut } from '../engine/command.ts';
import type { Engine } from '../engine/engine.ts';
import type { Emit } from '../engine/event.ts';
import type { Heard } from '../fleet/host.ts';
import type { BusClock } from '../fleet/offset.ts';
import {
  type GrantRegister,
  grantRegisterKey,
  merge,
  type Register,
  registerKey,
  sameState,
} from '../fleet/register.ts';
import { guarded, owned } from '../guard/guard.ts';
import type { Grantee } from '../policy/grantee.ts';
import type { StateChange, Store } from '../state/store.ts';
import type { Doubts } from './fleet-doubts.ts';
import { commandOf, registerFrom, registerText, rowOfRegister } from './fleet-registers.ts';
import type { Sweep } from './fleet-sweep.ts';

export interface HearingOptions {
  readonly clock: Clock;
  readonly store: Pick<Store, 'write' | 'fleet'>;
  readonly engine: Pick<Engine, 'execute'>;
  readonly bus: () => BusClock;
  /** What others said, as far as it counts by now. */
  readonly current: (heard: Heard) => Heard;
  /** Another lifted all bans. */
  readonly liftAll: (origin: string) => Promise<void>;
  readonly sweep: Sweep;
  readonly collect: Emit;
  readonly carryOut: () => void;
  readonly isShadow: () => boolean;
  /** Everything that was carried out is in force. */
  readonly drained: () => Promise<void>;
  readonly doubts: Pick<Doubts, 'leftOut'>;
  /** So long after another had said it something was in force here, in milliseconds. */
  readonly applied: (took: number) => void;
}

/** Carries out what others say, a batch a turn, and keeps what this member says in the state file. */
export interface Carrier {
  apply(heard: Heard): void;
  /**
   * This machine asks the others whether it may open this. What they say of the same grant waits until the answer that
   * is returned here is called: where this machine may not, it takes its own back, and theirs must not go with it.
   */
  hold(door: string, grantee: Grantee): () => void;
  told(registers: readonly Register[]): void;
  keep(registers: readonly Register[]): void;
  forget(registers: readonly Register[]): void;
  /** Of others' words: how many changed nothing here, and why. */
  leftOut(): ReadonlyMap<LeftOut, number>;
  drained(): Promise<void>;
  stop(): void;
}

export function createCarrier(options: HearingOptions): Carrier {
  const { clock, store, engine, bus, current, liftAll, sweep, collect, carryOut, isShadow, doubts } = options;
  const measure = createMeter(options);
  const waiting: Heard[] = [];
  let working: Promise<void> | undefined;
  let stopped = false;
  const leftOut = new Map<LeftOut, number>();
  /** What others said of grants that are asked for, by register. */
  const held = new Map<string, Heard[]>();

  /** Whether nobody here asks for it now; else it waits. */
  function isFree(origin: string, grant: GrantRegister): boolean {
    const there = held.get(registerKey(grant));
    there?.push({ origin, lifts: [], bans: [], grants: [grant] });
    return there === undefined;
  }

  async function work(): Promise<void> {
    for (let heard = waiting.shift(); heard !== undefined && !stopped; heard = waiting.shift()) {
      await sweep.room();
      const [all] = isShadow() ? [] : heard.lifts.filter(({ kind }) => kind === 'amnesty');
      if (all !== undefined) {
        await liftAll(heard.origin);
        remember(all);
      }
      execute(heard);
      if (waiting.length > 0) await nextTurn();
    }
  }

  function begin(): void {
    if (working !== undefined) return;
    working = work().finally(() => {
      working = undefined;
      // What came after the last look, or after one that failed.
      if (waiting.length > 0 && !stopped) begin();
    });
    owned('fleet', working);
  }

  /** Since it was said it may have waited: whatever was decided here or heard meanwhile counts. */
  function execute(said: Heard): void {
    const heard = current(said);
    const { origin } = heard;
    const free = heard.grants.filter((grant) => isFree(origin, grant));
    const { lifts, grants, bans } = commandOf({ ...heard, grants: free }, bus());
    const shadow = isShadow();
    // Who only looks on lifts nothing either: the ban is this machine's own.
    const carried = shadow ? lifts.filter(({ lift }) => lift !== 'ban') : lifts;
    const command = { command: 'fleet', origin, lifts: carried, grants, bans } as const;
    const answer = engine.execute(shadow ? { ...command, shadow } : command, clock.now(), collect);
    if (answer.ok && answer.leftOut !== undefined) {
      for (const [why, count] of answer.leftOut) leftOut.set(why, (leftOut.get(why) ?? 0) + count);
      doubts.leftOut(origin, { bans, grants }, answer.leftOut);
    }
    carryOut();
    measure(heard.said);
  }

  /** So that it does not lift, after a restart, what is newer. It has been told: by whom it was heard of. */
  function remember(all: Register): void {
    const key = registerKey(all);
    const kept = registerFrom(store.fleet().registers.get(key)?.value ?? '');
    if (kept !== undefined && kept.gen >= all.gen) return;
    write([{ change: 'register', key, value: registerText(all), untold: false }], 'process');
  }

  function write(changes: readonly StateChange[], surviving: 'process' | 'machine'): void {
    if (changes.length > 0) store.write(changes, clock.wall(), surviving);
  }

  return {
    apply(heard) {
      waiting.push(heard);
      begin();
    },
    hold(door, grantee) {
      const key = grantRegisterKey(door, grantee);
      const mine: Heard[] = [];
      held.set(key, mine);
      const free = (): void => {
        if (held.get(key) === mine) held.delete(key);
        waiting.push(...mine);
        if (mine.length > 0) begin();
      };
      // Later: what is refused has been taken back then.
      return () => {
        setImmediate(guarded('fleet', free));
      };
    },
    told(registers) {
      const kept = store.fleet().registers;
      const changes = registers.flatMap((register): readonly StateChange[] => {
        const key = registerKey(register);
        const row = kept.get(key);
        const there = row === undefined ? undefined : registerFrom(row.value);
        if (row === undefined || there === undefined || !row.untold) return [];
        // What was told is all that is kept, or more.
        return sameState(merge(register, there), register) ? [{ change: 'told', key, value: row.value }] : [];
      });
      write(changes, 'process');
    },
    keep: (registers) =>
      write(
        registers.map((register) => rowOfRegister(register)),
        'machine',
      ),
    forget: (registers) =>
      write(
        registers.map((register) => ({ change: 'unregister', key: registerKey(register) })),
        'process',
      ),
    leftOut: () => leftOut,
    async drained() {
      while (working !== undefined) await working;
    },
    stop() {
      stopped = true;
    },
  };
}

/** From when another said it until it is in force; what comes while something is measured is not. */
function createMeter({ bus, drained, applied }: HearingOptions): (said: number | undefined) => void {
  let isMeasuring = false;
  return (said) => {
    if (said === undefined || isMeasuring) return;
    isMeasuring = true;
    const measuring = drained()
      .then(() => applied(Math.max(0, bus().now() - said)))
      .finally(() => {
        isMeasuring = false;
      });
    owned('fleet', measuring);
  };
}
