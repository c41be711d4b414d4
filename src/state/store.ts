import type { Cidr } from '../packet/cidr.ts';
import type { UseChange, Used } from '../policy/key-use.ts';

/** Moments are wall time, milliseconds since 1970: this is what outlives the process. */
export interface StoredGrant {
  readonly door: string;
  readonly grantee: 'any' | Cidr;
  /** The host that knocked, or that was named when the grant was made by hand. */
  readonly source: Cidr;
  readonly since: number;
  readonly until: number;
  /** Connections left; null: no limit. */
  readonly usesLeft: number | null;
  readonly reason: string | null;
  /** The key that it rests on, and whose that is; null: none. */
  readonly holder: { readonly key: string; readonly person: string | null } | null;
  /** The member of the fleet that it was earned at; without: here. */
  readonly from?: string;
}

export interface StoredBan {
  readonly target: Cidr;
  readonly since: number;
  readonly until: number;
  /** How many bans this target has had, this one included: what escalation counts from. */
  readonly count: number;
  /** Whether strikes brought it about, or somebody's will. */
  readonly origin: 'strikes' | 'order';
  /** The member of the fleet that said it; without: it was made here. */
  readonly from?: string;
}

/** How often a target was banned, kept after the ban ended so that the next lasts longer. */
export interface StoredHistory {
  readonly target: Cidr;
  readonly count: number;
  /** When the last ban began, and when it ended or will end. */
  readonly since: number;
  readonly until: number;
}

export type StateChange =
  | { readonly change: 'grant'; readonly grant: StoredGrant }
  | { readonly change: 'ungrant'; readonly door: string; readonly grantee: 'any' | Cidr }
  | { readonly change: 'ban'; readonly ban: StoredBan }
  | { readonly change: 'unban'; readonly target: Cidr }
  /** The count of bans is forgiven; a ban in force stays. */
  | { readonly change: 'forgive'; readonly target: Cidr }
  | KeyChange
  | FleetChange;

export interface Stored {
  readonly grants: readonly StoredGrant[];
  readonly bans: readonly StoredBan[];
  /** Also of those who are banned now. */
  readonly histories: readonly StoredHistory[];
}

interface StoreHealth {
  readonly ok: boolean;
  /** What is wrong and what fixes it; null where nothing is. */
  readonly reason: string | null;
}

/** What keys have used up. */
export type KeyChange =
  | UseChange
  /** How often the key has opened in all, and when it last did. */
  | ({ readonly change: 'key_used'; readonly key: string } & Used);

/** What a member of a fleet keeps. A register's value is as `src/fleet/` writes it. */
export type FleetChange =
  /** What this member says; `untold`: the others have not heard of it yet. */
  | {
      readonly change: 'register';
      readonly key: string;
      readonly value: string;
      readonly untold: boolean;
    }
  /** It was told; nothing where it is something else by now. */
  | { readonly change: 'told'; readonly key: string; readonly value: string }
  | { readonly change: 'unregister'; readonly key: string }
  /** The last that was heard of another member, by its place in that one's stream. */
  | { readonly change: 'heard'; readonly member: string; readonly last: string };

export interface KeptRegister {
  readonly value: string;
  readonly untold: boolean;
}

export interface KeptFleet {
  readonly registers: Iterable<readonly [string, KeptRegister]> & {
    get(key: string): KeptRegister | undefined;
    values(): Iterable<KeptRegister>;
  };
  readonly heard: ReadonlyMap<string, string>;
}

/** What was kept of keys. */
export interface KeptUses {
  readonly seen: readonly Omit<Extract<KeyChange, { change: 'seen' }>, 'change'>[];
  readonly floors: ReadonlyMap<string, number>;
  readonly used: ReadonlyMap<string, Used>;
}

/** Grants of which it is known that they go on. */
export type Spared = (grant: StoredGrant) => boolean;

/**
 * How much a change must survive before anybody hears of it: the death of the process, or also that of the machine,
 * which costs a disk's wait. What was only to survive the process is on the disk within a second all the same.
 */
export type Surviving = 'process' | 'machine';

/**
 * Where what was announced is kept. `write` is durable against the process's death when it returns. It never
 * throws: a store that can't write says so in `health` and goes on in memory.
 */
export interface Store {
  /**
   * The grants that ended while nobody was there to say so. To be asked before `load`, which forgets them. What
   * `spared` names goes on: after a boot with a clock that is behind, what was made since is in moments before those
   * that an earlier process saw.
   */
  ended(now: number, spared?: Spared): readonly StoredGrant[];
  /** Whether its ban was lifted, and it was not banned again since. To be asked before `load` too. */
  isLifted(target: Cidr): boolean;
  /** What had not expired at `now` (wall time, ms). What had is forgotten for good. */
  load(now: number, spared?: Spared): Stored;
  /**
   * Takes the changes in as one: all or none survive. `now` (wall time, ms; where it is left out, the last
   * moment that the store was told) ends lifted bans and paces retries: call it with no changes once a second,
   * so that a store that could not write tries again and what has ended is forgotten.
   */
  write(changes: readonly StateChange[], now?: number, surviving?: Surviving): void;
  /**
   * As `write` that is to survive the machine, but the disk's wait is not the thread's. Resolves once the disk has it, or
   * once `health` says why it has not; never rejects.
   */
  writeThrough(changes: readonly StateChange[], now?: number): Promise<void>;
  /** What keys have used up, as far as it is known. */
  uses(): KeptUses;
  /**
   * Calls back with what an earlier process had kept of keys, where that can be read only from now on: until then this
   * process has counted from nothing.
   */
  onLateUses(listener: (old: KeptUses) => void): void;
  /** What is kept of a fleet. */
  fleet(): KeptFleet;
  /** The last moment at which an earlier process wrote (wall time, ms); 0: none did. */
  seen(): number;
  /** True where what was kept was in force in this boot of the machine, so that its moments are those of this clock. */
  isOf(boot: string): boolean;
  /** From now on it is. */
  belongsTo(boot: string): void;
  health(): StoreHealth;
  /** Idempotent. */
  close(): void;
}

/** How long and how many: what every store needs to know. */
export interface Keep {
  /** Targets remembered at once, those banned now not counted; default HISTORIES_MAX. */
  readonly histories?: number;
  /** Bans at once, for which room is made at the start; without: as they come. */
  readonly bans?: number;
}

/**
 * A flood of forged sources would leave a history each for a week; beyond this many the one that was touched
 * longest ago goes. The number is that of `bans.limit`'s default.
 */
export const HISTORIES_MAX = 262_144;

/** What the system refused: the operation, the code and what fixes it. */
export class StateError extends Error {
  readonly operation: string;
  readonly code: 'locked' | 'failed';
  readonly fix: string;
  constructor(operation: string, code: 'locked' | 'failed', fix: string, options?: ErrorOptions) {
    super(`${operation}: ${fix}`, options);
    this.name = 'StateError';
    this.operation = operation;
    this.code = code;
    this.fix = fix;
  }
}
