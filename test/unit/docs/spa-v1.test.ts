import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { doorIdOf, innerOf, keyIdOf, messageOf, realmOf, sealV1, secretProof } from '../../../src/spa/v1.ts';

const PAGE = readFileSync(join(import.meta.dirname, '../../../docs/spa-v1.md'), 'utf8');

/** What the page shows under a name, in hexadecimal. */
function shown(name: string): Buffer {
  const found = new RegExp(`^${name} +([0-9a-f]+(?:\\n +[0-9a-f]+)*)$`, 'm').exec(PAGE)?.[1] ?? '';
  return Buffer.from(found.replace(/\s+/g, ''), 'hex');
}

it('the packet that the manual shows is the one that is made', () => {
  const [secret, salt] = [shown('secret'), shown('salt')];
  const realm = realmOf({ bytes: shown('realm'), until: null });
  const time = Number(shown('inner').readBigUInt64BE(4));
  const key = keyIdOf({ kind: 'secret', secret });
  const inner = innerOf({ kind: 1, seconds: 0, time, key, door: doorIdOf('ssh'), address: null, nonce: 1 });
  const proof = secretProof(secret, messageOf(realm, inner));
  expect(shown('inner')).toEqual(inner);
  expect(shown('proof')).toEqual(proof);
  expect(shown('datagram')).toEqual(sealV1(realm, inner, proof, salt));
  expect(shown('datagram')).toHaveLength(144);
});
