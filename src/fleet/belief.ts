import { formatCidr } from '../packet/cidr.ts';
import type { RefusedReason } from '../policy/fleet.ts';
import {
  type AmnestyRegister,
  type BanRegister,
  type GrantRegister,
  type Register,
  registerKey,
} from './register.ts';

/** What the configuration says of what is believed. */
export interface Belief {
  /** Whether this member is believed in this at all. */
  accepts(member: string, register: Register): boolean;
  /** Another's ban lasts here at most so long, in milliseconds. */
  longest(): number;
  /** How long this door is open for here; undefined: there is no such door. */
  opensFor(door: string): number | undefined;
  /** How long a lift is remembered: longer than anything that did not know of it lasts. */
  tombs(): number;
}

/** What came of a batch of what was heard. */
export interface Outcome {
  /** What changed, by target or grant; and whether something that may be in force here was ended by a lift. */
  readonly touched: Map<string, { readonly register: BanRegister | GrantRegister; readonly ended: boolean }>;
  amnesty: AmnestyRegister | null;
  /** To be said again under this member's own name: their maker may be gone. */
  readonly repairs: Register[];
  readonly refused: RefusedReason[];
  /** Of these the registers, where they could be read. */
  readonly doubted: { readonly register: Register; readonly reason: RefusedReason }[];
  /** When something that was refused may be believed, at the earliest, on the bus's clock. */
  believable: number;
}

export function emptyOutcome(): Outcome {
  const believable = Number.POSITIVE_INFINITY;
  return { touched: new Map(), amnesty: null, repairs: [], refused: [], doubted: [], believable };
}

/** `until`: why it is refused is over then, on the bus's clock; undefined: nobody knows. */
export function refuse(outcome: Outcome, register: Register, reason: RefusedReason, until?: number): void {
  outcome.refused.push(reason);
  outcome.doubted.push({ register, reason });
  if (until !== undefined) outcome.believable = Math.min(outcome.believable, until);
}

/** This has changed. `ended`: by a lift, whatever of it may be in force here. */
export function touch(outcome: Outcome, state: Register, ended: boolean): void {
  if (state.kind === 'amnesty') {
    outcome.amnesty = state;
    return;
  }
  const key = state.kind === 'ban' ? formatCidr(state.target) : registerKey(state);
  const before = outcome.touched.get(key);
  outcome.touched.set(key, { register: state, ended: ended || before?.ended === true });
}
