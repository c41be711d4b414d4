import { createSocket } from 'node:dgram';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { command, type KnockOptions, parseKnock } from '../../src/cli/commands/knock.ts';
import { EXIT } from '../../src/cli/exit.ts';

const OPTIONS: KnockOptions = { config: '/nonexistent/nfknock.yaml', delay: '0' };

describe('a port on the command line', () => {
  it.each([
    ['7000', 'tcp', { port: 7000, protocol: 'tcp' }],
    ['7000', 'udp', { port: 7000, protocol: 'udp' }],
    ['7000/tcp', 'udp', { port: 7000, protocol: 'tcp' }],
    ['8000:udp', 'tcp', { port: 8000, protocol: 'udp' }],
    ['8000:UDP', 'tcp', { port: 8000, protocol: 'udp' }],
    ['8000/UDP', 'tcp', { port: 8000, protocol: 'udp' }],
    ['1', 'tcp', { port: 1, protocol: 'tcp' }],
    ['65535', 'tcp', { port: 65_535, protocol: 'tcp' }],
  ] as const)('%s with %s as the default is %o', (text, fallback, expected) => {
    expect(parseKnock(text, fallback)).toEqual(expected);
  });

  it.each([
    '0',
    '65536',
    '',
    '-1',
    '7000/icmp',
    '7000:',
    '7000/',
    ':udp',
    '7000-7010',
    '7e3',
    '0x1b58',
    ' 7000',
    'ssh',
    '7000:udp:udp',
  ])('%j is refused', (text) => {
    expect(parseKnock(text, 'tcp')).toBeUndefined();
  });
});

describe('what the client refuses', () => {
  let said = '';
  beforeEach(() => {
    said = '';
    vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
      said += String(text);
      return true;
    });
  });
  afterEach(() => {
    vi.restoreAllMocks();
  });

  const usage: readonly (readonly [
    why: string,
    args: readonly string[],
    options: Partial<KnockOptions>,
    says: RegExp,
  ])[] = [
    ['a bad port, before the first knock goes out', ['127.0.0.1', '7000', 'x'], {}, /"x" is no port/],
    ['a port that could be a terminal command', ['127.0.0.1', '\u001b[2J'], {}, /"\\u001b\[2J" is no port/],
    ['no ports', ['127.0.0.1'], {}, /no ports: name them in order/],
    ['ports beside a door', ['127.0.0.1', '7000'], { door: 'ssh' }, /--door takes the sequence/],
    ['a delay that is no number', ['127.0.0.1', '7000'], { delay: '1s' }, /"1s" is no delay/],
    ['a negative delay', ['127.0.0.1', '7000'], { delay: '-1' }, /"-1" is no delay/],
    ['a delay of more than a day', ['127.0.0.1', '7000'], { delay: '86400001' }, /is no delay/],
    [
      'both families at once',
      ['127.0.0.1', '7000'],
      { '4': true, '6': true },
      /-4 and -6 exclude each other/,
    ],
    [
      'an IPv4 address with -6',
      ['127.0.0.1', '7000'],
      { '6': true },
      /127\.0\.0\.1 is no IPv6 address: leave -6 out/,
    ],
    ['an IPv6 address with -4', ['[::1]', '7000'], { '4': true }, /::1 is no IPv4 address/],
  ];
  it.each(usage)('%s is wrong usage, said in one line', async (_why, args, options, says) => {
    expect(await command(args, { ...OPTIONS, ...options })).toBe(EXIT.usage);
    expect(said).toMatch(/^nfknock: [^\n]*\n$/);
    expect(said).toMatch(says);
  });

  it('a name that stands for nothing ends with 1 and says what to check', async () => {
    expect(await command(['no..where', '7000'], OPTIONS)).toBe(EXIT.failed);
    expect(said).toMatch(
      /^nfknock: no address for "no\.\.where" \(E[A-Z_]+\): check the name, or give an address\n$/,
    );
  });
});

describe('knocking at this machine', () => {
  it('reaches the TCP and the UDP port, by name, with one byte of payload', async () => {
    const service = createServer();
    const connected = new Promise<void>((resolve) => service.once('connection', () => resolve()));
    await new Promise<void>((resolve) => service.listen(0, '127.0.0.1', resolve));
    const inbox = createSocket('udp4');
    const received = new Promise<number>((resolve) =>
      inbox.once('message', (message) => resolve(message.length)),
    );
    await new Promise<void>((resolve) => inbox.bind(0, '127.0.0.1', resolve));
    const { port } = service.address() as { port: number };

    const args = ['localhost', `${port}`, `${inbox.address().port}:udp`];
    expect(await command(args, { ...OPTIONS, '4': true })).toBe(EXIT.done);
    await connected;
    expect(await received).toBe(1);
    inbox.close();
    service.close();
  });

  it('waits 50 ms between two knocks unless told otherwise, and no longer than a hurried door allows', async () => {
    const inbox = createSocket('udp4');
    const times: number[] = [];
    inbox.on('message', () => times.push(performance.now()));
    await new Promise<void>((resolve) => inbox.bind(0, '127.0.0.1', resolve));
    const port = inbox.address().port;
    const { delay: _, ...unhurried } = OPTIONS;

    expect(await command(['127.0.0.1', `${port}/udp`, '1', `${port}/udp`], unhurried)).toBe(EXIT.done);
    await vi.waitFor(() => expect(times).toHaveLength(2));
    expect((times[1] ?? 0) - (times[0] ?? 0)).toBeGreaterThan(90);

    const config = join(mkdtempSync(join(tmpdir(), 'nfknock-')), 'nfknock.yaml');
    writeFileSync(
      config,
      `doors: { hurried: { knock: [${port}/udp, 1, ${port}/udp], within: 20ms, opens: [22] } }`,
    );
    expect(await command(['127.0.0.1'], { ...unhurried, config, door: 'hurried' })).toBe(EXIT.done);
    await vi.waitFor(() => expect(times).toHaveLength(4));
    inbox.close();
  });

  it('counts a port that answers "closed" as knocked at', async () => {
    expect(await command(['127.0.0.1', '1', '2', '3'], OPTIONS)).toBe(EXIT.done);
  });
});
