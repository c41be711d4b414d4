import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { hotp, STEP_MS, stepOf } from '../../src/spa/totp.ts';
import { CLIENT_FILE, type Daemon, NFKNOCK } from '../support/daemon.ts';
import { createNet, type Net } from '../support/net.ts';
import { type Result, startProcess } from '../support/process.ts';
import { ROOT } from '../support/root.ts';
import { temporaryFolder } from '../support/scratch.ts';

/* The client as one file, run by plain node in an empty folder, at the doors of a real daemon; and real ssh behind it. */

const SERVICE = 22;
const SSHD = 2222;
const ONCE = 23;
const PORT = 62_201;
const LATE = 10_000;
/** As in docs/clients.md. */
const SEQUENCE = ['27041/tcp', '11873/udp', '45119/tcp', '33207/udp'];
const OF_TCP = ['27041/tcp', '11873/tcp', '45119/tcp'];
const CODE = ['7001/tcp', '50???/tcp', '51???/tcp'];

let net: Net;
let daemon: Daemon;
/** Of the client; and the one file. */
let home: string;
let file: string;
let sshKey: string;
let agent: string;

beforeAll(async () => {
  net = await createNet();
  for (const port of [SERVICE, ONCE]) await net.server.listen(port);
  home = temporaryFolder();
  file = join(home, 'nfknock-client.mjs');
  copyFileSync(CLIENT_FILE, file);
  sshKey = join(home, 'id');
  execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', 'ada@laptop', '-f', sshKey]);
  agent = join(home, 'agent');
  startProcess(net.clientA.namespace, ['ssh-agent', '-D', '-a', agent]);
  for (let turn = 0; turn < 500 && !existsSync(agent); turn += 1) await sleep(10);
  execFileSync('ssh-add', ['-q', sshKey], { env: { ...process.env, SSH_AUTH_SOCK: agent } });
  const keys = join(home, 'keys.yaml');
  writeFileSync(keys, 'keys: {}\n', { mode: 0o600 });
  daemon = await net.server.startDaemon({
    listen: { spa: [`${PORT}/udp`] },
    keys,
    doors: {
      ssh: { knock: 'spa', opens: [SERVICE, SSHD], for: '2m' },
      sequence: { knock: SEQUENCE, opens: [SERVICE], for: '2m' },
      tcp: { knock: OF_TCP, opens: [SERVICE], for: '2m' },
      code: { knock: CODE, opens: [SERVICE], for: '2m' },
      once: { knock: ['7100/tcp', '7300/tcp', '7200/tcp'], opens: [ONCE], for: '2m', uses: 1 },
    },
    decoys: 'all',
  });
});
afterAll(async () => {
  await daemon?.stop('SIGKILL');
  net?.close();
});
beforeEach(() => net.clientA.moveToFreshSource());

const env = (): readonly string[] => ['env', `HOME=${home}`, `SSH_AUTH_SOCK=${agent}`];
function client(...args: readonly string[]): Promise<Result> {
  return net.clientA.exec([...env(), process.execPath, file, ...args]);
}
const FAMILIES = ['IPv4', 'IPv6'] as const;
const server = (family: string): string => (family === 'IPv6' ? net.clientA.server6 : net.clientA.server4);
const me = (family = 'IPv4'): string => net.clientA.source()[family === 'IPv6' ? 'v6' : 'v4'];

/** An SSH key may be one key of a server. */
let ofSsh: Promise<string> | undefined;

/** Makes a key on the server; answers with the file that the client gets. */
async function newKey(name: string, host: string, ...options: readonly string[]): Promise<string> {
  const out = join(home, `${name}-${Math.random().toString(36).slice(2)}.key`);
  const asked = ['new', `${name}-${Math.random().toString(36).slice(2)}`, '--host', host, '--out', out];
  const door = options.includes('--totp') ? 'code' : 'ssh';
  const argv = [...NFKNOCK, 'key', '-c', daemon.config, ...asked, '--door', door, ...options];
  const { code, stderr } = await net.server.exec(argv);
  if (code !== 0) throw new Error(`key new ended with ${code}: ${stderr}`);
  return out;
}

