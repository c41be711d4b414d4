import { execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { createServer, type Server } from 'node:net';
import { join, relative, resolve } from 'node:path';
import { parseAst } from 'rolldown/parseAst';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { commandWords, withCommandAsOne } from '../../../src/cli/knock/argv.ts';
import { profilePath } from '../../../src/cli/knock/profile.ts';
import { formatProfile, type Profile, parseProfile } from '../../../src/config/client-key.ts';
import { formatFault } from '../../../src/config/fault.ts';
import { parseKnock } from '../../../src/packet/port.ts';
import { ROOT } from '../../support/root.ts';
import { temporaryFolder } from '../../support/scratch.ts';
import { built } from './built.ts';

/* The client as one file, run as people run it: by plain node, somewhere else than in this repository. */

const BUILD = 120_000;
/** What has a place on a client, of the rooms of the house. */
const ROOMS = ['cli', 'config', 'files', 'guard', 'packet', 'policy', 'process', 'spa', 'text', 'clock.js'];
/** Bytes; more would mean that something of the daemon came in. */
const SIZE_MAX = 700_000;

let alone: string;
let file: string;
let service: Server;
let open: string;

beforeAll(async () => {
  alone = temporaryFolder();
  file = join(alone, 'nfknock-client.mjs');
  copyFileSync(join(built(), 'nfknock-client.mjs'), file);
  service = createServer((socket) => {
    socket.on('data', (data) => socket.end(`you said ${data}`)).on('error', () => undefined);
  });
  await new Promise<void>((done) => service.listen(0, '127.0.0.1', done));
  open = String((service.address() as { port: number }).port);
}, BUILD);
afterAll(() => {
  service.close();
});

interface Ran {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** By plain node, in a folder with nothing else and with this configuration folder. */
async function run(program: string, args: readonly string[], input = ''): Promise<Ran> {
  const env = { ...process.env, XDG_CONFIG_HOME: alone, HOME: alone };
  const child = spawn(process.execPath, [program, ...args], { cwd: alone, env });
  child.stdin.end(input);
  const ended = new Promise<number | null>((done) => child.on('close', done));
  const [stdout, stderr] = await Promise.all([
    child.stdout.setEncoding('utf8').toArray(),
    child.stderr.setEncoding('utf8').toArray(),
  ]);
  return { code: await ended, stdout: stdout.join(''), stderr: stderr.join('') };
}

const client = (...args: readonly string[]): Promise<Ran> => run(file, args);

function writeProfile(host: string, profile: Partial<Profile>): string {
  const path = join(alone, 'nfknock', `${host}.key`);
  mkdirSync(join(alone, 'nfknock'), { recursive: true });
  writeFileSync(path, formatProfile({ host: null, knock: [], key: null, doors: [], ...profile }, 'a test'), {
    mode: 0o600,
  });
  return path;
}

describe('the client as one file', () => {
  it('asks nothing of the machine but Node.js itself, and has nothing of the daemon in it', () => {
    const text = readFileSync(file, 'utf8');
    expect(text.length).toBeLessThan(SIZE_MAX);
    expect(text.startsWith('#!/usr/bin/env node\n')).toBe(true);
    const asked = new Set<string>();
    const visit = (node: unknown): void => {
      if (Array.isArray(node)) node.forEach(visit);
      if (typeof node !== 'object' || node === null || Array.isArray(node)) return;
      const { type, source, callee, arguments: given } = node as Readonly<Record<string, unknown>>;
      const nameIn = (each: unknown): string => String((each as { value?: unknown }).value);
      if (/^(Import(Declaration|Expression)|Export(All|Named)Declaration)$/.test(String(type)) && source)
        asked.add(nameIn(source));
      // What rolldown makes of `require` in packages of CommonJS.
      const { name = '' } = (callee ?? {}) as { name?: string };
      if (type === 'CallExpression' && /^_*require$/.test(name)) asked.add(nameIn((given as unknown[])[0]));
      for (const each of Object.values(node)) visit(each);
    };
    visit(parseAst(text, { lang: 'js' }, file).body);
    expect(asked.size).toBeGreaterThan(8);
    const foreign = [...asked].filter((name) => !builtinModules.includes(name.replace(/^node:/, '')));
    expect(foreign).toEqual([]);

    const { sources } = JSON.parse(readFileSync(join(built(), 'nfknock-client.mjs.map'), 'utf8')) as {
      sources: readonly string[];
    };
    const own = sources.map((source) => relative(built(), resolve(built(), source)));
    const rooms = new Set(own.filter((path) => !path.includes('..')).map((path) => path.split('/')[0] ?? ''));
    expect([...rooms].filter((room) => !ROOMS.includes(room))).toEqual([]);
    // Paths of one system alone; where its configuration would be is said by --help, and a configuration that is read
    // for its doors has defaults of the daemon in it.
    expect(text.match(/(?<!fallback: )["'`]\/(?:proc|sys|run|var|tmp)\//g) ?? []).toEqual([]);
  });

  it('is what npm would publish, with its licences and nothing else', () => {
    const folder = join(built(), 'nfknock-client');
    const packed = JSON.parse(
      execFileSync('npm', ['pack', '--dry-run', '--json'], {
        cwd: folder,
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'ignore'],
      }),
    ) as readonly { readonly name: string; readonly version: string; files: { path: string }[] }[];
    const root = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string };
    expect(packed[0]).toMatchObject({ name: 'nfknock-client', version: root.version });
    expect(packed[0]?.files.map(({ path }) => path).sort()).toEqual([
      'LICENSE',
      'README.md',
      'nfknock-client.LICENCES.txt',
      'nfknock-client.mjs',
      'package.json',
    ]);
    const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as object;
    expect(manifest).toMatchObject({ bin: { 'nfknock-client': 'nfknock-client.mjs' }, license: 'MIT' });
    for (const name of ['dependencies', 'scripts', 'os', 'cpu']) expect(manifest).not.toHaveProperty(name);
    const licences = readFileSync(join(folder, 'nfknock-client.LICENCES.txt'), 'utf8');
    const packages = [...licences.matchAll(/^(\S+) \d\S+: /gm)].map(([, name]) => name);
    expect(packages).toEqual(['commander', 'ipaddr.js', 'yaml']);
  });

  it('says its version, and takes a host without the word "knock"', async () => {
    const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string };
    expect(await client('--version')).toEqual({ code: 0, stdout: `${version}\n`, stderr: '' });
    const said = 'knocking at 1/tcp of 127.0.0.1\nknocking at 2/udp of 127.0.0.1\n';
    expect(await client('127.0.0.1', '1', '2/udp', '-v')).toEqual({ code: 0, stdout: said, stderr: '' });
    expect(await client('knock', '-v', '127.0.0.1', '1', '2/udp')).toMatchObject({ code: 0, stdout: said });
  });

  it('ends as `nfknock knock` does, with the same words', async () => {
    const bin = join(built(), 'bin/nfknock.js');
    for (const args of [
      ['127.0.0.1'],
      [],
      ['127.0.0.1', 'x'],
      ['127.0.0.1', '1', '--nonsense'],
      ['127.0.0.1', '--key', '/nowhere'],
      ['127.0.0.1', '1????', '--code', '12'],
      ['127.0.0.1', '--door', 'ssh', '-c', '/nowhere.yaml'],
      ['no..where', '1'],
      ['127.0.0.1', '1', '--wait', '22/udp'],
      ['127.0.0.1', '1', '--wait', '0'],
      ['127.0.0.1', '1', '--proxy', '22', '--then', 'true'],
    ]) {
      const [ours, theirs] = [await run(file, ['knock', ...args]), await run(bin, ['knock', ...args])];
      expect(ours.code, args.join(' ')).toBeGreaterThan(0);
      const name = (text: string): string => text.replaceAll('nfknock-client', 'nfknock');
      expect({ ...ours, stderr: name(ours.stderr) }).toEqual(theirs);
    }
  });
});

describe('after a knock', () => {
  it('--wait says that the port answers, or ends with 1', async () => {
    const answers = await client('127.0.0.1', '1', '--wait', open);
    expect(answers).toEqual({
      code: 0,
      stdout: `the door is open: ${open}/tcp of 127.0.0.1 answers\n`,
      stderr: '',
    });
    const shut = await client('127.0.0.1', '1', '--wait', '1', '--then', 'node', '-e', 'console.log(1)');
    expect(shut).toMatchObject({ code: 1, stdout: '' });
    expect(shut.stderr).toMatch(/^nfknock: 1\/tcp of 127\.0\.0\.1 stays shut \(.*ECONNREFUSED\): [^\n]*\n$/);
  });

  it('--wait waits for a port that is opened late', async () => {
    const late = createServer((socket) => socket.on('error', () => undefined).end());
    await new Promise<void>((done) => late.listen(0, '127.0.0.1', done));
    const { port } = late.address() as { port: number };
    await new Promise((done) => late.close(done));
    const waiting = client('127.0.0.1', '1', '--wait', String(port));
    setTimeout(() => late.listen(port, '127.0.0.1'), 1500);
    expect(await waiting).toMatchObject({ code: 0 });
    late.close();
  });

  it('--then runs what follows as it stands, and ends as it does', async () => {
    const show = 'process.stdout.write(JSON.stringify(process.argv.slice(1)));process.exitCode=7';
    const words = ['-v', '--wait', '$(touch x)', '; true', 'a b', ''];
    const args = ['127.0.0.1', '1', '--wait', open, '--then', process.execPath, '-e', show, '--', ...words];
    expect(await client(...args)).toEqual({ code: 7, stdout: JSON.stringify(words), stderr: '' });
    const input = await run(
      file,
      ['127.0.0.1', '1', '--then', '--', process.execPath, '-e', 'process.stdin.pipe(process.stdout)'],
      'what is typed',
    );
    expect(input).toEqual({ code: 0, stdout: 'what is typed', stderr: '' });
  });

  it('--then ends with 126 or 127 where the command can not be run, and with 128 + n after a signal', async () => {
    const plain = join(alone, 'plain');
    writeFileSync(plain, 'no program', { mode: 0o644 });
    expect(await client('127.0.0.1', '1', '--then', plain)).toMatchObject({ code: 126 });
    expect(await client('127.0.0.1', '1', '--then', './nowhere')).toMatchObject({ code: 127 });
    expect(await client('127.0.0.1', '1', '--then')).toMatchObject({ code: 2 });
    const kill = ['sh', '-c', 'kill -TERM $$'];
    expect(await client('127.0.0.1', '1', '--then', ...kill)).toMatchObject({ code: 143 });
  });

  it('--proxy carries standard input and output, and nothing of our own', async () => {
    const said = await run(file, ['-v', '127.0.0.1', '1', '--proxy', open], 'hello');
    expect(said).toEqual({
      code: 0,
      stdout: 'you said hello',
      stderr: 'knocking at 1/tcp of 127.0.0.1\n',
    });
  });

  it('reads --then as all that follows it, whatever it is', () => {
    expect(withCommandAsOne(['knock', 'h', '1'])).toEqual(['knock', 'h', '1']);
    for (const words of [['ls', '-l'], ['[1]'], ['--then', 'x'], []]) {
      const [last = ''] = withCommandAsOne(['--then', ...words]);
      expect(commandWords(last.replace('--then=', ''))).toEqual(words);
    }
    expect(commandWords('ls')).toEqual(['ls']);
  });
});

describe('a profile', () => {
  it('is all that is named on the command line', async () => {
    writeProfile('home', {
      host: '127.0.0.1',
      knock: ['7000/tcp', '8000/udp'].flatMap((k) => parseKnock(k) ?? []),
    });
    const said = 'knocking at 7000/tcp of 127.0.0.1\nknocking at 8000/udp of 127.0.0.1\n';
    expect(await client('home', '-v')).toEqual({ code: 0, stdout: said, stderr: '' });
    // Ports that are named are meant.
    const named = await client('home', '1', '-v', '-4');
    expect(named).toMatchObject({ stdout: '' });
    expect(named.stderr).toMatch(/no IPv4 address for "home"/);
  });

  it('with a sequence that takes a code wants it, and one with a key sends its packet', async () => {
    const knock = ['7000/tcp', '1????/tcp', '2????/tcp'].flatMap((k) => parseKnock(k) ?? []);
    writeProfile('127.0.0.1', {
      knock,
      key: {
        realm: randomBytes(32),
        proof: { kind: 'secret', secret: randomBytes(32) },
        port: null,
        doors: ['ssh'],
      },
      doors: ['ssh'],
    });
    const code = await client('127.0.0.1', '--code', '4913 9586', '-v');
    expect(code.stdout).toContain('knocking at 14913/tcp of 127.0.0.1\nknocking at 29586/tcp');
    const key = await client('127.0.0.1', '-v');
    expect(key).toMatchObject({ code: 0, stdout: 'one packet for door ssh to 62201/udp of 127.0.0.1\n' });
    const door = await client('127.0.0.1', '--code', '49139586', '--door', 'mail');
    expect(door).toMatchObject({ code: 2, stdout: '' });
    expect(door.stderr).toContain('the profile is of the door ssh');
  });

  it('that others can read is said, and a faulty one is no knock', async () => {
    const knock = [parseKnock('7001') ?? { protocol: 'tcp', port: 1 as never }];
    const path = writeProfile('open', { host: '127.0.0.1', knock });
    execFileSync('chmod', ['0644', path]);
    expect((await client('open')).stderr).toMatch(/open\.key can be read by others \(0644\): chmod 0600 it/);
    writeFileSync(path, 'knock: [7000/tcp\n', { mode: 0o600 });
    expect(await client('open')).toMatchObject({ code: 1, stdout: '' });
  });

  it('is found where each system keeps such things', () => {
    vi.stubEnv('APPDATA', 'C:\\Users\\ada\\AppData\\Roaming');
    vi.stubEnv('XDG_CONFIG_HOME', '');
    vi.stubEnv('HOME', '/home/ada');
    expect(profilePath('server.example', 'linux')).toBe('/home/ada/.config/nfknock/server.example.key');
    expect(profilePath('2001:db8::1', 'darwin')).toBe('/home/ada/.config/nfknock/2001:db8::1.key');
    expect(profilePath('2001:db8::1', 'win32')).toMatch(/Roaming.nfknock.2001_db8__1\.key$/);
    expect(profilePath('..\\x', 'win32')).toMatch(/nfknock.\.\._x\.key$/);
    expect(profilePath('../x', 'linux')).toBe('/home/ada/.config/nfknock/.._x.key');
    vi.stubEnv('XDG_CONFIG_HOME', '/etc/ada');
    expect(profilePath('h', 'linux')).toBe('/etc/ada/nfknock/h.key');
    vi.unstubAllEnvs();
  });

  it('is read as it was written', () => {
    const knock = ['7000/tcp', '8000/udp', '1????/tcp'].flatMap((k) => parseKnock(k) ?? []);
    const profile = { host: 'server.example', knock, key: null, doors: ['ssh'] };
    const text = formatProfile(profile, 'a profile');
    expect(text).toBe(
      '# a profile\nhost: server.example\nknock: [7000/tcp, 8000/udp, 1????/tcp]\ndoors: [ssh]\n',
    );
    expect(parseProfile(text, 'f')).toEqual({ ok: true, profile });
    // As an editor of Windows saves it.
    expect(parseProfile(text.replaceAll('\n', '\r\n'), 'f')).toEqual({ ok: true, profile });
  });

  it.each([
    ['host: -oProxyCommand=x', 'host: this is not what belongs here'],
    ['host: a b', 'host: this is not what belongs here'],
    ['knock: 7000', 'knock: this is not what belongs here'],
    ['knock: []', 'knock: this is not what belongs here'],
    ['knock: [7000, 70000]', 'knock: this is not what belongs here'],
    [`knock: [${Array.from({ length: 65 }, () => '1').join()}]`, 'knock: this is not what belongs here'],
    ['doors: [ssh]', 'realm: the realm of the server is missing'],
  ])('with "%s" is refused', (line, says) => {
    const read = parseProfile(`${line}\n`, 'f');
    expect(read.ok ? [] : read.faults.map(formatFault).join()).toContain(says);
  });
});
