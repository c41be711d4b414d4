import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { env } from 'node:process';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openFwknop, proveFwknop } from '../../src/spa/fwknop.ts';
import type { CipherMode, Digest } from '../../src/spa/fwknop-crypto.ts';
import { openReceiver, type Receiver } from './spa-receiver.ts';

interface Vector {
  readonly name: string;
  readonly args: readonly string[];
  readonly key_base64: string;
  readonly hmac_key_base64: string | null;
  readonly hmac_type: Digest;
  readonly mode: CipherMode | 'legacy';
  readonly bytes: number;
  readonly expect: { readonly user: string; readonly nat: string | null; readonly [field: string]: unknown };
}

const run = promisify(execFile);
const VECTORS = JSON.parse(readFileSync('test/fixtures/spa/fwknop.json', 'utf8')) as readonly Vector[];
/** How far a busy machine may be between a client and its packet's arrival. */
const SECONDS_MAX = 60;

describe('The fwknop client of this machine', () => {
  const home = mkdtempSync(join(tmpdir(), 'nfknock-fwknop-'));
  let receiver: Receiver;
  beforeAll(async () => {
    receiver = await openReceiver('127.0.0.1');
  });
  afterAll(() => {
    receiver.close();
    rmSync(home, { recursive: true });
  });

  async function send(vector: Vector): Promise<Buffer> {
    const keys = ['--key-base64-rijndael', vector.key_base64];
    if (vector.hmac_key_base64 !== null) keys.push('--use-hmac', '--key-base64-hmac', vector.hmac_key_base64);
    const to = ['-D', '127.0.0.1', '-p', String(receiver.port), '--no-rc-file', '--no-save-args'];
    await run('fwknop', [...vector.args, ...to, ...keys, '--spoof-user', vector.expect.user], {
      env: { PATH: env['PATH'], HOME: home },
    });
    return receiver.next();
  }

  it.each(VECTORS.map((vector) => [vector.name, vector] as const))(
    'sends what is understood: %s',
    async (_, vector) => {
      const packet = await send(vector);
      const key = Buffer.from(vector.key_base64, 'base64');
      const mode = vector.mode === 'legacy' ? 'cbc' : vector.mode;
      const hmac = Buffer.from(vector.hmac_key_base64 ?? 'eA==', 'base64');
      const proof = proveFwknop(packet, { kind: 'fwknop', key, hmac, digest: vector.hmac_type, mode });
      const legacyKey = Buffer.concat([key, Buffer.alloc(16, '0')]).subarray(0, 16);
      const opened =
        vector.hmac_key_base64 === null
          ? openFwknop(packet, { key: vector.mode === 'legacy' ? legacyKey : key, mode })
          : proof;
      if (vector.hmac_key_base64 === null) expect(proof).toEqual({ ok: false, stage: 'hmac' });
      if (!opened.ok) throw new Error(`refused at ${opened.stage}`);
      const { random, time, nat, serverAuth, digestType, digest, ...fields } = opened.fields;
      expect(vector.expect).toMatchObject({ ...fields, server_auth: serverAuth, digest_type: digestType });
      // Asked for the server's own address, it names the one that it was sent to.
      expect(nat?.replace('127.0.0.1', '198.51.100.1') ?? null).toBe(vector.expect.nat);
      expect(random).toMatch(/^\d{16}$/);
      expect(digest.length).toBeGreaterThan(20);
      const behind = vector.args.includes('--time-offset-minus') ? 90 * 60 : 0;
      expect(Math.abs(Date.now() / 1000 - behind - time)).toBeLessThan(SECONDS_MAX);
    },
  );
});
