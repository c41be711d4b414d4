import { createCipheriv, createHash, createHmac, timingSafeEqual } from 'node:crypto';
import type { Address } from '../packet/address.ts';
import { bytesOf, ipv4, ipv6 } from '../packet/address.ts';
import type { RealmBytes, V1Credential } from './key.ts';

/*
 * nfknock SPA v1:
 *
 *   datagram 144 = salt 16 · sealed 112 · tag 16
 *   sealed = AES-256-CTR(inner 48 · proof 64)      keyed from the realm; all of it looks random
 *   tag    = HMAC-SHA256(salt · sealed), cut to 16
 *   inner  = 01 · kind · for u16 · time u64 (ms) · key id 8 · door id 8 · address 16 · nonce 4
 *
 * The realm opens nothing: it hides who knocks at what, and keeps strangers from the dear part, which is the proof.
 */

/** Where packets go that name no other port: fwknop's own. */
export const SPA_PORT = 62_201;
export const V1_BYTES = 144;
const SALT_BYTES = 16;
const INNER_BYTES = 48;
const PROOF_BYTES = 64;
const TAG_BYTES = 16;
const ID_BYTES = 8;
const VERSION = 1;
/** Where the fields of `inner` begin. */
const AT = { kind: 1, seconds: 2, time: 4, key: 12, door: 20, address: 28, nonce: 44 } as const;

/** How a packet is proven: 1 by a secret, 2 by an Ed25519 key, 3 by an SSH key of that kind. */
export const V1_KIND: Readonly<Record<V1Credential['kind'], number>> = { secret: 1, ed25519: 2, ssh: 3 };

/** What a packet asks for. */
export interface V1Request {
  readonly kind: number;
  /** At most 65535; 0: the door's own time. */
  readonly seconds: number;
  /** Milliseconds since 1970, on the sender's clock. */
  readonly time: number;
  /** Ids in hexadecimal. */
  readonly key: string;
  readonly door: string;
  /** Null: the address that the packet comes from. */
  readonly address: Address | null;
  /** Tells packets of the same moment apart; 0: the sender's clock alone does. */
  readonly nonce: number;
}

/** A realm with what follows from it, so that a packet costs one HMAC. */
export interface Realm {
  readonly sealKey: Uint8Array;
  readonly tagKey: Uint8Array;
  readonly digest: Uint8Array;
  /** As in the key file. */
  readonly until: number | null;
}

/** An opened packet, of which nothing is proven yet. */
export interface V1Opened {
  readonly request: V1Request;
  /** What the proof is about. */
  readonly message: Uint8Array;
  readonly proof: Uint8Array;
  /** By which it is known again when it comes twice. */
  readonly id: string;
}

export function realmOf({ bytes, until }: RealmBytes): Realm {
  const derived = (use: string): Buffer =>
    createHmac('sha256', bytes).update(`nfknock spa 1 ${use}`).digest();
  return { sealKey: derived('seal'), tagKey: derived('tag'), digest: sha256(bytes), until };
}

/** The name that a packet calls a key by, in hexadecimal. */
export function keyIdOf(credential: V1Credential): string {
  const bytes = credential.kind === 'secret' ? credential.secret : credential.publicKey;
  return idOf(Buffer.concat([Buffer.from('nfknock key '), bytes]));
}

/** The name that a packet calls a door by, in hexadecimal. */
export function doorIdOf(name: string): string {
  return idOf(Buffer.from(`nfknock door ${name}`));
}

/** The 48 bytes of a request. */
export function innerOf({ kind, seconds, time, key, door, address, nonce }: V1Request): Buffer {
  const inner = Buffer.alloc(INNER_BYTES);
  inner[0] = VERSION;
  inner[AT.kind] = kind;
  inner.writeUInt16BE(seconds, AT.seconds);
  inner.writeBigUInt64BE(BigInt(time), AT.time);
  inner.write(key, AT.key, ID_BYTES, 'hex');
  inner.write(door, AT.door, ID_BYTES, 'hex');
  if (address !== null) inner.set(address.family === 4 ? mapped(address) : bytesOf(address), AT.address);
  inner.writeUInt32BE(nonce, AT.nonce);
  return inner;
}

