import type { LoadedKeys } from '../../src/config/load-keys.ts';
import type { Dependencies } from '../../src/daemon/dependencies.ts';
import type { NfknockEvent } from '../../src/engine/event.ts';
import type { Key } from '../../src/spa/key.ts';
import type { Store } from '../../src/state/store.ts';
import { ipv4, ipv6, udpDatagram } from '../unit/source/capture-bytes.ts';
import { fileOf, keyOf, SECRET, type V1Parts, v1Packet } from '../unit/spa/spa-world.ts';
import { type MemoryMachine, memoryMachine, settled } from './memory-machine.ts';
import { type TestClock, testClock } from './test-clock.ts';

/** A daemon in memory that keys open the doors of. */

export const KEYS_PORT = 62_201;
const HOST = '192.0.2.1';
const HOST6 = '2001:db8:1::1';

export const BEN: Key = keyOf('ben', SECRET, { person: 'ben' });

export interface KeysMachine extends MemoryMachine<TestClock> {
  /** What the next start or reload finds in the key file. */
  keys: readonly Key[];
  /** A packet to the port of keys, at its own queue. */
  knock(from: string, payload: Uint8Array, port?: number): Promise<void>;
  /** nfknock's own packet of ben's, made now by this machine's clock. */
  own(parts?: V1Parts): Buffer;
  named(event: NfknockEvent['event']): readonly NfknockEvent[];
}

export function keysMachine(
  text: string,
  options: { readonly clock?: TestClock; readonly store?: Store; readonly keys?: readonly Key[] } = {},
  overrides: Partial<Dependencies> = {},
): KeysMachine {
  let nonce = 0;
  const { keys = [BEN], ...given } = options;
  const clock = given.clock ?? testClock();
  const loadKeys = (): LoadedKeys => ({ ok: true, file: fileOf(...machine.keys), warnings: [] });
  const memory = memoryMachine(text, { ...given, clock }, { loadKeys, ...overrides });
  const machine: KeysMachine = Object.assign(memory, {
    keys,
    async knock(from: string, payload: Uint8Array, port = KEYS_PORT): Promise<void> {
      memory.sources.sendToKeys([datagram(from, payload, port)]);
      await settled();
    },
    own(parts: V1Parts = {}) {
      nonce += 1;
      return v1Packet(SECRET, { time: Math.floor(clock.wall()), nonce, ...parts });
    },
    named: (name: NfknockEvent['event']) => memory.said.filter(({ event }) => event === name),
  });
  return machine;
}

let sourcePort = 40_000;

/** An IP packet with a datagram in it, from a port of its own. */
export function datagram(from: string, payload: Uint8Array, port: number = KEYS_PORT): Buffer {
  sourcePort += 1;
  const udp = udpDatagram(sourcePort, port, Buffer.from(payload));
  return from.includes(':') ? ipv6(from, HOST6, 17, udp) : ipv4(from, HOST, 17, udp);
}
