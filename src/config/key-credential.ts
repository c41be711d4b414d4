import { CIPHER_MODES, DIGESTS } from '../spa/fwknop-crypto.ts';
import { type Credential, PUBLIC_KEY_BYTES } from '../spa/key.ts';
import { parseSshPublicKey } from '../spa/sshsig.ts';
import type { Reading, Spot } from './document.ts';
import { hidden, knownEntries } from './hidden-reading.ts';
import { type Kind, oneOf, parsed } from './kind.ts';
import { type Entry, textOf } from './read.ts';

/** What a key can be; exactly one of these stands in its entry. */
export const CREDENTIALS = ['ssh', 'ed25519', 'secret', 'fwknop', 'totp', 'doorman'] as const;

/** Bytes of each secret. fwknop's are those of its client; ours cannot be guessed. */
const BYTES = {
  secret: [16, 1024],
  fwknopKey: [1, 32],
  fwknopHmac: [1, 128],
  totp: [10, 128],
  doorman: [1, 128],
  publicKey: [PUBLIC_KEY_BYTES, PUBLIC_KEY_BYTES],
} as const;

const BASE32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';

/** What a credential's words may be in a path. */
export const CREDENTIAL_WORDS: readonly string[] = [...CREDENTIALS, 'key', 'hmac', 'digest', 'mode', 'group'];

/** The bytes of a text: those behind `base64:` or `base32:`, or undefined where they are written otherwise. */
export function parseBytes(text: string): Buffer | undefined {
  const [, encoding, digits = ''] = /^(base64|base32):(.*)$/s.exec(text) ?? [];
  if (encoding === 'base64') {
    const bytes = Buffer.from(digits, 'base64');
    return digits !== '' && bytes.toString('base64').replace(/=+$/, '') === digits.replace(/={1,2}$/, '')
      ? bytes
      : undefined;
  }
  return encoding === 'base32' ? parseBase32(digits) : undefined;
}

/** RFC 4648, as authenticators write it: in groups, small letters, without "=". */
function parseBase32(text: string): Buffer | undefined {
  const digits = text.replace(/[ -]/g, '').replace(/=+$/, '').toUpperCase();
  const bytes: number[] = [];
  let bits = 0;
  let value = 0;
  for (const digit of digits) {
    const number = BASE32.indexOf(digit);
    if (number < 0) return undefined;
    value = ((value << 5) | number) & 0xfff;
    bits += 5;
    if (bits < 8) continue;
    bits -= 8;
    bytes.push((value >> bits) & 255);
  }
  // What is left over holds no whole byte, and nothing.
  return bits < 5 && (value & ((1 << bits) - 1)) === 0 ? Buffer.from(bytes) : undefined;
}

/** Bytes in base64 or base32; or, where somebody may have chosen them, as they are typed. */
export function secretBytes([min, max]: readonly [number, number], typed: 'encoded' | 'typed'): Kind<Buffer> {
  const noun = min === max ? `${min} bytes` : `${min} to ${max} bytes`;
  const takes = typed === 'typed' ? `a passphrase, or base64: and ${noun}` : `base64: or base32: and ${noun}`;
  const kind = parsed(
    (text) => {
      const encoded = /^(base64|base32):/.test(text);
      const bytes = encoded ? parseBytes(text) : typed === 'typed' ? Buffer.from(text) : undefined;
      return bytes !== undefined && bytes.length >= min && bytes.length <= max ? bytes : undefined;
    },
    { noun: takes, form: takes, schema: { type: 'string' } },
  );
  return hidden(kind, `${takes}, for example base64:${Buffer.alloc(Math.min(max, 3)).toString('base64')}…`);
}

