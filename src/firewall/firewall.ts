import type { Family } from '../packet/address.ts';
import type { Cidr } from '../packet/cidr.ts';
import type { Config } from '../policy/config.ts';
import type { Grantee } from '../policy/grantee.ts';
import type { OneTimePorts } from '../policy/port-roles.ts';
import type { Connections } from './connections.ts';
import type { Acceptance } from './rules/acceptance.ts';

export type { Grantee } from '../policy/grantee.ts';

/** One thing that the kernel must be told. Moments are wall time, milliseconds since 1970. */
export type Change =
  | { readonly change: 'open'; readonly door: string; readonly grantee: Grantee; readonly until: number }
  | { readonly change: 'close'; readonly door: string; readonly grantee: Grantee }
  | { readonly change: 'ban'; readonly target: Cidr; readonly until: number }
  | { readonly change: 'unban'; readonly target: Cidr }
  | { readonly change: 'cut'; readonly target: Cidr };

/** What the system refused: the operation, the errno-like code and what fixes it. */
export class FirewallError extends Error {
  readonly operation: string;
  readonly code: string;
  readonly fix: string;
  constructor(operation: string, code: string, fix: string, options?: ErrorOptions) {
    super(`${operation}: ${code}: ${fix}`, options);
    this.name = 'FirewallError';
    this.operation = operation;
    this.code = code;
    this.fix = fix;
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
export interface ReadBack {
  readonly grants: readonly HeldGrant[];
  readonly bans: readonly HeldBan[];
}

/** What a back end tells of its rules while they are watched. */
export interface RuleListener {
  /**
   * Someone has changed what is ours. Is to put it back (`install`, then the grants and bans) and say so; no further
   * look is taken until it resolves. What it rejects with is given to `onError`.
   */
  onDrift(what: 'rules' | 'sets'): Promise<void>;
  /** A change found rules or sets taken away, and they were installed again; bans that were in a set are not in it yet. */
  onRestored(): void;
  /** All rules and sets were found as they must be: what an earlier look or repair failed with is over. */
  onSound(): void;
  /** So many of the kernel's messages were missed, at least; a look is taken at once. */
  onLost(count: number): void;
  /** A look failed; the next is taken in its time. */
  onError(error: unknown): void;
}

export interface RuleWatch {
  /** Idempotent; no call comes after it. */
  close(): void;
}

/**
 * A place where rules live: all that the rest of the program may ask of one. `install` and `remove` are idempotent and
 * touch nothing that is not nfknock's. `apply` resolves once every change given is in force, or rejects with a
 * FirewallError naming the first that is not; calls are carried out in their order, and changes that come while one is
 * in progress gather and go in one flush.
 */
export interface Firewall {
  install(): Promise<void>;
  /** Also installs the base policy of an appliance beneath the rules. Idempotent. */
  installBase(): Promise<void>;
  /**
   * `after`: what must have come true before any of it is in force, such as that it is on the disk; what can be prepared
   * meanwhile is. It must not reject.
   */
  apply(changes: readonly Change[], after?: Promise<void>): Promise<void>;
  readBack(): Promise<ReadBack>;
  /** True where chains, jumps, sets and static rules are as `install` made them. */
  intact(): Promise<boolean>;
  /**
   * Takes another configuration. Rules change in one transaction a table and family; grants of doors that are
   * still there live on, and at no moment is a protected port open. Where it fails the old rules are put back; where
   * that fails too, `intact` is false. Resolves with what could not be taken away though nothing needs it any more.
   */
  replace(config: Config, oneTime?: OneTimePorts): Promise<readonly FirewallError[]>;
  /** Installs the rules anew where answers to this machine's own questions come from elsewhere than before. */
  refresh(): Promise<void>;
  /** Why such answers are not let through though every port is a decoy; null: they are. */
  answersFault(): string | null;
  /** Of each family, what our chain was last found to have to accept itself in INPUT. */
  acceptances(): ReadonlyMap<Family, Acceptance>;
  /** What stands beside our rules in the kernel and could undo them, in words; null: nothing. */
  beside(): Promise<string | null>;
  /** Opens the way to the connections; throws a FirewallError where there is none. */
  openConnections(): Connections;
  /** Tells within 5 s of what others do to our rules. One listener at a time. */
  watch(listener: RuleListener): RuleWatch;
  remove(): Promise<void>;
  close(): Promise<void>;
}
