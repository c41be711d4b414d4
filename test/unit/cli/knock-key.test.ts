import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import dns from 'node:dns/promises';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { command, type KnockOptions } from '../../../src/cli/commands/knock.ts';
import { EXIT, type ExitCode } from '../../../src/cli/exit.ts';
import { type ClientProof, formatClientKey, parseClientKey } from '../../../src/config/client-key.ts';
import { formatFault } from '../../../src/config/fault.ts';
import { milliseconds } from '../../../src/packet/time.ts';
import { pairOf } from '../../../src/spa/ed25519.ts';
import type { V1Credential } from '../../../src/spa/key.ts';
import { createKeyring } from '../../../src/spa/keyring.ts';
import type { Proven, Unproven } from '../../../src/spa/proof.ts';
import { parseSshPublicKey } from '../../../src/spa/sshsig.ts';
import { doorIdOf } from '../../../src/spa/v1.ts';
import { openReceiver, type Receiver } from '../../clients/spa-receiver.ts';
import { address, keyOf, packetOf } from '../spa/spa-world.ts';

/** What names stand for is this test's, also for who has read the module before. */
const { lookup } = dns;
const nameLookup = (way: unknown): void => {
  Object.assign(dns, { lookup: way });
  syncBuiltinESMExports();
};

const REALM = randomBytes(32);
const folder = mkdtempSync(join(tmpdir(), 'nfknock-knock-'));
const agentSocket = join(folder, 'agent');
/** An SSH key in a file, one that only the agent has, and one of another type. */
const inFile = join(folder, 'id_file');
const inAgent = join(folder, 'id_agent');
let agent: ChildProcess;
let v4: Receiver;
let v6: Receiver;
let said = '';

beforeAll(async () => {
  nameLookup(async () => [
    { address: '127.0.0.1', family: 4 },
    { address: '::1', family: 6 },
  ]);
  v4 = await openReceiver('127.0.0.1');
  v6 = await openReceiver('::1', v4.port);
  for (const file of [inFile, inAgent])
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', 'ada@laptop', '-f', file]);
  execFileSync('ssh-keygen', ['-q', '-t', 'rsa', '-b', '2048', '-N', '', '-f', join(folder, 'id_rsa')]);
  agent = spawn('ssh-agent', ['-D', '-a', agentSocket], { stdio: 'ignore' });
  for (let turn = 0; turn < 500 && !existsSync(agentSocket); turn += 1) await setTimeout(10);
  vi.stubEnv('SSH_AUTH_SOCK', agentSocket);
  vi.stubEnv('XDG_CONFIG_HOME', folder);
  execFileSync('ssh-add', ['-q', inAgent]);
  rmSync(inAgent);
}, 60_000);
afterAll(() => {
  nameLookup(lookup);
  v4.close();
  v6.close();
  agent.kill('SIGTERM');
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});
beforeEach(() => {
  said = '';
  const note = (text: unknown): boolean => {
    said += String(text);
    return true;
  };
  vi.spyOn(process.stderr, 'write').mockImplementation(note);
  vi.spyOn(process.stdout, 'write').mockImplementation(note);
});
afterEach(() => vi.restoreAllMocks());

function keyFile(proof: ClientProof | null, mode = 0o600, doors: readonly string[] = ['ssh']): string {
  const file = join(folder, `key-${randomBytes(4).toString('hex')}`);
  writeFileSync(file, formatClientKey({ realm: REALM, proof, port: null, doors }, 'a key'), { mode });
  return file;
}
function knock(host: string, options: Partial<KnockOptions>): Promise<ExitCode> {
  return command([host], { config: '/nonexistent/nfknock.yaml', port: String(v4.port), ...options });
}
async function judged(to: Receiver, credential: V1Credential): Promise<Proven | Unproven> {
  const file = { realms: [{ bytes: REALM, until: null }], keys: [keyOf('ada', credential)] };
  const packet = packetOf(await to.next(), {
    source: address(to === v6 ? '::1' : '127.0.0.1'),
    now: milliseconds(0),
    wall: Date.now(),
  });
  return createKeyring(file, []).prove(packet);
}
function sshCredential(file: string): V1Credential & { readonly kind: 'ssh' } {
  const read = parseSshPublicKey(readFileSync(`${file}.pub`, 'utf8'));
  if (!read.ok) throw new Error('no SSH key');
  return { kind: 'ssh', publicKey: read.publicKey };
}

