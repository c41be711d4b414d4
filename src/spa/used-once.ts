import type { UseChange } from '../policy/key-use.ts';
/*
 * "Used once" is asked in one place, so that who answers can be another: this machine's memory, or all machines of a
 * fleet.
 */

/** A proven packet about to open a door. */
export interface PacketUse {
  readonly use: 'packet';
  readonly key: string;
  /** By which the packet is known again. */
  readonly id: string;
  /** When it was made, by its sender's clock; null: its format does not say, so it is remembered for ever. */
  readonly stamp: number | null;
  /** The network that it came from. */
  readonly source: string;
}

/** A right code about to open a door. It and every earlier one of its key are used up by that. */
export interface CodeUse {
  readonly use: 'code';
  readonly key: string;
  /** By which the code's secret is known again, whatever a machine calls its key. */
  readonly id: string;
  /** When the code's 30 seconds began. */
  readonly stamp: number;
  readonly source: string;
}

export type Use = PacketUse | CodeUse;

export type Claim =
  | { readonly outcome: 'won'; readonly changes: readonly UseChange[] }
  /** `by`: the network or the member that used it. */
  | { readonly outcome: 'used'; readonly by: string | null }
  /** At or under the key's floor: whether it was used is not known any more. */
  | { readonly outcome: 'old' }
  /** There is no room to remember it, so it opens nothing. */
  | { readonly outcome: 'full' }
  /** Who must be asked does not answer. */
  | { readonly outcome: 'unavailable'; readonly by: string | null };

/** The moment of a claim, and how far a sender's clock may be off; in milliseconds. */
export interface ClaimTime {
  readonly wall: number;
  readonly skew: number;
}

export interface UsedOnce {
  /** Never rejects. Of all claims of one use, anyone who makes them, one is won. */
  claim(use: Use, time: ClaimTime): Promise<Claim>;
}
