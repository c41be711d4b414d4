import { createCipheriv, createDecipheriv, createHash, createHmac, sign } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import {
  parseSshPublicKey,
  signatureOfArmor,
  signatureOfBlob,
  sshKeyBlob,
  sshsigText,
} from '../../../src/spa/sshsig.ts';
import {
  doorIdOf,
  innerOf,
  keyIdOf,
  messageOf,
  openV1,
  realmOf,
  sealV1,
  secretProof,
} from '../../../src/spa/v1.ts';
import { createVerifier } from '../../../src/spa/v1-proof.ts';
import { address, ed25519, REALM, SECRET, v1Packet, WALL } from './spa-world.ts';

const hmac = (key: Uint8Array, ...parts: readonly (string | Uint8Array)[]): Buffer => {
  const mac = createHmac('sha256', key);
  for (const part of parts) mac.update(part);
  return mac.digest();
};
const realm = realmOf({ bytes: REALM, until: null });

/** Opens a packet by the manual alone. */
function plainOf(packet: Uint8Array): Buffer {
  const cipher = createDecipheriv('aes-256-ctr', hmac(REALM, 'nfknock spa 1 seal'), packet.subarray(0, 16));
  return cipher.update(packet.subarray(16, 128));
}

/** Seals any 112 bytes as who has the realm can. */
function resealed(plain: Uint8Array, salt = Buffer.alloc(16, 3)): Buffer {
  const cipher = createCipheriv('aes-256-ctr', hmac(REALM, 'nfknock spa 1 seal'), salt);
  const head = Buffer.concat([salt, cipher.update(plain)]);
  return Buffer.concat([head, hmac(hmac(REALM, 'nfknock spa 1 tag'), head).subarray(0, 16)]);
}

describe('A packet of nfknock SPA v1', () => {
  it('is written byte for byte as the manual says', () => {
    const secret = Buffer.alloc(32, 9);
    const packet = v1Packet(SECRET, {
      seconds: 300,
      address: address('192.0.2.11'),
      nonce: 0x01020304,
      door: 'mail',
    });
    expect(packet.length).toBe(144);
    const plain = plainOf(packet);
    const key = createHash('sha256').update('nfknock key ').update(secret).digest().subarray(0, 8);
    const door = createHash('sha256').update('nfknock door mail').digest().subarray(0, 8);
    const time = WALL.toString(16).padStart(16, '0');
    const inner = `0101012c${time}${key.toString('hex')}${door.toString('hex')}00000000000000000000ffffc000020b01020304`;
    expect(plain.toString('hex', 0, 48)).toBe(inner);
    const message = ['nfknock spa 1\0', createHash('sha256').update(REALM).digest(), plain.subarray(0, 48)];
    expect(plain.subarray(48, 80)).toEqual(hmac(secret, ...message));
    expect(plain.subarray(80)).toEqual(Buffer.alloc(32));
    const tag = hmac(hmac(REALM, 'nfknock spa 1 tag'), packet.subarray(0, 128)).subarray(0, 16);
    expect(packet.subarray(128)).toEqual(tag);
  });

  it.each(
    ['192.0.2.11', '2001:db8::11', '::fffe:c000:20b', '64:ff9b::ffff:1', '0:1:0:ffff::'].map((text) => [
      text,
    ]),
  )('carries the address %s', (text) => {
    const opened = openV1(v1Packet(SECRET, { address: address(text) }), realm);
    expect(opened?.request).toEqual({
      kind: 1,
      seconds: 0,
      time: WALL,
      key: keyIdOf(SECRET),
      door: doorIdOf('ssh'),
      address: address(text),
      nonce: 0,
    });
  });

  it('carries no address, the longest time, any nonce', () => {
    const opened = openV1(v1Packet(SECRET, { seconds: 65_535, nonce: 0xffffffff }), realm);
    expect(opened?.request).toMatchObject({ seconds: 65_535, nonce: 0xffffffff, address: null });
  });

  it('is opened by its own realm alone', () => {
    const packet = v1Packet(SECRET);
    expect(openV1(packet, realmOf({ bytes: Buffer.alloc(32, 8), until: null }))).toBeUndefined();
    expect(openV1(packet, realm)).toBeDefined();
  });

  it('is refused with any bit of it changed, and at any other length', () => {
    const packet = v1Packet(SECRET);
    for (let bit = 0; bit < packet.length * 8; bit += 1) {
      const changed = Buffer.from(packet);
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(openV1(changed, realm), `bit ${bit}`).toBeUndefined();
    }
    for (const other of [
      packet.subarray(0, 143),
      Buffer.concat([packet, Buffer.alloc(1)]),
      Buffer.alloc(0),
    ]) {
      expect(openV1(other, realm)).toBeUndefined();
    }
  });

  it('of another version or kind, or of a time beyond numbers, is none', () => {
    const plain = plainOf(v1Packet(SECRET));
    const changed = (at: number, ...bytes: readonly number[]): Buffer => {
      const copy = Buffer.from(plain);
      copy.set(bytes, at);
      return resealed(copy);
    };
    expect(openV1(resealed(plain), realm)).toBeDefined();
    for (const version of [0, 2, 255]) expect(openV1(changed(0, version), realm)).toBeUndefined();
    for (const kind of [0, 4, 255]) expect(openV1(changed(1, kind), realm)).toBeUndefined();
    for (const kind of [1, 2, 3]) expect(openV1(changed(1, kind), realm)).toBeDefined();
    expect(openV1(changed(4, 0, 0x20, 0, 0, 0, 0, 0, 0), realm)).toBeUndefined();
    expect(openV1(changed(4, 0, 0x1f, 255, 255, 255, 255, 255, 255), realm)?.request.time).toBe(2 ** 53 - 1);
  });

  it('with a nonce is known again when who has the realm seals it anew', () => {
    const packet = v1Packet(SECRET, { nonce: 5 });
    const anew = resealed(plainOf(packet));
    expect(anew).not.toEqual(packet);
    expect(openV1(anew, realm)?.id).toBe(openV1(packet, realm)?.id);
    expect(openV1(v1Packet(SECRET, { nonce: 6 }), realm)?.id).not.toBe(openV1(packet, realm)?.id);
  });

  it('without a nonce is told from another of the same moment', () => {
    const [one, other] = [v1Packet(SECRET), v1Packet(SECRET)];
    expect(openV1(one, realm)?.id).not.toBe(openV1(other, realm)?.id);
    expect(openV1(one, realm)?.id).toBe(openV1(Buffer.from(one), realm)?.id);
    expect(openV1(one, realm)?.id).toMatch(/^[0-9a-f]{32}$/);
  });
});

