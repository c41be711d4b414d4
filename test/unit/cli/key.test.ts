import { execFile, execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { command, type KeyOptions } from '../../../src/cli/commands/key.ts';
import { command as knock } from '../../../src/cli/commands/knock.ts';
import { EXIT, type ExitCode } from '../../../src/cli/exit.ts';
import { parseKeyFile } from '../../../src/config/key-file.ts';
import { milliseconds } from '../../../src/packet/time.ts';
import type { KeyFile } from '../../../src/spa/key.ts';
import { createKeyring } from '../../../src/spa/keyring.ts';
import type { Proven, Unproven } from '../../../src/spa/proof.ts';
import { doorIdOf } from '../../../src/spa/v1.ts';
import { openReceiver, type Receiver } from '../../clients/spa-receiver.ts';
import { address, packetOf, port } from '../spa/spa-world.ts';
import { cannedDaemon } from './canned.ts';

const run = promisify(execFile);
const CONFIG = `listen: { spa: [PORT/udp] }
doors:
  ssh: { knock: spa, opens: [22/tcp] }
  mail: { knock: spa, opens: [993/tcp, 60000-60010/udp] }
keys: FILE
`;
const sshKey = join(mkdtempSync(join(tmpdir(), 'nfknock-ssh-')), 'id');
let folder = '';
let config = '';
let file = '';
let receiver: Receiver;
let out = '';
let said = '';

beforeAll(async () => {
  receiver = await openReceiver('127.0.0.1');
  execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', 'ada@laptop', '-f', sshKey]);
  execFileSync('ssh-keygen', ['-q', '-t', 'rsa', '-b', '2048', '-N', '', '-f', `${sshKey}_rsa`]);
});
afterAll(() => {
  receiver.close();
  rmSync(join(sshKey, '..'), { recursive: true });
});
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'nfknock-key-'));
  [config, file] = [join(folder, 'nfknock.yaml'), join(folder, 'keys.yaml')];
  writeFileSync(config, CONFIG.replace('PORT', String(receiver.port)).replace('FILE', file));
  vi.stubEnv('NFKNOCK_CONTROL', join(folder, 'none.sock'));
  [out, said] = ['', ''];
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    out += String(text);
    return true;
  });
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    said += String(text);
    return true;
  });
  terminal(true);
});
afterEach(() => {
  terminal(undefined);
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

function terminal(is: boolean | undefined): void {
  Object.defineProperty(process.stdout, 'isTTY', { value: is, configurable: true });
}
function key(args: string, options: Partial<KeyOptions> = {}): Promise<ExitCode> {
  return command(args.split(' '), { config, ...options });
}
function held(): KeyFile {
  const parsed = parseKeyFile(readFileSync(file, 'utf8'), file);
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.faults));
  return parsed.file;
}
async function judged(): Promise<Proven | Unproven> {
  const packet = packetOf(await receiver.next(), {
    source: address('127.0.0.1'),
    now: milliseconds(0),
    wall: Date.now(),
  });
  return createKeyring(held(), [port(62_201)]).prove(packet);
}
/** Everything in a key file that is secret. */
function secretsIn(text: string): readonly string[] {
  return text.match(/[A-Za-z0-9+/]{40,}={0,2}/g) ?? [];
}

