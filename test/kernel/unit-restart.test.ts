import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { atEnd } from '../support/cleanup.ts';
import { NFKNOCK } from '../support/daemon.ts';
import { ROOT } from '../support/root.ts';

/** A start of the unit with nothing changed since the last asks the program nothing: what was laid stands. */

const NAMESPACE = `nfkv${process.env['NFKNOCK_RUN'] ?? ''}-${process.pid}`;
const BOOT_RULES = join(ROOT, 'deploy/boot-rules');

let folder = '';
let config = '';
let environment: NodeJS.ProcessEnv = {};

function run(...argv: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync('ip', ['netns', 'exec', NAMESPACE, ...argv], {
    encoding: 'utf8',
    env: environment,
  });
  expect(stderr).toBe('');
  expect(status).toBe(0);
  return stdout;
}
/** What the unit runs before the daemon, and how often it asked the program. */
function save(): number {
  rmSync(join(folder, 'asked'), { force: true });
  run(BOOT_RULES, 'save');
  const asked = join(folder, 'asked');
  return existsSync(asked) ? readFileSync(asked, 'utf8').split('\n').length - 1 : 0;
}
const tables = (): string => ['iptables', 'ip6tables'].map((tool) => run(tool, '-S')).join('');
function writeConfig(port: number): void {
  writeFileSync(
    config,
    `doors: { ssh: { knock: [7000/tcp, 8000/udp, 9000/tcp], opens: [${port}/tcp] } }\nstate: ${folder}/state.db\n`,
  );
}

beforeAll(() => {
  execFileSync('ip', ['netns', 'add', NAMESPACE]);
  const removeNamespace = atEnd(() => spawnSync('ip', ['netns', 'del', NAMESPACE]));
  folder = mkdtempSync(join(tmpdir(), 'nfknock-restart-'));
  afterAll(() => {
    removeNamespace();
    rmSync(folder, { recursive: true, force: true });
  });
  config = join(folder, 'nfknock.yaml');
  const program = NFKNOCK.map((word) => `'${word}'`).join(' ');
  writeFileSync(join(folder, 'nfknock'), `#!/bin/sh\necho "$*" >>'${folder}/asked'\nexec ${program} "$@"\n`);
  chmodSync(join(folder, 'nfknock'), 0o755);
  environment = {
    ...process.env,
    NFKNOCK: join(folder, 'nfknock'),
    NFKNOCK_CONFIG: config,
    NFKNOCK_RULES: join(folder, 'rules'),
    NFKNOCK_ROLLBACK_DIR: join(folder, 'rollback'),
    NFKNOCK_MARKS: join(folder, 'marks'),
  };
  writeConfig(22);
  expect(save()).toBeGreaterThan(0);
});

describe('a start of the unit', () => {
  beforeEach(() => {
    save();
    expect(save()).toBe(0);
  });

  test('does not ask again though grants have come since', () => {
    const grant = ['NFKNOCK-GRANT', '-s', '198.51.100.7', '-j', 'ACCEPT'];
    run('iptables', '-A', ...grant);
    const before = tables();
    expect(save()).toBe(0);
    expect(tables()).toBe(before);
    run('iptables', '-D', ...grant);
  });

  test.each([
    ['a rule of ours is gone', ['iptables', '-D', 'NFKNOCK-SERVICE', '-j', 'DROP']],
    ['the jump is gone', ['iptables', '-D', 'INPUT', '1']],
    ['the jump is gone over IPv6', ['ip6tables', '-D', 'INPUT', '1']],
    ['somebody lets everybody in', ['ip6tables', '-I', 'NFKNOCK-SERVICE', '1', '-j', 'ACCEPT']],
    ['all is gone', ['nft', 'flush', 'ruleset']],
  ] as const)('lays the rules again where %s', (_, harm) => {
    const before = tables();
    run(...harm);
    expect(tables()).not.toBe(before);
    expect(save()).toBeGreaterThan(0);
    expect(tables()).toBe(before);
  });

  test('takes a new configuration, and the old one again', () => {
    const port = 2000 + Math.floor(Math.random() * 1000);
    writeConfig(port);
    expect(save()).toBeGreaterThan(0);
    expect(tables()).toMatch(new RegExp(`--dports ${port} -j NFKNOCK-SERVICE`));
    expect(readFileSync(join(folder, 'rules/rules.v4'), 'utf8')).toContain(`--dports ${port} `);
    writeConfig(22);
    expect(save()).toBeGreaterThan(0);
    expect(tables()).not.toContain(`--dports ${port} `);
  });

  test('asks a program that was replaced', () => {
    const program = join(folder, 'nfknock');
    const text = readFileSync(program);
    rmSync(program);
    writeFileSync(program, text, { mode: 0o755 });
    expect(save()).toBeGreaterThan(0);
  });

  test('keeps a base policy that was laid since, for the next boot', () => {
    run(...NFKNOCK, 'rules', 'install', '--policy', 'appliance', '-c', config);
    expect(save()).toBeGreaterThan(0);
    expect(readFileSync(join(folder, 'rules/rules.v4'), 'utf8')).toContain('NFKNOCK-BASE');
  });
});
