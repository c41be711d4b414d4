import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import { createHash, createPublicKey, randomBytes, verify } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { env } from 'node:process';
import { setTimeout } from 'node:timers/promises';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseKnock } from '../../src/packet/port.ts';
import { milliseconds } from '../../src/packet/time.ts';
import { knocksOf } from '../../src/spa/code-template.ts';
import type { V1Credential } from '../../src/spa/key.ts';
import { createKeyring } from '../../src/spa/keyring.ts';
import type { Proven, Unproven } from '../../src/spa/proof.ts';
import { parseSshPublicKey, signatureOfArmor, sshsigText } from '../../src/spa/sshsig.ts';
import { hotp, stepOf } from '../../src/spa/totp.ts';
import { doorIdOf } from '../../src/spa/v1.ts';
import { address, keyOf, packetOf } from '../unit/spa/spa-world.ts';
import { openReceiver, type Receiver } from './spa-receiver.ts';

const run = promisify(execFile);
const SCRIPT = 'test/clients/spa-knock.sh';
const REALM = randomBytes(32);

describe('A client of sh, openssl, xxd and nc', () => {
  const folder = mkdtempSync(join(tmpdir(), 'nfknock-spa-'));
  const agentSocket = join(folder, 'agent');
  const publicKeyFile = join(folder, 'ada.pub');
  let agent: ChildProcess;
  let v4: Receiver;
  let v6: Receiver;

  beforeAll(async () => {
    [v4, v6] = [await openReceiver('127.0.0.1'), await openReceiver('::1')];
    // The private key is in the agent alone.
    execFileSync('ssh-keygen', [
      '-q',
      '-t',
      'ed25519',
      '-N',
      '',
      '-C',
      'ada@laptop',
      '-f',
      join(folder, 'ada'),
    ]);
    agent = spawn('ssh-agent', ['-D', '-a', agentSocket], { stdio: 'ignore' });
    for (let turn = 0; turn < 500 && !existsSync(agentSocket); turn += 1) await setTimeout(10);
    execFileSync('ssh-add', ['-q', join(folder, 'ada')], { env: { ...env, SSH_AUTH_SOCK: agentSocket } });
    rmSync(join(folder, 'ada'));
  });
  afterAll(() => {
    v4.close();
    v6.close();
    agent.kill('SIGTERM');
    rmSync(folder, { recursive: true });
  });

  async function knocked(
    credential: V1Credential,
    key: string,
    to: Receiver,
    named?: string,
  ): Promise<Proven | Unproven> {
    const host = to === v6 ? '::1' : '127.0.0.1';
    const options = { env: { ...env, SSH_AUTH_SOCK: agentSocket } };
    const args = [
      SCRIPT,
      host,
      String(to.port),
      'ssh',
      REALM.toString('hex'),
      key,
      ...(named === undefined ? [] : [named]),
    ];
    await run('sh', args, options);
    const file = { realms: [{ bytes: REALM, until: null }], keys: [keyOf('ada', credential)] };
    const packet = packetOf(await to.next(), {
      source: address(host),
      now: milliseconds(0),
      wall: Date.now(),
    });
    return createKeyring(file, []).prove(packet);
  }

  it.each(['IPv4', 'IPv6'] as const)('is proven by a secret over %s', async (family) => {
    const secret = randomBytes(32);
    const proof = await knocked(
      { kind: 'secret', secret },
      secret.toString('hex'),
      family === 'IPv4' ? v4 : v6,
    );
    expect(proof).toMatchObject({
      outcome: 'proven',
      ask: { wants: { by: 'door', id: doorIdOf('ssh') }, address: null },
    });
    if (proof.outcome === 'proven') expect(Math.abs(Date.now() - (proof.stamp ?? 0))).toBeLessThan(60_000);
  });

  it.each(['IPv4', 'IPv6'] as const)('is proven by the SSH key in an agent over %s', async (family) => {
    const line = parseSshPublicKey(readFileSync(publicKeyFile, 'utf8'));
    if (!line.ok) throw new Error('no SSH key');
    const named = '20010db8000000000000000000000007';
    const to = family === 'IPv4' ? v4 : v6;
    const proof = await knocked({ kind: 'ssh', publicKey: line.publicKey }, publicKeyFile, to, named);
    expect(proof).toMatchObject({ outcome: 'proven', ask: { address: address('2001:db8::7') } });
    const other = await knocked({ kind: 'ssh', publicKey: randomBytes(32) }, publicKeyFile, to);
    expect(other).toEqual({ outcome: 'unproven', stage: 'key' });
  });

  it('is refused with another secret', async () => {
    const [secret, other] = [randomBytes(32), randomBytes(32)];
    const proof = await knocked({ kind: 'secret', secret }, other.toString('hex'), v4);
    expect(proof).toEqual({ outcome: 'unproven', stage: 'key' });
  });

  it("signs what ssh-keygen's signature is read as", async () => {
    const signing = run('ssh-keygen', ['-q', '-Y', 'sign', '-n', 'nfknock', '-f', publicKeyFile], {
      env: { ...env, SSH_AUTH_SOCK: agentSocket },
    });
    signing.child.stdin?.end('message');
    const { stdout } = await signing;
    const signature = signatureOfArmor(stdout);
    const line = parseSshPublicKey(readFileSync(publicKeyFile, 'utf8'));
    if (signature === undefined || !line.ok) throw new Error('no signature');
    const x = line.publicKey.toString('base64url');
    const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' });
    expect(verify(null, sshsigText(createHash('sha512').update('message').digest()), key, signature)).toBe(
      true,
    );
  });
});

describe("oathtool's codes", () => {
  it.each([6, 7, 8])('are ours, with %d digits', async (digits) => {
    for (let turn = 0; turn < 5; turn += 1) {
      const secret = randomBytes(20);
      const seconds = Math.floor(Math.random() * 4_000_000_000);
      const args = ['--totp', '-d', String(digits), '-N', `@${seconds}`, secret.toString('hex')];
      const { stdout } = await run('oathtool', args);
      expect(hotp(secret, stepOf(seconds * 1000), digits)).toBe(stdout.trim());
    }
  });

  it('make the knocks of a line of sh', async () => {
    const secret = randomBytes(20);
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is sh's
    const line = 'c=$(oathtool --totp -d 8 -N "@$1" "$2"); echo 7000 "1${c%????}" "2${c#????}"';
    const { stdout } = await run('sh', ['-c', line, 'sh', '1795891572', secret.toString('hex')]);
    const template = ['7000', '1????', '2????'].flatMap((step) => parseKnock(step) ?? []);
    const knocks = knocksOf(template, hotp(secret, stepOf(1_795_891_572_000), 8));
    expect(knocks?.map(({ port }) => port).join(' ')).toBe(stdout.trim());
  });
});