describe.each(['127.0.0.1', '::1'])('A knock with a key at %s', (host) => {
  const to = (): Receiver => (host === '::1' ? v6 : v4);

  it('is proven by a secret', async () => {
    const secret = randomBytes(32);
    expect(await knock(host, { key: keyFile({ kind: 'secret', secret }) })).toBe(EXIT.done);
    const proof = await judged(to(), { kind: 'secret', secret });
    const wants = { by: 'door', id: doorIdOf('ssh') };
    expect(proof).toMatchObject({ outcome: 'proven', ask: { wants, address: null, seconds: 0 } });
    if (proof.outcome === 'proven') expect(Math.abs(Date.now() - (proof.stamp ?? 0))).toBeLessThan(60_000);
    expect(said).toBe('');
  });

  it('is proven by an Ed25519 key, and names the door and the address that it was told', async () => {
    const seed = randomBytes(32);
    const key = keyFile({ kind: 'ed25519', seed }, 0o600, ['ssh', 'mail']);
    expect(await knock(host, { key, door: 'mail', address: '2001:db8::7', verbose: true })).toBe(EXIT.done);
    const proof = await judged(to(), { kind: 'ed25519', publicKey: pairOf(seed).publicKey });
    const wants = { by: 'door', id: doorIdOf('mail') };
    expect(proof).toMatchObject({ outcome: 'proven', ask: { wants, address: address('2001:db8::7') } });
    expect(said).toMatch(/^one packet for door mail to \d+\/udp of /);
  });

  it.each([
    ['a file', inFile],
    ['an agent', `${inAgent}.pub`],
  ])('is proven by an SSH key in %s', async (_, sshKey) => {
    expect(await knock(host, { key: keyFile(null), sshKey, door: 'ssh' })).toBe(EXIT.done);
    expect(await judged(to(), sshCredential(sshKey.replace('.pub', '')))).toMatchObject({
      outcome: 'proven',
    });
  });

  it('is proven by an SSH key in an agent that the key file names', async () => {
    const line = readFileSync(`${inAgent}.pub`, 'utf8').trim();
    const credential = sshCredential(inAgent);
    expect(await knock(host, { key: keyFile({ ...credential, line }) })).toBe(EXIT.done);
    expect(await judged(to(), credential)).toMatchObject({ outcome: 'proven' });
  });

  it('needs the SSH key alone where the server is known', async () => {
    mkdirSync(join(folder, 'nfknock'), { recursive: true });
    writeFileSync(join(folder, 'nfknock', `${host}.key`), readFileSync(keyFile(null)), { mode: 0o600 });
    expect(await knock(host, { sshKey: inFile, door: 'ssh' })).toBe(EXIT.done);
    expect(await judged(to(), sshCredential(inFile))).toMatchObject({ outcome: 'proven' });
  });
});

