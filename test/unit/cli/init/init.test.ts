import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type Answers, othersOf, recommended } from '../../../../src/cli/init/answers.ts';
import { portsOf } from '../../../../src/cli/init/ask.ts';
import { answerFor, compose, type Drawn } from '../../../../src/cli/init/compose.ts';
import { keyName } from '../../../../src/cli/init/credentials.ts';
import { drawSequence } from '../../../../src/cli/init/draw.ts';
import { answersBy, checkFlags } from '../../../../src/cli/init/flags.ts';
import { createJournal, makeFolder, writeRemembered } from '../../../../src/cli/init/journal.ts';
import { isDrawnByPackage, keepBeside } from '../../../../src/cli/init/present.ts';
import { sheetLines } from '../../../../src/cli/init/sheet.ts';
import {
  type Found,
  neighbours,
  parseSession,
  servicesOf,
  sessionOf,
  sshPorts,
} from '../../../../src/cli/init/survey.ts';
import { parseProfile } from '../../../../src/config/client-key.ts';
import { parseConfig } from '../../../../src/config/parse.ts';
import type { Listener } from '../../../../src/machine/listeners.ts';
import { parsePort } from '../../../../src/packet/port.ts';
import { isPublished } from '../../../../src/policy/published.ts';
import { ROOT } from '../../../support/root.ts';
import { temporaryFolder } from '../../../support/scratch.ts';

const FOUND: Found = {
  interfaces: ['eth0'],
  ssh: ['2222/tcp'],
  services: [
    { port: '80/tcp', program: 'nginx' },
    { port: '2222/tcp', program: 'sshd' },
  ],
  session: { client: '198.51.100.7', server: '192.0.2.1', port: '2222/tcp' },
  networks: ['192.168.1.0/24'],
  inputDefaults: { 4: 'ACCEPT', 6: 'ACCEPT' },
  neighbours: [],
  clock: 'right',
  hostname: 'host',
};
const FLAGS = { config: '/etc/nfknock/nfknock.yaml', yes: true, confirmBy: 'now' };
const ANSWERS: Answers = {
  door: 'ssh',
  opens: ['22/tcp'],
  allow: ['80/tcp', '443/tcp'],
  method: 'key',
  sshKey: null,
  never: ['198.51.100.7', '2001:db8::7'],
  host: 'host.example',
};
const BY_KEY: Drawn = { knock: { spa: 23_456 }, spare: null, keys: null };

function listener(port: number, protocol: 'tcp' | 'udp', name: string): Listener {
  return { protocol, port, families: [4, 6], process: { pid: 1, name } };
}

describe('what init finds', () => {
  it('is SSH by the program, by the port of the session, and else by port 22', () => {
    const at = (port: string, program: string): Found['services'] => [{ port, program }];
    expect(sshPorts(at('2222/tcp', 'sshd'), null)).toEqual(['2222/tcp']);
    // systemd holds the socket of Ubuntu's sshd.
    expect(sshPorts(at('2022/tcp', 'systemd'), { client: '::1', server: null, port: '2022/tcp' })).toEqual([
      '2022/tcp',
    ]);
    expect(sshPorts(at('22/tcp', ''), null)).toEqual(['22/tcp']);
    expect(sshPorts(at('80/tcp', 'nginx'), null)).toEqual([]);
  });

  it('leaves out what is open only to get answers, and names each port once', () => {
    const services = servicesOf([
      listener(443, 'tcp', 'nginx'),
      listener(443, 'tcp', 'nginx'),
      listener(68, 'udp', 'dhclient'),
      listener(45_000, 'udp', 'chronyd'),
      listener(53, 'udp', 'unbound'),
    ]);
    expect(services).toEqual([
      { port: '53/udp', program: 'unbound' },
      { port: '443/tcp', program: 'nginx' },
    ]);
  });

  it('is the session of SSH as sshd says it, also of an IPv4 client at an IPv6 socket', () => {
    expect(parseSession('::ffff:198.51.100.7 50000 ::ffff:192.0.2.1 2222')).toEqual({
      client: '198.51.100.7',
      server: '192.0.2.1',
      port: '2222/tcp',
    });
    expect(parseSession('fe80::1%eth0 50000 fe80::2%eth0 22')?.client).toBe('fe80::1');
    for (const text of [undefined, '', 'nobody 1 here 2']) expect(parseSession(text)).toBeNull();
  });

  it('is the session of a process above, where sudo has taken the variable out', () => {
    const name = 'SSH_CONNECTION';
    expect(sessionOf({ [name]: '198.51.100.7 1 192.0.2.1 22' }, 1)?.client).toBe('198.51.100.7');
    expect(sessionOf({}, 1)).toBeNull();
  });

  it('is what guards the ports beside us', () => {
    const root = `${temporaryFolder()}/`;
    mkdirSync(join(root, 'etc/ufw'), { recursive: true });
    writeFileSync(join(root, 'etc/ufw/ufw.conf'), '# ufw\nENABLED=yes\n');
    const found = neighbours(new Set(['dockerd', 'fail2ban-server', 'firewalld']), root).join('\n');
    for (const each of ['ufw', 'firewalld', 'Docker', 'fail2ban']) expect(found).toContain(`${each}: `);
    expect(neighbours(new Set(['systemd-logind', 'sshd']), `${root}nothing/`)).toEqual([]);
  });
});