/** What is to be proven of a request: it, and that it is meant for this realm. */
export function messageOf(realm: Realm, inner: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from('nfknock spa 1\0'), realm.digest, inner]);
}

/** The proof of who holds a secret. */
export function secretProof(secret: Uint8Array, message: Uint8Array): Buffer {
  return Buffer.concat([createHmac('sha256', secret).update(message).digest(), Buffer.alloc(32)]);
}

/** The datagram. `salt`: 16 random bytes, others each time. */
export function sealV1(realm: Realm, inner: Uint8Array, proof: Uint8Array, salt: Uint8Array): Buffer {
  const cipher = createCipheriv('aes-256-ctr', realm.sealKey, salt);
  const head = Buffer.concat([salt, cipher.update(inner), cipher.update(proof)]);
  return Buffer.concat([head, tagOf(realm, head)]);
}

/** Opens a packet of this realm; undefined for whatever else it is. One MAC's worth of time. */
export function openV1(payload: Uint8Array, realm: Realm): V1Opened | undefined {
  if (payload.length !== V1_BYTES) return undefined;
  const head = payload.subarray(0, V1_BYTES - TAG_BYTES);
  if (!timingSafeEqual(tagOf(realm, head), payload.subarray(head.length))) return undefined;
  // In counter mode enciphering and deciphering are one.
  const cipher = createCipheriv('aes-256-ctr', realm.sealKey, payload.subarray(0, SALT_BYTES));
  const plain = cipher.update(head.subarray(SALT_BYTES));
  const inner = plain.subarray(0, INNER_BYTES);
  const request = requestOf(inner);
  if (request === undefined) return undefined;
  // Who has the realm can seal another's packet anew, so that it looks like none that was seen. With a nonce the
  // request itself is known again; without one two honest packets of one second may be the same request.
  const known = request.nonce === 0 ? head.subarray(SALT_BYTES) : inner;
  const proof = plain.subarray(INNER_BYTES, INNER_BYTES + PROOF_BYTES);
  return { request, message: messageOf(realm, inner), proof, id: sha256(known).toString('hex', 0, 16) };
}

function requestOf(inner: Buffer): V1Request | undefined {
  const kind = inner[AT.kind] ?? 0;
  const time = Number(inner.readBigUInt64BE(AT.time));
  const kinds: readonly number[] = Object.values(V1_KIND);
  if (inner[0] !== VERSION || !kinds.includes(kind) || !Number.isSafeInteger(time)) return undefined;
  return {
    kind,
    seconds: inner.readUInt16BE(AT.seconds),
    time,
    key: inner.toString('hex', AT.key, AT.key + ID_BYTES),
    door: inner.toString('hex', AT.door, AT.door + ID_BYTES),
    address: addressOf(inner.subarray(AT.address, AT.nonce)),
    nonce: inner.readUInt32BE(AT.nonce),
  };
}

/** IPv4 stands as ::ffff:a.b.c.d, nothing as ::. */
function addressOf(bytes: Buffer): Address | null {
  const [a, b, c, d] = [0, 4, 8, 12].map((at) => bytes.readInt32BE(at)) as [number, number, number, number];
  if (a === 0 && b === 0 && c === 0 && d === 0) return null;
  return a === 0 && b === 0 && c === 0xffff ? ipv4(d) : ipv6(a, b, c, d);
}

function mapped(address: Address): readonly number[] {
  return bytesOf(ipv6(0, 0, 0xffff, address.a));
}

function tagOf(realm: Realm, head: Uint8Array): Buffer {
  return createHmac('sha256', realm.tagKey).update(head).digest().subarray(0, TAG_BYTES);
}

function sha256(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest();
}

function idOf(bytes: Uint8Array): string {
  return sha256(bytes).toString('hex', 0, ID_BYTES);
}
