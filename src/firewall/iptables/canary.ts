import type { Cidr } from '../../packet/cidr.ts';
import { formatCidr } from '../../packet/cidr.ts';
import type { SetChange } from '../change.ts';
import type { Sets } from '../netlink/ipset.ts';

/**
 * A few entries that must be in their sets for a while yet. The kernel tells nobody when a set is flushed;
 * where a canary is gone before its time, someone has flushed it.
 */
export interface Canaries {
  note(changes: readonly SetChange[]): void;
  present(): Promise<boolean>;
  /** Those that are gone are asked for no more: their loss is known. */
  forgetLost(): Promise<void>;
  /** These sets are no more, because we took them away. */
  forget(sets: readonly string[]): void;
  clear(): void;
}

interface Canary {
  readonly set: string;
  readonly target: Cidr;
  /** Wall time, ms. */
  readonly until: number;
}

/** Canaries of each set. */
const WITNESSES_MAX = 4;
/** An entry this near its end, in ms, is asked for no more. */
const MARGIN_MS = 5000;

export function openCanaries(sets: Sets, now: () => number): Canaries {
  const bySet = new Map<string, Map<string, Canary>>();
  return {
    note(changes) {
      for (const { set, action, entries } of changes) {
        const known = bySet.get(set) ?? new Map<string, Canary>();
        bySet.set(set, known);
        if (action === 'del') {
          if (known.size > 0) for (const entry of entries) known.delete(formatCidr(entry.target));
          continue;
        }
        for (const entry of entries.slice(-WITNESSES_MAX)) {
          const key = formatCidr(entry.target);
          known.delete(key);
          known.set(key, { set, target: entry.target, until: now() + entry.seconds * 1000 });
        }
        for (const key of [...known.keys()].slice(0, -WITNESSES_MAX)) known.delete(key);
      }
    },
    async present() {
      for (const known of bySet.values()) {
        for (const [key, canary] of known) {
          if (canary.until < now() + MARGIN_MS) known.delete(key);
          else if (!(await sets.has(canary.set, canary.target))) return false;
        }
      }
      return true;
    },
    async forgetLost() {
      for (const known of bySet.values()) {
        for (const [key, canary] of known)
          if (!(await sets.has(canary.set, canary.target))) known.delete(key);
      }
    },
    forget(names) {
      for (const name of names) bySet.delete(name);
    },
    clear: () => bySet.clear(),
  };
}
