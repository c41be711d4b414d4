import { createHash, createPublicKey, timingSafeEqual, verify } from 'node:crypto';
import type { V1Credential } from './key.ts';
import { sshsigText } from './sshsig.ts';
import { secretProof } from './v1.ts';

/** Whether a proof is right for a message. */
export type Verifier = (message: Uint8Array, proof: Uint8Array) => boolean;

/** What proves packets of a credential; the key is taken in once, since that costs as much as a third of a look. */
export function createVerifier(credential: V1Credential): Verifier {
  if (credential.kind === 'secret') {
    return (message, proof) => {
      const wanted = secretProof(credential.secret, message);
      return proof.length === wanted.length && timingSafeEqual(proof, wanted);
    };
  }
  const x = Buffer.from(credential.publicKey).toString('base64url');
  const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' });
  if (credential.kind === 'ed25519') return (message, proof) => verify(null, message, key, proof);
  return (message, proof) => {
    const text = sshsigText(createHash('sha512').update(message).digest());
    return verify(null, text, key, proof);
  };
}
