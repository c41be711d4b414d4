import type { KeyEntry } from '../config/key-file-edit.ts';
import { CIPHER_MODES, DIGESTS } from '../spa/fwknop-crypto.ts';
import type { Directive } from './directive.ts';

/** What a stanza's packets are proven with; or why they can't be, in words that repeat nothing. */
export type FwknopSecrets =
  | { readonly ok: true; readonly fwknop: KeyEntry }
  | { readonly ok: false; readonly line: number; readonly key: string; readonly why: string };

/** What the packaged file has in place of keys. */
const PLACEHOLDER = '__CHANGEME__';
const FRESH = '"nfknock key new NAME --door DOOR --fwknop" makes another, with the stanza for its client';
const KEY_BYTES_MAX = 32;
const HMAC_BYTES_MAX = 128;

/** Reads the two secrets of a stanza. */
export function fwknopSecrets(found: ReadonlyMap<string, Directive>, line: number): FwknopSecrets {
  const refused = (key: string, why: string): FwknopSecrets => ({
    ok: false,
    line: found.get(key)?.line ?? line,
    key,
    why: `${why}; the key is left out: ${FRESH}`,
  });
  const [cipherName, cipher] = secretOf(found, 'KEY');
  if (cipher === undefined) {
    const gpg = [...found.keys()].some((name) => name.startsWith('GPG_'));
    return refused(
      gpg ? 'GPG_DECRYPT_ID' : 'KEY',
      gpg
        ? 'packets under GnuPG have no equal (a key of kind ssh does what it did: --ssh FILE)'
        : 'the stanza has no KEY',
    );
  }
  const [hmacName, hmac] = secretOf(found, 'HMAC_KEY');
  if (hmac === undefined)
    return refused(
      'HMAC_KEY',
      'without an HMAC a used packet can be edited and used again, so none is taken',
    );
  for (const [name, secret, most] of [
    [cipherName, cipher, KEY_BYTES_MAX],
    [hmacName, hmac, HMAC_BYTES_MAX],
  ] as const) {
    if (secret === 'placeholder') return refused(name, 'this is the placeholder of the packaged file');
    if (secret === 'broken') return refused(name, 'this is not base64');
    if (bytesOf(secret) > most) return refused(name, `this has more than ${most} bytes`);
  }
  const digest = (found.get('HMAC_DIGEST_TYPE')?.value ?? 'sha256').toLowerCase().replace('-', '_');
  const mode = (found.get('ENCRYPTION_MODE')?.value ?? 'cbc').toLowerCase();
  const digests: readonly string[] = DIGESTS;
  const modes: readonly string[] = CIPHER_MODES;
  if (!digests.includes(digest)) return refused('HMAC_DIGEST_TYPE', 'no such digest is known here');
  if (!modes.includes(mode))
    return refused('ENCRYPTION_MODE', 'only cbc, ecb, cfb, ofb and ctr are taken, with an HMAC');
  return {
    ok: true,
    fwknop: {
      key: cipher,
      hmac,
      ...(digest === 'sha256' ? {} : { digest }),
      ...(mode === 'cbc' ? {} : { mode }),
    },
  };
}

/** A secret as our key file has it, by the name that it stood under. */
function secretOf(
  found: ReadonlyMap<string, Directive>,
  name: 'KEY' | 'HMAC_KEY',
): readonly [name: string, secret: string | undefined] {
  const encoded = found.get(`${name}_BASE64`);
  if (encoded !== undefined) {
    const { value } = encoded;
    if (value === PLACEHOLDER) return [encoded.name, 'placeholder'];
    const bytes = Buffer.from(value, 'base64');
    const same = bytes.toString('base64').replace(/=+$/, '') === value.replace(/=+$/, '');
    return [encoded.name, same && bytes.length > 0 ? `base64:${bytes.toString('base64')}` : 'broken'];
  }
  const plain = found.get(name);
  if (plain === undefined) return [name, undefined];
  if (plain.value === PLACEHOLDER) return [name, 'placeholder'];
  // A passphrase in base64 too: it can hold anything, and begin like one of ours.
  return [name, `base64:${Buffer.from(plain.value).toString('base64')}`];
}

function bytesOf(secret: string): number {
  return Buffer.from(secret.replace(/^base64:/, ''), 'base64').length;
}
