import { timingSafeEqual } from 'node:crypto';
import { type Candidate, candidatesOf, knocksAt, type Rotation } from './candidates.ts';
import type { KeyFile, V1Credential } from './key.ts';
import { type Prover, unproven } from './proof.ts';
import { keyIdOf, openV1, realmOf, V1_BYTES, V1_KIND } from './v1.ts';
import { createVerifier, type Verifier } from './v1-proof.ts';

/** Packets that were proven: sent again, by anybody and as often as he likes, they take no proof from their owner. */
const PROVEN_MAX = 4_096;

interface V1Key {
  readonly candidate: Candidate<V1Credential>;
  readonly verify: Verifier;
}

/** Proves packets of nfknock SPA v1: a realm's tag first, then the one key that the packet names. */
export function createV1Prover(file: KeyFile, rotation: Rotation): Prover {
  const realms = file.realms.map(realmOf);
  const keys = new Map<string, V1Key>(
    candidatesOf(file.keys, 'secret', 'ed25519', 'ssh').map((candidate) => [
      keyIdOf(candidate.credential),
      { candidate, verify: createVerifier(candidate.credential) },
    ]),
  );

  /** By the packet's id: its proof. */
  const known = new Map<string, Uint8Array>();

  function remember(id: string, proof: Uint8Array): void {
    known.set(id, Uint8Array.from(proof));
    if (known.size <= PROVEN_MAX) return;
    for (const oldest of known.keys()) {
      known.delete(oldest);
      return;
    }
  }

  return ({ payload, source, port, now, wall }, budget) => {
    const live = realms.filter(({ until }) => until === null || wall < until);
    if (payload.length !== V1_BYTES || live.length === 0 || keys.size === 0) return unproven('precheck');
    if (!budget.macs(source, live.length, now)) return unproven('budget');
    const opened = live.map((realm) => openV1(payload, realm)).find((one) => one !== undefined);
    if (opened === undefined) return unproven('hmac');
    const { request, message, proof, id } = opened;
    const found = keys.get(request.key);
    const fits =
      found !== undefined &&
      request.kind === V1_KIND[found.candidate.credential.kind] &&
      knocksAt(found.candidate, port) &&
      rotation.takes(found.candidate, wall);
    if (!fits) return unproven('key');
    const { key, by } = found.candidate;
    const before = known.get(id);
    if (before === undefined || !timingSafeEqual(before, proof)) {
      if (!budget.proof(source, key.name, now)) return unproven('budget');
      if (!found.verify(message, proof)) return unproven('proof');
      remember(id, proof);
    }
    rotation.proven(found.candidate);
    const { door, address, seconds, time: stamp } = request;
    return {
      outcome: 'proven',
      key,
      by,
      ask: { wants: { by: 'door', id: door }, address, seconds, user: null },
      id,
      stamp,
    };
  };
}
