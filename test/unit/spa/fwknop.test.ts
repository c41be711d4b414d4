import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { openFwknop, proveFwknop } from '../../../src/spa/fwknop.ts';
import { CIPHER_MODES, type CipherMode, type Digest } from '../../../src/spa/fwknop-crypto.ts';
import { parseFields } from '../../../src/spa/fwknop-fields.ts';
import type { FwknopCredential } from '../../../src/spa/key.ts';
import {
  CREDENTIAL,
  digested,
  letters,
  packed,
  padded,
  plainOf,
  sealedWith,
  signed,
} from './fwknop-packet.ts';

interface Vector {
  readonly name: string;
  readonly key_base64: string;
  readonly hmac_key_base64: string | null;
  readonly hmac_type: Digest;
  readonly mode: CipherMode | 'legacy';
  readonly packet: string;
  readonly bytes: number;
  readonly expect: Readonly<Record<string, unknown>>;
}
type Bad = Omit<Vector, 'expect' | 'bytes'> & { readonly refused_at: string };

const read = <T>(name: string): readonly T[] =>
  JSON.parse(readFileSync(`test/fixtures/spa/${name}.json`, 'utf8')) as readonly T[];
const GOOD = read<Vector>('fwknop');
const BAD = read<Bad>('fwknop-bad');

function credentialOf(vector: Omit<Vector, 'expect' | 'bytes'>): FwknopCredential {
  return {
    kind: 'fwknop',
    key: Buffer.from(vector.key_base64, 'base64'),
    hmac: Buffer.from(vector.hmac_key_base64 ?? 'bm9uZQ==', 'base64'),
    digest: vector.hmac_type,
    mode: vector.mode === 'legacy' ? 'cbc' : vector.mode,
  };
}

/** "legacy" fills its key with "0" to 16 bytes, and cuts it there. */
function legacyKey(key: Uint8Array): Uint8Array {
  return Buffer.concat([key, Buffer.alloc(16, '0')]).subarray(0, 16);
}

function fieldsOf({ packet, hmac_key_base64, mode, key_base64, ...rest }: Vector) {
  const vector = { packet, hmac_key_base64, mode, key_base64, ...rest };
  if (hmac_key_base64 !== null) return proveFwknop(Buffer.from(packet), credentialOf(vector));
  const key = Buffer.from(key_base64, 'base64');
  const legacy = mode === 'legacy';
  return openFwknop(Buffer.from(packet), { key: legacy ? legacyKey(key) : key, mode: legacy ? 'cbc' : mode });
}

describe('A packet of the fwknop client', () => {
  it.each(GOOD.map((vector) => [vector.name, vector] as const))(
    'says what its client printed: %s',
    (_, vector) => {
      const proof = fieldsOf(vector);
      if (!proof.ok) throw new Error(`refused at ${proof.stage}`);
      const { random, user, time, version, type, message, nat, serverAuth, timeout, digest, digestType } =
        proof.fields;
      const { hmac, ...wanted } = vector.expect;
      const said = {
        random,
        user,
        timestamp: time,
        version,
        type,
        message,
        nat,
        server_auth: serverAuth,
        timeout,
      };
      expect({ ...said, digest, digest_type: digestType }).toEqual(wanted);
      expect(vector.packet.length).toBe(vector.bytes);
      if (hmac !== null) expect(vector.packet.endsWith(String(hmac))).toBe(true);
    },
  );

  it.each(
    GOOD.filter(({ hmac_key_base64 }) => hmac_key_base64 === null).map(
      (vector) => [vector.name, vector] as const,
    ),
  )('without an HMAC is not taken: %s', (_, vector) => {
    expect(proveFwknop(Buffer.from(vector.packet), credentialOf(vector))).toEqual({
      ok: false,
      stage: 'hmac',
    });
  });

  it.each(BAD.map((vector) => [vector.name, vector] as const))(
    'is refused where it is wrong: %s',
    (_, vector) => {
      const { packet, hmac_key_base64, refused_at } = vector;
      const proof =
        hmac_key_base64 === null
          ? openFwknop(Buffer.from(packet), credentialOf(vector))
          : proveFwknop(Buffer.from(packet), credentialOf(vector));
      expect(proof).toEqual({ ok: false, stage: refused_at });
    },
  );

  it.each(CIPHER_MODES.map((mode) => [mode] as const))('opens in mode %s', (mode) => {
    const credential = { ...CREDENTIAL, mode };
    expect(proveFwknop(packed({}, credential), credential).ok).toBe(true);
    const other = mode === 'cbc' ? 'ctr' : 'cbc';
    expect(proveFwknop(packed({}, credential), { ...credential, mode: other }).ok).toBe(false);
  });
});

