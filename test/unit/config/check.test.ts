import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest';
import { command as check } from '../../../src/cli/commands/check.ts';
import { command as importing } from '../../../src/cli/commands/import.ts';
import { CONFIG_FILE, EXIT } from '../../../src/cli/exit.ts';
import type { Machine } from '../../../src/machine/look.ts';

const folder = mkdtempSync(join(tmpdir(), 'nfknock-check-'));
afterAll(() => rmSync(folder, { recursive: true }));
afterEach(() => vi.restoreAllMocks());
// Each report runs ten thousand scans, which takes its time where many tests run at once.
vi.setConfig({ testTimeout: 60_000 });

/** A machine of which nothing is known: what is said is said of the file alone. */
const NOWHERE: Machine = { interfaces: [], inputDefaults: { 4: null, 6: null }, listeners: [] };

interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs a command on a file of this text and takes down what it writes. */
async function run(
  action: (file: string) => Promise<number>,
  text: string | null,
  name = 'f.yaml',
): Promise<Ran> {
  const file = join(folder, name);
  if (text !== null) writeFileSync(file, text);
  const said = { out: '', err: '' };
  for (const [stream, into] of [
    [process.stdout, 'out'],
    [process.stderr, 'err'],
  ] as const) {
    vi.spyOn(stream, 'write').mockImplementation((part) => {
      said[into] += String(part);
      return true;
    });
  }
  const code = await action(file);
  vi.restoreAllMocks();
  const plain = (each: string): string => each.replaceAll(`${folder}/`, '');
  return { code, out: plain(said.out), err: plain(said.err) };
}

const checked = (
  text: string | null,
  options: { json?: boolean; strict?: boolean } = {},
  name?: string,
): Promise<Ran> => run((config) => check([], { config, ...options }, async () => NOWHERE), text, name);

const strong = 'doors: { ssh: { knock: [7019, 8123/udp, 9461], opens: [22] } }\ndecoys: all\n';
const weak = 'doors: { ssh: { knock: [7000, 8000, 9000], opens: [22] } }\n';

