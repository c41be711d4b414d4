import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { ClientProof } from '../../config/client-key.ts';
import type { KeyEntry } from '../../config/key-file-edit.ts';
import { pairOf } from '../../spa/ed25519.ts';
import { quoted } from '../../text/plain.ts';
import { usage } from '../failure.ts';
import { codeOf } from '../resolve.ts';
import { publicKeyOf } from './ssh-key.ts';

/** Both sides of a new credential. */
export type MadeKey =
  | {
      readonly kind: 'ed25519' | 'secret' | 'ssh';
      /** What the key file keeps. */
      readonly entry: KeyEntry[string];
      /** What the client proves with. */
      readonly proof: ClientProof;
    }
  | {
      readonly kind: 'fwknop';
      readonly entry: KeyEntry;
      readonly key: Buffer;
      readonly hmac: Buffer;
    }
  | {
      readonly kind: 'totp';
      readonly entry: string;
      /** In base32 (RFC 4648), as authenticators take it. */
      readonly secret: string;
    };

/** Bytes of what is drawn: fwknop's key may have no more, its HMAC has the length of a block of SHA-256. */
const SECRET_BYTES = 32;
const FWKNOP_BYTES = { key: 32, hmac: 64 } as const;
/** As RFC 4226 recommends: 32 characters for those who type it. */
const TOTP_BYTES = 20;
const BASE32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';

export function makeKey(kind: 'ed25519' | 'secret' | 'fwknop' | 'totp'): MadeKey {
  switch (kind) {
    case 'ed25519': {
      const seed = randomBytes(SECRET_BYTES);
      return { kind, entry: base64(pairOf(seed).publicKey), proof: { kind, seed } };
    }
    case 'secret': {
      const secret = randomBytes(SECRET_BYTES);
      return { kind, entry: base64(secret), proof: { kind, secret } };
    }
    case 'fwknop': {
      const [key, hmac] = [randomBytes(FWKNOP_BYTES.key), randomBytes(FWKNOP_BYTES.hmac)];
      return { kind, entry: { key: base64(key), hmac: base64(hmac) }, key, hmac };
    }
    case 'totp': {
      const secret = base32(randomBytes(TOTP_BYTES));
      return { kind, entry: `base32:${secret}`, secret };
    }
    default:
      return kind satisfies never;
  }
}

/** The public SSH key in a file, or on standard input. Throws CommandFailure where it is none that can knock. */
export function takeSshKey(file: string): MadeKey {
  const [named, place] = file === '-' ? ['standard input', 0] : [file, file];
  let text: string;
  try {
    text = readFileSync(place, 'utf8');
  } catch (error) {
    throw usage(
      `${quoted(named)} can't be read (${codeOf(error)}): name a file such as ~/.ssh/id_ed25519.pub`,
    );
  }
  if (text.includes('PRIVATE KEY'))
    throw usage(
      `${quoted(named)} is the private half of a key: name its public one, ${quoted(`${named}.pub`)}`,
    );
  // One that can knock, where a file holds several.
  const lines = text.split('\n').filter((line) => line.trim() !== '' && !line.startsWith('#'));
  const line = (lines.find((each) => each.startsWith('ssh-ed25519 ')) ?? lines[0] ?? '').trim();
  const publicKey = publicKeyOf(line, named);
  // A comment may hold anything; YAML and terminals need no more than its plain letters.
  const plain = line
    .split(/\s+/)
    .slice(0, 3)
    .join(' ')
    .replace(/[^ -~]/g, '')
    .slice(0, 400);
  return { kind: 'ssh', entry: plain, proof: { kind: 'ssh', publicKey, line: plain } };
}

export function base64(bytes: Uint8Array): string {
  return `base64:${Buffer.from(bytes).toString('base64')}`;
}

/** Of bytes that make whole characters. */
function base32(bytes: Uint8Array): string {
  const bits = [...bytes].map((byte) => byte.toString(2).padStart(8, '0')).join('');
  return (bits.match(/.{5}/g) ?? []).map((five) => BASE32[Number.parseInt(five, 2)] ?? '').join('');
}