/** The stage at which a packet is refused that the holder of the key himself made wrong. */
function stage(payload: Uint8Array): string {
  const proof = proveFwknop(payload, CREDENTIAL);
  return proof.ok ? 'taken' : proof.stage;
}
const sealed = (plain: string | Uint8Array, head?: string): Buffer =>
  signed(sealedWith(typeof plain === 'string' ? padded(plain) : plain, CREDENTIAL, head));

describe('A payload', () => {
  it('of 140 to 440 letters is looked at, and no other', () => {
    for (const [bytes, wanted] of [
      [139, 'precheck'],
      [140, 'hmac'],
      [440, 'hmac'],
      [441, 'precheck'],
    ] as const) {
      expect(stage(Buffer.alloc(bytes, 'A'))).toBe(wanted);
    }
  });

  it.each(
    ['=', '-', '_', ' ', '\n', '\0', '@', '[', '`', '{', '.', ':', '\u00e9', '\u00ff'].map(
      (each) => [each] as const,
    ),
  )('with %j in it is no packet', (character) => {
    const good = packed().toString('latin1');
    for (const at of [0, 100, good.length - 1]) {
      expect(stage(Buffer.from(good.slice(0, at) + character + good.slice(at + 1), 'latin1'))).toBe(
        'precheck',
      );
    }
  });

  it('of any letter of base64 may be one', () => {
    for (const letter of 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/') {
      expect(stage(Buffer.alloc(200, letter))).toBe('hmac');
    }
  });

  it('that only begins like the prefix is looked at', () => {
    expect(stage(Buffer.from(`U2FsdGVkX2${'A'.repeat(200)}`))).toBe('hmac');
    expect(stage(Buffer.from(`U2FsdGVkX1${'A'.repeat(200)}`))).toBe('precheck');
  });
});