describe('A knock with a key', () => {
  it('goes out over each family that the name has, and each packet is one of its own', async () => {
    const [secret, host] = [randomBytes(32), 'both.example'];
    const key = keyFile({ kind: 'secret', secret });
    expect(await knock(host, { key })).toBe(EXIT.done);
    const proofs = [
      await judged(v4, { kind: 'secret', secret }),
      await judged(v6, { kind: 'secret', secret }),
    ];
    expect(proofs.map(({ outcome }) => outcome)).toEqual(['proven', 'proven']);
    expect(new Set(proofs.map((proof) => (proof.outcome === 'proven' ? proof.id : ''))).size).toBe(2);
    // An address that is named needs one packet: the same for the other family would be a second knock.
    for (const [named, to, silent] of [
      ['192.0.2.7', v4, v6],
      ['2001:db8::7', v6, v4],
    ] as const) {
      expect(await knock(host, { key, address: named })).toBe(EXIT.done);
      const proof = await judged(to, { kind: 'secret', secret });
      expect(proof).toMatchObject({ outcome: 'proven', ask: { address: address(named) } });
      expect(silent.count()).toBe(0);
    }
  });

  it('warns of a secret that others can read, and of nothing else', async () => {
    const secret = randomBytes(32);
    expect(await knock('127.0.0.1', { key: keyFile({ kind: 'secret', secret }, 0o640) })).toBe(EXIT.done);
    expect(said).toMatch(/^nfknock: .* can be read by others \(0640\): chmod 0600 it\n$/);
    await v4.next();
    said = '';
    expect(await knock('127.0.0.1', { key: keyFile(null, 0o644), sshKey: inFile })).toBe(EXIT.done);
    expect(said).toBe('');
    await v4.next();
  });

  it('says that a door is none of those that the key was made for, and asks for it all the same', async () => {
    const key = keyFile({ kind: 'secret', secret: randomBytes(32) }, 0o600, ['ssh', 'mail']);
    expect(await knock('127.0.0.1', { key, door: 'shs' })).toBe(EXIT.done);
    expect(said).toMatch(
      /^nfknock: this key was made for ssh, mail, and "shs" is asked for all the same; [^\n]+\n$/,
    );
    await v4.next();
  });

  it.each<readonly [string, () => Partial<KnockOptions>, ExitCode, RegExp]>([
    ['no file', () => ({ key: '/nonexistent' }), EXIT.usage, /can't be read \(ENOENT\)/],
    ['an SSH key alone', () => ({ sshKey: inFile }), EXIT.usage, /at which server, and /],
    [
      'several doors',
      () => ({ key: keyFile(null, 0o600, ['ssh', 'mail']) }),
      EXIT.usage,
      /ssh, mail: say which/,
    ],
    ['a realm alone', () => ({ key: keyFile(null) }), EXIT.usage, /add --ssh-key FILE/],
    [
      'a name as address',
      () => ({ key: keyFile(null), address: 'here' }),
      EXIT.usage,
      /"here" is no address/,
    ],
    ['port 0', () => ({ key: keyFile(null), port: '0' }), EXIT.usage, /"0" is no UDP port/],
    ['a door that can be none', () => ({ key: keyFile(null), door: 'A!' }), EXIT.usage, /can't be the name/],
    ['a delay', () => ({ key: keyFile(null), delay: '5' }), EXIT.usage, /one packet: leave/],
    [
      'an RSA key',
      () => ({ key: keyFile(null), sshKey: join(folder, 'id_rsa') }),
      EXIT.usage,
      /ssh-rsa key can't knock .*: make one that can: ssh-keygen -t ed25519/,
    ],
    [
      'no SSH key',
      () => ({ key: keyFile(null), sshKey: '/etc/hostname' }),
      EXIT.usage,
      /holds no public SSH key/,
    ],
  ])('is refused with %s', async (_, options, code, says) => {
    expect(await knock('192.0.2.1', { port: '9', ...options() })).toBe(code);
    expect(said).toMatch(says);
    expect(said.trim().split('\n')).toHaveLength(1);
  });

  it('refuses what belongs to a key without one', async () => {
    expect(await knock('127.0.0.1', { address: '192.0.2.1' })).toBe(EXIT.usage);
    expect(said).toMatch(/--address belongs to a key/);
  });

  it('says what an agent has not', async () => {
    const line = readFileSync(`${inFile}.pub`, 'utf8').trim();
    const key = keyFile({ ...sshCredential(inFile), line });
    expect(await knock('127.0.0.1', { key })).toBe(EXIT.failed);
    expect(said).toMatch(/^nfknock: ssh-keygen did not sign \(.*\): is the key in the agent/);
  });
});

describe('The file of a client', () => {
  const secret = randomBytes(32);
  const text = formatClientKey(
    { realm: REALM, proof: { kind: 'secret', secret }, port: 62_210 as never, doors: ['ssh', 'mail'] },
    'ada',
  );
  const base64 = `base64:${secret.toString('base64')}`;

  it('is read as it was written, in quotes too', () => {
    const key = { realm: REALM, proof: { kind: 'secret', secret }, port: 62_210, doors: ['ssh', 'mail'] };
    expect(parseClientKey(text, 'f')).toEqual({ ok: true, key });
    expect(parseClientKey(text.replace(base64, `"${base64}"`), 'f')).toEqual({ ok: true, key });
  });

  it.each([
    ['twice the same', `${text}secret: ${base64}\n`, 'f:6:1: secret: this stands here twice'],
    ['two proofs', `${text}ed25519_private: ${base64}\n`, 'f:1:1: (file): more than one thing'],
    ['no realm', text.replace(/^realm.*$/m, ''), 'f:1:1: realm: the realm of the server is missing'],
    ['a short realm', text.replace(/^realm.*$/m, 'realm: base64:AAAA'), 'f:2:1: realm: this is not what'],
    ['another line', `${text}${base64}\n`, 'f:6:1: (file): this line is none of a key'],
    ['a port of 0', text.replace('62210', '0'), 'f:4:1: port: this is not what'],
    ['a door of none', text.replace('[ssh, mail]', '[ssh, ]'), 'f:5:1: doors: this is not what'],
    ['a secret as a door', text.replace('[ssh, mail]', base64), 'f:5:1: doors: this is not what'],
  ])('with %s is refused, and nothing of it said', (_, file, begins) => {
    const read = parseClientKey(file, 'f');
    const faults = read.ok ? [] : read.faults.map(formatFault);
    expect(faults.map((fault) => fault.startsWith(begins))).toContain(true);
    expect(faults.join()).not.toContain(secret.toString('base64').slice(0, 8));
  });
});
