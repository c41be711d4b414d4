import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CAPTURES, GOLDEN } from '../../golden/replay/captures.ts';
import { built } from '../cli/built.ts';
import { classic, ethernet, type Frame, pcapng, tcp, udp } from '../source/capture-bytes.ts';

const CONFIG = `${CAPTURES}nfknock.yaml`;
const KNOCK = `${CAPTURES}knock.pcap`;
const HOST = '192.0.2.1';
const FRIEND = '198.51.100.7';
/** 2026-11-21T06:40:00Z in microseconds. */
const BEGIN = 1_795_243_200_000_000;

interface Run {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

let main = '';
let directory = '';
beforeAll(() => {
  main = join(built(), 'bin/nfknock.js');
  directory = mkdtempSync(join(tmpdir(), 'nfknock-replay-'));
}, 60_000);
afterAll(() => rmSync(directory, { recursive: true, force: true }));

function run(args: readonly string[], input?: Uint8Array): Promise<Run> {
  const child = spawn(process.execPath, [main, 'replay', ...args], { stdio: 'pipe' });
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => err.push(chunk));
  child.stdin.on('error', () => undefined);
  child.stdin.end(input);
  return new Promise((resolve) => {
    child.once('close', (code) =>
      resolve({ code, out: Buffer.concat(out).toString(), err: Buffer.concat(err).toString() }),
    );
  });
}

function fileOf(name: string, content: string | Uint8Array): string {
  const path = join(directory, name);
  writeFileSync(path, content);
  return path;
}

/** A capture of SYNs and datagrams, a second apart. */
function captureOf(...packets: readonly Uint8Array[]): Buffer {
  return classic(packets.map((packet, at): Frame => ({ bytes: ethernet(packet), micros: BEGIN + at * 1e6 })));
}

const syn = (port: number, from = FRIEND, to = HOST): Buffer => tcp({ from, to, port, sequence: port });
const eventsOf = ({ out }: Run): string[] =>
  out.split('\n').flatMap((line) => (line === '' ? [] : [(JSON.parse(line) as { event: string }).event]));

describe('A replay that judges nothing', () => {
  test('says what became of the packets, and which ports they went to most', async () => {
    const capture = fileOf(
      'unwatched.pcap',
      captureOf(syn(81), syn(81), syn(82), udp(FRIEND, HOST, 5000, 5353)),
    );
    const { code, out, err } = await run([capture, '-c', CONFIG, '--address', HOST]);
    expect({ code, out }).toEqual({ code: 0, out: '' });
    expect(err).toContain(
      'none of 4 packets was judged: 4 to ports that are not watched, most to 81/tcp (2)',
    );
    const elsewhere = await run([capture, '-c', CONFIG, '--address', '192.0.2.99']);
    expect(elsewhere).toMatchObject({ code: 0, out: '' });
    expect(elsewhere.err).toContain(
      '4 for other machines than this one (192.0.2.99; name its addresses with --address)',
    );
  });

  test('says what the frames were where none holds IP', async () => {
    const frame = (type: string): Frame => ({
      bytes: Buffer.from(`${'00'.repeat(12)}${type}${'00'.repeat(46)}`, 'hex'),
      micros: BEGIN,
    });
    const { code, err } = await run([
      fileOf('mpls.pcap', classic([frame('8847'), frame('0806'), frame('8847')])),
      '-c',
      CONFIG,
    ]);
    expect(code).toBe(0);
    expect(err).toContain("2 frames are MPLS, which can't be read");
    expect(err).toContain('no frame of 3 holds an IP packet that can be read (2 MPLS, 1 ARP)');
  });

  test('of a link type that can not be read says that, and not that the capture is damaged', async () => {
    const { code, err } = await run([fileOf('wifi.pcap', classic([], { link: 105 })), '-c', CONFIG]);
    expect(code).toBe(1);
    expect(err).toContain("its link type, 105, can't be read; these can: Ethernet (1)");
    expect(err).not.toContain('damaged');
  });

  test.each(['ppp-serial50', 'pppoe-in-eth'])('%s, from a dial-up line, opens', async (name) => {
    const { code, out, err } = await run([
      join(import.meta.dirname, '../../fixtures/links', `${name}.pcap`),
      '-c',
      join(import.meta.dirname, '../../fixtures/links/base.yaml'),
      '--address',
      '192.0.2.1',
    ]);
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(out).toContain('"event":"door.opened"');
  });
});