/** Keeps what the client got where it looks for it. */
function keep(made: string, host: string): void {
  mkdirSync(join(home, '.config/nfknock'), { recursive: true });
  const text = readFileSync(made);
  writeFileSync(join(home, `.config/nfknock/${host}.key`), text, { mode: 0o600 });
}

async function opens(family: string, door: string, ...args: readonly string[]): Promise<void> {
  const to = server(family);
  expect(await net.clientA.canConnect(to, SERVICE, 300)).toBe(false);
  const { code, stdout, stderr } = await client(...args, '--wait', String(SERVICE));
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).toBe(`the door is open: ${SERVICE}/tcp of ${to} answers\n`);
  await daemon.waitFor({ event: 'door.opened', source: me(family), door }, LATE);
  expect(await net.clientA.canConnect(to, SERVICE, 1000)).toBe(true);
}

describe.each(FAMILIES)('the one file opens a door over %s', (family) => {
  it('by a sequence', () => opens(family, 'sequence', server(family), ...SEQUENCE));

  it.each([
    ['a pair of keys', []],
    ['a secret', ['--secret']],
  ] as const)('by %s', async (_, options) => {
    const made = await newKey('ada', server(family), ...options);
    await opens(family, 'ssh', 'knock', server(family), '--door', 'ssh', '--key', made);
  });

  it.each([
    ['a file', () => sshKey],
    ['an agent', () => `${sshKey}.pub`],
  ] as const)('by an SSH key in %s', async (_, key) => {
    ofSsh ??= newKey('ssh', server(family), '--ssh', `${sshKey}.pub`);
    const made = await ofSsh;
    await opens(family, 'ssh', server(family), '--key', made, '--ssh-key', key());
  });

  it('by a profile: what "key new" made, under the name of the host', async () => {
    const made = await newKey('ada', server(family));
    keep(made, server(family));
    await opens(family, 'ssh', server(family));
    // Under another name, which leads there.
    keep(made, `home-${family}`);
    await net.clientA.moveToFreshSource();
    await opens(family, 'ssh', `home-${family}`);
  });

  it('by the digits of an authenticator, with a profile that knows where they go', async () => {
    const made = await newKey('ada', server(family), '--totp');
    const [, secret = ''] = /secret=([A-Z2-7]+)/.exec(readFileSync(made, 'utf8')) ?? [];
    const left = STEP_MS - (Date.now() % STEP_MS);
    if (left < 6000) await sleep(left + 50);
    const bytes = Buffer.from(
      [...secret]
        .map((letter) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(letter).toString(2).padStart(5, '0'))
        .join('')
        .match(/.{8}/g)
        ?.map((bits) => Number.parseInt(bits, 2)) ?? [],
    );
    const digits = hotp(bytes, stepOf(Date.now()), 6);
    keep(`${made}.profile`, server(family));
    await opens(family, 'code', server(family), '--code', digits);
  });
});

describe('after the knock', () => {
  it('--wait ends with 1 where the port stays shut, and --then is not run', async () => {
    const argv = [net.clientA.server4, ...[...SEQUENCE].reverse(), '--wait', String(SERVICE)];
    const { code, stdout, stderr } = await client(...argv, '--then', 'echo', 'never');
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(/^nfknock: 22\/tcp of 192\.0\.2\.1 stays shut \(nothing answers within 10 s\)/);
  });

  it('--proxy is one connection, so that a door for one use is enough', async () => {
    const knock = [net.clientA.server4, '7100', '7300', '7200', '--proxy', String(ONCE)];
    const argv = [...env(), process.execPath, file, ...knock];
    const { code, stdout } = await net.clientA.exec(argv, { input: 'through the door' });
    expect({ code, stdout }).toEqual({ code: 0, stdout: 'through the door' });
    await daemon.waitFor({ event: 'door.closed', source: me(), reason: 'used' }, LATE);
  });
});

