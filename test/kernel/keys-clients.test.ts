import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Daemon, NFKNOCK } from '../support/daemon.ts';
import { createNet, type Net } from '../support/net.ts';
import { type Result, startProcess } from '../support/process.ts';
import { temporaryFolder } from '../support/scratch.ts';

/* Every client of a key, with what `nfknock key new` made, against a real daemon. */

const SERVICE = 22;
const PORT = 62_201;
const LATE = 10_000;
/** How long is waited for what must not come. */
const NEVER = 700;
const SH = 'deploy/nfknock-knock.sh';

let net: Net;
let daemon: Daemon;
/** Of the server, and of the client. */
let place: string;
let home: string;
let sshKey: string;
let agent: string;

beforeAll(async () => {
  net = await createNet();
  await net.server.listen(SERVICE);
  home = temporaryFolder();
  sshKey = join(home, 'id');
  execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', 'ada@laptop', '-f', sshKey]);
  agent = join(home, 'agent');
  startProcess(net.clientA.namespace, ['ssh-agent', '-D', '-a', agent]);
  for (let turn = 0; turn < 500 && !existsSync(agent); turn += 1) await sleep(10);
  execFileSync('ssh-add', ['-q', sshKey], { env: { ...process.env, SSH_AUTH_SOCK: agent } });
});
afterAll(() => net?.close());
beforeEach(async () => {
  await net.clientA.moveToFreshSource();
  place = temporaryFolder();
  const keys = join(place, 'keys.yaml');
  execFileSync('sh', ['-c', `umask 077; printf 'keys: {}\\n' > ${keys}`]);
  daemon = await net.server.startDaemon({
    listen: { spa: [`${PORT}/udp`] },
    keys,
    doors: { ssh: { knock: 'spa', opens: [SERVICE], for: '2m' } },
    decoys: 'all',
  });
});
afterEach(() => daemon?.stop('SIGKILL'));

/** A command of nfknock on the server. */
async function nfknock(...args: readonly string[]): Promise<Result> {
  const [command = '', ...rest] = args;
  return net.server.exec([...NFKNOCK, command, '-c', daemon.config, ...rest]);
}
/** Makes a key; answers with the file that the client gets. */
async function newKey(name: string, ...options: readonly string[]): Promise<string> {
  const out = join(home, `${name}-${Math.random().toString(36).slice(2)}`);
  const asked = ['new', name, '--door', 'ssh', '--host', net.clientA.server4, '--out', out, ...options];
  const { code, stdout, stderr } = await nfknock('key', ...asked);
  if (code !== 0) throw new Error(`key new ended with ${code}: ${stderr}`);
  expect(stdout).toContain('The daemon has taken it in.');
  return out;
}
async function client(argv: readonly string[]): Promise<void> {
  const env = ['env', `HOME=${home}`, `SSH_AUTH_SOCK=${agent}`];
  const { code, stderr } = await net.clientA.exec([...env, ...argv]);
  if (code !== 0) throw new Error(`${argv[0]} ended with ${code}: ${stderr}`);
}
const FAMILIES = ['IPv4', 'IPv6'] as const;
const server = (family: string): string => (family === 'IPv6' ? net.clientA.server6 : net.clientA.server4);
const me = (family: string): string => net.clientA.source()[family === 'IPv6' ? 'v6' : 'v4'];
const reaches = (family: string): Promise<boolean> => net.clientA.canConnect(server(family), SERVICE, 500);

async function opens(family: string, key: string, knock: () => Promise<void>): Promise<void> {
  expect(await reaches(family)).toBe(false);
  await knock();
  const opened = await daemon.waitFor({ event: 'door.opened', source: me(family) }, LATE);
  expect(opened).toMatchObject({ key, door: 'ssh' });
  expect(await reaches(family)).toBe(true);
}

describe.each(FAMILIES)('a door opens over %s', (family) => {
  it.each([
    ['a pair of keys', []],
    ['a secret', ['--secret']],
  ] as const)('to our client with %s', async (_, options) => {
    const file = await newKey('ada', ...options);
    await opens(family, 'ada', () =>
      client([...NFKNOCK, 'knock', server(family), '--door', 'ssh', '--key', file]),
    );
  });

  it.each([
    ['a file', () => sshKey],
    ['an agent', () => `${sshKey}.pub`],
  ] as const)('to our client with an SSH key in %s', async (_, key) => {
    const file = await newKey('ada', '--ssh', `${sshKey}.pub`);
    const argv = [...NFKNOCK, 'knock', server(family), '--door', 'ssh', '--key', file, '--ssh-key', key()];
    await opens(family, 'ada', () => client(argv));
  });

  it.each([
    ['a pair of keys', () => []],
    ['a secret', () => ['--secret']],
    ['an SSH key in an agent', () => ['--ssh', `${sshKey}.pub`]],
  ] as const)('to the client of sh with %s', async (_, options) => {
    const file = await newKey('ada', ...options());
    await opens(family, 'ada', () => client(['sh', SH, server(family), 'ssh', file]));
  });

  it('to the client of sh with an SSH key in a file', async () => {
    const file = await newKey('ada', '--ssh', `${sshKey}.pub`);
    const env = ['env', '-u', 'SSH_AUTH_SOCK', `SSH_KEY=${sshKey}`];
    await opens(family, 'ada', () => client([...env, 'sh', SH, server(family), 'ssh', file]));
  });
});