describe('nfknock replay', () => {
  test('prints the events as lines of JSON', async () => {
    const golden = readFileSync(`${GOLDEN}knock.nfknock.jsonl`, 'utf8');
    expect(await run([KNOCK, '-c', CONFIG])).toEqual({ code: 0, out: golden, err: '' });
  });

  test('reads standard input, packed or not, and prints the same', async () => {
    const golden = readFileSync(`${GOLDEN}knock.nfknock.jsonl`, 'utf8');
    const bytes = readFileSync(KNOCK);
    for (const input of [bytes, gzipSync(bytes)]) {
      expect(await run(['-', '-c', CONFIG], input)).toEqual({ code: 0, out: golden, err: '' });
    }
    expect((await run(['-', '-c', CONFIG, '--address', HOST], bytes)).out).toBe(golden);
  });

  test('with --summary tells by source what it did and what it got', async () => {
    const { out, code } = await run([`${CAPTURES}nmap-syn.pcap`, '-c', CONFIG, '--summary']);
    expect(code).toBe(0);
    expect(out).toMatch(/^17 packets, 10 judged, .*this machine: 192\.0\.2\.1$/m);
    expect(out).toMatch(/^203\.0\.113\.9 +0 +0 +3 +0 +3 +1 +0 +banned until 2026-11-21T09:28:10\.704Z$/m);
  });

  test('with --summary one of a kind is one', async () => {
    const { out } = await run([KNOCK, '-c', CONFIG, '--summary']);
    expect(out).toMatch(/^5 packets, 3 judged, .* 1 source, 3 knocks, 0 offences, 0 bans, 1 let in; /);
  });

  test('with --summary --json says the same to programs', async () => {
    const { out } = await run([KNOCK, '-c', CONFIG, '--summary', '--json']);
    expect(JSON.parse(out)).toMatchObject({
      addresses: [HOST],
      counts: { packets: 5, judged: 3, 'let in': 1 },
      sources: [
        {
          source: FRIEND,
          knocks: 3,
          opened: 1,
          got: [{ door: 'ssh', from: '2026-11-21T09:17:48.487Z', ended: null }],
        },
      ],
      fault: null,
    });
  });

  test('with --report writes a page and still prints the events', async () => {
    const report = join(directory, 'report.html');
    const { code, out } = await run([KNOCK, '-c', CONFIG, '--report', report]);
    expect([code, out.split('\n').length]).toEqual([0, 5]);
    expect(readFileSync(report, 'utf8')).toContain('<!doctype html>');
  });

  test('judges the packets to the addresses given, and no others', async () => {
    const capture = fileOf('two.pcap', captureOf(syn(7000), syn(7000, '203.0.113.9', '192.0.2.2')));
    expect(eventsOf(await run([capture, '-c', CONFIG]))).toHaveLength(2);
    expect(eventsOf(await run([capture, '-c', CONFIG, '--address', HOST]))).toHaveLength(1);
    expect(
      eventsOf(await run([capture, '-c', CONFIG, '--address', '192.0.2.0/24,2001:db8::1'])),
    ).toHaveLength(2);
  });

  test('ends grants and bans when their time comes in the capture', async () => {
    const later: Frame = { bytes: ethernet(syn(443)), micros: BEGIN + 700 * 1e6 };
    const knocks = [syn(7000), udp(FRIEND, HOST, 4000, 8000), syn(9000)];
    const scan = [23, 2323, 3389].map((port) => syn(port, '203.0.113.9'));
    const frames = [...knocks, ...scan].map(
      (packet, at): Frame => ({ bytes: ethernet(packet), micros: BEGIN + at * 1e6 }),
    );
    const result = await run([fileOf('ends.pcap', classic([...frames, later])), '-c', CONFIG]);
    expect(eventsOf(result).slice(-2)).toEqual(['door.closed', 'ban.expired']);
    expect(result.out).toContain('"time":"2026-11-21T06:40:32.000Z","level":"info","event":"door.closed"');
    expect(result.out).toContain('"time":"2026-11-21T06:50:05.000Z","level":"info","event":"ban.expired"');
  });

  test('lets a connection through that a grant lets in, and ends the grant at its last use', async () => {
    const config = fileOf(
      'uses.yaml',
      'doors:\n  web:\n    knock: [7000, 7001]\n    opens: [8443]\n    uses: 2\n',
    );
    const connections = [1, 2, 3].map((number) =>
      tcp({ from: FRIEND, to: HOST, port: 8443, sourcePort: 5000 + number }),
    );
    const result = await run([
      fileOf('uses.pcap', captureOf(syn(7000), syn(7001), ...connections)),
      '-c',
      config,
    ]);
    expect(eventsOf(result)).toEqual(['knock.accepted', 'knock.accepted', 'door.opened', 'door.closed']);
    expect(result.out).toContain('"reason":"used"');
  });

  test('goes through the sequences of a one-time file and leaves the file alone', async () => {
    const sequences = '#5:tcp,6:tcp\n7000:tcp,7001:tcp\n7002:tcp,7003:udp\n';
    const file = fileOf('sequences', sequences);
    const config = fileOf(
      'once.yaml',
      `doors:\n  ssh:\n    one_time: ${file}\n    opens: [22]\n    for: 2s\n`,
    );
    const twice = [
      syn(7000),
      syn(7001),
      syn(443),
      syn(443),
      syn(443),
      syn(7002),
      udp(FRIEND, HOST, 4000, 7003),
    ];
    const result = await run([fileOf('once.pcap', captureOf(...twice)), '-c', config]);
    expect(eventsOf(result).filter((event) => event.startsWith('door.'))).toEqual([
      'door.opened',
      'door.closed',
      'door.opened',
    ]);
    expect(readFileSync(file, 'utf8')).toBe(sequences);
  });
});

