import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { putBackBy } from '../../../src/cli/ask-daemon.ts';
import type { SourceRow } from '../../../src/control/answers.ts';
import { STATUS } from '../control/example.ts';
import { built } from './built.ts';
import { answerOf, cannedDaemon, EXPLANATION, folder, nfknock, ROWS, rowsOfNow } from './canned.ts';

/** Milliseconds: each case starts the program, some several times. */
const TIMEOUT = 30_000;
/** A user and a group that may nothing. */
const NOBODY = 65_534;

beforeAll(() => void built(), 60_000);

describe('every command that prints data', { timeout: TIMEOUT }, () => {
  it.each([
    ['status', [], STATUS],
    ['grants', [], ROWS.grants],
    ['bans', [], ROWS.bans],
    ['sources', [], ROWS.sources],
    ['explain', ['203.0.113.20'], EXPLANATION],
    ['revoke', ['198.51.100.7'], { changed: 2 }],
    ['unban', ['--all'], { changed: 7 }],
  ])("%s prints the daemon's own data with --json", async (name, args, data) => {
    const { path } = await cannedDaemon();
    const { code, out, err } = await nfknock([name, ...args, '--json'], { NFKNOCK_CONTROL: path });
    expect([code, err]).toEqual([0, '']);
    expect(JSON.parse(out)).toEqual(data);
  });
});