describe('what init recommends', () => {
  it('is a key where the clock can be trusted, and else a sequence', () => {
    expect(recommended({ clock: 'right' })).toBe('key');
    expect(recommended({ clock: 'kept' })).toBe('key');
    expect(recommended({ clock: 'wrong' })).toBe('sequence');
  });

  it('is silence only where both families are silent anyway', () => {
    expect(answerFor({ 4: 'DROP', 6: 'DROP' })).toBe('drop');
    expect(answerFor({ 4: 'DROP', 6: 'ACCEPT' })).toBe('closed');
    expect(answerFor({ 4: 'REJECT', 6: 'REJECT' })).toBe('closed');
    expect(answerFor({ 4: null, 6: null })).toBe('closed');
  });

  it('asks about what listens beside the door', () => {
    expect(othersOf(FOUND, ['2222/tcp'])).toEqual([{ port: '80/tcp', program: 'nginx' }]);
  });
});

describe('flags of init', () => {
  it('alone give what would be recommended', () => {
    expect(answersBy(FLAGS, FOUND)).toEqual({
      door: 'ssh',
      opens: ['2222/tcp'],
      allow: ['80/tcp'],
      method: 'key',
      sshKey: null,
      never: ['198.51.100.7'],
      host: '192.0.2.1',
    });
  });

  it('settle each answer', () => {
    const flags = { ...FLAGS, opens: '51820/udp', allow: 'none', by: 'sequence', never: 'none', host: 'h' };
    expect(answersBy(flags, FOUND)).toMatchObject({
      door: 'door',
      opens: ['51820/udp'],
      allow: [],
      method: 'sequence',
      never: [],
      host: 'h',
    });
  });

  it.each([
    [{ confirmBy: undefined }, /--confirm-by knock/],
    [{ confirmBy: 'later' }, /--confirm-by knock/],
    [{ yes: undefined }, /--confirm-by is for --yes/],
    [{ by: 'magic' }, /key or sequence/],
    [{ by: 'sequence', ssh: 'x.pub' }, /--ssh is a key/],
    [{ host: 'a b' }, /--host/],
    [{ door: 'spare' }, /--door/],
    [{ within: '1s' }, /--within/],
    [{ out: '-' }, /--out/],
    [{ policy: 'none' }, /appliance/],
  ])('%j are refused, and it is said what to write', (more, problem) => {
    expect(() => checkFlags({ ...FLAGS, ...more } as never)).toThrow(problem);
  });

  it.each([
    [{ opens: '22/sctp' }, /--opens: 22\/sctp is not a port: write 1 to 65535/],
    [{ allow: '0' }, /--allow: 0 is not a port/],
    [{ never: 'everyone' }, /--never/],
  ])('%j name no port or network', (more, problem) => {
    expect(() => answersBy({ ...FLAGS, ...more }, FOUND)).toThrow(problem);
  });

  it('take ports as people write them', () => {
    expect(portsOf('22, 53/udp 6000-6010/tcp').ports).toEqual(['22/tcp', '53/udp', '6000-6010/tcp']);
    expect(portsOf('  ').fault).toMatch(/write a port/);
  });
});

