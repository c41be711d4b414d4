import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { atEnd } from '../support/cleanup.ts';
import { NFKNOCK } from '../support/daemon.ts';
import { ROOT } from '../support/root.ts';

/** What deploy/ promises: ports closed at boot without the daemon, and a daemon with one capability. */

const NAMESPACE = `nfku${process.env['NFKNOCK_RUN'] ?? ''}-${process.pid}`;
const UNIT = readFileSync(join(ROOT, 'deploy/systemd/nfknock.service'), 'utf8');
const BOOT_RULES = join(ROOT, 'deploy/boot-rules');
const NOBODY = 65_534;
/** CAP_NET_ADMIN alone, as /proc shows it. */
const NET_ADMIN_ALONE = '0000000000001000';

const children: ChildProcess[] = [];
let folder = '';
let config = '';
let removeNamespace = (): void => undefined;
const inside = (argv: readonly string[]): string[] => ['ip', 'netns', 'exec', NAMESPACE, ...argv];

beforeAll(() => {
  execFileSync('ip', ['netns', 'add', NAMESPACE]);
  removeNamespace = atEnd(() => spawnSync('ip', ['netns', 'del', NAMESPACE]));
  execFileSync('ip', ['-n', NAMESPACE, 'link', 'set', 'lo', 'up']);
  folder = mkdtempSync(join(tmpdir(), 'nfknock-unit-'));
  chmodSync(folder, 0o755);
  chownSync(folder, NOBODY, NOBODY);
  config = join(folder, 'nfknock.yaml');
  writeConfig('ssh: { knock: [7000/tcp, 8000/udp, 9000/tcp], opens: [22/tcp] }');
  // The scripts want one program, not `node main.js`.
  const program = NFKNOCK.map((word) => `'${word}'`).join(' ');
  writeFileSync(join(folder, 'nfknock'), `#!/bin/sh\nexec ${program} "$@"\n`, { mode: 0o755 });
});
afterAll(() => {
  removeNamespace();
  rmSync(folder, { recursive: true, force: true });
});

function writeConfig(doors: string): void {
  const own = `state: ${folder}/state.db\ncontrol: ${folder}/control.sock\n`;
  writeFileSync(config, `doors:\n  ${doors}\n${own}`);
}
interface Ran {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}
function run(argv: readonly string[], env: Readonly<Record<string, string>> = {}): Ran {
  const [program = '', ...args] = inside(argv);
  const { status, stdout, stderr } = spawnSync(program, args, {
    encoding: 'utf8',
    env: { ...process.env, ...env },
  });
  return { code: status, out: stdout, err: stderr };
}
function environment(): Readonly<Record<string, string>> {
  return {
    NFKNOCK: join(folder, 'nfknock'),
    NFKNOCK_CONFIG: config,
    NFKNOCK_RULES: join(folder, 'rules'),
    NFKNOCK_ROLLBACK_DIR: join(folder, 'rollback'),
    NFKNOCK_MARKS: join(folder, 'marks'),
    NFKNOCK_STAND_DOWN_DIR: join(folder, 'down'),
  };
}
function bootRulesTried(verb: string, more: Readonly<Record<string, string>> = {}): Ran {
  return run([BOOT_RULES, verb], { ...environment(), ...more });
}
function nfknock(...args: readonly string[]): Ran {
  return run([...NFKNOCK, ...args, '-c', config], { NFKNOCK_ROLLBACK_DIR: join(folder, 'rollback') });
}
/** The kernel forgets everything, and so does /run. */
function reboot(): void {
  forget();
  run(['sh', '-c', 'sleep 0.1; ipset destroy']);
  rmSync(join(folder, 'marks'), { recursive: true, force: true });
  for (const each of changes()) writeFileSync(join(folder, 'rollback', each, 'boot'), 'another\n');
}
/** What waits for its confirmation, or is being rolled back. */
function changes(): readonly string[] {
  const there = join(folder, 'rollback');
  return existsSync(there) ? readdirSync(there).filter((name) => /^(pending|undoing)-/.test(name)) : [];
}
function bootRules(verb: string): void {
  expect(bootRulesTried(verb)).toMatchObject({ code: 0, err: '' });
}
/** The filter table of both families, less counters, comments and what names a set. */
function tables(): string {
  const saved = ['iptables-save', 'ip6tables-save'].map((tool) => run([tool, '-t', 'filter']).out).join('');
  return saved
    .split('\n')
    .filter((line) => !line.startsWith('#') && !line.includes('--match-set'))
    .join('\n');
}
/** Lines in an order of their own. */
function sorted(text: string): string {
  return text.split('\n').filter(Boolean).sort().join('\n');
}
/** What a boot does to the tables. */
function forget(): void {
  for (const tool of ['iptables', 'ip6tables']) {
    for (const args of ['-P INPUT ACCEPT', '-P FORWARD ACCEPT', '-F', '-X']) run([tool, ...args.split(' ')]);
  }
}

