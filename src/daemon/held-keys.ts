import { isDeepStrictEqual } from 'node:util';
import type { Clock } from '../clock.ts';
import type { KeyRow } from '../control/answers.ts';
import type { GrantView } from '../engine/views.ts';
import type { KeysReading } from '../metrics/registry.ts';
import type { Port } from '../packet/port.ts';
import type { Milliseconds } from '../packet/time.ts';
import type { Config } from '../policy/config.ts';
import { rotationOf } from '../spa/candidates.ts';
import { type CodeBook, createCodeBook } from '../spa/code.ts';
import type { Key, KeyFile } from '../spa/key.ts';
import { createKeyring, type Keyring } from '../spa/keyring.ts';
import type { Proven } from '../spa/proof.ts';
import { createSeen, type Seen } from '../spa/seen.ts';
import { createUsage, type Usage } from '../spa/usage.ts';
import type { UsedOnce } from '../spa/used-once.ts';
import type { KeptUses, StateChange, Store } from '../state/store.ts';

/** The state file hears of the time at least each minute: one that is older may have missed what was used. */
const HEARD_MAX = 90_000;

/** The keys in force, and what they have used up. */
export interface HeldKeys {
  /** Takes in the first file, and what the state file knows. */
  begin(file: KeyFile, stood: boolean): void;
  /** Another file, or another configuration. */
  take(file: KeyFile): void;
  /** The same without this key. */
  drop(key: Key): void;
  file(): KeyFile;
  /** Ports that packets of keys come to. */
  ports(): readonly Port[];
  ring(): Keyring;
  codes(): CodeBook;
  named(name: string): Key | undefined;
  /**
   * The key as it is in force now, for what it proved a while ago; undefined: it was revoked, or what proved it was
   * rotated away and is not taken any more. A file that was read anew has other objects for the same keys.
   */
  still(key: Key, by: Proven['by']): Key | undefined;
  usage(): Usage;
  usedOnce(): UsedOnce;
  /** The key opens; answers what is to be kept of it. */
  note(key: Key, now: Milliseconds, wall: number): readonly StateChange[];
  rows(grants: readonly GrantView[]): readonly KeyRow[];
  reading(): Omit<KeysReading, 'overloaded'>;
}

export interface HeldKeysOptions {
  readonly clock: Clock;
  readonly store: Pick<Store, 'uses' | 'seen' | 'onLateUses'>;
  readonly config: () => Config;
  /** Who else is asked whether something was used; without a fleet nobody. */
  readonly inFleet?: ((own: UsedOnce) => UsedOnce) | undefined;
}

export function createHeldKeys({ clock, store, config, inFleet }: HeldKeysOptions): HeldKeys {
  let file: KeyFile = { realms: [], keys: [] };
  let ports: readonly Port[] = [];
  let ring: Keyring = createKeyring(file, ports);
  let codes: CodeBook = createCodeBook([]);
  let byName: ReadonlyMap<string, Key> = new Map();
  let usedOnce: Seen = createSeen();
  /** Of rings that were replaced. */
  let macs = 0;
  let usage = createUsage(new Map());
  /** Credentials that were rotated away and are done with, and which of them the state file knows. */
  const rotated = new Set<string>();
  const kept = new Set<string>();

  /** The same keys at the same ports stay as they are: known sources, and which of them came last. */
  function take(next: KeyFile): void {
    const { spa } = config().listen;
    if (isDeepStrictEqual(next, file) && isDeepStrictEqual(spa, ports)) return;
    // A key that is as it was stays the same one: for what it has under way it was neither revoked nor changed.
    const asBefore = (key: Key): Key => {
      const before = byName.get(key.name);
      return before !== undefined && isDeepStrictEqual(before, key) ? before : key;
    };
    file = { ...next, keys: next.keys.map(asBefore) };
    ports = spa;
    macs += ring.budget.spent();
    ring = createKeyring(file, ports, rotated);
    codes = createCodeBook(file.keys, rotated);
    byName = new Map(file.keys.map((key) => [key.name, key]));
  }

  /** What is remembered for ever is what ends a credential that was rotated away, too. */
  function keepForEver({ seen }: KeptUses): void {
    for (const { id, stamp } of seen) if (stamp === null) kept.add(id);
    for (const id of kept) rotated.add(id);
  }

  /** The state of before can be read only now: it was counted from nothing meanwhile. */
  function takeLate(old: KeptUses): void {
    for (const [key, before] of old.used) usage.add(key, before);
    keepForEver(old);
    usedOnce.absorb(old);
  }

  return {
    begin(first, stood) {
      const known = store.uses();
      keepForEver(known);
      usage = createUsage(known.used);
      const since = clock.now();
      const start = (): number => clock.wallOf(since);
      const restored = { ...known, floor: Number.NEGATIVE_INFINITY };
      const isDistrusted = stood && clock.wall() - store.seen() > HEARD_MAX;
      usedOnce = isDistrusted ? createSeen(restored, start) : createSeen(restored);
      take(first);
      store.onLateUses(takeLate);
    },
    take,
    drop: (key) => take({ ...file, keys: file.keys.filter((each) => each !== key) }),
    file: () => file,
    ports: () => ports,
    ring: () => ring,
    codes: () => codes,
    named: (name) => byName.get(name),
    still(key, by) {
      const now = byName.get(key.name);
      const proving = by === 'present' ? key.credential : key.previous?.credential;
      if (now === undefined || proving === undefined) return undefined;
      if (isDeepStrictEqual(proving, now.credential)) return now;
      const { previous } = now;
      const isTaken =
        previous !== null &&
        isDeepStrictEqual(proving, previous.credential) &&
        clock.wall() < previous.until &&
        !rotated.has(rotationOf(now) ?? '');
      return isTaken ? now : undefined;
    },
    usage: () => usage,
    usedOnce: () => inFleet?.(usedOnce) ?? usedOnce,
    note(key, now, wall) {
      const keyUsed: StateChange = { change: 'key_used', key: key.name, ...usage.note(key, now, wall) };
      const id = rotationOf(key);
      // The first use of a new credential ends the one before, for good.
      if (id === undefined || kept.has(id) || !rotated.has(id)) return [keyUsed];
      kept.add(id);
      return [keyUsed, { change: 'seen', key: key.name, id, stamp: null, source: '' }];
    },
    reading: () => ({
      macs: macs + ring.budget.spent(),
      seen: usedOnce.count(),
      lastUsed: Object.fromEntries(
        file.keys.flatMap(({ name }) => {
          const last = usage.of(name)?.last;
          return last === undefined ? [] : [[name, last]];
        }),
      ),
    }),
    rows(grants) {
      const moment = (wall: number): string => new Date(wall).toISOString();
      return file.keys.map(({ name, person, credential, doors, expires, uses }) => {
        const own = usage.of(name);
        return {
          ...{ name, person, kind: credential.kind, doors, uses, used: own?.uses ?? 0 },
          expires: expires === null ? null : moment(expires),
          last_used: own === undefined ? null : moment(own.last),
          grants: grants.filter(({ holder }) => holder?.key === name).length,
        };
      });
    },
  };
}
