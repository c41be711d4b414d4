import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { type Address, parseAddress } from '../../../src/packet/address.ts';
import { parseCidr } from '../../../src/packet/cidr.ts';
import { isPort, type Port, parsePortRange } from '../../../src/packet/port.ts';
import { milliseconds } from '../../../src/packet/time.ts';
import type { Credential, Key, KeyFile, V1Credential } from '../../../src/spa/key.ts';
import type { SpaPacket } from '../../../src/spa/proof.ts';
import {
  doorIdOf,
  innerOf,
  keyIdOf,
  messageOf,
  realmOf,
  sealV1,
  secretProof,
  V1_KIND,
} from '../../../src/spa/v1.ts';
import type { SpaDoor } from '../../../src/spa/wanted-doors.ts';

/** A server with keys, and packets for it. */

export const WALL = 1_795_891_572_000;
export const REALM: Buffer = Buffer.alloc(32, 7);

export function port(number: number): Port {
  if (!isPort(number)) throw new Error(`${number} is no port`);
  return number;
}

export function address(text: string): Address {
  const found = parseAddress(text);
  if (found === undefined) throw new Error(`${text} is no address`);
  return found;
}

export function keyOf(name: string, credential: Credential, limits: Partial<Key> = {}): Key {
  return {
    name,
    person: null,
    credential,
    previous: null,
    doors: ['ssh'],
    address: 'optional',
    from: [],
    to: [],
    user: null,
    port: null,
    expires: null,
    uses: null,
    holders: null,
    forMax: null,
    rate: { knocks: 30, per: milliseconds(60_000) },
    ...limits,
  };
}

export function fileOf(...keys: readonly Key[]): KeyFile {
  return { realms: [{ bytes: REALM, until: null }], keys };
}

export function doorOf(name: string, opens: readonly string[], more: Partial<SpaDoor> = {}): SpaDoor {
  return {
    name,
    opens: opens.flatMap((text) => parsePortRange(text) ?? []),
    for: milliseconds(30_000),
    forward: null,
    ...more,
  };
}

export function forwardTo(text: string): SpaDoor['forward'] {
  const to = parseCidr(text);
  return to === undefined ? null : { to, dnat: false };
}

export function packetOf(payload: Uint8Array, more: Partial<SpaPacket> = {}): SpaPacket {
  return {
    payload,
    source: address('198.51.100.7'),
    destination: address('192.0.2.1'),
    port: port(62_201),
    now: milliseconds(1_000_000),
    wall: WALL,
    ...more,
  };
}

export interface V1Parts {
  readonly door?: string;
  readonly seconds?: number;
  readonly time?: number;
  readonly address?: Address | null;
  readonly nonce?: number;
  readonly realm?: Uint8Array;
  readonly salt?: Uint8Array;
  readonly proof?: Uint8Array;
  /** Proves in place of the key. */
  readonly prove?: (message: Uint8Array) => Uint8Array;
}

let salts = 0;

/** A packet as our client makes it, with what is asked for; an Ed25519 key signs by its private key. */
export function v1Packet(credential: V1Credential, parts: V1Parts = {}, privateKey?: KeyObject): Buffer {
  const realm = realmOf({ bytes: parts.realm ?? REALM, until: null });
  const inner = innerOf({
    kind: V1_KIND[credential.kind],
    seconds: parts.seconds ?? 0,
    time: parts.time ?? WALL,
    key: keyIdOf(credential),
    door: doorIdOf(parts.door ?? 'ssh'),
    address: parts.address ?? null,
    nonce: parts.nonce ?? 0,
  });
  const message = messageOf(realm, inner);
  const signature = privateKey === undefined ? undefined : sign(null, message, privateKey);
  const own = credential.kind === 'secret' ? secretProof(credential.secret, message) : Buffer.alloc(64);
  const salt = Buffer.alloc(16);
  salts += 1;
  salt.writeUInt32BE(salts);
  return sealV1(realm, inner, parts.proof ?? parts.prove?.(message) ?? signature ?? own, parts.salt ?? salt);
}

export const SECRET: V1Credential = { kind: 'secret', secret: Buffer.alloc(32, 9) };

export interface Ed25519 {
  readonly publicKey: Buffer;
  readonly privateKey: KeyObject;
}

export function ed25519(): Ed25519 {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const { x = '' } = publicKey.export({ format: 'jwk' });
  return { publicKey: Buffer.from(x, 'base64url'), privateKey };
}