describe('for people', { timeout: TIMEOUT }, () => {
  it('status says who is in where, how the queue is, and what is wrong', async () => {
    const problems = [{ what: '12 packets were lost', fix: 'use "source: nflog"' }];
    const { path } = await cannedDaemon(() => ({ ok: true, data: { ...STATUS, problems } }));
    const json = await nfknock(['status', '--json'], { NFKNOCK_CONTROL: path });
    expect(json.code).toBe(1);
    expect(JSON.parse(json.out)).toMatchObject({ problems });
    const { code, out } = await nfknock(['status'], { NFKNOCK_CONTROL: path });
    expect(code).toBe(1);
    expect(out).toBe(
      [
        'nfknock 0.1.0, process 4711, up 1d 2h, /etc/nfknock/nfknock.yaml',
        '',
        'DOOR  PROTECTS            IN NOW  OPENED',
        'ssh   22/tcp                   1      12',
        'web   8080/tcp, 8443/tcp       0       0',
        '',
        'packets   36 accepted, 12 opened, 3 wrong, 40 decoy',
        'queue     nfqueue: 91 read, 0 waiting, 0 lost, judged 0.4 ms after they come',
        'bans      2',
        'sources   17 remembered, of at most 262144',
        'state     on disk',
        'firewall  in force',
        '',
        'wrong:  12 packets were lost',
        '  fix: use "source: nflog"',
        '',
      ].join('\n'),
    );
  });

  it('grants, bans and sources are tables', async () => {
    const rows = rowsOfNow();
    const { path } = await cannedDaemon((request) => answerOf(request, rows));
    const environment = { NFKNOCK_CONTROL: path };
    const grants = await nfknock(['grants'], environment);
    expect(grants.out).toMatch(
      /^DOOR +GRANTED TO +REQUESTED BY +SINCE \(UTC\) +LEFT +USES +REASON\nssh +198\.51\.100\.7 .* (?:10m|9m \d+s) +2 +ticket 4711\nweb +everyone +2001:db8::7 .* (?:1h|59m \d+s)\n$/,
    );
    const bans = await nfknock(['bans'], environment);
    expect(bans.out).toMatch(
      /\n203\.0\.113\.9 .* (?:9m|8m \d+s) +2\n2001:db8:0:1::\/64 .* (?:7d|6d 23h) +1 +only logged, not enforced\n$/,
    );
    const sources = await nfknock(['sources'], environment);
    expect(sources.out).toMatch(/\n203\.0\.113\.20 +2 +ssh 1 of 3\n203\.0\.113\.9 +3 +(?:9m|8m \d+s)\n$/);
  });

  it('an empty list is said in words', async () => {
    const { path } = await cannedDaemon(() => ({ ok: true, data: [] }));
    for (const [name, words] of [
      ['grants', 'Nobody is let in.'],
      ['bans', 'Nobody is banned.'],
    ] as const) {
      expect(await nfknock([name], { NFKNOCK_CONTROL: path })).toEqual({
        code: 0,
        out: `${words}\n`,
        err: '',
      });
    }
  });

  it('explain tells how it stands and how it came to that', async () => {
    const { path } = await cannedDaemon();
    const { out } = await nfknock(['explain', '203.0.113.20'], { NFKNOCK_CONTROL: path });
    expect(out).toBe(
      [
        '203.0.113.20 is at step 1 of 3 of ssh.',
        '203.0.113.20 has 1 strike.',
        '',
        'Of all sources, 5 older packets are not remembered any more.',
        'TIME (UTC)           PORT      OUTCOME          WHY',
        '2026-11-21 06:40:00  23/tcp    decoy            a decoy: nothing is behind this port, so touching it is scanning; strike 1',
        '2026-11-21 06:40:01  7000/tcp  accepted         a right knock: ssh step 1 of 3',
        '2026-11-21 06:40:02            something newer  [unheard of]',
        '',
      ].join('\n'),
    );
  });

  it('explain says of an order that it was given by hand, as tail does', async () => {
    const none = { port: null, door: null, step: null, of: null, strikes: null, exempt: null };
    const packets = ['ban.added', 'something.newer'].map((outcome) => ({
      ...none,
      time: '2026-11-21T06:40:00.000Z',
      outcome,
      reason: 'order',
      key: null,
      person: null,
    }));
    const { path } = await cannedDaemon(() => ({ ok: true, data: { ...EXPLANATION, packets } }));
    const { out } = await nfknock(['explain', '203.0.113.20'], { NFKNOCK_CONTROL: path });
    expect(out).toMatch(/ ban\.added +banned \[by hand\]\n.* something\.newer +\[order\]\n$/);
  });

  it('explain names whose code it was that opened, or opened before', async () => {
    const none = { port: null, of: 3, step: 3, strikes: null, exempt: null, key: 'ben-code', person: 'ben' };
    const packets = [
      { outcome: 'wrong', reason: 'code used' },
      { outcome: 'door.opened', reason: null },
    ].map((row) => ({ ...none, ...row, time: '2026-11-21T06:40:00.000Z', door: 'mail' }));
    const { path } = await cannedDaemon(() => ({ ok: true, data: { ...EXPLANATION, packets } }));
    const { out } = await nfknock(['explain', '203.0.113.20'], { NFKNOCK_CONTROL: path });
    const words = out.replace(/\s+/g, ' ');
    expect(words).toContain('(mail step 3 of 3); a code of key ben-code (ben) [code used]');
    expect(words).toContain('let in at mail by key ben-code (ben)');
  });

  it('nothing that a daemon says can act on the terminal', async () => {
    const evil = { ...ROWS.sources[0], source: '\u001b]0;owned\u0007\u202e' };
    const { path } = await cannedDaemon(() => ({ ok: true, data: [evil as SourceRow] }));
    for (const more of [[], ['--json']]) {
      const { out } = await nfknock(['sources', ...more], { NFKNOCK_CONTROL: path });
      expect(out).not.toMatch(/(?!\n)\p{Cc}|\u202e/u);
      expect(out).toContain('owned');
    }
  });
});

describe('rules remove', { timeout: TIMEOUT }, () => {
  it('has a daemon named that would put the rules back, and nobody where none answers', async () => {
    const { path } = await cannedDaemon();
    const config = join(folder(), 'f.yaml');
    writeFileSync(config, `control: ${path}\n`);
    expect(await putBackBy(config)).toMatch(/^the daemon \(process 4711\) puts its rules back; stop it/);
    writeFileSync(config, `control: ${path}.none\n`);
    expect(await putBackBy(config)).toBeUndefined();
    expect(await putBackBy(`${config}.none`)).toBeUndefined();
  });
});