describe('at boot', () => {
  test('the rules are laid as they were, without the daemon and without its sets', () => {
    bootRules('save');
    const before = tables();
    expect(before).toMatch(/^-A NFKNOCK-SERVICE -j DROP$/m);
    forget();
    bootRules('lay');
    expect(tables()).toBe(before);
  });

  test('what is kept when the unit stops is of the configuration as it is then, whoever reloaded it', () => {
    expect(UNIT).toMatch(/^ExecStop=-\+\/usr\/lib\/nfknock\/boot-rules keep$/m);
    writeConfig('web: { knock: [7100/tcp, 8100/udp], opens: [8443/tcp] }');
    bootRules('keep');
    forget();
    bootRules('lay');
    expect(tables()).toMatch(/--dports 8443 -j NFKNOCK-SERVICE$/m);
    writeConfig('ssh: { knock: [7000/tcp, 8000/udp, 9000/tcp], opens: [22/tcp] }');
    forget();
  });

  test('the base policy of an appliance is laid too', () => {
    expect(run([...NFKNOCK, 'rules', 'install', '--policy', 'appliance', '-c', config]).code).toBe(0);
    bootRules('save');
    const before = tables();
    expect(before).toMatch(/^:INPUT DROP/m);
    forget();
    bootRules('lay');
    expect(tables()).toBe(before);
  });

  test('rules that are there already stay as they are, grants included', () => {
    run(['iptables', '-A', 'NFKNOCK-GRANT', '-s', '198.51.100.7', '-j', 'ACCEPT']);
    const before = tables();
    bootRules('lay');
    expect(tables()).toBe(before);
  });

  // Against: a family whose rules can't be laid at boot, IPv4's too
  // by: each family by itself, and the unit fails
  test.each([
    ['IPv4', 'iptables', 'ip6tables'],
    ['IPv6', 'ip6tables', 'iptables'],
  ])(
    'where the rules of %s can not be laid, those of the other family are, and it fails',
    (_, broken, whole) => {
      bootRules('save');
      const bin = mkdtempSync(join(folder, 'bin-'));
      chmodSync(bin, 0o755);
      writeFileSync(join(bin, `${broken}-restore`), '#!/bin/sh\nexit 1\n', { mode: 0o755 });
      const chains = (tool: string): string => run([`${tool}-save`, '-t', 'filter']).out;
      for (const verb of ['lay', 'again']) {
        forget();
        if (verb === 'lay') rmSync(join(folder, 'marks'), { recursive: true, force: true });
        const env = { PATH: `${bin}:${process.env['PATH']}`, NFKNOCK: '/bin/false' };
        expect(bootRulesTried(verb, env).code, verb).toBe(1);
        expect(chains(whole)).toMatch(/^-A NFKNOCK-SERVICE -j DROP$/m);
        expect(chains(broken)).not.toContain('NFKNOCK');
      }
      // Once it works again both are there.
      bootRules('again');
      for (const tool of [broken, whole]) expect(chains(tool)).toMatch(/^-A NFKNOCK-SERVICE -j DROP$/m);
    },
  );

  // Against: what is kept for the next boot lost or damaged, of one family alone, with the ports open and no word of it
  // by: only what holds our rules is laid; what is lacking the program makes from the configuration; else the unit fails
  describe.each([
    ['IPv4', 'iptables', 'rules.v4'],
    ['IPv6', 'ip6tables', 'rules.v6'],
  ])('what is kept of %s', (_, tool, file) => {
    const chains = (): string => ['iptables-save', 'ip6tables-save'].map((each) => run([each]).out).join('');
    const place = (): string => join(folder, 'rules', file);
    const DAMAGES: Readonly<Record<string, () => void>> = {
      'is gone': () => rmSync(place()),
      'is empty': () => writeFileSync(place(), ''),
      'can not be read': () => {
        rmSync(place());
        mkdirSync(place());
      },
      'is of others': () => writeFileSync(place(), '*filter\n:OTHER - [0:0]\nCOMMIT\n'),
      'is cut off': () => {
        const whole = readFileSync(place(), 'utf8');
        writeFileSync(place(), whole.slice(0, Math.floor(Math.random() * (whole.length - 8))));
      },
    };
    const spoil = (how: string): void => {
      rmSync(place(), { recursive: true, force: true });
      rmSync(join(folder, 'marks'), { recursive: true, force: true });
      bootRules('save');
      forget();
      DAMAGES[how]?.();
    };

    test.each(Object.keys(DAMAGES))('%s: it is made anew, or the unit fails', (how) => {
      const verb = Math.random() < 0.5 ? 'lay' : 'again';
      spoil(how);
      if (verb === 'lay') rmSync(join(folder, 'marks'), { recursive: true, force: true });
      expect(bootRulesTried(verb, { NFKNOCK: '/bin/false' }).code, verb).toBe(1);
      expect(chains().match(/^-A NFKNOCK-SERVICE -j DROP$/gm), verb).toHaveLength(1);
      forget();
      expect(bootRulesTried(verb).code, verb).toBe(0);
      expect(chains().match(/^-A NFKNOCK-SERVICE -j DROP$/gm), verb).toHaveLength(2);
      expect(chains().match(/^-A INPUT .*-j NFKNOCK$/gm), verb).toHaveLength(2);
      forget();
    });

    test('can not be laid for want of its tool: the unit fails', () => {
      spoil('');
      const bin = mkdtempSync(join(folder, 'bin-'));
      chmodSync(bin, 0o755);
      const without = (process.env['PATH'] ?? '')
        .split(':')
        .flatMap((each) =>
          existsSync(each) ? readdirSync(each).map((name) => [name, join(each, name)] as const) : [],
        );
      for (const [name, path] of without)
        if (name !== `${tool}-restore` && !existsSync(join(bin, name))) symlinkSync(path, join(bin, name));
      rmSync(join(folder, 'marks'), { recursive: true });
      const { code, err } = bootRulesTried('lay', { PATH: bin });
      expect(err).toContain(`no ${tool}-restore`);
      expect(code).toBe(1);
      expect(chains().match(/^-A NFKNOCK-SERVICE -j DROP$/gm)).toHaveLength(1);
      forget();
    });
  });

  test.each([
    'length=1x\nbase=no\n',
    'length=60\nuntil=x\nsince=x\nasked=moment\nbase=no\n',
    'since=1\nuntil=\nasked=length\nbase=no\nlaid=yes\n',
    'since=1\nlength=\nuntil=\nasked=len',
  ])(
    'a damaged note that all is to be out (%s), on a disk that can not be written, leaves no port open',
    (text) => {
      bootRules('save');
      forget();
      rmSync(join(folder, 'marks'), { recursive: true });
      const down = join(folder, 'down');
      mkdirSync(down, { recursive: true });
      writeFileSync(join(down, 'stood-down-1'), `id=1\nhost=yes\n${text}`);
      // The machine's own network namespace alone is what such a note is about after a reboot.
      const script = readFileSync(BOOT_RULES, 'utf8').replace(/^is_host\(\) .*$/m, 'is_host() { true; }');
      const tried = join(folder, 'boot-rules');
      writeFileSync(tried, script, { mode: 0o755 });
      spawnSync('chattr', ['+i', join(down, 'stood-down-1')]);
      try {
        run([tried, 'lay'], environment());
        expect(tables()).toMatch(/^-A NFKNOCK-SERVICE -j DROP$/m);
      } finally {
        spawnSync('chattr', ['-i', join(down, 'stood-down-1')]);
        rmSync(down, { recursive: true, force: true });
        forget();
      }
    },
  );

  // Against: marks of `grant_mark` missing after a boot, or laid twice
  // by: laid with the rest, in one transaction
  test('marks of grants are laid too, once however often, and go with the rest', () => {
    const early = (): string =>
      ['iptables-save', 'ip6tables-save']
        .map((tool) => run([tool, '-t', 'mangle']).out.replaceAll(/^#.*$|\[\d+:\d+\]/gm, ''))
        .join('');
    const flush = (): void => {
      forget();
      for (const tool of ['iptables', 'ip6tables'])
        for (const what of ['-F', '-X']) run([tool, '-t', 'mangle', what]);
    };
    // Somebody's own rule there stays whatever is done to ours.
    const theirs = ['-t', 'mangle', '-A', 'PREROUTING', '-p', 'tcp', '--dport', '9997', '-j', 'RETURN'];
    flush();
    writeConfig('ssh: { knock: [7000/tcp, 8000/udp, 9000/tcp], opens: [22/tcp], grant_mark: 0x4e46 }');
    bootRules('save');
    const before = early();
    for (const part of ['NFKNOCK-EARLY', 'NFKNOCK-MARK', '--dports 7000,9000', '0x4e46'])
      expect(before).toContain(part);
    expect(before).toMatch(/-A NFKNOCK-EARLY -p udp .*8000 .*-j MARK --set-xmark 0x4e46/);
    flush();
    bootRules('lay');
    expect(early()).toBe(before);
    for (const tool of ['iptables', 'ip6tables']) run([tool, ...theirs]);
    const beside = early();
    // Whether ours stand, or somebody has flushed a table, or only our jump is gone.
    for (const spoil of [['-L'], ['-D', 'PREROUTING', '1'], ['-F', 'NFKNOCK-EARLY']]) {
      for (const tool of ['iptables', 'ip6tables']) run([tool, '-t', 'mangle', ...spoil]);
      bootRules('again');
      expect(sorted(early()), spoil.join(' ')).toBe(sorted(beside));
      expect(early()).toMatch(/^-A PREROUTING .*-j NFKNOCK-EARLY\n-A PREROUTING .*9997/m);
    }
    bootRules('purge');
    expect(early()).not.toContain('NFKNOCK');
    expect(early()).toContain('--dport 9997');
    flush();
    writeConfig(SSH);
  });

  test('a purge takes out everything of ours, restores the policies, and touches nothing else', () => {
    run([
      'iptables',
      '-I',
      'INPUT',
      '1',
      '-p',
      'tcp',
      '--dport',
      '9998',
      '-m',
      'comment',
      '--comment',
      'not -j NFKNOCK',
      '-j',
      'ACCEPT',
    ]);
    bootRules('purge');
    expect(tables()).not.toContain('NFKNOCK-');
    expect(tables()).toMatch(/^:INPUT ACCEPT/m);
    expect(tables()).toContain('--comment "not -j NFKNOCK" -j ACCEPT');
    bootRules('purge');
    forget();
  });
});

const OTHERS = [
  'nftables.service',
  'netfilter-persistent.service',
  'iptables.service',
  'ip6tables.service',
  'ufw.service',
  'firewalld.service',
];
const SSH = 'ssh: { knock: [7000/tcp, 8000/udp, 9000/tcp], opens: [22/tcp] }';
const WEB = 'web: { knock: [7100/tcp, 8100/udp], opens: [8443/tcp] }';

describe('beside programs that load rules of their own', () => {
  const unit = (name: string): string => readFileSync(join(ROOT, 'deploy/systemd', name), 'utf8');
  const named = (text: string, key: string): readonly string[] =>
    [...text.matchAll(new RegExp(`^${key}=(.*)$`, 'gm'))].flatMap(([, words = '']) => words.split(' '));

  test('rules are laid after them and again when they are reloaded, and sets are there before them', () => {
    for (const key of ['After', 'ReloadPropagatedFrom', 'PartOf'])
      expect(named(unit('nfknock-rules.service'), key)).toEqual(expect.arrayContaining(OTHERS));
    expect(unit('nfknock-rules.service')).toMatch(/^ExecReload=.*boot-rules again$/m);
    expect(named(unit('nfknock-sets.service'), 'Before')).toEqual(expect.arrayContaining(OTHERS));
  });

  // Against: a ruleset loaded or flushed while the daemon is dead
  // by: the unit takes part in the other's reload, and lays its rules again
  test('after `flush ruleset` they are there again though the daemon is dead, and once only', () => {
    bootRules('save');
    forget();
    bootRules('lay');
    const before = tables();
    run(['nft', 'flush', 'ruleset']);
    expect(tables()).not.toContain('NFKNOCK');
    const began = performance.now();
    bootRules('again');
    // A tenth of that on an idle machine.
    expect(performance.now() - began).toBeLessThan(3_000);
    for (const tool of ['iptables', 'ip6tables']) run([tool, '-P', 'INPUT', 'ACCEPT']);
    expect(tables()).toBe(before);
    for (let time = 0; time < 3; time += 1) bootRules('again');
    expect(tables()).toBe(before);
  });

  test('what was taken out by hand is not laid again', () => {
    bootRules('purge');
    forget();
    bootRules('again');
    expect(tables()).not.toContain('NFKNOCK');
  });

  // Against: a saved ruleset that does not load, for want of our sets
  // by: sets are made before it
  test('a saved ruleset that has ours in it loads at boot, and what is older in it gives way', () => {
    bootRules('save');
    nfknock('grant', 'ssh', '198.51.100.7');
    run(['iptables', '-A', 'NFKNOCK-GRANT', '-s', '198.51.100.7', '-j', 'ACCEPT']);
    run(['iptables', '-A', 'INPUT', '-p', 'tcp', '--dport', '9997', '-j', 'DROP']);
    const saved = ['iptables-save', 'ip6tables-save'].map((tool) => run([tool]).out);
    expect(saved.join('')).toContain('--match-set nfknock-ban4');
    writeConfig(WEB);
    bootRules('keep');
    reboot();
    const restored = (): readonly (number | null)[] =>
      ['iptables-restore', 'ip6tables-restore'].map(
        (tool, at) =>
          spawnSync(inside([tool])[0] ?? '', inside([tool]).slice(1), { input: saved[at] }).status,
      );
    // Without our sets the owner's whole firewall would be gone.
    expect(restored()).not.toEqual([0, 0]);
    bootRules('sets');
    expect(restored()).toEqual([0, 0]);
    bootRules('lay');
    expect(tables()).toContain('--dport 9997 -j DROP');
    expect(tables()).toMatch(/--dports 8443 -j NFKNOCK-SERVICE$/m);
    expect(tables()).not.toMatch(/--dports 22 |198\.51\.100\.7/);
    expect(tables().match(/^-A INPUT .*-j NFKNOCK$/gm)).toHaveLength(2);
    writeConfig(SSH);
    bootRules('purge');
    forget();
  });
});

describe('a change that waits for its confirmation', () => {
  test('is kept for the next boot only once it is confirmed', () => {
    bootRules('save');
    writeConfig(WEB);
    expect(nfknock('rules', 'install', '--confirm', '60s').code).toBe(0);
    expect(bootRulesTried('save')).toMatchObject({
      code: 0,
      err: expect.stringContaining('was confirmed before'),
    });
    expect(readFileSync(join(folder, 'rules/rules.v4'), 'utf8')).toContain('--dports 22 ');
    expect(nfknock('confirm', '--yes').code).toBe(0);
    bootRules('keep');
    expect(readFileSync(join(folder, 'rules/rules.v4'), 'utf8')).toContain('--dports 8443 ');
    writeConfig(SSH);
    bootRules('save');
  });

  test('is taken back by the next boot after a power cut: what was confirmed is laid, its configuration is there', () => {
    const confirmed = readFileSync(config, 'utf8');
    writeConfig(WEB);
    expect(nfknock('rules', 'install', '--confirm', '60s').code).toBe(0);
    bootRulesTried('keep');
    reboot();
    expect(bootRulesTried('lay')).toMatchObject({ code: 0, err: expect.stringContaining('rolled back') });
    expect(tables()).toMatch(/--dports 22 -j NFKNOCK-SERVICE$/m);
    expect(tables()).not.toContain('8443');
    expect(readFileSync(config, 'utf8')).toBe(confirmed);
    expect(readFileSync(`${config}.unconfirmed`, 'utf8')).toContain('web');
    expect(changes()).toEqual([]);
    const next = nfknock('confirm');
    expect(next.code).toBe(1);
    expect(next.err).toMatch(/was rolled back at .*the machine was started anew/);
    bootRules('may-start');
  });

  test('leaves nothing at the next boot where nothing was ever confirmed, until somebody means it', () => {
    bootRules('purge');
    for (const each of ['rules', 'rollback', 'marks']) rmSync(join(folder, each), { recursive: true });
    expect(nfknock('rules', 'install', '--confirm', '60s').code).toBe(0);
    reboot();
    expect(bootRulesTried('lay')).toMatchObject({ code: 0, err: expect.stringContaining('never confirmed') });
    expect(tables()).not.toContain('NFKNOCK');
    expect(bootRulesTried('may-start')).toMatchObject({
      code: 1,
      err: expect.stringContaining('never confirmed'),
    });
    expect(nfknock('rules', 'install').code).toBe(0);
    bootRules('may-start');
    bootRules('purge');
  });

  // Against: a roll-back that was killed while it was removed, found by the next boot
  // by: rules are laid whatever it has left, and nothing of that is taken for a change
  test.each(['boot', 'path', 'record.json', 'boot record.json', 'boot path disabled'])(
    'is not what a killed roll-back has left for the next boot: %s',
    (left) => {
      forget();
      bootRules('save');
      const [confirmed, before] = [readFileSync(config, 'utf8'), tables()];
      forget();
      rmSync(join(folder, 'marks'), { recursive: true });
      const leftover = join(folder, 'rollback', `undoing-${Math.floor(Math.random() * 1e9)}`);
      for (const place of [leftover, `${leftover}.gone`]) {
        mkdirSync(place, { mode: 0o700 });
        for (const name of left.split(' ')) writeFileSync(join(place, name), name === 'path' ? config : 'x');
      }
      expect(bootRulesTried('lay').code).toBe(0);
      expect(tables()).toBe(before);
      expect(readFileSync(config, 'utf8')).toBe(confirmed);
      expect(readdirSync(join(folder, 'rollback')).filter((name) => !name.startsWith('ended'))).toEqual([
        'confirmed',
      ]);
      bootRules('may-start');
    },
  );

  // Against: no room at boot for the end of a change that nobody has confirmed
  // by: the rules are laid all the same, and it is tried again
  test('can not be taken back at boot: what was confirmed is laid, and the next boot tries again', () => {
    forget();
    bootRules('save');
    const confirmed = readFileSync(config, 'utf8');
    writeConfig(WEB);
    expect(nfknock('rules', 'install', '--confirm', '60s').code).toBe(0);
    reboot();
    // Where its configuration would be written nothing can be.
    mkdirSync(`${config}.new`);
    mkdirSync(`${config}.new/configuration`);
    const tried = bootRulesTried('lay');
    expect([tried.code, tried.err]).toEqual([1, expect.stringContaining('could not be rolled back')]);
    expect(tables()).toMatch(/--dports 22 -j NFKNOCK-SERVICE$/m);
    expect(tables()).not.toContain('8443');
    expect(changes()).toHaveLength(1);
    rmSync(`${config}.new`, { recursive: true });
    reboot();
    expect(bootRulesTried('lay')).toMatchObject({ code: 0, err: expect.stringContaining('rolled back') });
    expect(readFileSync(config, 'utf8')).toBe(confirmed);
    expect(changes()).toEqual([]);
    expect(nfknock('confirm').err).toContain('was rolled back');
  });

  test('is taken back without Node.js where the program is gone', () => {
    bootRules('save');
    const before = tables();
    writeConfig(WEB);
    expect(nfknock('rules', 'install', '--policy', 'appliance', '--confirm', '60s').code).toBe(0);
    expect(bootRulesTried('roll-back')).toMatchObject({ code: 0 });
    expect(tables()).toBe(before);
    expect(readFileSync(config, 'utf8')).toContain('ssh');
    expect(nfknock('confirm').err).toContain('was rolled back');
    bootRules('purge');
    forget();
  });
});

describe('the daemon of the unit file', () => {
  afterAll(() => {
    for (const child of children) child.kill('SIGKILL');
  });

  // Against: a core file of the daemon, with what it knows of keys
  // by: the unit permits none
  test('leaves no core file, in which its keys would lie', () => {
    expect(UNIT).toMatch(/^LimitCORE=0$/m);
  });

  test('is given CAP_NET_ADMIN alone', () => {
    expect(UNIT).toMatch(/^AmbientCapabilities=CAP_NET_ADMIN$/m);
    expect(UNIT).toMatch(/^CapabilityBoundingSet=CAP_NET_ADMIN$/m);
    expect(UNIT).toMatch(/^User=nfknock$/m);
  });

  test('is started although the copy for the next boot could not be kept, and not again where its file is wrong', () => {
    expect(UNIT).toMatch(/^ExecStartPre=-\+\/usr\/lib\/nfknock\/boot-rules save$/m);
    expect(UNIT).toMatch(/^RestartPreventExitStatus=2 3 4 6$/m);
    const wrong = join(folder, 'wrong.yaml');
    writeFileSync(wrong, 'doors: 5\n');
    expect(run([...NFKNOCK, 'run', '--no-install', '-c', wrong]).code).toBe(3);
  });

  test('serves as an ordinary user with that, tells systemd, grants, opens no inspector, and ends in order', async () => {
    bootRules('save');
    const told = await receiver(join(folder, 'notify'));
    const argv = [
      'sh',
      '-c',
      `mount -t proc -o subset=pid,hidepid=invisible proc /proc && exec setpriv ${privileges()} "$@"`,
      'sh',
    ];
    const [program = '', ...args] = inside([
      'unshare',
      '-m',
      ...argv,
      ...NFKNOCK,
      'run',
      '--no-install',
      '-c',
      config,
    ]);
    const daemon = spawn(program, args, {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, NOTIFY_SOCKET: join(folder, 'notify') },
    });
    children.push(daemon);
    const events: string[] = [];
    createInterface({ input: daemon.stdout }).on('line', (line) =>
      events.push((JSON.parse(line) as { event: string }).event),
    );
    await expect.poll(() => told.join(''), { timeout: 10_000 }).toContain('READY=1\n');

    const status = readFileSync(`/proc/${daemon.pid}/status`, 'utf8');
    for (const set of ['CapPrm', 'CapEff', 'CapBnd', 'CapAmb'])
      expect(status).toContain(`${set}:\t${NET_ADMIN_ALONE}`);
    expect(run([...NFKNOCK, 'grant', 'ssh', '198.51.100.7', '-c', config]).code).toBe(0);
    expect(run(['iptables', '-S', 'NFKNOCK-GRANT']).out).toContain('-s 198.51.100.7/32');
    daemon.kill('SIGUSR1');
    expect(run([...NFKNOCK, 'status', '-c', config]).out).toContain('ssh');
    expect(run(['ss', '-Hltn']).out).toBe('');

    const exit = once(daemon, 'exit');
    daemon.kill('SIGTERM');
    expect(await exit).toEqual([0, null]);
    expect(events.at(-1)).toBe('daemon.stopped');
    expect(told.join('')).toContain('STOPPING=1\n');
    expect(run(['iptables', '-S', 'NFKNOCK-SERVICE']).out).toContain('-j DROP');
  });
});

if (spawnSync('logrotate', ['--version']).status === 0) {
  describe('logrotate with the file in deploy/', () => {
    test('moves the log of a running daemon away, and no line is lost or cut', async () => {
      const log = join(folder, 'log');
      mkdirSync(log, { mode: 0o750 });
      writeConfig(
        `ssh: { knock: [7000/tcp, 8000/udp, 9000/tcp], opens: [22/tcp] }\nlog: { file: ${log}/nfknock.log }`,
      );
      const rotation = readFileSync(join(ROOT, 'deploy/logrotate/nfknock'), 'utf8')
        .replace('/var/log/nfknock', log)
        .replaceAll('nfknock nfknock', 'root root')
        // A day has one such name, and this rotates three times.
        .replace('dateext', '');
      writeFileSync(join(folder, 'rotation'), rotation, { mode: 0o644 });
      const [program = '', ...args] = inside([...NFKNOCK, 'run', '-c', config]);
      const daemon = spawn(program, args, { stdio: ['ignore', 'ignore', 'inherit'] });
      children.push(daemon);
      const ban = (last: number): number | null =>
        run([...NFKNOCK, 'ban', `203.0.113.${last}`, '-c', config]).code;
      await expect.poll(() => ban(1), { timeout: 10_000 }).toBe(0);
      for (let last = 2; last <= 8; last += 1) {
        if (last % 2 === 0) {
          const rotate = ['logrotate', '-f', '-s', join(folder, 'rotated'), join(folder, 'rotation')];
          expect(run(rotate)).toMatchObject({ code: 0, err: '' });
        }
        expect(ban(last)).toBe(0);
      }
      const exit = once(daemon, 'exit');
      daemon.kill('SIGTERM');
      await exit;
      const lines = execFileSync('sh', ['-c', 'for each in "$0"/*; do zcat -f "$each"; done', log])
        .toString()
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as { event: string; source?: string });
      const banned = lines.filter(({ event }) => event === 'ban.added').map(({ source }) => source);
      expect(banned.sort()).toEqual(Array.from({ length: 8 }, (_, index) => `203.0.113.${index + 1}`));
      expect(readdirSync(log).sort()).toEqual([
        'nfknock.log',
        ...[1, 2, 3, 4].map((count) => `nfknock.log.${count}${count > 1 ? '.gz' : ''}`),
      ]);
    });
  });
}

/** As the unit's user has them. Where the tree lies in somebody's home, root without its powers takes his place. */
function privileges(): string {
  const only = '-all,+net_admin';
  const caps = `--inh-caps=${only} --ambient-caps=${only} --bounding-set=${only} --no-new-privs`;
  const other = `--reuid=${NOBODY} --regid=${NOBODY} --clear-groups`;
  const readable = run(['setpriv', ...other.split(' '), 'test', '-r', NFKNOCK[1] ?? '']).code === 0;
  return readable ? `${other} ${caps}` : `--securebits=+noroot ${caps}`;
}

/** systemd's end of NOTIFY_SOCKET: what it was told, one text a datagram. */
async function receiver(path: string): Promise<string[]> {
  const script = `import json, os, socket, sys
receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
receiver.bind(sys.argv[1])
os.chmod(sys.argv[1], 0o777)
print('""', flush=True)
while True: print(json.dumps(receiver.recv(65536).decode()), flush=True)`;
  const python = spawn('python3', ['-c', script, path], { stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(python);
  const told: string[] = [];
  const lines = createInterface({ input: python.stdout });
  const bound = once(lines, 'line');
  lines.on('line', (line) => told.push(JSON.parse(line) as string));
  await bound;
  return told;
}
