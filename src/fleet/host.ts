import type { MemberReason, RefusedReason } from '../policy/fleet.ts';
import type { ClaimRequest } from './bus.ts';
import type { AmnestyRegister, BanRegister, GrantRegister, Register } from './register.ts';

/** What a member says of itself each second: everything by which others see that they lag, or are configured otherwise. */
export interface Presence {
  readonly version: string;
  /** Since when it runs, and when it said this, on the bus's clock. */
  readonly started: number;
  readonly now: number;
  /** The number of its last durable message. */
  readonly number: number;
  /** Its clock's distance from the bus's, in milliseconds. */
  readonly offset: number;
  /** How far its reckoning of the bus's clock may be off, in milliseconds; a version that does not say it says none. */
  readonly uncertainty?: number;
  readonly bans: number;
  readonly grants: number;
  /** A MAC of each door's definition, by name. */
  readonly doors: Readonly<Record<string, string>>;
}

/**
 * What others said, to be carried out as one command, the lifts first: at most HEARD_MAX registers. Everything has been checked against
 * the limits of who said it; moments are on the bus's clock. What is exempt here is left out by who carries it out.
 */
export interface Heard {
  readonly origin: string;
  /** In force from now on, or longer; one that is over already counts in how long the next one is. After the lifts. */
  readonly bans: readonly BanRegister[];
  readonly grants: readonly GrantRegister[];
  /**
   * Ended by a lift that they did not know of; of a ban whatever its cause is here: what is left of it is in `bans`.
   */
  readonly lifts: readonly (BanRegister | GrantRegister | AmnestyRegister)[];
  /** When it was told, of what was heard as it was told. */
  readonly said?: number;
}

/** Registers that are carried out in one turn: in which others are read too, by code that may run for the first time. */
export const HEARD_MAX = 64;

/** What the fleet's life is told as; the daemon makes events of it. */
export type FleetNews =
  | { readonly news: 'joined'; readonly members: readonly string[] }
  | { readonly news: 'apart'; readonly reason: string }
  | { readonly news: 'member'; readonly member: string; readonly reason: MemberReason }
  /** Another machine goes by this member's name. */
  | { readonly news: 'twin' }
  /** At most one a second for each member and reason. */
  | {
      readonly news: 'refused';
      readonly member: string;
      readonly reason: RefusedReason;
      readonly count: number;
    };

/** What a member of a fleet asks of the machine that it runs on. */
export interface Host {
  /** Carries out what another said. */
  apply(heard: Heard): void;
  /** These states have been told: rows of the outbox that they cover (`covers`) may go. */
  told(registers: readonly Register[]): void;
  /**
   * Registers to be kept as this member's own, in the place of what was kept under their keys: lifts that it says again
   * for others, and moments that are put right. Durable before they are told.
   */
  keep(registers: readonly Register[]): void;
  /** These own registers are over: nobody needs to know of them any more. */
  drop(registers: readonly Register[]): void;
  /** These own registers were not told after all, since too many were: their rows of the outbox may go. */
  shed(registers: readonly Register[]): void;
  /** Another said this, and it is not believed. */
  refused(member: string, register: Register, reason: RefusedReason): void;
  /** A one-time line was used, here or elsewhere; its digest is `lineDigest`. */
  used(door: string, digest: string, by: string): void;
  /** The one-time doors of this machine. */
  oneTimeDoors(): readonly string[];
  /** Marks of this machine that the bus must have: it is told them again when it may have forgotten some. */
  marks(): Iterable<ClaimRequest>;
  /** A MAC of each door's definition, by name; what is said of this machine each second. */
  doors(): Readonly<Record<string, string>>;
  report(news: FleetNews): void;
}

/** Time and chance, handed in. */
export interface Surroundings {
  /** Monotonic milliseconds, as the daemon's clock says. */
  now(): number;
  /** The wall clock's distance from `now`: what is believed of the bus's clock until it has been asked. */
  wallOffset(): number;
  /** Calls back once after so many milliseconds; answers how to call it off. */
  after(wait: number, run: () => void): () => void;
  /** From 0 up to 1. */
  random(): number;
}