describe('A new key', () => {
  it.each(['ed25519', 'secret'] as const)(
    'of kind %s is knocked with by our client and by that of sh',
    async (kind) => {
      const to = join(folder, 'ada.key');
      const options = { door: ['ssh'], person: 'ada', out: to, shell: true, host: '127.0.0.1' };
      expect(await key('new ada', kind === 'secret' ? { ...options, secret: true } : options)).toBe(
        EXIT.done,
      );
      expect(held().keys).toMatchObject([
        { name: 'ada', person: 'ada', doors: ['ssh'], credential: { kind } },
      ]);
      expect([file, to, `${to}.sh`].map((each) => statSync(each).mode & 0o777)).toEqual([
        0o600, 0o600, 0o700,
      ]);
      expect(await knock(['127.0.0.1'], { config, key: to, door: 'ssh' })).toBe(EXIT.done);
      const wants = { by: 'door', id: doorIdOf('ssh') };
      expect(await judged()).toMatchObject({ outcome: 'proven', by: 'present', ask: { wants } });
      await run('sh', [`${to}.sh`, '127.0.0.1', 'ssh', to, '192.0.2.7']);
      const ask = { wants, address: address('192.0.2.7') };
      expect(await judged()).toMatchObject({ outcome: 'proven', key: { name: 'ada' }, ask });
      expect(out).toBe(
        `Key ada opens ssh; it is in ${file}.\nWhat the client needs is in ${to}, ${to}.sh (a client of sh). It knocks with:\n  nfknock knock 127.0.0.1 --door ssh --key ${to}\nNo daemon runs: it is taken in when one starts.\n`,
      );
      // A pair of keys leaves nothing on the server that opens.
      const theirs = secretsIn(readFileSync(to, 'utf8').replace(/^realm.*$/m, ''));
      expect(theirs).toHaveLength(1);
      expect(readFileSync(file, 'utf8').includes(theirs[0] ?? '')).toBe(kind === 'secret');
    },
  );

  it('can be the SSH key that somebody has', async () => {
    const to = join(folder, 'ada.key');
    const options = { door: ['ssh,mail'], ssh: `${sshKey}.pub`, out: to, shell: true };
    expect(await key('new ada-laptop', options)).toBe(EXIT.done);
    expect(held().keys).toMatchObject([{ doors: ['ssh', 'mail'], credential: { kind: 'ssh' } }]);
    expect(readFileSync(file, 'utf8')).toContain('ada@laptop');
    expect(await knock(['127.0.0.1'], { config, key: to, sshKey, door: 'mail' })).toBe(EXIT.done);
    expect(await judged()).toMatchObject({ outcome: 'proven' });
    const env = { ...process.env, SSH_KEY: sshKey };
    await run('sh', [`${to}.sh`, '127.0.0.1', 'ssh', to, '2001:db8:0:0:0:0:0:7'], { env });
    expect(await judged()).toMatchObject({ outcome: 'proven', ask: { address: address('2001:db8::7') } });
  });

  it("can be for fwknop's own client, by the stanza that is printed", async () => {
    const to = join(folder, 'rc');
    const options = { door: ['ssh', 'mail'], fwknop: true, out: to, qr: true, host: '127.0.0.1' };
    expect(await key('new phone', options)).toBe(EXIT.done);
    const home = { ...process.env, HOME: folder };
    await run('fwknop', ['--rc-file', to, '-n', 'phone', '--no-save-args'], { env: home });
    const ports = [
      { protocol: 'tcp', port: 22 },
      { protocol: 'tcp', port: 993 },
      { protocol: 'udp', port: 60_000 },
    ];
    const wants = { by: 'ports', ports, nat: null };
    expect(await judged()).toMatchObject({ outcome: 'proven', ask: { wants, address: null } });
    expect(out).toContain(`fwknop --rc-file ${to} -n phone`);
    expect(readFileSync(`${to}.qr`, 'utf8').split('\n').length).toBeGreaterThan(20);
  });

  it('is shown once on a terminal, with its QR code', async () => {
    expect(await key('new ada', { door: ['ssh'], qr: true, host: 'host.example' })).toBe(EXIT.done);
    const shown = secretsIn(out);
    expect(out).toContain('save it as ada.key (0600); it is shown this once');
    expect(out).toContain('  nfknock knock host.example --door ssh --key ada.key\n');
    expect(out).toContain('\u001b[97;40m');
    expect(shown).toHaveLength(2);
    expect(said).toBe('');
  });

  // Against: a build's log, or a pipe, that a new key is printed into
  // by: a key is shown on a terminal alone, else kept in a new file (0600)
  it('is not made where what is printed would go anywhere but to a terminal', async () => {
    terminal(false);
    expect(await key('new ada', { door: ['ssh'] })).toBe(EXIT.usage);
    expect(said).toMatch(/standard output is no terminal, .* add --out FILE/);
    expect(existsSync(file)).toBe(false);
    expect(await key('new ada', { door: ['ssh'], out: join(folder, 'ada.key') })).toBe(EXIT.done);
    expect(secretsIn(out)).toEqual([]);
  });

  it('keeps comments, and the realm that is there', async () => {
    writeFileSync(
      file,
      `# by hand\nkeys:\n  # of ben\n  ben: { secret: base64:${Buffer.alloc(32, 1).toString('base64')}, doors: [ssh] } # his\nrealm: base64:${Buffer.alloc(32, 7).toString('base64')}\n`,
      { mode: 0o640 },
    );
    expect(await key('new ada', { door: ['ssh'], expires: '2999-01-01' })).toBe(EXIT.done);
    expect(held().realms).toEqual([{ bytes: Buffer.alloc(32, 7), until: null }]);
    expect(held().keys.map(({ name }) => name)).toEqual(['ben', 'ada']);
    const text = readFileSync(file, 'utf8');
    for (const comment of ['# by hand', '# of ben', '# his']) expect(text).toContain(comment);
    expect(held().keys[1]?.expires).toBe(Date.parse('2999-01-01'));
    expect(statSync(file).mode & 0o777).toBe(0o600);
  });

  // Against: two who edit the key file at once
  // by: one edits after the other, and the file is the old or the new one, whole
  it('does not lose another that is made at the same time', async () => {
    const names = Array.from({ length: 8 }, (_, index) => `key-${index}`);
    const codes = await Promise.all(names.map((name) => key(`new ${name}`, { door: ['ssh'] })));
    expect(new Set(codes)).toEqual(new Set([EXIT.done]));
    expect(
      held()
        .keys.map(({ name }) => name)
        .toSorted(),
    ).toEqual(names);
    expect(held().realms).toHaveLength(1);
  });

  it('is made where one who edited was killed', async () => {
    const { pid } = await new Promise<{ pid: number }>((resolve) => {
      const child = execFile('true', () => resolve({ pid: child.pid ?? 0 }));
    });
    writeFileSync(`${file}.lock`, `${pid}\n`);
    expect(await key('new ada', { door: ['ssh'] })).toBe(EXIT.done);
    expect(existsSync(`${file}.lock`)).toBe(false);
  });

  it('is told to the daemon', async () => {
    const { path, asked } = await cannedDaemon(() => ({ ok: true, data: { warnings: [] } }));
    vi.stubEnv('NFKNOCK_CONTROL', path);
    expect(await key('new ada', { door: ['ssh'] })).toBe(EXIT.done);
    expect(out).toMatch(/The daemon has taken it in\.\n$/);
    expect(asked).toEqual([{ command: 'reload' }]);
  });

  it('warns where no port is there to hear it', async () => {
    writeFileSync(config, `doors: { ssh: { knock: [1/tcp], opens: [22/tcp] } }\nkeys: ${file}\n`);
    expect(await key('new ada', { door: ['ssh'] })).toBe(EXIT.done);
    expect(said).toMatch(
      /names no port for keys, so no packet is heard: add listen: \{ spa: \[62201\/udp\] \}/,
    );
  });

  it.each<readonly [string, string, () => Partial<KeyOptions>, ExitCode, RegExp]>([
    ['no name', 'new', () => ({ door: ['ssh'] }), EXIT.usage, /name the key, for example/],
    [
      'a name that is none',
      'new Ada',
      () => ({ door: ['ssh'] }),
      EXIT.usage,
      /"Ada" can't be the name of a key/,
    ],
    ['another action', 'make ada', () => ({}), EXIT.usage, /"make" is not done to keys: write new, list/],
    [
      'no door',
      'new ada',
      () => ({}),
      EXIT.usage,
      /say what the key opens: --door NAME \(.* has ssh, mail\)/,
    ],
    ['another door', 'new ada', () => ({ door: ['web'] }), EXIT.usage, /has no door "web"; it has ssh, mail/],
    [
      'two kinds',
      'new ada',
      () => ({ door: ['ssh'], fwknop: true, secret: true }),
      EXIT.usage,
      /is of one kind/,
    ],
    [
      'codes for a door that takes none',
      'new ada',
      () => ({ door: ['ssh'], totp: true }),
      EXIT.usage,
      /the door ssh takes no code: write "\?" for its digits .*1\?\?\?\?\/tcp/,
    ],
    [
      'codes and another kind',
      'new ada',
      () => ({ door: ['ssh'], totp: true, secret: true }),
      EXIT.usage,
      /is of one kind: write one of --ssh, --fwknop, --secret and --totp/,
    ],
    [
      'a client of sh for codes',
      'new ada',
      () => ({ door: ['ssh'], totp: true, shell: true }),
      EXIT.usage,
      /any client: leave --shell or --totp out/,
    ],
    [
      'a past date',
      'new ada',
      () => ({ door: ['ssh'], expires: '2020-01-01' }),
      EXIT.usage,
      /"2020-01-01" is past/,
    ],
    ['no date', 'new ada', () => ({ door: ['ssh'], expires: 'soon' }), EXIT.usage, /"soon" is no date/],
    [
      'RSA',
      'new ada',
      () => ({ door: ['ssh'], ssh: `${sshKey}_rsa.pub` }),
      EXIT.usage,
      /ssh-rsa key can't knock .*ssh-keygen -t ed25519/,
    ],
    [
      'the private half',
      'new ada',
      () => ({ door: ['ssh'], ssh: sshKey }),
      EXIT.usage,
      /private half of a key: name its public one/,
    ],
    [
      'no SSH key',
      'new ada',
      () => ({ door: ['ssh'], ssh: '/etc/hostname' }),
      EXIT.usage,
      /holds no public SSH key/,
    ],
    [
      'a file that is there',
      'new ada',
      () => ({ door: ['ssh'], out: config }),
      EXIT.failed,
      /is there already/,
    ],
    [
      'a person that is none',
      'new ada',
      () => ({ door: ['ssh'], person: '\u0007' }),
      EXIT.config,
      /would be wrong after that/,
    ],
    [
      'a host that is none',
      'new ada',
      () => ({ door: ['ssh'], host: 'a b' }),
      EXIT.usage,
      /"a b" can't be the name of a host/,
    ],
    [
      "another action's option",
      'list',
      () => ({ fwknop: true }),
      EXIT.usage,
      /--fwknop is not for "key list"/,
    ],
    [
      'no configuration',
      'new ada',
      () => ({ config: '/nonexistent', door: ['ssh'] }),
      EXIT.config,
      /there is no such file/,
    ],
    ['an unknown key', 'revoke ada', () => ({}), EXIT.usage, /has no key ada: nfknock key list/],
    ['no --new', 'realm', () => ({}), EXIT.usage, /"nfknock key realm --new" makes another/],
  ])('is refused with %s, and nothing is written', async (_, args, options, code, says) => {
    expect(await key(args, options())).toBe(code);
    expect(said).toMatch(says);
    expect(existsSync(file)).toBe(false);
    expect(existsSync(`${file}.lock`)).toBe(false);
  });

  it('says all at once that is wrong with how it was called, the door before where its text goes', async () => {
    terminal(false);
    const wrong = { door: ['web'], expires: 'soon', host: 'a b', fwknop: true, secret: true };
    expect(await key('new Ada', wrong)).toBe(EXIT.usage);
    const complaints = [
      'name of a key',
      'no door',
      'of one kind',
      'no date',
      'name of a host',
      'no terminal',
    ];
    const lines = said.trimEnd().split('\n');
    expect(lines).toEqual(complaints.map((each) => expect.stringMatching(`^nfknock: .*${each}`) as string));
    expect(existsSync(file)).toBe(false);
    said = '';
    expect(await key('rotate Ada', { grace: 'soon' })).toBe(EXIT.usage);
    expect(said).toMatch(/name of a key.*\n.*no length of time.*\n.*no terminal/);
  });

  it('leaves no file of the client where it is given up before the server has it', async () => {
    const to = join(folder, 'ada.key');
    const hangUp = (event: string | symbol): void => {
      if (event === 'SIGHUP') queueMicrotask(() => process.emit('SIGHUP'));
    };
    process.on('newListener', hangUp);
    const code = await key('new ada', { door: ['ssh'], out: to, qr: true });
    process.off('newListener', hangUp);
    expect(code).toBe(EXIT.interrupted);
    expect(said).toContain('given up: nothing was changed');
    expect(readdirSync(folder)).toEqual(['nfknock.yaml']);
    expect(process.listenerCount('SIGHUP')).toBe(0);
  });

  it('is refused where the key file is wrong, and nothing of it is said', async () => {
    const text = `keys:\n  ada: { secret: ${randomBytes(32).toString('base64')}, doors: [ssh] }\n`;
    writeFileSync(file, text);
    const to = join(folder, 'out');
    expect(await key('new ben', { door: ['ssh'], out: to })).toBe(EXIT.config);
    expect(said).toContain(`${file}:2`);
    for (const secret of secretsIn(text)) expect(out + said).not.toContain(secret);
    expect(readFileSync(file, 'utf8')).toBe(text);
    expect(existsSync(to)).toBe(false);
  });
});

