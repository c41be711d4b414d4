import { createWideMap } from '../table/wide-map.ts';
import type { FleetChange, KeptFleet, KeptRegister } from './store.ts';

/** What a member of a fleet keeps of its own word and of others', in memory. */
export interface FleetKept {
  /** Answers whether anything changed. */
  apply(change: FleetChange): boolean;
  all(): KeptFleet;
  /** The same as changes, with which it is written anew. */
  changes(): readonly FleetChange[];
  /** Takes in what a file held. What is there already is newer than any file. */
  absorb(old: KeptFleet): void;
}

/** Bounded by who applies: as many registers as there are bans and grants (src/fleet/). */
export function createFleetKept(): FleetKept {
  const registers = createWideMap<KeptRegister>();
  const heard = new Map<string, string>();

  function apply(change: FleetChange): boolean {
    switch (change.change) {
      case 'register':
        registers.set(change.key, { value: change.value, untold: change.untold });
        return true;
      case 'told': {
        const there = registers.get(change.key);
        // It has become something else meanwhile, which is still to be told.
        if (there === undefined || !there.untold || there.value !== change.value) return false;
        registers.set(change.key, { value: change.value, untold: false });
        return true;
      }
      case 'unregister':
        return registers.delete(change.key);
      case 'heard':
        heard.set(change.member, change.last);
        return true;
      default:
        return change satisfies never;
    }
  }

  function changes(): readonly FleetChange[] {
    return [
      ...[...registers].map(([key, one]): FleetChange => ({ change: 'register', key, ...one })),
      ...[...heard].map(([member, last]): FleetChange => ({ change: 'heard', member, last })),
    ];
  }

  return {
    apply,
    changes,
    all: () => ({ registers, heard }),
    absorb(old) {
      for (const [key, one] of old.registers) if (registers.get(key) === undefined) registers.set(key, one);
      for (const [member, last] of old.heard) if (!heard.has(member)) heard.set(member, last);
    },
  };
}
