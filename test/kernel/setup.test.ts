import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ROOT } from '../support/root.ts';

/** Milliseconds for a set-up that has nothing left to do. */
const QUICK = 2_000;

describe('the set-up', () => {
  let bin: string;
  beforeEach(() => {
    bin = mkdtempSync(join(tmpdir(), 'nfknock-setup-'));
  });
  afterEach(() => rmSync(bin, { recursive: true, force: true }));

  /** Puts a program of the test's own in the place of the machine's. */
  const pretend = (program: string, script: string): void => {
    writeFileSync(join(bin, program), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  };
  const run = (script: string): { status: number | null; stdout: string; stderr: string } => {
    const env = { ...process.env, PATH: `${bin}:${process.env['PATH']}` };
    return spawnSync('bash', [join(ROOT, 'scripts', script)], { encoding: 'utf8', cwd: '/', env });
  };

  it('run a second time is quick and silent', () => {
    expect(run('setup.sh').status).toBe(0);
    const started = performance.now();
    expect(run('setup.sh')).toMatchObject({ status: 0, stdout: '', stderr: '' });
    expect(performance.now() - started).toBeLessThan(QUICK);
  });

  it('without root says what it needs root for', () => {
    pretend('id', 'echo 1000');
    const { status, stderr } = run('setup.sh');
    expect(status).toBe(1);
    expect(stderr).toMatch(/^setup: this needs root, .* run it again with sudo, or as root\.\n$/);
  });

  it.each(['18.20.8', '20.18.3'])('says that Node %s is too old, and which is not', (version) => {
    pretend('node', `echo ${version}`);
    const { status, stderr } = run('setup.sh');
    expect(status).toBe(1);
    expect(stderr).toBe(
      `setup: Node ${version} is too old: install Node 20.19.0 or newer (https://nodejs.org/).\n`,
    );
  });

  it('finds every kernel feature that the tests need', () => {
    expect(run('features.sh')).toMatchObject({ status: 0, stdout: '', stderr: '' });
  });

  it('fails where a kernel feature is missing, names it and says what brings it', () => {
    pretend('ipset', 'echo "Kernel error received: set type not supported" >&2; exit 1');
    const { status, stderr } = run('features.sh');
    expect(status).toBe(1);
    expect(stderr).toMatch(
      /ipset for inet is missing: .*modprobe ip_set_hash_net\n {2}ipset said: Kernel error/,
    );
  });

  it('fails where it is not root, which the tests on the kernel need', () => {
    pretend('id', 'echo 1000');
    expect(run('features.sh')).toMatchObject({ status: 1, stderr: expect.stringContaining('need root') });
  });
});