/** Reads the credential of an entry. */
export function readCredential(
  name: (typeof CREDENTIALS)[number],
  entry: Entry,
  reading: Reading,
): Credential | undefined {
  const { node, spot } = entry;
  switch (name) {
    case 'ssh':
      return readSsh(textOf(node), spot, reading);
    case 'ed25519': {
      const publicKey = secretBytes(BYTES.publicKey, 'encoded').read(node, spot, reading);
      return publicKey && { kind: 'ed25519', publicKey };
    }
    case 'secret': {
      const secret = secretBytes(BYTES.secret, 'encoded').read(node, spot, reading);
      return secret && { kind: 'secret', secret };
    }
    case 'totp': {
      const secret = secretBytes(BYTES.totp, 'encoded').read(node, spot, reading);
      return secret && { kind: 'totp', secret };
    }
    case 'fwknop':
      return readFwknop(entry, reading);
    case 'doorman':
      return readDoorman(entry, reading);
    default:
      return name satisfies never;
  }
}

function readSsh(text: string | undefined, spot: Spot, reading: Reading): Credential | undefined {
  const found = parseSshPublicKey(text ?? '');
  if (found.ok) return { kind: 'ssh', publicKey: found.publicKey };
  const { type } = found;
  const form = 'a line of ~/.ssh/id_ed25519.pub, in quotes';
  if (type === null) reading.fault(spot, 'this is not a public SSH key', `expected ${form}`);
  else if (type === 'ssh-ed25519')
    reading.fault(spot, 'this ssh-ed25519 key is not whole', `expected ${form}`);
  else reading.fault(spot, `a key of type ${type} can't knock`, 'make one that can: ssh-keygen -t ed25519');
  return undefined;
}

const digest = hidden(
  oneOf(...DIGESTS),
  'what the client was told with --hmac-digest-type, for example sha256',
);
const mode = hidden(
  oneOf(...CIPHER_MODES),
  'what the client was told with -M, without "legacy", which goes without an HMAC',
);

function readFwknop({ node, spot }: Entry, reading: Reading): Credential | undefined {
  const entries = knownEntries(node, spot, reading, ['key', 'hmac', 'digest', 'mode']);
  if (entries === undefined) return undefined;
  const key = required(entries.get('key'), spot, reading, {
    kind: secretBytes(BYTES.fwknopKey, 'typed'),
    problem: 'the key is missing (fwknop calls it KEY or KEY_BASE64)',
  });
  const hmac = required(entries.get('hmac'), spot, reading, {
    kind: secretBytes(BYTES.fwknopHmac, 'typed'),
    problem:
      'the hmac is missing (fwknop calls it HMAC_KEY or HMAC_KEY_BASE64); without it a used packet can be edited and used again',
  });
  const given = { digest: entries.get('digest'), mode: entries.get('mode') };
  const type =
    given.digest === undefined ? 'sha256' : digest.read(given.digest.node, given.digest.spot, reading);
  const cipher = given.mode === undefined ? 'cbc' : mode.read(given.mode.node, given.mode.spot, reading);
  if (key === undefined || hmac === undefined || type === undefined || cipher === undefined) return undefined;
  return { kind: 'fwknop', key, hmac, digest: type, mode: cipher };
}

const group: Kind<string> = hidden(
  parsed((text) => (/^[!-~]{1,32}$/.test(text) ? text : undefined), {
    noun: 'the name of a group',
    form: '',
    schema: { type: 'string' },
  }),
  'as in the guestlist, at most 32 characters without blanks',
);

function readDoorman({ node, spot }: Entry, reading: Reading): Credential | undefined {
  const entries = knownEntries(node, spot, reading, ['group', 'secret']);
  if (entries === undefined) return undefined;
  const named = required(entries.get('group'), spot, reading, {
    kind: group,
    problem: 'the group is missing',
  });
  const secret = required(entries.get('secret'), spot, reading, {
    kind: secretBytes(BYTES.doorman, 'typed'),
    problem: 'the secret is missing',
  });
  return named === undefined || secret === undefined ? undefined : { kind: 'doorman', group: named, secret };
}

interface Required<T> {
  readonly kind: Kind<T>;
  readonly problem: string;
}

function required<T>(
  entry: Entry | undefined,
  spot: Spot,
  reading: Reading,
  wanted: Required<T>,
): T | undefined {
  if (entry !== undefined) return wanted.kind.read(entry.node, entry.spot, reading);
  reading.fault(spot, wanted.problem, `add it: ${wanted.kind.takes}`);
  return undefined;
}