describe('The proof', () => {
  const message = messageOf(realm, Buffer.alloc(48, 1));
  const { publicKey, privateKey } = ed25519();
  const sshSigned = (text: Uint8Array): Buffer =>
    sign(null, sshsigText(createHash('sha512').update(text).digest()), privateKey);

  it('by a secret is an HMAC and 32 zeros', () => {
    const verify = createVerifier(SECRET);
    const proof = secretProof(SECRET.kind === 'secret' ? SECRET.secret : Buffer.alloc(0), message);
    expect(verify(message, proof)).toBe(true);
    for (const at of [0, 31, 32, 63]) {
      const changed = Buffer.from(proof);
      changed[at] = (changed[at] ?? 0) ^ 1;
      expect(verify(message, changed), `byte ${at}`).toBe(false);
    }
    expect(verify(message, proof.subarray(0, 32))).toBe(false);
    expect(verify(Buffer.concat([message, message]), proof)).toBe(false);
  });

  it('by an Ed25519 key is its signature, and not that of an SSH key', () => {
    const proof = sign(null, message, privateKey);
    expect(createVerifier({ kind: 'ed25519', publicKey })(message, proof)).toBe(true);
    expect(createVerifier({ kind: 'ssh', publicKey })(message, proof)).toBe(false);
    expect(createVerifier({ kind: 'ed25519', publicKey: ed25519().publicKey })(message, proof)).toBe(false);
    expect(createVerifier({ kind: 'ed25519', publicKey })(Buffer.alloc(3), proof)).toBe(false);
  });

  it('by an SSH key is what the agent signs for "nfknock", and nothing else', () => {
    expect(createVerifier({ kind: 'ssh', publicKey })(message, sshSigned(message))).toBe(true);
    expect(createVerifier({ kind: 'ed25519', publicKey })(message, sshSigned(message))).toBe(false);
    expect(createVerifier({ kind: 'ssh', publicKey })(message, sshSigned(Buffer.alloc(1)))).toBe(false);
    const other = Buffer.from(sshsigText(createHash('sha512').update(message).digest()));
    other.write('nfknocl', other.indexOf('nfknock'));
    expect(createVerifier({ kind: 'ssh', publicKey })(message, sign(null, other, privateKey))).toBe(false);
  });

  it('takes the other of two equal forms of a signature from nobody', () => {
    const proof = sign(null, message, privateKey);
    // S + L is the same number to the curve: whoever reads a packet could write another with it.
    const order = 2n ** 252n + 27742317777372353535851937790883648493n;
    const s = BigInt(`0x${Buffer.from(proof.subarray(32)).reverse().toString('hex')}`) + order;
    const other = Buffer.concat([
      proof.subarray(0, 32),
      Buffer.from(s.toString(16).padStart(64, '0'), 'hex').reverse(),
    ]);
    expect(createVerifier({ kind: 'ed25519', publicKey })(message, other)).toBe(false);
  });

  it('names a key by its bytes, whatever proves it', () => {
    expect(keyIdOf({ kind: 'ssh', publicKey })).toBe(keyIdOf({ kind: 'ed25519', publicKey }));
    expect(keyIdOf({ kind: 'ssh', publicKey })).not.toBe(
      keyIdOf({ kind: 'secret', secret: Buffer.alloc(32) }),
    );
  });

  it('is sealed at 144 bytes with whatever salt', () => {
    const inner = innerOf({ kind: 1, seconds: 0, time: 0, key: '00', door: '00', address: null, nonce: 0 });
    expect(sealV1(realm, inner, Buffer.alloc(64), Buffer.alloc(16)).length).toBe(144);
  });
});

