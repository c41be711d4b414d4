import { createRounds } from '../table/rounds.ts';
import { createWideMap } from '../table/wide-map.ts';
import { type Register, registerKey, sameState } from './register.ts';

export interface Entry {
  /** What all that was heard and said comes to. */
  state: Register;
  /** What this member has said of it; undefined: nothing. */
  own: Register | undefined;
  /** Whose budget it is counted in. */
  charged: string | null;
  /** It was in force from before a restart; `confirmed` once another has said it since. */
  kept?: 'remembered' | 'confirmed';
}

/** The registers that are known, one for each key. */
export interface Book {
  get(key: string): Entry | undefined;
  /** The entry of this register, made if need be. */
  put(register: Register, charged: string | null): Entry;
  set(entry: Entry, state: Register): void;
  setOwn(entry: Entry, own: Register | undefined): void;
  replace(register: Register): void;
  retract(register: Register): void;
  /** Registers that know of a lift: few, and all that the lifting of all bans may leave. */
  lifted(): Iterable<Register>;
  entries(): Iterable<Entry>;
  own(): Iterable<Register>;
  ownCounts(): { readonly bans: number; readonly grants: number };
  ownOf(key: string): Register | undefined;
  states(): Iterable<Register>;
  stateOf(key: string): Register | undefined;
  size(): number;
  /** Goes on through so many; answers what this member has said of those that are over. */
  sweep(most: number, isOver: (entry: Entry) => boolean): readonly Register[];
}

export function createBook(release: (member: string, register: Register) => void): Book {
  const entries = createWideMap<Entry>();
  /** Registers that know of a lift: few, and all that the lifting of all bans may leave. */
  const lifted = createWideMap<true>();
  /** What this member has said: of a million registers it may be few. */
  const owned = createWideMap<Entry>();
  const counts = { ban: 0, grant: 0 };
  const nextEntries = createRounds(entries.entries);

  function set(entry: Entry, state: Register): void {
    entry.state = state;
    if (state.kind !== 'amnesty' && state.gen > 0) lifted.set(registerKey(state), true);
  }

  function setOwn(entry: Entry, own: Register | undefined): void {
    const { kind } = entry.state;
    if (kind !== 'amnesty') counts[kind] += (own === undefined ? 0 : 1) - (entry.own === undefined ? 0 : 1);
    entry.own = own;
    const key = registerKey(entry.state);
    if (own === undefined) owned.delete(key);
    else owned.set(key, entry);
  }

  function remove(key: string, { state, charged }: Entry): void {
    entries.delete(key);
    lifted.delete(key);
    if (charged !== null) release(charged, state);
  }

  return {
    get: (key) => entries.get(key),
    put(register, charged) {
      const key = registerKey(register);
      const there = entries.get(key);
      if (there !== undefined) return there;
      const entry: Entry = { state: register, own: undefined, charged };
      entries.set(key, entry);
      set(entry, register);
      return entry;
    },
    set,
    setOwn,
    *lifted() {
      for (const [key] of lifted.entries()) {
        const state = entries.get(key)?.state;
        if (state !== undefined) yield state;
      }
    },
    replace(register) {
      const entry = entries.get(registerKey(register));
      if (entry === undefined) return;
      set(entry, register);
      setOwn(entry, register);
    },
    retract(register) {
      const entry = entries.get(registerKey(register));
      if (entry?.own !== undefined && sameState(entry.own, register)) setOwn(entry, undefined);
    },
    entries: entries.values,
    *own() {
      for (const { own } of owned.values()) if (own !== undefined) yield own;
    },
    ownCounts: () => ({ bans: counts.ban, grants: counts.grant }),
    ownOf: (key) => entries.get(key)?.own,
    *states() {
      for (const { state } of entries.values()) yield state;
    },
    stateOf: (key) => entries.get(key)?.state,
    size: entries.size,
    sweep(most, isOver) {
      const gone: Register[] = [];
      for (const [key, entry] of nextEntries(most)) {
        if (!isOver(entry)) continue;
        if (entry.own !== undefined) gone.push(entry.own);
        setOwn(entry, undefined);
        remove(key, entry);
      }
      return gone;
    },
  };
}
