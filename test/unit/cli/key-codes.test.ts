import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { command as key } from '../../../src/cli/commands/key.ts';
import { command as knock } from '../../../src/cli/commands/knock.ts';
import { EXIT } from '../../../src/cli/exit.ts';
import { parseKeyFile } from '../../../src/config/key-file.ts';
import { hotp } from '../../../src/spa/totp.ts';

const CONFIG = `doors:
  mail: { knock: [7000/tcp, 1????/tcp, 2????/tcp], opens: [993/tcp] }
  web: { knock: [7001/tcp, 3???/tcp, 40??/udp, 5?/tcp], opens: [444/tcp] }
  ssh: { knock: [7002/tcp, 8002/tcp, 9002/tcp], opens: [22/tcp] }
keys: FILE
`;
let folder = '';
let config = '';
let file = '';
let out = '';
let said = '';

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'nfknock-codes-'));
  [config, file] = [join(folder, 'nfknock.yaml'), join(folder, 'keys.yaml')];
  writeFileSync(config, CONFIG.replace('FILE', file));
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
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

function secretOf(name: string): Uint8Array {
  const parsed = parseKeyFile(readFileSync(file, 'utf8'), file);
  const found = parsed.ok ? parsed.file.keys.find((each) => each.name === name) : undefined;
  if (found?.credential.kind !== 'totp') throw new Error('no key of codes');
  return found.credential.secret;
}
const make = (options: object = {}): Promise<number> =>
  key(['new', 'ben-code'], {
    ...{ config, door: ['mail'], person: 'ben', totp: true, host: 'server.example' },
    out: join(folder, 'handout'),
    ...options,
  });

describe('A key of one-time codes', () => {
  it('is made with 160 bits, and handed out as authenticators read it, to its owner alone', async () => {
    expect(await make({ qr: true })).toBe(EXIT.done);
    const secret = secretOf('ben-code');
    expect(secret).toHaveLength(20);
    const uri = readFileSync(join(folder, 'handout'), 'utf8').trim();
    const { protocol, host, pathname, searchParams } = new URL(uri);
    expect([protocol, host, pathname]).toEqual(['otpauth:', 'totp', '/server.example:ben-code']);
    expect(Object.fromEntries(searchParams)).toMatchObject({
      ...{ issuer: 'server.example', algorithm: 'SHA1', digits: '8', period: '30' },
    });
    expect(statSync(join(folder, 'handout')).mode & 0o777).toBe(0o600);
    expect(statSync(join(folder, 'handout.qr')).mode & 0o777).toBe(0o600);
    // What another program makes of the URI is what opens.
    const shown = execFileSync('oathtool', [
      ...['--totp', '-b', '-d', '8', '-N', '@1795891572', searchParams.get('secret') ?? ''],
    ]);
    expect(String(shown).trim()).toBe(hotp(secret, Math.floor(1_795_891_572 / 30), 8));
    expect(out).toMatch(/nfknock knock server.example 7000 '1\?{4}' '2\?{4}' --code 12345678/);
    expect(out).toContain('knock server.example 7000 11234 25678');
    // No port has to take packets for it.
    expect(said).not.toContain('names no port for keys');
    expect(out + said).not.toContain(searchParams.get('secret'));
  });

  it('has as many digits as its doors, and one length for all', async () => {
    expect(await make({ door: ['web'] })).toBe(EXIT.done);
    expect(readFileSync(join(folder, 'handout'), 'utf8')).toContain('digits=6');
    expect(await make({ door: ['web', 'mail'] })).toBe(EXIT.usage);
    expect(said).toMatch(/there is a key ben-code already|codes of 6 and 8 digits/);
  });

  it('is not made for doors of several lengths, or that take none', async () => {
    expect(await make({ door: ['web', 'mail'] })).toBe(EXIT.usage);
    expect(said).toContain('these doors take codes of 6 and 8 digits');
    expect(await make({ door: ['ssh'] })).toBe(EXIT.usage);
    expect(said).toContain('the door ssh takes no code');
  });

  it('is rotated to another secret, and the one before stays a while', async () => {
    await make();
    const before = secretOf('ben-code');
    expect(await key(['rotate', 'ben-code'], { config, out: join(folder, 'next') })).toBe(EXIT.done);
    expect(secretOf('ben-code')).not.toEqual(before);
    expect(readFileSync(file, 'utf8')).toContain('before:');
    expect(readFileSync(join(folder, 'next'), 'utf8')).toContain('otpauth://totp/');
  });
});

describe('knock --code', () => {
  const ports = [17_341, 18_345];
  let servers: Server[] = [];
  let knocked: number[] = [];
  beforeEach(async () => {
    knocked = [];
    servers = await Promise.all(
      ports.map(
        (port) =>
          new Promise<Server>((resolve) => {
            const server = createServer(() => knocked.push(port));
            server.listen(port, '127.0.0.1', () => resolve(server));
          }),
      ),
    );
  });
  afterEach(() => {
    for (const server of servers) server.close();
  });

  it('puts the digits where the ports have "?", with blanks as it is shown', async () => {
    const heard = async (port: number): Promise<void> =>
      new Promise((resolve) => connect(port, '127.0.0.1').on('connect', () => resolve()));
    await heard(ports[0] ?? 0);
    knocked = [];
    const run = knock(['127.0.0.1', '17???', '18???/tcp'], { config, code: '341 345', verbose: true });
    expect(await run).toBe(EXIT.done);
    expect(out).toContain('knocking at 17341/tcp of 127.0.0.1');
    expect(out).toContain('knocking at 18345/tcp of 127.0.0.1');
    await vi.waitFor(() => expect(knocked).toEqual(ports));
  });

  it.each([
    [['7000', '1????', '2????'], undefined, /8 digits of a one-time code are missing: add --code/],
    [['7000', '1????', '2????'], '1234567', /the code is not of 8 digits/],
    [['7000', '1????', '2????'], '1234567x', /the code is not of 8 digits/],
    [['7000', '8000'], '12345678', /these ports take no code/],
    [['7000', '6????'], '1234', /"6\?\?\?\?" is no port/],
  ])('says what is wrong with %j and %s', async (given, code, text) => {
    expect(await knock(['127.0.0.1', ...given], { config, ...(code === undefined ? {} : { code }) })).toBe(
      EXIT.usage,
    );
    expect(said).toMatch(text);
  });

  it('takes the ports from the door of a configuration', async () => {
    expect(await knock(['127.0.0.1'], { config, door: 'mail' })).toBe(EXIT.usage);
    expect(said).toContain('8 digits of a one-time code are missing');
    expect(await knock(['127.0.0.1'], { config, door: 'ssh', code: '12345678' })).toBe(EXIT.usage);
    expect(said).toContain('these ports take no code');
  });

  it('is not for a key', async () => {
    expect(await knock(['127.0.0.1'], { config, key: '/none', code: '12345678' })).toBe(EXIT.usage);
    expect(said).toContain('a key opens by one packet, without a code');
  });
});