describe('nfknock check', () => {
  it('says what a door marks, and lists it', async () => {
    const text =
      'doors: { ssh: { knock: [7000, 8000/udp, 9000], opens: [22], grant_mark: 0x4e46 } }\ndecoys: all\n';
    expect((await checked(text)).out).toMatch(/^ {2}marks +0x4e46 on what it lets in, and on its knocks/m);
    expect(JSON.parse((await checked(text, { json: true })).out)).toMatchObject({
      doors: [{ grant_mark: 0x4e46 }],
    });
    expect((await checked(strong)).out).not.toMatch(/^ {2}marks/m);
  });

  it('says all faults of a wrong file on standard error and ends with 3', async () => {
    const { code, out, err } = await checked('doors: { ssh: { knock: [0] } }\nallow: 5\n');
    expect(code).toBe(EXIT.config);
    expect(out).toBe('');
    expect(err.split('\n')).toEqual([
      'f.yaml:1:25: doors.ssh.knock[0]: 0 is not one port from 1 to 65535; expected a port and its protocol, for example 7000/tcp or 8000/udp, or for digits of a one-time code 1????/tcp',
      'f.yaml:2:8: allow: 5 is not a list of ports; expected brackets around it, for example [A, B]; write it in brackets: [5]',
      '',
    ]);
  });

  it('ends with 3 where the file is not there', async () => {
    expect(await checked(null, {}, 'none.yaml')).toMatchObject({
      code: EXIT.config,
      err: expect.stringContaining('none.yaml:1:1: (file): there is no such file'),
    });
  });

  it('gives what a guesser gains who knows the ports and not their order, in plain numbers', async () => {
    const none = join(folder, 'used-up');
    writeFileSync(none, '# 7000:tcp,8000:tcp\n');
    // Each door is searched, which takes its time.
    const { out } = await checked(
      `doors:
  three: { knock: [7001, 8001/udp, 9001], opens: [22] }
  one: { knock: [7003], opens: [24] }
  spent: { one_time: ${none}, opens: [25] }
decoys: all
`,
      { json: true },
    );
    const { doors } = JSON.parse(out) as { doors: { name: string; orders: unknown }[] };
    expect(doors.map(({ name, orders }) => [name, orders])).toEqual([
      ['three', { ports: 3, orders: 6, opened: 5, at_most: true }],
      ['one', { ports: 1, orders: 1, opened: 1, at_most: true }],
      ['spent', null],
    ]);
  });

  it('tells faults to programs with --json too', async () => {
    const { code, out } = await checked('doors: 5\n', { json: true });
    expect(code).toBe(EXIT.config);
    expect(JSON.parse(out)).toMatchObject({
      ok: false,
      faults: [{ line: 1, column: 8, key: 'doors', problem: '5 is not a mapping of doors' }],
    });
  });

  it('reports what a guesser needs and what scans do, and ends with 0', async () => {
    const { code, out, err } = await checked(strong, { strict: true });
    expect({ code, err }).toEqual({ code: EXIT.done, err: '' });
    expect(out).toContain('f.yaml: strong: one door, every other port is a decoy.');
    expect(out).toMatch(/to guess +2\.3 × 10\^15 sequences of ports: 51\.0 bits/);
    expect(out).toMatch(
      /ports known +of the 6 orders of its 3 ports, one address opens 5 at best before it is banned/,
    );
    expect(out).toMatch(/scan up +never opened it in 6 scans, all banned after \d/);
    expect(out).toMatch(/random order never opened it in 10,000 scans, all banned after \d/);
    expect(out).toContain('No warnings.');
  });

  it.each([1, 2, 3, 4, 6])(
    'says of %d knocks what it says in grammar, units and plain numbers',
    async (steps) => {
      const ports = Array.from({ length: steps }, (_, index) => 7000 + ((index * 5 + 3) % 7) * 100);
      const many = 1 + Math.floor(Math.random() * 2);
      const text = Array.from(
        { length: many },
        (_, index) =>
          `d${index}: { knock: [${ports.map((port) => `${port + index}`).join(', ')}], opens: [22] }`,
      ).join(', ');
      const decoys = Math.random() < 0.5 ? 'all' : '[23]';
      const config = `doors: { ${text} }\ndecoys: ${decoys}\n`;
      const { out, err } = await checked(config);
      const said = `${out}${err}`;
      expect(said).toContain(many === 1 ? 'one door' : '2 doors');
      // One of something is not many, and many are not one.
      expect(said).not.toMatch(
        /(?<![\d,.])1 (doors|decoys|scans|orders|sources|ports|packets|bits|warnings|knocks)\b/,
      );
      expect(said).not.toMatch(/(?<![\d,.])1 (second|minute|hour|day|year)s\b/);
      expect(said).not.toMatch(/(?<!\bor )\b[2-9]\d* (second|minute|hour|day|year|door|decoy|scan|bit)\b/);
      expect(said).not.toMatch(
        /NaN|Infinity|undefined|null|no time|\b0 (seconds|years)|\d\.\d{3}|\de\+|\bis sound/,
      );
      const json = (await checked(config, { json: true })).out;
      // No noise of floating point: 0.1 + 0.2 has seventeen digits.
      expect(json).not.toMatch(/\d\.\d{6}/);
    },
  );

  it('warns of a weak door, and ends with 1 for it with --strict alone', async () => {
    const { code, out, err } = await checked(weak);
    expect(code).toBe(EXIT.done);
    expect(out).toContain('OPENED IT in 6 of 6 scans');
    expect(err).toMatch(
      /^f.yaml: warning: doors.ssh.knock: the ports are in ascending order .*; mix the order/,
    );
    expect((await checked(weak, { strict: true })).code).toBe(EXIT.failed);
  });

  it('calls a published example weak by name, however long a guesser without it would need', async () => {
    const published = strong.replace('7019, 8123/udp, 9461', '7000, 8000/udp, 9000');
    const { code, out, err } = await checked(published, { strict: true });
    expect(code).toBe(EXIT.failed);
    expect(out).toContain('f.yaml: weak: one door, every other port is a decoy.\n\ndoor ssh: weak\n');
    expect(err).toBe(
      'f.yaml: warning: doors.ssh.knock: the sequence is a published example, and guessers try those first; draw another, with ports of both protocols in no order\n',
    );
    expect(JSON.parse((await checked(published, { json: true })).out)).toMatchObject({
      doors: [{ verdict: 'weak' }],
      warnings: [{ code: 'published-secret', key: 'doors.ssh.knock' }],
    });
  });

  it.each([
    ['9 letters', Buffer.from('geheimnis'), 'weak'],
    ['32 bytes', Buffer.alloc(32, 200), 'strong'],
  ])('calls a door that a key of %s opens what the key makes it', async (_, hmac, verdict) => {
    const keys = join(folder, `keys-${verdict}.yaml`);
    const secret = (bytes: Buffer): string => `"base64:${bytes.toString('base64')}"`;
    const fwknop = `{ key: ${secret(Buffer.alloc(32, 9))}, hmac: ${secret(hmac)} }`;
    writeFileSync(keys, `keys:\n  ada: { fwknop: ${fwknop}, doors: [ssh], address: required }\n`, {
      mode: 0o600,
    });
    const doors = 'ssh: { knock: spa, opens: [22] }, web: { knock: [7019, 8123/udp, 9461], opens: [80] }';
    const text = `listen: { spa: [62210/udp] }\nkeys: ${keys}\ndoors: { ${doors} }\ndecoys: all\n`;
    const { out, err } = await checked(text);
    expect(out).toContain(`f.yaml: ${verdict}: 2 doors`);
    expect(out).toContain(`door ssh: ${verdict}\n`);
    expect(out).toContain('door web: strong\n');
    expect(err.includes('nfknock key rotate ada')).toBe(verdict === 'weak');
    expect(JSON.parse((await checked(text, { json: true })).out)).toMatchObject({
      doors: [{ verdict }, { verdict: 'strong' }],
      warnings: verdict === 'weak' ? [{ code: 'weak-key', key: 'keys.ada' }] : [],
    });
    expect(`${out}${err}`).not.toContain('geheim');
  });

  it('takes the file as an argument, and refuses to choose between two', async () => {
    const named = await run((config) => check([config], { config: CONFIG_FILE }, async () => NOWHERE), weak);
    expect(named).toMatchObject({ code: EXIT.done, err: expect.stringContaining('f.yaml: warning: ') });
    const two = await run((config) => check([config], { config: '/b.yaml' }, async () => NOWHERE), weak);
    expect(two).toMatchObject({ code: EXIT.usage, out: '', err: expect.stringContaining('name one') });
  });

  it('reports as JSON', async () => {
    const { out } = await checked(weak, { json: true });
    expect(JSON.parse(out)).toMatchObject({
      ok: true,
      verdict: 'weak',
      doors: [
        {
          name: 'ssh',
          steps: 3,
          guessing: { method: 'scan', seconds_from_10000: 0 },
          scans: { up: { scans: 6, opened: 6 }, random: { scans: 10_000 } },
        },
      ],
      warnings: expect.arrayContaining([expect.objectContaining({ code: 'ports-ascending' })]),
    });
  });

  it('looks into the file of a one-time door', async () => {
    const sequences = join(folder, 'sequences');
    writeFileSync(sequences, '#1:tcp,2:tcp,3:tcp\n 5000:tcp,6000:udp,7000:tcp\nnonsense\n1:tcp,2:udp\n');
    const { out, err } = await checked(
      `doors: { ssh: { one_time: ${sequences}, opens: [22] } }\ndecoys: all\n`,
    );
    expect(out).toContain('2 one-time sequences left, the next of 3 steps');
    expect(err).toContain('line 3 of the file is not a valid sequence');
    expect(err).toContain('only 2 sequences are left');
  });
});

