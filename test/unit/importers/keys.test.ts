import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { command } from '../../../src/cli/commands/import.ts';
import { EXIT, type ExitCode } from '../../../src/cli/exit.ts';
import { formatFault } from '../../../src/config/fault.ts';
import { formatNotice, type Imported } from '../../../src/config/import-notice.ts';
import { parseKeyFile } from '../../../src/config/key-file.ts';
import { loadConfig } from '../../../src/config/load.ts';
import { importGuestlist, isGuestlist } from '../../../src/importers/doorman.ts';
import { importFwknop, importFwknopd } from '../../../src/importers/fwknop.ts';
import { isAccessConf, isFwknopdConf } from '../../../src/importers/fwknop-file.ts';
import type { KeyFile } from '../../../src/spa/key.ts';
import { createKeyring } from '../../../src/spa/keyring.ts';
import { openReceiver } from '../../clients/spa-receiver.ts';
import { packetOf, port } from '../spa/spa-world.ts';

const FIXTURES = join(import.meta.dirname, '../../fixtures');
const ACCESS = join(FIXTURES, 'fwknop/access.conf');
const GUESTLIST = join(FIXTURES, 'doorman/guestlist');
const read = (file: string): string => readFileSync(file, 'utf8');
const HMAC = 'HMAC_KEY_BASE64 ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA=';
const KEYS = `KEY_BASE64 MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\n${HMAC}\n`;

function said(imported: Imported): readonly string[] {
  return imported.ok ? imported.warnings.map(formatNotice) : imported.faults.map(formatFault);
}
function stanza(lines: string): Imported {
  return importFwknop(`SOURCE ANY\n${lines}\n`, 'a.conf', null);
}

