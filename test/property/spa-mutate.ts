import { createDecipheriv, createHash, createHmac, sign } from 'node:crypto';
import { milliseconds } from '../../src/packet/time.ts';
import type { Key } from '../../src/spa/key.ts';
import { createKeyring, type Keyring } from '../../src/spa/keyring.ts';
import type { SpaPacket } from '../../src/spa/proof.ts';
import { sshsigText } from '../../src/spa/sshsig.ts';
import { realmOf, sealV1 } from '../../src/spa/v1.ts';
import { heap } from '../support/heap.ts';
import {
  CREDENTIAL,
  letters,
  packed,
  padded,
  plainOf,
  sealedWith,
  signed,
} from '../unit/spa/fwknop-packet.ts';
import { ed25519, fileOf, keyOf, packetOf, port, REALM, SECRET, v1Packet } from '../unit/spa/spa-world.ts';

/** Packets of each format with something changed, by the thousand or by the million. None may be taken, none may throw. */

/** `within`: what is changed is sealed and signed after that, as who has the realm or the HMAC key can. */
export type Format = 'fwknop' | 'fwknop within' | 'secret' | 'ed25519' | 'ssh' | 'v1 within' | 'doorman';
export const FORMATS: readonly Format[] = [
  'fwknop',
  'fwknop within',
  'secret',
  'ed25519',
  'ssh',
  'v1 within',
  'doorman',
];

export interface Mutations {
  /** Changed packets that were taken; with what was sent. */
  readonly taken: readonly string[];
  /** Packets that were changed. */
  readonly changed: number;
  /** Bytes of heap at a tenth of the way, and at the end. */
  readonly heap: readonly [number, number];
  readonly microseconds: number;
}

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';

/** So many changed packets of a format, from a seed. */
export function mutateSpa(format: Format, count: number, seed: number): Mutations {
  const { key, originals, wrap } = worldOf(format);
  const keyring = createKeyring(fileOf(key), [port(62_201)]);
  for (const original of originals) {
    if (keyring.prove(packetOf(wrap(original))).outcome !== 'proven')
      throw new Error(`${format}: the packet itself is refused`);
  }
  const next = random(seed);
  const taken: string[] = [];
  let early = 0;
  let changed = 0;
  const began = performance.now();
  for (let index = 0; index < count; index += 1) {
    const payload = mutated(originals, next);
    if (index === Math.floor(count / 10)) early = heap();
    if (originals.some((original) => original.equals(payload))) continue;
    changed += 1;
    if (proves(keyring, wrap(payload), index)) taken.push(payload.toString('hex'));
  }
  const microseconds = ((performance.now() - began) * 1000) / Math.max(1, count);
  return { taken, changed, heap: [early, heap()], microseconds };
}

function proves(keyring: Keyring, payload: Buffer, index: number): boolean {
  // A second between packets: the budget must not be what refuses them.
  const packet: SpaPacket = packetOf(payload, { now: milliseconds(index * 1000) });
  return keyring.prove(packet).outcome === 'proven';
}

interface World {
  readonly key: Key;
  readonly originals: readonly Buffer[];
  /** What is sent of what was changed. */
  wrap(changed: Buffer): Buffer;
}

const asItIs = (changed: Buffer): Buffer => changed;

function worldOf(format: Format): World {
  const { publicKey, privateKey } = ed25519();
  switch (format) {
    case 'fwknop': {
      const others = [{}, { type: '3', rest: ['30'] }, { user: letters('a longer name of a user') }];
      return { key: keyOf('ada', CREDENTIAL), originals: others.map((parts) => packed(parts)), wrap: asItIs };
    }
    case 'fwknop within': {
      const originals = [plainOf(), plainOf({ type: '3', rest: ['30'] })].map((plain) => Buffer.from(plain));
      const wrap = (changed: Buffer): Buffer => signed(sealedWith(padded(changed.toString('latin1'))));
      return { key: keyOf('ada', CREDENTIAL), originals, wrap };
    }
    case 'v1 within': {
      const realm = realmOf({ bytes: REALM, until: null });
      const originals = [v1Packet(SECRET), v1Packet(SECRET, { nonce: 5 })].map((packet) => {
        const cipher = createDecipheriv('aes-256-ctr', realm.sealKey, packet.subarray(0, 16));
        return cipher.update(packet.subarray(16, 128));
      });
      const wrap = (changed: Buffer): Buffer =>
        sealV1(realm, changed.subarray(0, 48), changed.subarray(48), Buffer.alloc(16));
      return { key: keyOf('ada', SECRET), originals, wrap };
    }
    case 'secret':
      return {
        key: keyOf('ada', SECRET),
        originals: [v1Packet(SECRET), v1Packet(SECRET, { nonce: 5 })],
        wrap: asItIs,
      };
    case 'ed25519': {
      const credential = { kind: 'ed25519', publicKey } as const;
      return {
        key: keyOf('ada', credential),
        originals: [v1Packet(credential, {}, privateKey)],
        wrap: asItIs,
      };
    }
    case 'ssh': {
      const credential = { kind: 'ssh', publicKey } as const;
      const sshSign = (message: Uint8Array): Buffer =>
        sign(null, sshsigText(createHash('sha512').update(message).digest()), privateKey);
      return {
        key: keyOf('ada', credential),
        originals: [v1Packet(credential, { prove: sshSign })],
        wrap: asItIs,
      };
    }
    case 'doorman': {
      const text = '22 guest 0123456789';
      const line = `${text} ${createHmac('md5', 'geheim').update(text).digest('hex')}`;
      const credential = { kind: 'doorman', group: 'guest', secret: Buffer.from('geheim') } as const;
      return { key: keyOf('old', credential), originals: [Buffer.from(line)], wrap: asItIs };
    }
    default:
      return format satisfies never;
  }
}

/** One to three changes of one packet: bits, bytes, letters of base64, cut, doubled, swapped, put together of two. */
function mutated(originals: readonly Buffer[], next: (below: number) => number): Buffer {
  let payload = Buffer.from(originals[next(originals.length)] ?? Buffer.alloc(0));
  for (let turn = next(3); turn >= 0; turn -= 1) {
    const at = next(Math.max(1, payload.length));
    const other = originals[next(originals.length)] ?? Buffer.alloc(0);
    switch (next(8)) {
      case 0:
        payload[at] = (payload[at] ?? 0) ^ (1 << next(8));
        break;
      case 1:
        payload[at] = next(256);
        break;
      case 2:
        payload[at] = ALPHABET.charCodeAt(next(64));
        break;
      case 3:
        payload = payload.subarray(0, at);
        break;
      case 4:
        payload = Buffer.concat([payload.subarray(0, at), Buffer.from([next(256)]), payload.subarray(at)]);
        break;
      case 5:
        payload = Buffer.concat([payload.subarray(0, at), payload.subarray(at + 1 + next(8))]);
        break;
      case 6:
        payload = Buffer.concat([payload.subarray(0, at), other.subarray(at)]);
        break;
      default:
        payload = Buffer.concat([payload, Buffer.from('='.repeat(next(5)) + 'A'.repeat(next(5)))]);
    }
  }
  return payload;
}

/** xorshift32: the same packets for the same seed. */
function random(seed: number): (below: number) => number {
  let state = seed | 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}