describe('a key', () => {
  it("is knocked with by fwknop's own client, by the stanza that was printed", async () => {
    const file = await newKey('phone', '--fwknop');
    await opens('IPv4', 'phone', () =>
      client(['fwknop', '--rc-file', file, '-n', 'phone', '--no-save-args']),
    );
  });

  // Against: a key that was taken from its owner
  // by: `key revoke` ends its grants at once, whatever else is wrong in the configuration
  it('opens no longer once it is revoked, and what it opened is shut', async () => {
    const file = await newKey('ada');
    const knock = [...NFKNOCK, 'knock', net.clientA.server4, '--door', 'ssh', '--key', file];
    await opens('IPv4', 'ada', () => client(knock));
    const { code, stdout } = await nfknock('key', 'revoke', 'ada');
    expect({ code, stdout }).toMatchObject({ code: 0, stdout: expect.stringContaining('1 grant') });
    await daemon.waitFor({ event: 'door.closed', reason: 'key' }, LATE);
    expect(await reaches('IPv4')).toBe(false);
    await client(knock);
    await sleep(NEVER);
    expect(await reaches('IPv4')).toBe(false);
  });

  it('that was rotated opens until the new one is used', async () => {
    const old = await newKey('ada');
    const next = join(home, `next-${Math.random()}`);
    const { code } = await nfknock('key', 'rotate', 'ada', '--out', next);
    expect(code).toBe(0);
    const knock = (file: string): Promise<void> =>
      client([...NFKNOCK, 'knock', net.clientA.server4, '--door', 'ssh', '--key', file]);
    for (const file of [old, next]) {
      await opens('IPv4', 'ada', () => knock(file));
      await net.clientA.moveToFreshSource();
    }
    await knock(old);
    await sleep(NEVER);
    expect(await reaches('IPv4')).toBe(false);
  });

  // Against: a local user of a client who reads arguments of processes
  // by: secrets and the realm reach programs through pipes and files; the private half of an SSH key stays with
  // ssh-keygen and its agent
  it('and its secrets are in no log, answer or list of processes', async () => {
    const files = [await newKey('ada'), await newKey('ben', '--secret'), await newKey('phone', '--fwknop')];
    const texts = [...files, join(place, 'keys.yaml')].map((file) => readFileSync(file, 'utf8'));
    const secrets = [...new Set(texts.flatMap((text) => text.match(/[A-Za-z0-9+/]{40,}={0,2}/g) ?? []))];
    expect(secrets.length).toBeGreaterThan(5);
    const forms = secrets.flatMap((text) => [
      text.replace(/=+$/, ''),
      Buffer.from(text, 'base64').toString('hex'),
    ]);
    let seen = '';
    let watching = true;
    // Every argument of every process while the clients of sh and of Node run.
    const watch = (async () => {
      while (watching) {
        seen += execFileSync('ps', ['-eo', 'args', '-ww'], { encoding: 'utf8' });
        await sleep(2);
      }
    })();
    const [ada = '', ben = ''] = files;
    for (const [key, file] of [
      ['ada', ada],
      ['ben', ben],
    ] as const) {
      await client(['sh', SH, net.clientA.server4, 'ssh', file]);
      await client([...NFKNOCK, 'knock', net.clientA.server4, '--door', 'ssh', '--key', file, '-v']);
      await daemon.waitFor({ event: 'door.opened', key }, LATE);
      await net.clientA.moveToFreshSource();
    }
    watching = false;
    await watch;
    expect(seen).toContain('nfknock-knock.sh');
    for (const args of [
      ['key', 'list'],
      ['key', 'list', '--json'],
      ['status', '--json'],
      ['grants', '--json'],
      ['check'],
      ['explain', me('IPv4')],
    ])
      seen += Object.values(await nfknock(...args)).join('\n');
    seen += JSON.stringify(daemon.seen({}));
    for (const form of forms) expect(seen).not.toContain(form);
    for (const file of files) rmSync(file);
  });
});