describe("A stanza of fwknop's access.conf", () => {
  it.each([
    ['OPEN_PORTS tcp/22', 'opens: [22/tcp]\n    for: 30s'],
    ['OPEN_PORTS tcp/22,udp/53', 'opens: [22/tcp, 53/udp]'],
    ['OPEN_PORTS tcp/22\nFW_ACCESS_TIMEOUT 7', 'for: 7s'],
    ['OPEN_PORTS tcp/22 # ssh\nFW_ACCESS_TIMEOUT 7; # s', 'opens: [22/tcp]\n    for: 7s'],
    ['OPEN_PORTS tcp/22\nFORCE_NAT 10.0.0.5 22', 'forward: 10.0.0.5\n    dnat: true'],
    ['OPEN_PORTS tcp/22\nCMD_CYCLE_OPEN /bin/a $SRC "$PORT"', 'on_open: ["/bin/a", "%IP%", "%PORTS%"]'],
    ['OPEN_PORTS tcp/22\nCMD_CYCLE_OPEN /bin/a\nCMD_CYCLE_TIMER 9', 'for: 9s'],
  ])('%j is a door', (lines, expected) => {
    const imported = stanza(`${lines}\n${KEYS}`);
    expect(imported.ok ? imported.yaml : said(imported)).toContain(expected);
  });

  it.each([
    ['', { doors: ['ssh'], for_max: '300s' }],
    ['REQUIRE_SOURCE_ADDRESS Y', { address: 'required' }],
    ['REQUIRE_SOURCE Y', { address: 'required' }],
    ['REQUIRE_USERNAME ada', { person: 'ada', user: 'ada' }],
    ['MAX_FW_TIMEOUT 5', { for_max: '5s' }],
    ['ACCESS_EXPIRE 12/9/2999', { expires: '2999-12-09' }],
    ['ACCESS_EXPIRE_EPOCH 4000000000', { expires: '2096-10-02T07:06:40Z' }],
    ['DESTINATION 192.0.2.1,2001:db8::/32', { to: ['192.0.2.1', '2001:db8::/32'] }],
    ['HMAC_DIGEST_TYPE SHA3_256\nENCRYPTION_MODE OFB', { fwknop: { digest: 'sha3_256', mode: 'ofb' } }],
  ])('%j is a limit of its key', (lines, expected) => {
    const imported = stanza(`OPEN_PORTS tcp/22\n${KEYS}${lines}`);
    expect(imported.ok ? imported.keys : said(imported)).toMatchObject([{ entry: expected }]);
    expect(said(imported)).toEqual([]);
  });

  it.each([
    ['KEY x', 'HMAC_KEY: without an HMAC a used packet can be edited and used again'],
    [`KEY_BASE64 __CHANGEME__\n${HMAC}`, 'KEY_BASE64: this is the placeholder of the packaged file'],
    [`KEY_BASE64 AAA=A\n${HMAC}`, 'KEY_BASE64: this is not base64'],
    [`KEY ${'k'.repeat(33)}\n${HMAC}`, 'KEY: this has more than 32 bytes'],
    [`KEY x\n${HMAC}\nENCRYPTION_MODE legacy`, 'ENCRYPTION_MODE: only cbc, ecb, cfb, ofb and ctr'],
    [`KEY x\n${HMAC}\nHMAC_DIGEST_TYPE md4`, 'HMAC_DIGEST_TYPE: no such digest'],
    ['GPG_DECRYPT_ID ABCD', 'GPG_DECRYPT_ID: packets under GnuPG have no equal'],
    [HMAC, 'KEY: the stanza has no KEY'],
  ])('with %j has a door and no key', (lines, expected) => {
    const imported = stanza(`OPEN_PORTS tcp/22\n${lines}`);
    expect(imported.ok ? imported.keys : said(imported)).toEqual([]);
    expect(said(imported).join('\n')).toContain(expected);
    expect(said(imported).join('\n')).toContain('"nfknock key new NAME --door DOOR --fwknop" makes another');
  });

  it.each([
    ['RESTRICT_PORTS tcp/1', 'RESTRICT_PORTS: no equal, and none is needed'],
    ['FORCE_SNAT 10.0.0.1', 'FORCE_SNAT: no equal: keep your own rules'],
    ['FORWARD_ALL Y', 'FORWARD_ALL: no equal: write the ports'],
    ['ENABLE_CMD_EXEC Y', 'ENABLE_CMD_EXEC: no equal: no packet runs commands here'],
    ['FORCE_NAT 10.0.0.5 2222', 'FORCE_NAT: translates to port "2222"; here a port stays the same'],
    ['FORCE_NAT host 22', 'FORCE_NAT: "host 22" does not begin with an address'],
    ['CMD_CYCLE_OPEN /bin/a $PROTO', 'CMD_CYCLE_OPEN: $PROTO means nothing here'],
    ['CMD_CYCLE_OPEN /bin/a | /bin/b', 'CMD_CYCLE_OPEN: | means nothing here'],
    ['CMD_CYCLE_OPEN /bin/a; /bin/b', 'CMD_CYCLE_OPEN: ; means nothing here'],
    ['CMD_CYCLE_OPEN /bin/a', 'CMD_CYCLE_OPEN: /bin/a runs as the unit\'s user "nfknock"'],
    ['CMD_CYCLE_CLOSE /sbin/reboot', 'CMD_CYCLE_CLOSE: reboot needs root'],
    ['CMD_CYCLE_CLOSE /sbin/iptables -D INPUT 1', 'CMD_CYCLE_CLOSE: deletes what happens to stand'],
    ['FW_ACCESS_TIMEOUT soon', 'FW_ACCESS_TIMEOUT: "soon" is no number of seconds'],
    ['ACCESS_EXPIRE soon', 'ACCESS_EXPIRE: "soon" is no date'],
    ['REQUIRE_USERNAME $(id)', "REQUIRE_USERNAME: can't be a person's name"],
    ['%include_keys /x', '%include_keys: is not read: put its keys into the stanza'],
    ['SOMETHING x', 'SOMETHING: fwknopd knows no such option'],
  ])('warns of %j', (lines, expected) => {
    expect(said(stanza(`OPEN_PORTS tcp/22\n${KEYS}${lines}`)).join('\n')).toContain(`a.conf:5: ${expected}`);
  });

  it('without ports is a fault', () => {
    expect(said(stanza(KEYS))).toEqual([
      'a.conf:1:1: OPEN_PORTS: without it fwknopd opens whatever port the client asks for, which has no equal; write the ports into the stanza, for example OPEN_PORTS tcp/22',
    ]);
    expect(said(stanza(`OPEN_PORTS ssh\n${KEYS}`))[0]).toContain('OPEN_PORTS: "ssh" is no list of ports');
  });
});

