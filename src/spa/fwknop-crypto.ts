import { createDecipheriv, createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { encodeBase64 } from './base64.ts';

/** What fwknop calls its digests; for the HMAC and for the digest within. */
export type Digest = 'md5' | 'sha1' | 'sha256' | 'sha384' | 'sha512' | 'sha3_256' | 'sha3_512';

/** Modes of AES-256 that its client can be asked for; "legacy" is not one, since it goes without an HMAC. */
export type CipherMode = 'cbc' | 'ecb' | 'cfb' | 'ofb' | 'ctr';

/** OpenSSL's names, and the bytes that come out. */
const ALGORITHMS: Readonly<Record<Digest, { readonly name: string; readonly bytes: number }>> = {
  md5: { name: 'md5', bytes: 16 },
  sha1: { name: 'sha1', bytes: 20 },
  sha256: { name: 'sha256', bytes: 32 },
  sha384: { name: 'sha384', bytes: 48 },
  sha512: { name: 'sha512', bytes: 64 },
  sha3_256: { name: 'sha3-256', bytes: 32 },
  sha3_512: { name: 'sha3-512', bytes: 64 },
};
export const DIGESTS: readonly Digest[] = [
  'md5',
  'sha1',
  'sha256',
  'sha384',
  'sha512',
  'sha3_256',
  'sha3_512',
];
export const CIPHER_MODES: readonly CipherMode[] = ['cbc', 'ecb', 'cfb', 'ofb', 'ctr'];

const BLOCK_BYTES = 16;
const KEY_BYTES = 32;

/** Letters that a digest takes in base64 without "=". */
export function digestLetters(digest: Digest): number {
  return Math.ceil((ALGORITHMS[digest].bytes * 4) / 3);
}

/** Whether a text in base64 is the HMAC of a message. In the time that every text takes. */
export function isMac(
  text: Uint8Array,
  { digest, hmac }: { readonly digest: Digest; readonly hmac: Uint8Array },
  message: readonly Uint8Array[],
): boolean {
  const mac = createHmac(ALGORITHMS[digest].name, hmac);
  for (const part of message) mac.update(part);
  // As text: whatever decodes to the right bytes but is written otherwise is refused with the wrong ones.
  const wanted = Buffer.from(encodeBase64(mac.digest()), 'latin1');
  return text.length === wanted.length && timingSafeEqual(text, wanted);
}

/** Which digest of a text another text is, in base64; sha3's are as long as sha2's, and found by trying. */
export function digestOf(text: string, digest: string): Digest | undefined {
  return DIGESTS.find(
    (each) =>
      digestLetters(each) === digest.length &&
      encodeBase64(createHash(ALGORITHMS[each].name).update(text, 'latin1').digest()) === digest,
  );
}

/** Deciphers what `openssl enc -aes-256-… -md md5` makes of a passphrase and eight bytes of salt; undefined: it is none. */
export function decipher(
  sealed: Uint8Array,
  salt: Uint8Array,
  passphrase: Uint8Array,
  mode: CipherMode,
): Buffer | undefined {
  if (sealed.length % BLOCK_BYTES !== 0) return undefined;
  const { key, iv } = derived(passphrase, salt);
  const cipher = createDecipheriv(`aes-256-${mode}`, key, mode === 'ecb' ? null : iv);
  // Every mode pads here, also those that need not; so what padding is, is said once, below.
  cipher.setAutoPadding(false);
  return unpadded(Buffer.concat([cipher.update(sealed), cipher.final()]));
}

/** OpenSSL's EVP_BytesToKey with one round of MD5: 32 bytes of key, 16 of initialisation vector. */
function derived(
  passphrase: Uint8Array,
  salt: Uint8Array,
): { readonly key: Uint8Array; readonly iv: Uint8Array } {
  let bytes = Buffer.alloc(0);
  let last = Buffer.alloc(0);
  while (bytes.length < KEY_BYTES + BLOCK_BYTES) {
    last = createHash('md5').update(last).update(passphrase).update(salt).digest();
    bytes = Buffer.concat([bytes, last]);
  }
  return { key: bytes.subarray(0, KEY_BYTES), iv: bytes.subarray(KEY_BYTES) };
}

/** PKCS#7: as many bytes as are missing from the last block, each of which says how many. */
function unpadded(bytes: Buffer): Buffer | undefined {
  const count = bytes[bytes.length - 1] ?? 0;
  if (count < 1 || count > BLOCK_BYTES) return undefined;
  const end = bytes.length - count;
  return bytes.subarray(end).every((byte) => byte === count) ? bytes.subarray(0, end) : undefined;
}
