import type { BanOrigin } from '../engine/ban.ts';
import type { Address } from '../packet/address.ts';
import { type Cidr, HOST_BITS } from '../packet/cidr.ts';
import { type Grantee, grantKey } from '../policy/grantee.ts';

/*
 * What the members of a fleet hold in common: for every ban and every grant one register, and one for the lifting of all
 * bans. Merging two states of a register is associative, commutative and idempotent, so members agree whatever the
 * order, repetition or lateness of what they hear: a register is a generation, and what is known within it. A lift
 * begins a new generation, and ends with it whatever did not know of it.
 *
 * Moments are on the bus's clock, in milliseconds since 1970.
 */

export interface BanRegister {
  readonly kind: 'ban';
  readonly target: Cidr;
  /** Strikes, which a key undoes, or somebody's will, which only an order undoes: each has a register of its own. */
  readonly cause: BanOrigin;
  /** The stamp of the newest lift that this state knows of; 0: none. */
  readonly gen: number;
  readonly since: number;
  /** 0: lifted. */
  readonly until: number;
  /** Which ban of this offender it is; what had been counted before a lift outlives it. */
  readonly count: number;
}

export interface GrantRegister {
  readonly kind: 'grant';
  readonly door: string;
  readonly grantee: Grantee;
  readonly gen: number;
  /** The last opening or renewal. */
  readonly opened: number;
  /** 0: closed. */
  readonly until: number;
  /** Who knocked for it last. */
  readonly source: Address;
  /** Connections that it was good for when it was opened last; null: without limit. */
  readonly uses: number | null;
}

/** All bans were lifted. */
export interface AmnestyRegister {
  readonly kind: 'amnesty';
  readonly gen: number;
}

export type Register = BanRegister | GrantRegister | AmnestyRegister;

/** What tells one register from another; the same at every member. */
export function registerKey(register: Register): string {
  switch (register.kind) {
    case 'ban':
      return banKey(register.target, register.cause);
    case 'grant':
      return grantRegisterKey(register.door, register.grantee);
    case 'amnesty':
      return 'amnesty';
    default:
      return register satisfies never;
  }
}

export const BAN_CAUSES: readonly BanOrigin[] = ['strikes', 'order'];

/** Of all registers that tell of a ban of this target. */
export function banKeys(target: Cidr): readonly string[] {
  return BAN_CAUSES.map((cause) => banKey(target, cause));
}

export function grantRegisterKey(door: string, grantee: Grantee): string {
  return `grant ${grantKey(door, grantee)}`;
}

/** Of a million targets: numbers, not words as people write them. */
export function banKey({ address, bits }: Cidr, cause: BanOrigin): string {
  const { family, a, b, c, d } = address;
  const words = family === 4 ? `${a}` : bits === HOST_BITS[6] ? `${a},${b},${c},${d}` : `${a},${b}`;
  return `${cause} ${words}`;
}

/** What both states of one register know together. */
export function merge<R extends Register>(one: R, other: R): R;
export function merge(one: Register, other: Register): Register {
  if (one.gen !== other.gen) return one.gen > other.gen ? one : other;
  if (one.kind === 'ban' && other.kind === 'ban') return mergeBans(one, other);
  if (one.kind === 'grant' && other.kind === 'grant') return mergeGrants(one, other);
  return one;
}

function mergeBans(one: BanRegister, other: BanRegister): BanRegister {
  return {
    ...one,
    since: Math.max(one.since, other.since),
    until: Math.max(one.until, other.until),
    count: Math.max(one.count, other.count),
  };
}

function mergeGrants(one: GrantRegister, other: GrantRegister): GrantRegister {
  const later = isLater(one, other) ? one : other;
  return { ...later, until: Math.max(one.until, other.until) };
}

/** Total, so that of two openings in one moment every member takes the same. */
function isLater(one: GrantRegister, other: GrantRegister): boolean {
  if (one.opened !== other.opened) return one.opened > other.opened;
  const order = compare(one.source, other.source);
  if (order !== 0) return order > 0;
  return (one.uses ?? Number.POSITIVE_INFINITY) >= (other.uses ?? Number.POSITIVE_INFINITY);
}

function compare(one: Address, other: Address): number {
  if (one.family !== other.family) return one.family - other.family;
  return (
    compareWords(one.a, other.a) ||
    compareWords(one.b, other.b) ||
    compareWords(one.c, other.c) ||
    compareWords(one.d, other.d)
  );
}

/** As the numbers without a sign that their bytes are. */
function compareWords(one: number, other: number): number {
  return (one >>> 0) - (other >>> 0);
}

/** Whether two states of one register are the same. */
export function sameState(one: Register, other: Register): boolean {
  if (one.kind === 'ban' && other.kind === 'ban')
    return (
      one.gen === other.gen &&
      one.until === other.until &&
      one.since === other.since &&
      one.count === other.count
    );
  if (one.kind === 'grant' && other.kind === 'grant')
    return (
      one.gen === other.gen &&
      one.until === other.until &&
      one.opened === other.opened &&
      one.uses === other.uses &&
      compare(one.source, other.source) === 0
    );
  return one.gen === other.gen;
}

/** The same with moments that are so much later; 0 stays what it means. */
export function shifted<R extends Register>(register: R, late: number): R;
export function shifted(register: Register, late: number): Register {
  const moved = (at: number): number => (at === 0 ? 0 : at + late);
  switch (register.kind) {
    case 'ban':
      return { ...register, since: moved(register.since), until: moved(register.until) };
    case 'grant':
      return { ...register, opened: moved(register.opened), until: moved(register.until) };
    case 'amnesty':
      return register;
    default:
      return register satisfies never;
  }
}

/** Lifted or closed: kept, so that what did not know of it stays ended. */
export function isTomb(register: Register): boolean {
  return register.kind !== 'amnesty' && register.until === 0;
}

/** Whether this state says all that the other does: who has it needs the other no more. */
export function covers(state: Register, other: Register): boolean {
  return sameState(merge(state, other), state);
}