describe('orders', { timeout: TIMEOUT }, () => {
  it('carry what was said to the daemon, and say what came of it', async () => {
    const { path, asked } = await cannedDaemon();
    const environment = { NFKNOCK_CONTROL: path };
    const said = [];
    for (const args of [
      ['grant', 'ssh', '198.51.100.7', '--for', '1h', '--reason', 'ticket 4711; rm -rf "$HOME"'],
      ['ban', '::ffff:203.0.113.9', '--for', '90s'],
      ['unban', '2001:db8:0:1::/64'],
      ['unban', '--all'],
      ['revoke', '198.51.100.7', 'ssh'],
      ['revoke', '198.51.100.8'],
    ]) {
      said.push((await nfknock(args, environment)).out);
    }
    expect(asked).toEqual([
      {
        command: 'grant',
        door: 'ssh',
        address: '198.51.100.7',
        for: 3_600_000,
        reason: 'ticket 4711; rm -rf "$HOME"',
      },
      // Whether a ban comes before it.
      { command: 'explain', address: '198.51.100.7' },
      { command: 'ban', address: '203.0.113.9', for: 90_000 },
      { command: 'unban', address: '2001:db8:0:1::' },
      { command: 'unban', all: true },
      { command: 'revoke', address: '198.51.100.7', door: 'ssh' },
      { command: 'revoke', address: '198.51.100.8' },
    ]);
    expect(said.join('')).toMatch(
      /^198\.51\.100\.7 is let in at ssh for (1h|59m \d+s)\.\n203\.0\.113\.9 is banned for 1m \d+s\.\nThe ban of 2001:db8:0:1::\/64 is lifted\.\n7 bans lifted\.\n2 grants of 198\.51\.100\.7 ended\.\n198\.51\.100\.8 had no grant\.\n$/,
    );
  });

  it.each([
    ['grant', 'ssh', '198.51.100.777'],
    ['grant', 'ssh', 'host.example'],
    ['grant', 'ssh', '198.51.100.7', '--for', '1 hour'],
    ['grant', 'ssh', '198.51.100.7', '--for', '0'],
    ['grant', 'ssh', '198.51.100.7', '--reason', 'two\nlines'],
    ['grant', 'ftp', '198.51.100.7'],
    ['grant', 'ssh'],
    ['revoke', '198.51.100.7/24'],
    ['ban', 'fe80::1%eth0'],
    ['ban', '010.0.0.1'],
    ['unban'],
    ['unban', '--all', '203.0.113.9'],
    ['unban', '203.0.113.0/24'],
    ['explain', ''],
    ['completion', 'tcsh'],
    ['watch'],
  ])('that are wrong exit with 2 and one line: %s %s %s %s %s', async (...args) => {
    const { path } = await cannedDaemon();
    const { code, out, err } = await nfknock(
      args.filter((each) => each !== undefined),
      { NFKNOCK_CONTROL: path },
    );
    expect([code, out]).toEqual([2, '']);
    expect(err).toMatch(/^(nfknock|error): .+\n/);
  });
});

