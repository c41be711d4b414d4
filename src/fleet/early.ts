import type { BusClock } from './offset.ts';
import { merge, type Register, registerKey } from './register.ts';
import type { View } from './view.ts';

/**
 * What was said before the bus had ever been asked for its time, by a wall clock that may be off by decades: a machine
 * without a clock of its own boots in 1970. Its moments are put right, and its lifts stamped, before any of it is told.
 */
export interface Early {
  note(register: Register): void;
  /** Answers the registers as they are to be kept and told, in the place of what was noted. */
  correct(): readonly Register[];
}

interface Noted {
  readonly register: Register;
  /** What was known before the first of them. */
  readonly before: Register | undefined;
  /** The clock's distance by which its moments were taken. */
  readonly offset: number;
}

export function createEarly(view: View, clock: BusClock): Early {
  let noted: Noted[] = [];

  function corrected(register: Register, gen: number, late: number): Register {
    const moved = (at: number): number => (at === 0 ? 0 : at + late);
    switch (register.kind) {
      case 'ban':
        return { ...register, gen, since: moved(register.since), until: moved(register.until) };
      case 'grant':
        return { ...register, gen, opened: moved(register.opened), until: moved(register.until) };
      case 'amnesty':
        return { ...register, gen };
      default:
        return register satisfies never;
    }
  }

  return {
    note(register) {
      noted.push({ register, before: view.stateOf(registerKey(register)), offset: clock.offset() });
    },
    correct() {
      const all = noted;
      noted = [];
      const stamps = new Map<number, number>();
      const states = new Map<string, Register>();
      for (const { register, before, offset } of all) {
        const key = registerKey(register);
        const { gen } = register;
        // Lifts in their order; what was made knowing one goes on knowing it.
        if (clock.isProvisional(gen) && !stamps.has(gen)) stamps.set(gen, clock.stamp());
        const right = corrected(register, stamps.get(gen) ?? gen, clock.offset() - offset);
        const there = states.get(key) ?? before;
        states.set(key, there === undefined ? right : merge(there, right));
      }
      for (const state of states.values()) view.replace(state);
      return [...states.values()];
    },
  };
}
