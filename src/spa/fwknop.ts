import { decodeBase64, isBase64 } from './base64.ts';
import { type CipherMode, decipher, digestLetters, isMac } from './fwknop-crypto.ts';
import { type FwknopFields, parseFields } from './fwknop-fields.ts';
import type { FwknopCredential } from './key.ts';

/*
 * The packet of fwknop's client:
 *
 *   datagram = text · mac        text = base64(Salted__ · salt · AES-256(plain)) without its first ten letters
 *
 * Stricter than fwknop's own server: every packet has exactly one way in which it can be written.
 */

/** Where a packet is refused, in the order of looking. */
export type FwknopStage = 'precheck' | 'hmac' | 'cipher' | 'digest' | 'fields';

export type FwknopProof =
  | { readonly ok: true; readonly fields: FwknopFields }
  | { readonly ok: false; readonly stage: FwknopStage };

/** Bytes of a datagram: under 140 its own server looks at none; the longest its client can make has 440. */
export const FWKNOP_BYTES = { min: 140, max: 440 } as const;

/** base64 of "Salted__" and the first bits of what follows; never sent, and never taken. */
const PREFIX = Buffer.from('U2FsdGVkX1', 'latin1');
const SALTED = Buffer.from('Salted__', 'latin1');
const SALT_BYTES = 8;

/** Whether a payload has the form of a packet; costs next to nothing. */
export function hasFwknopForm(payload: Uint8Array): boolean {
  const { length } = payload;
  if (length < FWKNOP_BYTES.min || length > FWKNOP_BYTES.max || !isBase64(payload)) return false;
  return !PREFIX.every((byte, at) => payload[at] === byte);
}

/** Whether a payload bears the HMAC of this key. One MAC's worth of time, whatever comes. */
export function hasFwknopMac(payload: Uint8Array, credential: FwknopCredential): boolean {
  const text = withoutMac(payload, credential);
  return isMac(payload.subarray(text.length), credential, [PREFIX, text]);
}

/** What a packet says, where all of it is right. */
export function proveFwknop(payload: Uint8Array, credential: FwknopCredential): FwknopProof {
  if (!hasFwknopForm(payload)) return { ok: false, stage: 'precheck' };
  if (!hasFwknopMac(payload, credential)) return { ok: false, stage: 'hmac' };
  return openFwknop(withoutMac(payload, credential), credential);
}

/** What stands before the HMAC. */
export function withoutMac(payload: Uint8Array, { digest }: Pick<FwknopCredential, 'digest'>): Uint8Array {
  return payload.subarray(0, Math.max(0, payload.length - digestLetters(digest)));
}

/** Opens a packet whose HMAC has been found right and taken off. */
export function openFwknop(
  text: Uint8Array,
  { key, mode }: { readonly key: Uint8Array; readonly mode: CipherMode },
): FwknopProof {
  const cipher = decodeBase64(Buffer.concat([PREFIX, text]).toString('latin1'));
  // Ten letters of the prefix hold seven bytes and a half: the first letter that is sent could hide 15 other values.
  const salted = cipher?.subarray(0, SALTED.length).equals(SALTED);
  if (cipher === undefined || !salted) return { ok: false, stage: 'cipher' };
  const body = SALTED.length + SALT_BYTES;
  const plain = decipher(cipher.subarray(body), cipher.subarray(SALTED.length, body), key, mode);
  if (plain === undefined) return { ok: false, stage: 'cipher' };
  const fields = parseFields(plain.toString('latin1'));
  return typeof fields === 'string' ? { ok: false, stage: fields } : { ok: true, fields };
}
