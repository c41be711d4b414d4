import { randomBytes } from 'node:crypto';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseAddress } from '../../src/packet/address.ts';
import type { V1Credential } from '../../src/spa/key.ts';
import {
  doorIdOf,
  innerOf,
  keyIdOf,
  messageOf,
  realmOf,
  sealV1,
  secretProof,
  V1_KIND,
} from '../../src/spa/v1.ts';
import type { Client } from './net.ts';
import { temporaryFolder } from './scratch.ts';

/** A key file, and packets of its keys, for daemons in a network of the test's. */
export interface KeysLab {
  readonly folder: string;
  readonly file: string;
  /** Writes the file anew: ben, and these. */
  write(...more: readonly string[]): void;
  /** nfknock's own packet of ben's: for an address, or null for where it comes from. */
  own(address: string | null, more?: { readonly time?: number; readonly realm?: Uint8Array }): Buffer;
  /** Sends these bytes as one datagram. */
  send(client: Client, payload: Uint8Array | string, port?: number): Promise<void>;
}

export const KEYS_PORT = 62_201;

export function keysLab(): KeysLab {
  const folder = temporaryFolder();
  const file = join(folder, 'keys.yaml');
  const [secret, realm] = [randomBytes(32), randomBytes(32)];
  const credential: V1Credential = { kind: 'secret', secret };
  const text = (bytes: Uint8Array): string => `"base64:${Buffer.from(bytes).toString('base64')}"`;
  const lab: KeysLab = {
    folder,
    file,
    write(...more) {
      const entries = [`ben: { person: ben, secret: ${text(secret)}, doors: [ssh] }`, ...more];
      const lines = entries.map((entry) => `  ${entry}`).join('\n');
      writeFileSync(file, `realm: ${text(realm)}\nkeys:\n${lines}\n`, { mode: 0o600 });
    },
    own(address, more = {}) {
      const at = realmOf({ bytes: more.realm ?? realm, until: null });
      const inner = innerOf({
        kind: V1_KIND.secret,
        seconds: 0,
        time: more.time ?? Date.now(),
        nonce: randomBytes(4).readUInt32BE(),
        key: keyIdOf(credential),
        door: doorIdOf('ssh'),
        address: address === null ? null : (parseAddress(address) ?? null),
      });
      return sealV1(at, inner, secretProof(secret, messageOf(at, inner)), randomBytes(16));
    },
    async send(client, payload, port = KEYS_PORT) {
      const datagram = join(folder, `datagram-${randomBytes(8).toString('hex')}`);
      writeFileSync(datagram, payload, 'latin1');
      await client.exec(['bash', '-c', `cat ${datagram} > /dev/udp/${client.server4}/${port}`]);
      rmSync(datagram);
    },
  };
  lab.write();
  return lab;
}

/** The processes that this one has started. */
export function childrenOf(pid: number): readonly number[] {
  const list = readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1');
  return list.split(' ').filter(Boolean).map(Number);
}