describe('Who holds the key, and writes a packet in another way than the one, is refused', () => {
  it('with spare bits set in the last letter', () => {
    const text = sealedWith(padded(plainOf()));
    // 8 + 8 + 16n bytes leave two letters with four spare bits, or three with two.
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
    const last = alphabet.indexOf(text.at(-1) ?? '');
    expect(stage(signed(text))).toBe('taken');
    expect(stage(signed(text.slice(0, -1) + alphabet[last + 1]))).toBe('cipher');
  });

  it('with a letter more, or less', () => {
    const text = sealedWith(padded(plainOf()));
    for (const other of [`${text}A`, text.slice(0, -1), `${text}AA`, `${text}AAAA`]) {
      expect(stage(signed(other))).toBe('cipher');
    }
  });

  it('with another head than Salted__', () => {
    // The ten letters of the prefix hold 60 bits of the 64: the last four are the sender's.
    for (let low = 0; low < 16; low += 1) {
      const head = `Salted_${String.fromCharCode(0x50 | low)}`;
      expect(stage(sealed(plainOf(), head))).toBe(low === 15 ? 'taken' : 'cipher');
    }
  });

  it('with padding that is not PKCS#7', () => {
    const bytes = padded(plainOf());
    const count = bytes.at(-1) ?? 0;
    const changed = (at: number, to: number): Buffer => {
      const copy = Buffer.from(bytes);
      copy[copy.length + at] = to;
      return copy;
    };
    expect(count).toBeGreaterThan(1);
    expect(stage(sealed(changed(-1, 0)))).toBe('cipher');
    expect(stage(sealed(changed(-1, 17)))).toBe('cipher');
    expect(stage(sealed(changed(-2, count - 1)))).toBe('cipher');
    expect(stage(sealed(changed(-count, count + 1)))).toBe('cipher');
    expect(stage(sealed(changed(-1, 1)))).toBe('digest');
  });

  it('takes a whole block of padding, and one byte of it', () => {
    for (let more = 0; more < 16; more += 1) {
      const user = letters('u'.repeat(9 + more));
      expect(stage(sealed(plainOf({ user })))).toBe('taken');
    }
  });

  it('with nothing in it', () => {
    expect(stage(sealed(Buffer.alloc(96, 16)))).toBe('digest');
    expect(stage(signed('A'.repeat(130)))).toBe('cipher');
  });

  it('with a digest that is not of the text before it', () => {
    const plain = plainOf();
    for (const other of [
      `1${plain}`,
      plain.slice(1),
      `${plain}A`,
      plain.slice(0, -1),
      plain.replace('3.0.0', '3.0.1'),
    ]) {
      expect(stage(sealed(other))).toBe('digest');
    }
    expect(stage(sealed('x'.repeat(90)))).toBe('digest');
    expect(parseFields('x')).toBe('digest');
    expect(parseFields(digested(''))).toBe('fields');
  });

  it.each([
    ['15 digits', { random: '123456789012345' }],
    ['17 digits', { random: '12345678901234567' }],
    ['letters among the digits', { random: '123456789012345x' }],
    ['no time', { time: '' }],
    ['a time of 11 digits', { time: '17958915720' }],
    ['a time before 1970', { time: '-1' }],
    ['a time with a fraction', { time: '1795891572.5' }],
    ['no version', { version: '' }],
    ['a version that is no number', { version: '3.x' }],
    ['a long version', { version: '3.0.0.0.0.0.0.0.0' }],
    ['type 7', { type: '7' }],
    ['no type', { type: '' }],
    ['two digits of type', { type: '11' }],
    ['no user', { user: '' }],
    ['a user that is not base64', { user: 'a' }],
    ['a user with spare bits', { user: 'YWR' }],
    ['a user with "="', { user: 'YQ==' }],
    ['no message', { message: '' }],
    ['a message with spare bits', { message: 'YWR' }],
    ['two fields too many', { rest: ['YQ', 'YQ'] }],
    ['a NAT packet without NAT', { type: '2' }],
    ['a NAT packet whose NAT is not base64', { type: '2', rest: ['!'] }],
    ['a NAT packet with two fields too many', { type: '2', rest: ['YQ', 'YQ', 'YQ'] }],
    ['a timed packet without a time', { type: '3' }],
    ['a timed packet with a time of letters', { type: '3', rest: ['YQ'] }],
    ['a timed packet of 65537 s', { type: '3', rest: ['65537'] }],
    ['a timed packet of six digits', { type: '3', rest: ['000030'] }],
    ['a timed packet of less than no time', { type: '3', rest: ['-1'] }],
    ['a server_auth that is not base64', { rest: ['!'] }],
    ['a server_auth that is empty', { rest: [''] }],
  ] as const)('with %s', (_, parts) => {
    expect(stage(sealed(plainOf(parts)))).toBe('fields');
  });

  it('takes every field that may be there', () => {
    const proof = (parts: object) => {
      const found = proveFwknop(sealed(plainOf(parts)), CREDENTIAL);
      return found.ok ? [found.fields.nat, found.fields.serverAuth, found.fields.timeout] : found.stage;
    };
    expect(proof({})).toEqual([null, null, 0]);
    expect(proof({ rest: ['YQ'] })).toEqual([null, 'a', 0]);
    expect(proof({ type: '3', rest: ['65536'] })).toEqual([null, null, 65_536]);
    expect(proof({ type: '3', rest: ['YQ', '7'] })).toEqual([null, 'a', 7]);
    for (const type of ['2', '5']) expect(proof({ type, rest: ['YWI'] })).toEqual(['ab', null, 0]);
    for (const type of ['4', '6']) {
      expect(proof({ type, rest: ['YWI', '9'] })).toEqual(['ab', null, 9]);
      expect(proof({ type, rest: ['YWI', 'YQ', '9'] })).toEqual(['ab', 'a', 9]);
    }
    expect(proof({ time: '0' })).toEqual([null, null, 0]);
    expect(stage(sealed(digested('1234567890123456:YQ:1:3:1:YQ')))).toBe('taken');
  });
});

it('the text within has any digest that the client can make, of itself and of no other text', () => {
  const names = ['md5', 'sha1', 'sha256', 'sha384', 'sha512', 'sha3-256', 'sha3-512'];
  for (const name of names) {
    const text = plainOf().slice(0, -44);
    const digest = letters(createHash(name).update(text, 'latin1').digest());
    const found = parseFields(`${text}:${digest}`);
    expect(typeof found === 'string' ? found : found.digestType, name).toBe(name.replace('-', '_'));
    expect(parseFields(`${text.slice(0, -1)}:${digest}`), name).toBe('digest');
  }
});