describe('a recipe of docs/clients.md opens a door', () => {
  const PAGE = readFileSync(join(ROOT, 'docs/clients.md'), 'utf8');

  it.each([
    ['of sh and netcat', 'sequence', /```sh\n([\s\S]*?)```/],
    ['of curl', 'tcp', /`(for port in [^`]* curl [^`]*)`/],
  ])('%s', async (_, door, pattern) => {
    const [, text = ''] = pattern.exec(PAGE) ?? [];
    expect(text).toContain('HOST');
    await net.clientA.exec(['sh', '-c', text.replaceAll('HOST', net.clientA.server4)]);
    await daemon.waitFor({ event: 'door.opened', source: me(), door }, LATE);
  });
});

describe('ssh itself', () => {
  let options: readonly string[];

  beforeAll(async () => {
    const folder = temporaryFolder();
    const hostKey = join(folder, 'host');
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', hostKey]);
    mkdirSync('/run/sshd', { recursive: true, mode: 0o755 });
    const config = [
      `Port ${SSHD}`,
      `HostKey ${hostKey}`,
      `AuthorizedKeysFile ${sshKey}.pub`,
      'PidFile none',
      'StrictModes no',
      'UsePAM no',
      'PermitRootLogin yes',
    ];
    writeFileSync(join(folder, 'sshd_config'), `${config.join('\n')}\n`);
    startProcess(net.server.namespace, ['/usr/sbin/sshd', '-D', '-e', '-f', join(folder, 'sshd_config')]);
    options = ['-i', sshKey, '-o', 'BatchMode=yes', '-o', 'StrictHostKeyChecking=no'];
    options = [...options, '-o', 'UserKnownHostsFile=/dev/null', '-o', 'LogLevel=ERROR'];
    keep(await newKey('ada', net.clientA.server4), 'door');
  });

  /** ssh with this stanza of ~/.ssh/config, running a command behind the door. */
  async function through(stanza: readonly string[]): Promise<Result> {
    const config = join(home, `ssh_config-${Math.random().toString(36).slice(2)}`);
    const both = [`HostName ${net.clientA.server4}`, `Port ${SSHD}`, 'User root'];
    writeFileSync(config, `${[...stanza, 'Host door', ...both].join('\n')}\n`);
    return net.clientA.exec([...env(), 'ssh', '-F', config, ...options, 'door', 'echo', 'inside']);
  }
  const knock = (): string => `${process.execPath} ${file}`;

  it('knocks by ProxyCommand and --proxy, with the profile of the name that was typed', async () => {
    const result = await through(['Host door', `ProxyCommand ${knock()} %n --proxy %p`]);
    expect(result).toMatchObject({ code: 0, stdout: 'inside\n' });
    await daemon.waitFor({ event: 'door.opened', source: me(), door: 'ssh' }, LATE);
  });

  it('knocks by ProxyCommand, --then and nc', async () => {
    const result = await through(['Host door', `ProxyCommand ${knock()} %n --wait %p --then nc %h %p`]);
    expect(result).toMatchObject({ code: 0, stdout: 'inside\n' });
  });

  it('knocks by Match exec, and connects by itself', async () => {
    const result = await through([`Match originalhost door exec "${knock()} %n --wait ${SSHD}"`]);
    expect(result).toMatchObject({ code: 0, stdout: 'inside\n' });
  });

  it('is what --then runs', async () => {
    const target = ['-p', String(SSHD), `root@${net.clientA.server4}`, 'echo inside; exit 9'];
    const wait = ['--wait', String(SSHD), '--then', 'ssh', '-F', 'none', ...options, ...target];
    expect(await client('door', ...wait)).toMatchObject({ code: 9, stdout: 'inside\n' });
  });
});
