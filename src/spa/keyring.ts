import type { Port } from '../packet/port.ts';
import { type Budget, createBudget } from './budget.ts';
import { createRotation } from './candidates.ts';
import { createDoormanProver } from './doorman.ts';
import type { KeyFile } from './key.ts';
import type { Proven, SpaPacket, Unproven } from './proof.ts';
import { createFwknopProver } from './prove-fwknop.ts';
import { createV1Prover } from './prove-v1.ts';
import { V1_BYTES } from './v1.ts';

/** The keys in memory, and what strangers may cost. */
export interface Keyring {
  /** Whose packet this is and what it asks for, or where it fell out. Never throws, whatever the payload is. */
  prove(packet: SpaPacket): Proven | Unproven;
  readonly budget: Budget;
}

/**
 * `ports`: those that packets may come in at (`listen.spa`). `rotated`: credentials that are done with, as `rotationOf`
 * names them.
 */
export function createKeyring(file: KeyFile, ports: readonly Port[], rotated?: Set<string>): Keyring {
  const budget = createBudget(file.keys.map(({ name }) => name));
  const rotation = createRotation(rotated);
  const proveFwknop = createFwknopProver(file.keys, ports, rotation);
  const proveV1 = createV1Prover(file, rotation);
  const proveDoorman = createDoormanProver(file.keys, rotation);

  return {
    budget,
    prove(packet) {
      // The three can't be taken for each other: no packet of fwknop has v1's length, whatever its HMAC, and none of
      // them has blanks, of which doorman's has three.
      if (packet.payload.length === V1_BYTES) return proveV1(packet, budget);
      const proof = proveDoorman(packet, budget);
      return proof.outcome === 'unproven' && proof.stage === 'precheck' ? proveFwknop(packet, budget) : proof;
    },
  };
}