describe('nfknock import', () => {
  const imported = (text: string, json = false): Promise<Ran> =>
    run((file) => importing([file], { config: '', json }), text, 'k.conf');
  const conf =
    '[openSSH]\nsequence = 7000,8000\ncommand = /sbin/iptables -A INPUT -s %IP% -p tcp --dport 22 -j ACCEPT\ntarget = 192.0.2.1\n';

  it('writes our YAML on standard output and what has no equal, with its line, on standard error', async () => {
    const { code, out, err } = await imported(conf);
    expect(code).toBe(EXIT.done);
    expect(out).toContain('    knock: [7000/tcp, 8000/tcp]\n');
    expect(err).toMatch(/^k.conf:4: openSSH.target: no equal/m);
  });

  it('gives both to programs with --json', async () => {
    const { out } = await imported(conf, true);
    expect(JSON.parse(out)).toMatchObject({
      ok: true,
      yaml: expect.stringContaining('doors:'),
      warnings: expect.arrayContaining([expect.objectContaining({ line: 4 })]),
    });
  });

  it('ends with 3 where the file is wrong', async () => {
    expect(await imported('[a]\nsequence = /etc/file\n')).toMatchObject({
      code: EXIT.config,
      out: '',
      err: expect.stringContaining('one_time_sequences'),
    });
  });

  it('reads the hosts that portsentry ignores', async () => {
    const ignore = join(folder, 'ignore');
    writeFileSync(ignore, '192.0.2.0/24\n');
    expect((await imported(`TCP_PORTS="1,2"\nIGNORE_FILE="${ignore}"\n`)).out).toContain(
      'never: ["192.0.2.0/24"]',
    );
  });
});
