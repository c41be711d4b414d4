import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { createHooks, type HookResult, type Hooks } from '../../../src/daemon/hook.ts';
import { startProcess } from '../../../src/process/start.ts';
import { built } from '../cli/built.ts';

const SUBJECT = { ip: '198.51.100.7', door: 'ssh', ports: '22/tcp' };
const folders: string[] = [];
const opened: Hooks[] = [];

afterEach(() => {
  for (const hooks of opened.splice(0)) hooks.close();
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

function folder(): string {
  const made = mkdtempSync(join(tmpdir(), 'nfknock-hook-'));
  folders.push(made);
  return made;
}

function script(text: string): string {
  const file = join(folder(), 'hook');
  writeFileSync(file, `#!/bin/sh\n${text}\n`);
  chmodSync(file, 0o755);
  return file;
}

interface Opened {
  readonly hooks: Hooks;
  readonly results: HookResult[];
  /** Resolves once so many commands have said how they ended. */
  ended(count: number): Promise<void>;
}

function open(timeout?: number): Opened {
  const results: HookResult[] = [];
  const hooks = createHooks((result) => results.push(result), timeout);
  opened.push(hooks);
  return {
    hooks,
    results,
    async ended(count) {
      for (let waited = 0; results.length < count && waited < 20_000; waited += 10) await sleep(10);
      expect(results.length).toBeGreaterThanOrEqual(count);
    },
  };
}

/** Whether a process of this id lives (a zombie does not). */
function lives(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

describe('a command that the system refuses to start', () => {
  const busy = (): string => {
    const file = join(folder(), 'busy');
    copyFileSync('/bin/true', file);
    const descriptor = openSync(file, 'r+');
    setTimeout(() => closeSync(descriptor), 1_000).unref();
    return file;
  };
  const loop = (): string => {
    const place = folder();
    symlinkSync(join(place, 'b'), join(place, 'a'));
    symlinkSync(join(place, 'a'), join(place, 'b'));
    return join(place, 'a');
  };
  const locked = (): string => {
    const file = join(folder(), 'locked');
    writeFileSync(file, 'no program');
    return file;
  };
  // Against: a command whose program is being overwritten, or can't be started for another reason
  // by: one place starts programs and never throws; the failure is said
  it.each<[string, () => readonly string[]]>([
    ['ETXTBSY', () => [busy()]],
    ['ENOTDIR', () => ['/etc/hostname/hook']],
    ['ELOOP', () => [loop()]],
    ['ENAMETOOLONG', () => [`/${'a'.repeat(300 + Math.floor(Math.random() * 3000))}`]],
    ['E2BIG', () => ['/bin/true', 'x'.repeat(131_072 + Math.floor(Math.random() * 100_000))]],
    ['ENOENT', () => ['/nonexistent/hook']],
    ['EACCES', () => [locked()]],
  ])('is a failed command and ends nothing (%s)', async (code, argv) => {
    const { hooks, results, ended } = open();
    expect(() => hooks.run(argv(), SUBJECT)).not.toThrow();
    // Whoever announces the door must have done so before the failure is said.
    expect(results).toEqual([]);
    await ended(1);
    expect(results).toHaveLength(1);
    expect(results[0]?.door).toBe('ssh');
    expect(results[0]?.failure).toContain(`can't be run: ${code}`);
  });

  it('gives its place to the next', async () => {
    const { hooks, results, ended } = open();
    const count = 20 + Math.floor(Math.random() * 30);
    for (let each = 0; each < count; each += 1) hooks.run(['/etc/hostname/hook'], SUBJECT);
    hooks.run(['/bin/true'], SUBJECT);
    await ended(count + 1);
    expect(results.at(-1)?.failure).toBeNull();
  });
});

describe('a command that leaves something in the background', () => {
  // Against: a command that leaves something in the background
  // by: its slot is free once it has ended itself; nobody waits for the rest
  it('takes no slot once it has ended itself, and its output is kept', async () => {
    const { hooks, results, ended } = open();
    const pids = join(folder(), 'pids');
    const leaving = script(`echo said; sleep 30 & echo $! >> ${pids}; exit 0`);
    const count = 9 + Math.floor(Math.random() * 8);
    for (let each = 0; each < count; each += 1) hooks.run([leaving], SUBJECT);
    hooks.run(['/bin/echo', 'last'], SUBJECT);
    await ended(count + 1);
    expect(results.map(({ failure }) => failure)).toEqual(results.map(() => null));
    expect(results.filter(({ output }) => output === 'said')).toHaveLength(count);
    for (const pid of readFileSync(pids, 'utf8').trim().split('\n')) process.kill(Number(pid), 'SIGKILL');
  });

  it('can still write: what it left behind is not ended by a closed pipe', async () => {
    const { hooks, ended } = open();
    const done = join(folder(), 'done');
    hooks.run([script(`(sleep 0.8; echo closing; echo "$?" > ${done}) & exit 0`)], SUBJECT);
    await ended(1);
    for (let waited = 0; !existsSync(done) && waited < 5000; waited += 50) await sleep(50);
    await sleep(50);
    expect(readFileSync(done, 'utf8').trim()).toBe('0');
  });

  it('is not waited for at the end, and its process group is left alone', async () => {
    const { hooks, ended } = open();
    const place = folder();
    mkdirSync(join(place, 'pids'));
    hooks.run([script(`sleep 20 & echo $! > ${place}/left; exit 0`)], SUBJECT);
    await ended(1);
    const left = Number(readFileSync(join(place, 'left'), 'utf8'));
    hooks.close();
    await sleep(100);
    expect(lives(left)).toBe(true);
    process.kill(left, 'SIGKILL');
  });

  it('does not hold up the end of the process that ran it', () => {
    const pid = join(folder(), 'pid');
    const leaving = script(`sleep 20 & echo $! > ${pid}; exit 0`);
    const ask = `import { createHooks } from ${JSON.stringify(join(built(), 'daemon/hook.js'))};
      createHooks(() => undefined).run([${JSON.stringify(leaving)}], { ip: '', door: '', ports: '' });`;
    const began = performance.now();
    const { status, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', ask], {
      encoding: 'utf8',
      timeout: 15_000,
    });
    process.kill(Number(readFileSync(pid, 'utf8')), 'SIGKILL');
    expect(stderr).toBe('');
    expect(status).toBe(0);
    expect(performance.now() - began).toBeLessThan(10_000);
  });
});

describe('a command that runs too long', () => {
  it('is ended with what it started', async () => {
    const place = folder();
    const { hooks, results, ended } = open(300 + Math.floor(Math.random() * 300));
    hooks.run([script(`sleep 20 & echo $! > ${place}/left; wait`)], SUBJECT);
    await ended(1);
    expect(results[0]?.failure).toMatch(/took longer than .* and was ended/);
    expect(lives(Number(readFileSync(join(place, 'left'), 'utf8')))).toBe(false);
  });

  it('is ended at the end too', async () => {
    const place = folder();
    const { hooks, results } = open();
    hooks.run([script(`echo $$ > ${place}/pid; sleep 20`)], SUBJECT);
    for (let waited = 0; !existsSync(join(place, 'pid')) && waited < 5000; waited += 20) await sleep(20);
    await sleep(50);
    hooks.close();
    await sleep(200);
    expect(lives(Number(readFileSync(join(place, 'pid'), 'utf8')))).toBe(false);
    expect(results).toEqual([]);
  });
});

it('tells a refusal only after the start has returned', async () => {
  let told = 0;
  const refused = (): void => {
    told += 1;
  };
  for (const file of ['/etc/hostname/x', '/nonexistent']) {
    expect(
      startProcess(file, [], { stdin: 'ignore', output: 'ignore', group: 'ours' }, refused),
    ).toBeUndefined();
  }
  expect(told).toBe(0);
  await sleep(100);
  expect(told).toBe(2);
});
