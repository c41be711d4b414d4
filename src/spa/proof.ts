import type { Address } from '../packet/address.ts';
import type { Port, PortSpec } from '../packet/port.ts';
import type { Milliseconds } from '../packet/time.ts';
import type { Budget } from './budget.ts';
import type { FwknopStage } from './fwknop.ts';
import type { FwknopNat } from './fwknop-fields.ts';
import type { Key } from './key.ts';

/** A UDP packet at one of the keys' ports, whole. */
export interface SpaPacket {
  readonly payload: Uint8Array;
  readonly source: Address;
  readonly destination: Address;
  /** The port that it was sent to. */
  readonly port: Port;
  /** When it came, on the engine's clock. */
  readonly now: Milliseconds;
  /** When it came, in milliseconds since 1970. */
  readonly wall: number;
}

/** What a proven packet asks for. */
export interface Ask {
  readonly wants: /** `id` in hexadecimal. */
    | { readonly by: 'door'; readonly id: string }
    | { readonly by: 'ports'; readonly ports: readonly PortSpec[]; readonly nat: FwknopNat | null }
    /** What can't be had here, anyone who asks. */
    | { readonly by: 'nothing'; readonly reason: 'command' | 'nat' | 'ports' };
  /** For whom; null: for the address that the packet comes from. */
  readonly address: Address | null;
  /** 0: the door's own time. */
  readonly seconds: number;
  /** The user that it names; null: its format names none. */
  readonly user: string | null;
}

/** Where a packet fell out that no key proves. None of it is shown to who sent it. */
export type ProofStage = FwknopStage | 'budget' | 'key' | 'proof';

export interface Unproven {
  readonly outcome: 'unproven';
  readonly stage: ProofStage;
}

export interface Proven {
  readonly outcome: 'proven';
  readonly key: Key;
  readonly ask: Ask;
  /** By which the packet is known again. */
  readonly id: string;
  /** When it was made, by its sender's clock, in milliseconds since 1970; null: its format does not say. */
  readonly stamp: number | null;
  /** Whether it was proven by what the key is now, or by what it was before it was rotated. */
  readonly by: 'present' | 'previous';
}

export function unproven(stage: ProofStage): Unproven {
  return { outcome: 'unproven', stage };
}

/** Looks for the key that proves a packet, of one format. */
export type Prover = (packet: SpaPacket, budget: Budget) => Proven | Unproven;