describe('what init writes', () => {
  it.each([
    ['a key', BY_KEY, 'closed'],
    ['a key, elsewhere', { ...BY_KEY, keys: '/srv/nfknock/keys.yaml' }, 'drop'],
    ['a sequence', { ...BY_KEY, knock: { sequence: drawSequence(new Set()) } }, 'closed'],
    ['a spare list', { ...BY_KEY, spare: { file: '/var/lib/nfknock/spare.sequences', lines: [] } }, 'drop'],
  ] as const)('is a whole configuration, by %s', (_, drawn, answer) => {
    const parsed = parseConfig(compose(ANSWERS, drawn, answer, '2026-11-29'), 'init');
    if (!parsed.ok) throw new Error(JSON.stringify(parsed.faults));
    const { config } = parsed;
    expect(config.answer).toBe(answer);
    expect(config.listen.source).toBe(answer === 'closed' ? 'nflog' : 'nfqueue');
    expect(config.decoys).toBe('all');
    expect(config.bans.never).toHaveLength(2);
    expect(config.doors.map(({ name }) => name)).toEqual(drawn.spare === null ? ['ssh'] : ['ssh', 'spare']);
  });

  it.each([
    ['by a key', ANSWERS, BY_KEY],
    [
      'with a spare list',
      ANSWERS,
      { ...BY_KEY, spare: { file: '/var/lib/nfknock/spare.sequences', lines: [] } },
    ],
    [
      'with much that is open',
      { ...ANSWERS, allow: Array.from({ length: 20 }, (_, at) => `${8000 + at}/tcp`) },
      BY_KEY,
    ],
  ] as const)('has its remarks in one column, %s', (_, answers, drawn) => {
    for (const answer of ['closed', 'drop'] as const) {
      const lines = compose(answers, drawn, answer, '2026-11-29').split('\n');
      const beside = lines.filter((line) => /\S +# /.test(line) && !line.startsWith('#'));
      expect(beside.length).toBeGreaterThan(3);
      expect(new Set(beside.map((line) => line.indexOf('# '))).size).toBe(1);
      expect(Math.max(...beside.map((line) => line.length))).toBeLessThan(120);
      expect(lines.filter((line) => /^ +# /.test(line))).toEqual([]);
    }
  });

  it('draws sequences that are nobody’s, of both protocols, in no order of a scan', () => {
    const taken = new Set(Array.from({ length: 20_000 }, (_, at) => 1024 + at));
    const drawn = Array.from({ length: 40 }, () => drawSequence(taken));
    const ports = drawn.flat().map((each) => Number.parseInt(each, 10));
    expect(new Set(ports).size).toBe(160);
    expect(Math.min(...ports)).toBeGreaterThanOrEqual(21_024);
    expect(Math.max(...ports)).toBeLessThan(32_768);
    for (const sequence of drawn) {
      const numbers = sequence.map((each) => Number.parseInt(each, 10));
      const rising = numbers.toSorted((a, b) => a - b);
      expect(numbers).not.toEqual(rising);
      expect(numbers).not.toEqual(rising.toReversed());
      expect(sequence.filter((each) => each.endsWith('/tcp'))).toHaveLength(2);
      expect(isPublished(sequence.flatMap((each) => parsePort(each) ?? []))).toBe(false);
    }
  });

  it('names keys after the user, as far as a name can be one of a key', () => {
    expect(keyName('Ada.Lovelace')).toBe('ada-lovelace');
    expect(keyName('-ü-')).toBe('owner');
    expect(keyName('x'.repeat(99)).length).toBeLessThanOrEqual(24);
  });
});

describe('the owner’s sheet', () => {
  const sequence = ['7301/tcp', '8302/udp', '7303/tcp', '8304/udp'];
  const sheet = { answers: ANSWERS, keys: [], sequence, spare: null, config: '/x', out: null };

  it('has the line to knock with, and a stanza by which ssh knocks itself', async () => {
    const text = (await sheetLines(sheet, 'shown')).join('\n');
    expect(text).toContain('nfknock knock host.example 7301/tcp 8302/udp 7303/tcp 8304/udp');
    expect(text).toContain('knock host.example 7301:tcp 8302:udp');
    expect(text).toContain('ProxyCommand nfknock knock %h --proxy %p');
    const [profile = ''] = /^# nfknock at [\s\S]*?^doors: .*$/m.exec(text) ?? [];
    expect(parseProfile(profile, 'sheet')).toMatchObject({
      ok: true,
      profile: { host: 'host.example', doors: ['ssh'], knock: { length: 4 } },
    });
    expect(text).toContain('recovery.md');
    expect(text).toContain('nfknock stand-down --until');
    expect(text).toContain('boot-rules unlay');
  });

  it('keeps secrets off what may be a log', async () => {
    const text = (await sheetLines(sheet, 'left out')).join('\n');
    for (const step of sequence) expect(text).not.toContain(Number.parseInt(step, 10).toString());
  });
});

describe('what init takes back', () => {
  it('is every file and folder, with its mode, the last of them first', async () => {
    const place = temporaryFolder();
    const old = join(place, 'old.yaml');
    writeFileSync(old, 'old', { mode: 0o640 });
    const journal = createJournal();
    makeFolder(journal, join(place, 'a/b'), { mode: 0o750 });
    writeRemembered(journal, join(place, 'a/b/new.yaml'), 'new', { mode: 0o600 });
    writeRemembered(journal, old, 'another', { mode: 0o600 });
    writeRemembered(journal, old, 'a third', { mode: 0o600 });
    expect(statSync(join(place, 'a/b')).mode & 0o777).toBe(0o750);
    journal.remember(() => Promise.reject(new Error('this one fails')));
    expect(await journal.undo()).toEqual(['this one fails']);
    expect(existsSync(join(place, 'a'))).toBe(false);
    expect([readFileSync(old, 'utf8'), statSync(old).mode & 0o777]).toEqual(['old', 0o640]);
  });

  it('spares a folder in which something of somebody else’s lies by then', async () => {
    const place = temporaryFolder();
    const journal = createJournal();
    makeFolder(journal, join(place, 'a'), { mode: 0o750 });
    writeFileSync(join(place, 'a/theirs'), '');
    expect(await journal.undo()).toEqual([]);
    expect(existsSync(join(place, 'a/theirs'))).toBe(true);
  });

  it('is nothing of a configuration that the package drew and nobody has edited, which is replaced', () => {
    const template = readFileSync(join(ROOT, 'deploy/debian/nfknock.yaml'), 'utf8');
    const drawn = template.replace('@KNOCK@', '17301/tcp, 8302/udp, 27303/tcp, 8304/udp');
    expect(isDrawnByPackage(drawn, template)).toBe(true);
    for (const text of [
      template,
      `${drawn}# mine\n`,
      drawn.replace('30s', '60s'),
      drawn.replace('8302/udp', '22'),
    ])
      expect(isDrawnByPackage(text, template)).toBe(false);
    expect(isDrawnByPackage('doors: {}', '')).toBe(false);
  });

  it('is kept beside, under a name that nothing has', () => {
    const file = join(temporaryFolder(), 'nfknock.yaml');
    expect(keepBeside(file)).toBe(`${file}.before-init`);
    writeFileSync(`${file}.before-init`, '');
    expect(keepBeside(file)).toBe(`${file}.before-init-2`);
  });
});