describe('Keys', () => {
  it('are listed without anything secret', async () => {
    await key('new ada', { door: ['ssh', 'mail'], person: 'ada', secret: true, expires: '2999-01-01' });
    await key('new phone', { door: ['ssh'], fwknop: true });
    const secrets = secretsIn(readFileSync(file, 'utf8'));
    expect(secrets.length).toBeGreaterThan(3);
    out = '';
    expect(await key('list')).toBe(EXIT.done);
    expect(out.split('\n').map((line) => line.trimEnd())).toEqual([
      expect.stringMatching(/^KEY +PERSON +KIND +BITS +OPENS +LAST USED +LIMITS$/),
      expect.stringMatching(/^ada +ada +secret +256 +ssh, mail +- +until 2999-01-01T00:00:00Z$/),
      expect.stringMatching(/^phone +- +fwknop +256 +ssh +- +-$/),
      '',
    ]);
    const text = out;
    out = '';
    expect(await key('list', { json: true })).toBe(EXIT.done);
    expect(JSON.parse(out)).toMatchObject([
      { name: 'ada', kind: 'secret', expires: '2999-01-01T00:00:00Z', expired: false, bits: 256 },
      { name: 'phone', person: null, rate: { knocks: 30, per: 60 } },
    ]);
    for (const secret of secrets) expect(text + out).not.toContain(secret);
  });

  it('none are there at first', async () => {
    expect(await key('list')).toBe(EXIT.done);
    expect(out).toBe(`No keys in ${file}: "nfknock key new NAME --door DOOR" makes one.\n`);
  });

  it('are revoked one at a time', async () => {
    for (const name of ['ada', 'ben']) await key(`new ${name}`, { door: ['ssh'] });
    expect(await key('revoke ada')).toBe(EXIT.done);
    expect(held().keys.map(({ name }) => name)).toEqual(['ben']);
    expect(await key('revoke ben')).toBe(EXIT.done);
    expect(held().keys).toEqual([]);
  });

  it.each(['secret', 'fwknop', undefined] as const)('are rotated: both are taken (%s)', async (kind) => {
    const [first, second] = [join(folder, 'first'), join(folder, 'second')];
    const asked = kind === undefined ? {} : { [kind]: true };
    await key('new ada', { door: ['ssh'], host: '127.0.0.1', out: first, ...asked });
    expect(await key('rotate ada', { host: '127.0.0.1', out: second, grace: '2d' })).toBe(EXIT.done);
    const until = held().keys[0]?.previous?.until ?? 0;
    expect(Math.abs(until - Date.now() - 2 * 86_400_000)).toBeLessThan(60_000);
    for (const [to, by] of [
      [first, 'previous'],
      [second, 'present'],
    ] as const) {
      if (kind === 'fwknop')
        await run('fwknop', ['--rc-file', to, '-n', 'ada', '--no-save-args'], {
          env: { ...process.env, HOME: folder },
        });
      else expect(await knock(['127.0.0.1'], { config, key: to })).toBe(EXIT.done);
      expect(await judged()).toMatchObject({ outcome: 'proven', by });
    }
  });

  it('of SSH are rotated to another SSH key, by its file', async () => {
    await key('new ada', { door: ['ssh'], ssh: `${sshKey}.pub` });
    expect(await key('rotate ada')).toBe(EXIT.usage);
    expect(said).toContain('name its public half with --ssh FILE');
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(folder, 'id')]);
    expect(await key('rotate ada', { ssh: join(folder, 'id.pub') })).toBe(EXIT.done);
    expect(held().keys[0]?.previous?.credential.kind).toBe('ssh');
  });

  it('are told that the realm is another, and the old one is taken for 7 days', async () => {
    const to = join(folder, 'ada.key');
    await key('new ada', { door: ['ssh'], out: to });
    const [before] = held().realms;
    expect(await key('realm', { new: true })).toBe(EXIT.done);
    const [present, old] = held().realms;
    expect(old?.bytes).toEqual(before?.bytes);
    expect(Math.abs((old?.until ?? 0) - Date.now() - 7 * 86_400_000)).toBeLessThan(60_000);
    expect(out).toContain(`realm: base64:${Buffer.from(present?.bytes ?? []).toString('base64')}\n`);
    await knock(['127.0.0.1'], { config, key: to });
    expect(await judged()).toMatchObject({ outcome: 'proven' });
  });
});