describe("fwknop's fwknopd.conf", () => {
  const server = read(join(FIXTURES, 'fwknop/fwknopd.conf'));

  it('says where packets are heard', () => {
    const imported = importFwknopd(server, 'f', {
      file: 'a.conf',
      text: `SOURCE ANY\nOPEN_PORTS tcp/22\n${KEYS}`,
    });
    expect(imported.ok ? imported.yaml : said(imported)).toContain(
      'listen:\n  interfaces: ["eth1"]\n  spa: [62210/udp]\n  clock_skew: 90s\n',
    );
    expect(said(imported).map((each) => each.split(': ')[1])).toEqual([
      'ENABLE_SPA_PACKET_AGING',
      'ENABLE_SPA_OVER_HTTP',
    ]);
  });

  it('opens nothing by itself', () => {
    expect(said(importFwknopd(server, 'f', null))[0]).toContain('the doors and keys are in access.conf');
  });
});

describe('Files of others that hold keys', () => {
  it('are told apart', () => {
    const [access, server, guests] = [ACCESS, join(FIXTURES, 'fwknop/fwknopd.conf'), GUESTLIST].map(read);
    const kinds = [access, server, guests].map((text = '') => [
      isAccessConf(text),
      isFwknopdConf(text),
      isGuestlist(text),
    ]);
    expect(kinds).toEqual([
      [true, false, false],
      [false, true, false],
      [false, false, true],
    ]);
    const knockd = read(join(FIXTURES, 'knockd', 'everything.conf'));
    expect([isAccessConf(knockd), isFwknopdConf(knockd), isGuestlist(knockd)]).toEqual([false, false, false]);
  });
});

