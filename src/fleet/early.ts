import type { BusClock } from './offset.ts';
import { merge, type Register, registerKey, shifted } from './register.ts';
import type { View } from './view.ts';

/**
 * What was said before the bus had ever been asked for its time, by a wall clock that may be off by decades: a machine
 * without a clock of its own boots in 1970. Its moments are put right, and its lifts stamped, before any of it is told.
 */
export interface Early {
  /** By which clock these were made. */
  made(registers: readonly Register[]): readonly Register[];
  /**
   * Has them said, and answers what they come to; those that the time has become known for since they were made are put
   * right, and kept so.
   */
  decide(registers: readonly Register[], keep: (right: readonly Register[]) => void): readonly Register[];
  /** Answers the registers as they are to be kept and told, in the place of what was noted. */
  correct(): readonly Register[];
  /** Of what was made or decided: put right where the time has become known since. */
  right(registers: readonly Register[]): readonly Register[];
  /** How that is to be kept; undefined: as it is, since the time is known. */
  unsettled(register: Register): Unsettled | undefined;
  /** Said before a restart, in a life that never knew the time: to be put right as if it were said now. */
  resume(kept: Iterable<Unsettled>): void;
}

/**
 * A register that was said while the time was not known, as it is kept: whoever reads it after a restart must not take
 * its moments for right ones.
 */
export interface Unsettled {
  /** What was known before it, with moments that are right; undefined: nothing. */
  readonly before: Register | undefined;
  /** What was said since, by this machine's wall clock. */
  readonly made: Register;
  /** The lift that it knows of has no stamp of the bus's clock yet. */
  readonly isProvisional: boolean;
}

interface Noted {
  readonly register: Register;
  /** What it came to. */
  readonly decided: Register;
  /** What was known before the first of them. */
  readonly before: Register | undefined;
  /** The clock's distance by which its moments were taken. */
  readonly offset: number;
}

export function createEarly(view: View, clock: BusClock): Early {
  let noted: Noted[] = [];
  /** The clock's distance by which it was made, while nobody had been asked for the time. */
  const offsets = new WeakMap<Register, number>();
  /** What was decided while it was not known, and what it comes to. */
  const righted = new WeakMap<Register, Register>();
  /** By key what was said since the time was not known, and by register how it is kept. */
  const pending = new Map<string, Unsettled>();
  const keeping = new WeakMap<Register, Unsettled>();

  function unsettledBy(register: Register): Unsettled {
    const key = registerKey(register);
    const there = pending.get(key);
    // What others had said before a restart has been taken by this machine's clock too.
    const [before, old] = view.isGuessed(key)
      ? [undefined, view.stateOf(key)]
      : [there === undefined ? view.stateOf(key) : there.before, there?.made];
    const made = old === undefined ? register : merge(old, register);
    return { before, made, isProvisional: clock.isProvisional(made.gen) };
  }

  function say(register: Register): Register {
    if (clock.isKnown()) return view.say(register);
    const key = registerKey(register);
    const unsettled = unsettledBy(register);
    const { before, made } = unsettled;
    const decided = view.say(register);
    const latest = pending.has(key) ? register : made;
    noted.push({ register: latest, decided, before, offset: clock.offset() });
    pending.set(key, unsettled);
    keeping.set(decided, unsettled);
    return decided;
  }

  function late(registers: readonly Register[]): ReadonlyMap<Register, Register> {
    const right = new Map<Register, Register>();
    if (!clock.isKnown()) return right;
    for (const register of registers) {
      const offset = offsets.get(register);
      if (offset === undefined) continue;
      const gen = clock.isProvisional(register.gen) ? view.genOf(registerKey(register)) : register.gen;
      right.set(register, { ...shifted(register, clock.offset() - offset), gen });
    }
    return right;
  }

  return {
    made(registers) {
      if (!clock.isKnown()) for (const register of registers) offsets.set(register, clock.offset());
      return registers;
    },
    decide(registers, keep) {
      const right = late(registers);
      if (right.size > 0) keep([...right.values()]);
      return registers.map((register) => say(right.get(register) ?? register));
    },
    correct() {
      const all = noted;
      noted = [];
      pending.clear();
      const stamps = new Map<number, number>();
      const states = new Map<string, Register>();
      for (const { register, decided, before, offset } of all) {
        const key = registerKey(register);
        const { gen } = register;
        // Lifts in their order; what was made knowing one goes on knowing it.
        if (clock.isProvisional(gen) && !stamps.has(gen)) stamps.set(gen, clock.stamp());
        const right = { ...shifted(register, clock.offset() - offset), gen: stamps.get(gen) ?? gen };
        const there = states.get(key) ?? before;
        const state = there === undefined ? right : merge(there, right);
        states.set(key, state);
        righted.set(decided, state);
      }
      for (const state of states.values()) view.replace(state);
      return [...states.values()];
    },
    right(registers) {
      const right = late(registers);
      return registers.map((register) => righted.get(register) ?? right.get(register) ?? register);
    },
    unsettled(register) {
      if (clock.isKnown()) return undefined;
      return keeping.get(register) ?? (offsets.has(register) ? unsettledBy(register) : undefined);
    },
    resume(kept) {
      // Lifts in their order.
      for (const { before, made, isProvisional } of [...kept].sort(
        (one, other) => one.made.gen - other.made.gen,
      )) {
        if (before !== undefined) view.say(before);
        clock.resume(made.gen, isProvisional ? 'provisional' : 'stamped');
        say(made);
      }
    },
  };
}