const string = (text: string | Uint8Array): Buffer => {
  const head = Buffer.alloc(4);
  head.writeUInt32BE(text.length);
  return Buffer.concat([head, Buffer.from(text)]);
};

describe("SSH's texts", () => {
  const key = Buffer.alloc(32, 5);
  const blob = Buffer.concat([string('ssh-ed25519'), string(key)]);
  const line = (bytes: Uint8Array, type = 'ssh-ed25519'): string =>
    `${type} ${Buffer.from(bytes).toString('base64')} ada@laptop\n`;

  it('hold a public key', () => {
    expect(parseSshPublicKey(line(blob))).toEqual({ ok: true, publicKey: key });
    expect(sshKeyBlob(key)).toEqual(blob);
  });

  it.each([
    ['ssh-rsa', 'ssh-rsa'],
    ['ecdsa-sha2-nistp256', 'ecdsa-sha2-nistp256'],
    ['sk-ssh-ed25519@openssh.com', 'sk-ssh-ed25519@openssh.com'],
    ['-----BEGIN', null],
    ['hunter2', null],
    ['ssh-x', 'ssh-x'],
    ['ssh-', null],
    [`ssh-${'x'.repeat(60)}`, `ssh-${'x'.repeat(60)}`],
    [`ssh-${'x'.repeat(61)}`, null],
  ])('of type %s are refused, and the type said only where it is one', (type, said) => {
    expect(parseSshPublicKey(line(blob, type))).toEqual({ ok: false, type: said });
  });

  it.each([
    ['another type within', Buffer.concat([string('ssh-ed25518'), string(key)])],
    ['31 bytes', Buffer.concat([string('ssh-ed25519'), string(key.subarray(1))])],
    ['33 bytes', Buffer.concat([string('ssh-ed25519'), string(Buffer.alloc(33))])],
    ['more behind', Buffer.concat([blob, string('')])],
    ['a length beyond the end', blob.subarray(0, -1)],
    [
      'a length that says more than is there',
      Buffer.concat([blob.subarray(0, 15), Buffer.from([0, 0, 0, 33]), key]),
    ],
    ['half a length', Buffer.concat([blob, Buffer.alloc(3)])],
    ['nothing', Buffer.alloc(0)],
  ])('with %s are refused', (_, bytes) => {
    expect(parseSshPublicKey(line(bytes))).toEqual({ ok: false, type: 'ssh-ed25519' });
  });

  it('that are not base64 are refused', () => {
    expect(parseSshPublicKey('ssh-ed25519 !!!!')).toEqual({ ok: false, type: 'ssh-ed25519' });
    expect(parseSshPublicKey('')).toEqual({ ok: false, type: null });
  });

  const signature = Buffer.alloc(64, 6);
  const signatureBlob = Buffer.concat([string('ssh-ed25519'), string(signature)]);

  it("hold the agent's signature", () => {
    expect(signatureOfBlob(signatureBlob)).toEqual(signature);
    for (const other of [
      Buffer.concat([string('ssh-rsa'), string(signature)]),
      Buffer.concat([string('ssh-ed25519'), string(signature.subarray(1))]),
      Buffer.concat([signatureBlob, string('')]),
      signatureBlob.subarray(0, 40),
      Buffer.alloc(0),
    ]) {
      expect(signatureOfBlob(other)).toBeUndefined();
    }
  });

  it("hold ssh-keygen's signature", () => {
    const armor = (magic: string, namespace: string, ...more: readonly Buffer[]): string => {
      const parts = [blob, namespace, '', 'sha512', signatureBlob].map(string);
      const body = Buffer.concat([Buffer.from(magic), ...parts, ...more]).toString('base64');
      return `-----BEGIN SSH SIGNATURE-----\n${body.replace(/.{70}/g, '$&\n')}\n-----END SSH SIGNATURE-----\n`;
    };
    const magic = 'SSHSIG\0\0\0\u0001';
    expect(signatureOfArmor(armor(magic, 'nfknock'))).toEqual(signature);
    expect(signatureOfArmor(armor(magic, 'file'))).toBeUndefined();
    expect(signatureOfArmor(armor(magic, 'nfknock', string('')))).toBeUndefined();
    expect(signatureOfArmor(armor('SSHSIG\0\0\0\u0002', 'nfknock'))).toBeUndefined();
    expect(signatureOfArmor(armor(magic, 'nfknock').slice(1))).toBeUndefined();
    expect(signatureOfArmor('')).toBeUndefined();
  });
});
