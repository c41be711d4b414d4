import type { Cidr } from '../packet/cidr.ts';

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
}

export interface StoredBan {
  readonly target: Cidr;
  readonly since: number;
  readonly until: number;
  /** How many bans this target has had, this one included: what escalation counts from. */
  readonly count: number;
}

/** How often a target was banned, kept after the ban ended so that the next lasts longer. */
export interface StoredHistory {
  readonly target: Cidr;
  readonly count: number;
  /** When the last ban ended or will end. */
  readonly until: number;
}

export type StateChange =
  | { readonly change: 'grant'; readonly grant: StoredGrant }
  | { readonly change: 'ungrant'; readonly door: string; readonly grantee: 'any' | Cidr }
  | { readonly change: 'ban'; readonly ban: StoredBan }
  | { readonly change: 'unban'; readonly target: Cidr };

export interface Stored {
  readonly grants: readonly StoredGrant[];
  readonly bans: readonly StoredBan[];
  readonly histories: readonly StoredHistory[];
}

/**
 * Where what was announced is kept. `write` is durable against the process's death when it returns. It never
 * throws: a store that can't write says so in `health` and goes on in memory.
 */
export interface Store {
  /** What had not expired at `now` (wall time, ms). */
  load(now: number): Stored;
  write(changes: readonly StateChange[]): void;
  health(): { readonly ok: boolean; readonly reason: string | null };
  close(): void;
}
