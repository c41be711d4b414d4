import type { Used } from '../policy/key-use.ts';
import type { KeptUses, KeyChange } from './store.ts';

/** What keys have used up, in memory. */
export interface Uses {
  apply(change: KeyChange): void;
  all(): KeptUses;
  /** The same as changes, with which it is written anew. */
  changes(): readonly KeyChange[];
  /** Takes in what a file held, and tells it. What is there already is newer than any file, and was counted from nothing. */
  absorb(old: KeptUses): void;
  /** Calls back whenever a file is taken in from now on, with what it held. */
  onAbsorbed(listener: (old: KeptUses) => void): void;
}

interface OfKey {
  readonly seen: Map<string, { readonly stamp: number | null; readonly source: string }>;
  floor: number | null;
  used: Used | null;
}

/** Bounded by who applies: packets of keys that are proven, this many of each (src/spa/seen.ts). */
export function createUses(): Uses {
  const keys = new Map<string, OfKey>();
  let told: (old: KeptUses) => void = () => undefined;

  function ofKey(name: string): OfKey {
    const there = keys.get(name);
    if (there !== undefined) return there;
    const made: OfKey = { seen: new Map(), floor: null, used: null };
    keys.set(name, made);
    return made;
  }

  function apply(change: KeyChange): void {
    const own = ofKey(change.key);
    switch (change.change) {
      case 'seen':
        own.seen.set(change.id, { stamp: change.stamp, source: change.source });
        return;
      case 'floor':
        own.floor = Math.max(own.floor ?? change.stamp, change.stamp);
        for (const [id, { stamp }] of own.seen)
          if (stamp !== null && stamp <= change.stamp) own.seen.delete(id);
        return;
      case 'key_used':
        // What an opening that waited has used up may come after that of a later one: no count goes back.
        own.used = {
          uses: Math.max(change.uses, own.used?.uses ?? 0),
          last: Math.max(change.last, own.used?.last ?? 0),
        };
        return;
      default:
        change satisfies never;
    }
  }

  function all(): KeptUses {
    const each = [...keys];
    return {
      seen: each.flatMap(([key, { seen }]) => [...seen].map(([id, one]) => ({ key, id, ...one }))),
      floors: new Map(each.flatMap(([key, { floor }]) => (floor === null ? [] : [[key, floor] as const]))),
      used: new Map(each.flatMap(([key, { used }]) => (used === null ? [] : [[key, used] as const]))),
    };
  }

  function changes(): readonly KeyChange[] {
    return changesOf(all());
  }

  return {
    apply,
    all,
    changes,
    absorb(old) {
      const mine = changes();
      keys.clear();
      for (const change of changesOf(old)) apply(change);
      for (const change of mine) apply(change.change === 'key_used' ? since(old, change) : change);
      told(old);
    },
    onAbsorbed(listener) {
      told = listener;
    },
  };
}

/** What was counted from nothing, counted from what there was. */
function since({ used }: KeptUses, change: Extract<KeyChange, { change: 'key_used' }>): KeyChange {
  return { ...change, uses: change.uses + (used.get(change.key)?.uses ?? 0) };
}

function changesOf({ seen, floors, used }: KeptUses): readonly KeyChange[] {
  return [
    ...seen.map((one): KeyChange => ({ change: 'seen', ...one })),
    ...[...floors].map(([key, stamp]): KeyChange => ({ change: 'floor', key, stamp })),
    ...[...used].map(([key, one]): KeyChange => ({ change: 'key_used', key, ...one })),
  ];
}