describe('where the daemon can not be asked', { timeout: TIMEOUT }, () => {
  it('no daemon exits with 5, and says how to start it', async () => {
    const { code, out, err } = await nfknock(['status'], { NFKNOCK_CONTROL: join(folder(), 'control.sock') });
    expect([code, out]).toEqual([5, '']);
    expect(err).toMatch(/^nfknock: no daemon answers at .*; start it with "systemctl start nfknock".*\n$/);
  });

  it('a daemon that stands still exits with 5 too, within about two seconds, and is said to stand still', async () => {
    const path = join(folder(), 'control.sock');
    const listen = `require('net').createServer().listen(${JSON.stringify(path)}, () => console.log('up'))`;
    const still = spawn(process.execPath, ['-e', listen], { stdio: ['ignore', 'pipe', 'inherit'] });
    try {
      await once(still.stdout, 'data');
      still.kill('SIGSTOP');
      const began = performance.now();
      const { code, out, err } = await nfknock(['status'], { NFKNOCK_CONTROL: path });
      expect([code, out]).toEqual([5, '']);
      expect(err).toMatch(
        /^nfknock: the daemon at .* did not answer within 2 s: it is stopped or overloaded; .*\n$/,
      );
      // The program's own start is in it, on a machine that may be busy.
      expect(performance.now() - began).toBeLessThan(6_000);
    } finally {
      still.kill('SIGKILL');
    }
  });

  it.skipIf(process.getuid?.() !== 0)('a socket that one may not use exits with 4', async () => {
    const { path } = await cannedDaemon();
    chmodSync(join(path, '..'), 0o755);
    const { code, out, err } = await nfknock(['status'], { NFKNOCK_CONTROL: path }, NOBODY);
    expect([code, out]).toEqual([4, '']);
    expect(err).toContain('join the group nfknock');
  });

  it('the socket is the one of the configuration, however faulty that is elsewhere', async () => {
    const { path } = await cannedDaemon();
    const file = join(folder(), 'nfknock.yaml');
    writeFileSync(file, `doors: { ssh: { knok: [7000] } }\n"control": "${path}" # here\n`);
    expect(await nfknock(['unban', '203.0.113.9', '-c', file], { NFKNOCK_CONTROL: '' })).toMatchObject({
      code: 0,
    });
  });

  it('the configuration may be named before the command too; one behind it is heeded', async () => {
    const { path } = await cannedDaemon();
    const file = join(folder(), 'nfknock.yaml');
    writeFileSync(file, `control: ${path}\n`);
    const none = '/nonexistent/nfknock.yaml';
    for (const args of [
      ['-c', file, 'status'],
      ['--config', file, 'status'],
      ['-c', none, 'status', '-c', file],
    ]) {
      expect(await nfknock(args, { NFKNOCK_CONTROL: '' })).toMatchObject({ code: 0, err: '' });
    }
    const { code, err } = await nfknock(['-c', none, 'check']);
    expect([code, err]).toEqual([3, expect.stringContaining(none)]);
  });

  it('a configuration that was named and is not there exits with 3', async () => {
    const { code, err } = await nfknock(['status', '-c', '/nonexistent/nfknock.yaml'], {
      NFKNOCK_CONTROL: '',
    });
    expect(code).toBe(3);
    expect(err).toContain('/nonexistent/nfknock.yaml');
  });

  it('a configuration that was refused exits with 3 and shows its faults', async () => {
    const { path } = await cannedDaemon();
    const { code, out, err } = await nfknock(['reload'], { NFKNOCK_CONTROL: path });
    expect([code, out]).toEqual([3, '']);
    expect(err).toBe(
      'nfknock.yaml:3:5: doors.ssh.knok: "knok" is not a known key; did you mean "knock"?\n' +
        'nfknock: the new configuration is wrong; the old one stays in force; correct it and reload\n',
    );
  });

  it('a refusal exits with 1 and says why', async () => {
    const error = {
      code: 'never banned',
      message: '198.51.100.1 is the default gateway',
      fix: 'see bans.never',
    } as const;
    const { path } = await cannedDaemon((request) =>
      request.command === 'ban' ? { ok: false, error } : answerOf(request),
    );
    expect(await nfknock(['ban', '198.51.100.1'], { NFKNOCK_CONTROL: path })).toEqual({
      code: 1,
      out: '',
      err: 'nfknock: 198.51.100.1 is the default gateway; see bans.never\n',
    });
  });
});

describe('wrong usage', { timeout: TIMEOUT }, () => {
  it.each([
    [['frobnicate'], "error: unknown command 'frobnicate'\n(nfknock --help lists the commands)\n"],
    [['status', '--frob'], "error: unknown option '--frob'\n(nfknock status --help explains it)\n"],
    [['grant', 'ssh'], "error: missing required argument 'address'\n(nfknock grant --help explains it)\n"],
    [
      ['ban', '203.0.113.9', '--for', '99d'],
      'nfknock: "99d" is no time: write 90s, 10m, 2h or 7d, up to 24d\n',
    ],
    [
      ['explain', '2001:db8:0:1::/64'],
      'nfknock: "2001:db8:0:1::/64" is a network, and this takes one address: nfknock tail --source 2001:db8:0:1::/64 shows which of them did what\n',
    ],
    [
      ['ban', '203.0.113.0/24'],
      'nfknock: "203.0.113.0/24" is a network, and this takes one address: ban each of them, or drop the network with a rule of your own\n',
    ],
  ])('exits with 2 and says where help is: %j', async (args, err) => {
    expect(await nfknock(args)).toEqual({ code: 2, out: '', err });
  });

  it('a file to translate that is not there is not looked for in the configuration', async () => {
    const { code, err } = await nfknock(['import', '/nonexistent/knockd.conf']);
    expect(code).toBe(3);
    expect(err).toBe('/nonexistent/knockd.conf:1:1: (file): there is no such file; name one that is there\n');
  });
});
