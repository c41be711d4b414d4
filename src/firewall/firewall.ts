import type { Cidr } from '../packet/cidr.ts';

/** Who a rule lets in. */
export type Grantee = 'any' | Cidr;

/** One thing that the kernel must be told. Moments are wall time, milliseconds since 1970. */
export type Change =
  | { readonly change: 'open'; readonly door: string; readonly grantee: Grantee; readonly until: number }
  | { readonly change: 'close'; readonly door: string; readonly grantee: Grantee }
  | { readonly change: 'ban'; readonly target: Cidr; readonly until: number }
  | { readonly change: 'unban'; readonly target: Cidr }
  | { readonly change: 'cut'; readonly target: Cidr };

/** What the system refused: the operation, the errno-like code and what mends it. */
export class FirewallError extends Error {
  readonly operation: string;
  readonly code: string;
  readonly mend: string;
  constructor(operation: string, code: string, mend: string, options?: ErrorOptions) {
    super(`${operation}: ${code}: ${mend}`, options);
    this.name = 'FirewallError';
    this.operation = operation;
    this.code = code;
    this.mend = mend;
  }
}

export interface HeldGrant {
  readonly door: string;
  readonly grantee: Grantee;
  readonly until: number;
}

export interface HeldBan {
  readonly target: Cidr;
  readonly until: number;
}

/** What the kernel holds now, read from the kernel. */
export interface Held {
  readonly grants: readonly HeldGrant[];
  readonly bans: readonly HeldBan[];
}

/**
 * A place where rules live. `install` and `remove` are idempotent and touch nothing that is not nfknock's.
 * `apply` resolves once every change given is in force, or rejects with a FirewallError naming the first
 * that is not; calls are carried out in their order, and changes that come while one is under way gather
 * and go in one flush.
 */
export interface Firewall {
  install(): Promise<void>;
  apply(changes: readonly Change[]): Promise<void>;
  held(): Promise<Held>;
  /** True where chains, jumps, sets and static rules are as `install` made them. */
  intact(): Promise<boolean>;
  remove(): Promise<void>;
  close(): Promise<void>;
}