describe('nfknock replay says what is wrong', () => {
  const damaged = (): string => {
    const bytes = readFileSync(KNOCK);
    return fileOf('cut.pcap', bytes.subarray(0, bytes.length - 130));
  };

  test('a capture that is cut short: what was read, then one line, and 1', async () => {
    const { code, out, err } = await run([damaged(), '-c', CONFIG]);
    expect(code).toBe(1);
    expect(out.split('\n').length).toBeGreaterThan(1);
    expect(err).toMatch(
      /^nfknock: .*cut\.pcap: it is cut short at byte \d+: .*; the \d packets before were read\n$/,
    );
  });

  test('packed data that end early: the same', async () => {
    const packed = gzipSync(readFileSync(`${CAPTURES}flood.pcap`));
    const { code, err } = await run(['-', '-c', CONFIG], packed.subarray(0, packed.length - 300));
    expect(code).toBe(1);
    expect(err).toMatch(
      /^nfknock: standard input: its gzip data are damaged or cut short near byte \d+: .*\n$/,
    );
  });

  test('a file that is no capture, one that is not there, a directory', async () => {
    const text = await run([fileOf('text', 'knock, knock'), '-c', CONFIG]);
    expect([text.code, text.out]).toEqual([1, '']);
    expect(text.err).toMatch(
      /^nfknock: .*\/text: it begins with 6b6e6f63, which is neither pcap \(a1b2c3d4, a1b23c4d\) nor pcapng \(0a0d0d0a\): name a capture such as `tcpdump -w FILE` writes\n$/,
    );
    const empty = await run([fileOf('empty', ''), '-c', CONFIG]);
    expect(empty).toMatchObject({
      code: 1,
      err: expect.stringMatching(
        /\/empty: it is empty: a capture, as tcpdump -w writes one, begins with a header\n$/,
      ),
    });
    const missing = await run([join(directory, 'none.pcap'), '-c', CONFIG]);
    expect(missing).toMatchObject({
      code: 1,
      out: '',
      err: expect.stringMatching(/^nfknock: .*none\.pcap.*\n$/),
    });
    expect(await run([directory, '-c', CONFIG])).toMatchObject({
      code: 1,
      err: expect.stringContaining('name a capture file'),
    });
  });

  test('a wrong configuration, and none: 3', async () => {
    const wrong = await run([KNOCK, '-c', fileOf('wrong.yaml', 'doors:\n  ssh: { knok: [1] }\n')]);
    expect(wrong).toMatchObject({ code: 3, out: '', err: expect.stringContaining('wrong.yaml:2:') });
    expect((await run([KNOCK, '-c', join(directory, 'none.yaml')])).code).toBe(3);
  });

  test('wrong usage: 2', async () => {
    expect((await run([])).code).toBe(2);
    const wrong = await run([KNOCK, '-c', CONFIG, '--address', '192.0.2.1,nowhere']);
    expect(wrong).toMatchObject({ code: 2, err: expect.stringContaining('"nowhere" is no address') });
  });

  test('a report that can not be written: 1, before anything is read', async () => {
    const place = join(directory, 'none', 'report.html');
    const { code, err, out } = await run([KNOCK, '-c', CONFIG, '--report', place]);
    expect([code, out, existsSync(place)]).toEqual([1, '', false]);
    expect(err).toMatch(/^nfknock: the report can't be written: .*name another file with --report\n$/);
  });

  test('a one-time file that can not be read leaves its door shut, and is named', async () => {
    const config = fileOf(
      'lost.yaml',
      `doors:\n  ssh: { one_time: ${join(directory, 'lost')}, opens: [22] }\n`,
    );
    const { code, err } = await run([KNOCK, '-c', config]);
    expect(code).toBe(0);
    expect(err).toContain('door ssh stays shut');
  });
});

describe('a reader that goes away', () => {
  test('ends the replay at once, without a word', async () => {
    const many = Array.from({ length: 60_000 }, (_, at) =>
      tcp({ from: `198.18.${at >>> 8}.${at & 255}`, to: HOST, port: 7000, sequence: at }),
    );
    const capture = fileOf(
      'many.pcap',
      classic(many.map((packet, at) => ({ bytes: ethernet(packet), micros: BEGIN + at * 1e6 }))),
    );
    const child = spawn(process.execPath, [main, 'replay', capture, '-c', CONFIG], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let err = '';
    child.stderr.on('data', (chunk: Buffer) => {
      err += chunk.toString();
    });
    child.stdout.once('data', () => child.stdout.destroy());
    const code = await new Promise((resolve) => child.once('close', resolve));
    expect([code, err]).toEqual([0, '']);
  });
});

describe('a capture that says moments that no clock shows', () => {
  const knocks = [23, 23, 7003, 9000].map(
    (port, at): Frame => ({ bytes: ethernet(syn(port)), micros: BEGIN + at * 1e6 }),
  );
  const far = (): number => Math.floor((0.5 + Math.random()) * 8_640_000_000_000);
  // Against: a capture with stamps far in the future, or before 1970
  // by: moments are held to what a date can say
  test.each([
    ['hundreds of thousands of years ahead', far],
    ['further than a date can say', () => Math.floor(1e15 * (1 + Math.random()))],
    ['at the end of what the file can hold', () => Number.MAX_SAFE_INTEGER],
    ['before 1970', () => -far()],
  ])('is summed up and drawn all the same: %s', async (_, offset) => {
    const away = pcapng(knocks, { offset: 0 });
    // The stamps as they were, and an offset that is added to them.
    away.writeBigInt64LE(BigInt(offset()), away.indexOf(Buffer.from([14, 0, 8, 0])) + 4);
    const file = fileOf('far.pcapng', away);
    const report = join(directory, 'far.html');
    for (const args of [['--summary'], ['--summary', '--json'], ['--report', report]]) {
      const ran = await run([file, '-c', CONFIG, ...args]);
      expect(ran.err).toBe('');
      expect(ran.code).toBe(0);
      if (args.includes('--json'))
        expect(JSON.parse(ran.out)).toMatchObject({ sources: [{ source: FRIEND }] });
    }
    // The page makes dates of what it holds.
    const page = readFileSync(report, 'utf8');
    for (const [, at] of page.matchAll(/"(?:first|last)":(-?[\d.e+]+)/g))
      expect(() => new Date(Number(at)).toISOString()).not.toThrow();
    rmSync(report);
  });
});
