import { createCipheriv, createHash, createHmac } from 'node:crypto';
import type { FwknopCredential } from '../../../src/spa/key.ts';

/** Packets of fwknop as its client makes them, and with one thing wrong; written without a look at the decoder. */

export const CREDENTIAL: FwknopCredential = {
  kind: 'fwknop',
  key: Buffer.from('a passphrase of some length'),
  hmac: Buffer.from('and another that is not it'),
  digest: 'sha256',
  mode: 'cbc',
};

export const letters = (text: string | Uint8Array): string =>
  Buffer.from(text).toString('base64').replace(/=/g, '');

export interface Parts {
  readonly random: string;
  readonly user: string;
  readonly time: string;
  readonly version: string;
  readonly type: string;
  readonly message: string;
  /** What stands between the message and the digest. */
  readonly rest: readonly string[];
}

export const PARTS: Parts = {
  random: '1234567890123456',
  user: letters('ada'),
  time: '1795891572',
  version: '3.0.0',
  type: '1',
  message: letters('192.0.2.11,tcp/22'),
  rest: [],
};

/** The text within, with its digest. */
export function plainOf(parts: Partial<Parts> = {}): string {
  const { random, user, time, version, type, message, rest } = { ...PARTS, ...parts };
  return digested([random, user, time, version, type, message, ...rest].join(':'));
}

export function digested(text: string): string {
  return `${text}:${letters(createHash('sha256').update(text, 'latin1').digest())}`;
}

export function padded(text: string): Buffer {
  const bytes = Buffer.from(text, 'latin1');
  const count = 16 - (bytes.length % 16);
  return Buffer.concat([bytes, Buffer.alloc(count, count)]);
}

/** The packet without its HMAC. `head`: what stands in place of "Salted__". */
export function sealedWith(
  plain: Uint8Array,
  { key, mode }: Pick<FwknopCredential, 'key' | 'mode'> = CREDENTIAL,
  head = 'Salted__',
): string {
  const salt = Buffer.from('0123456789abcdef', 'hex');
  const md5 = (...parts: readonly Uint8Array[]): Buffer => {
    const hash = createHash('md5');
    for (const part of parts) hash.update(part);
    return hash.digest();
  };
  const first = md5(key, salt);
  const second = md5(first, key, salt);
  const iv = mode === 'ecb' ? null : md5(second, key, salt);
  const cipher = createCipheriv(`aes-256-${mode}`, Buffer.concat([first, second]), iv).setAutoPadding(false);
  return letters(
    Buffer.concat([Buffer.from(head, 'latin1'), salt, cipher.update(plain), cipher.final()]),
  ).slice(10);
}

/** Text and HMAC. */
export function signed(text: string, { hmac }: Pick<FwknopCredential, 'hmac'> = CREDENTIAL): Buffer {
  return Buffer.from(
    text + letters(createHmac('sha256', hmac).update(`U2FsdGVkX1${text}`).digest()),
    'latin1',
  );
}

export function packed(parts: Partial<Parts> = {}, credential: FwknopCredential = CREDENTIAL): Buffer {
  return signed(sealedWith(padded(plainOf(parts)), credential), credential);
}