describe('nfknock import', () => {
  let folder = '';
  let out = '';
  let err = '';
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'nfknock-import-'));
    [out, err] = ['', ''];
    vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
      out += String(text);
      return true;
    });
    vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
      err += String(text);
      return true;
    });
  });
  afterEach(() => {
    vi.restoreAllMocks();
    rmSync(folder, { recursive: true });
  });
  const run = (file: string, options: Readonly<Record<string, unknown>> = {}): Promise<ExitCode> =>
    command([file], { config: '', ...options });
  function held(file: string): KeyFile {
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const parsed = parseKeyFile(read(file), file);
    if (!parsed.ok) throw new Error(parsed.faults.map(formatFault).join('\n'));
    return parsed.file;
  }
  const SECRETS = [
    'MDEyMzQ1',
    'ZmVkY2Jh',
    'passphrase',
    'without an hmac',
    'cGFzc3BocmFzZ',
    's3cret',
    'czNjcmV0',
    'zweites',
  ];

  // Against: secrets of a file of fwknop or doorman that is imported
  // by: they go into the key file (0600), never to standard output or into a warning
  it('takes access.conf with what is beside it: the configuration is printed, the keys are not', async () => {
    const keys = join(folder, 'keys.yaml');
    expect(await run(ACCESS, { keys })).toBe(EXIT.done);
    writeFileSync(join(folder, 'nfknock.yaml'), out);
    const loaded = loadConfig(join(folder, 'nfknock.yaml'));
    if (!loaded.ok) throw new Error(loaded.faults.map(formatFault).join('\n'));
    expect(loaded.config.doors.map(({ name, for: life }) => `${name} ${life}`)).toEqual([
      'ssh 60000',
      'tcp-993-udp-53 10000',
    ]);
    expect(out).toContain('spa: [62210/udp]');
    expect(out).toContain(`keys: "${keys}"\n`);
    expect(held(keys).keys).toMatchObject([
      {
        name: 'ada',
        person: 'ada',
        user: 'ada',
        address: 'required',
        forMax: 300_000,
        expires: Date.parse('2999-03-31'),
      },
      { name: 'fwknop', forMax: 120_000, credential: { digest: 'sha512', mode: 'ctr' } },
    ]);
    for (const secret of SECRETS) expect(out + err).not.toContain(secret);
    expect(err).toContain('its keys (ada, fwknop) are in');
  });

  it("leaves the unchanged clients' packets good", async () => {
    const keys = join(folder, 'keys.yaml');
    await run(ACCESS, { keys });
    const receiver = await openReceiver('127.0.0.1');
    const sent = promisify(execFile)(
      'fwknop',
      [
        ...[
          '-A',
          'tcp/22',
          '-s',
          '-D',
          '127.0.0.1',
          '-p',
          String(receiver.port),
          '--no-rc-file',
          '--no-save-args',
        ],
        ...['--use-hmac', '--key-rijndael', 'a passphrase', '--key-hmac', 'another passphrase'],
        ...['--hmac-digest-type', 'sha512', '-M', 'ctr'],
      ],
      { env: { ...process.env, HOME: folder } },
    );
    const packet = packetOf(await receiver.next(), { wall: Date.now() });
    await sent;
    receiver.close();
    const proof = createKeyring(held(keys), [port(62_201)]).prove(packet);
    expect(proof).toMatchObject({ outcome: 'proven', key: { name: 'fwknop' } });
  });

  it('takes a guestlist', async () => {
    const keys = join(folder, 'keys.yaml');
    expect(await run(GUESTLIST, { keys, out: join(folder, 'nfknock.yaml') })).toBe(EXIT.done);
    expect(out).toBe('');
    expect(loadConfig(join(folder, 'nfknock.yaml')).ok).toBe(true);
    expect(held(keys).keys).toMatchObject([
      { name: 'ada', doors: ['ssh', 'imaps'], credential: { kind: 'doorman', group: 'ada' } },
      { name: 'ben', doors: ['ssh'] },
    ]);
    expect(err).toContain('guestlist:3: (record): "host.example.org" is neither a port nor an address');
    for (const secret of SECRETS) expect(err).not.toContain(secret);
  });

  it('writes no key where no key file is named, and says so; JSON has none either', async () => {
    expect(await run(ACCESS)).toBe(EXIT.done);
    expect(err).toContain('its keys (ada, fwknop) were not taken: add --keys /etc/nfknock/keys.yaml');
    out = '';
    expect(await run(ACCESS, { json: true })).toBe(EXIT.done);
    expect(JSON.parse(out)).toMatchObject({
      ok: true,
      keys: [
        { name: 'ada', line: 2 },
        { name: 'fwknop', line: 11 },
      ],
    });
    for (const secret of SECRETS) expect(out + err).not.toContain(secret);
  });

  it('leaves a key of the same name and a file that is there as they are', async () => {
    const [keys, to] = [join(folder, 'keys.yaml'), join(folder, 'nfknock.yaml')];
    await run(ACCESS, { keys });
    const before = read(keys);
    expect(await run(ACCESS, { keys, out: to })).toBe(EXIT.failed);
    expect(err).toContain('has a key ada already');
    expect(existsSync(to)).toBe(false);
    expect(read(keys)).toBe(before);
    writeFileSync(to, 'mine');
    expect(await run(GUESTLIST, { keys: join(folder, 'other.yaml'), out: to })).toBe(EXIT.failed);
    expect(read(to)).toBe('mine');
    expect(existsSync(join(folder, 'other.yaml'))).toBe(false);
  });
});

describe("doorman's guestlist", () => {
  it('refuses a record without a port', () => {
    expect(said(importGuestlist('ada secret 192.0.2.1\n', 'g')).join()).toContain(
      'g:1:1: (record): this record has no group',
    );
  });
});
