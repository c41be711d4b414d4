import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate, setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { NFKNOCK, writeConfig } from '../support/daemon.ts';
import { createNet, type Net } from '../support/net.ts';
import { type Result, startProcess } from '../support/process.ts';

/* Who began to roll a change back may be killed over it, as `init` with its session: then the timer is the last way back. */

const config = { doors: { ssh: { knock: ['7001/tcp', '7002/tcp'], opens: ['22/tcp'], for: '5m' } } };
const folder = mkdtempSync(join(tmpdir(), 'nfknock-rollback-killed-'));
const kept = join(folder, 'kept');
const env = { NFKNOCK_ROLLBACK_DIR: kept, NFKNOCK_STAND_DOWN_DIR: join(folder, 'down') };
const { file } = writeConfig(config, folder);
let net: Net;

const rules = (...args: readonly string[]): Promise<Result> =>
  net.server.exec([...NFKNOCK, 'rules', ...args, '-c', file], { env });
const sh = async (script: string): Promise<string> => (await net.server.exec(['sh', '-c', script])).stdout;
const ours = async (): Promise<boolean> =>
  /nfknock/i.test(await sh('iptables-save; ip6tables-save; ipset list -n'));
const has = (name: 'pending' | 'undoing' | 'ended'): boolean =>
  readdirSync(kept).some((each) => each.startsWith(`${name}-`) && !each.includes('.'));

beforeAll(async () => {
  net = await createNet();
});
afterEach(async () => {
  for (const each of Object.values(env)) rmSync(each, { recursive: true, force: true });
  await sh('for t in iptables ip6tables; do $t -F; $t -X; done; sleep 0.1; ipset destroy');
});
afterAll(() => {
  net?.close();
  rmSync(folder, { recursive: true, force: true });
});

/** Makes a process stand still by itself, at its n-th call of a file's function once it has said which it is. */
const STAND_AT = `data:text/javascript,${encodeURIComponent(`
  import fs from 'node:fs';
  import { syncBuiltinESMExports } from 'node:module';
  let left;
  for (const name of ['symlinkSync', 'lstatSync', 'openSync', 'readFileSync', 'renameSync', 'rmSync', 'writeSync']) {
    const call = fs[name];
    fs[name] = (...args) => {
      const result = call(...args);
      if (name === 'symlinkSync') left = Number(process.env.STAND_AT);
      else if (left !== undefined) left -= 1;
      if (left === 0) process.kill(process.pid, 'SIGSTOP');
      return result;
    };
  }
  syncBuiltinESMExports();
`)}`;

/** Begins to roll back, and stands still at that call; undefined: it makes fewer. */
async function beginAndStandAt(call: number): Promise<ReturnType<typeof startProcess> | undefined> {
  const standing = { ...env, NODE_OPTIONS: `--import=${STAND_AT}`, STAND_AT: `${call}` };
  const rolling = startProcess(
    net.server.namespace,
    [...NFKNOCK, 'rules', 'roll-back', '-c', file],
    standing,
  );
  const state = (): string =>
    (/\) (\S)/.exec(readFileSync(`/proc/${rolling.pid}/stat`, 'latin1')) ?? [])[1] ?? '';
  while (rolling.exitCode === null && state() !== 'T') await sleep(5);
  return rolling.exitCode === null ? rolling : undefined;
}

/** The same, standing still once it has said which it is. */
async function beginAndStand(): Promise<ReturnType<typeof startProcess>> {
  const rolling = await begin();
  const who = (): string =>
    readdirSync(kept)
      .filter((each) => /^undoing-\d+$/.test(each))
      .flatMap((each) => readdirSync(join(kept, each)).map((name) => join(kept, each, name)))
      .filter((path) => path.endsWith('/by'))
      .map((path) => readlinkSync(path))
      .join();
  while (has('undoing') && who() === '') await setImmediate();
  rolling.kill('SIGSTOP');
  expect(who()).toMatch(new RegExp(`^${rolling.pid} `));
  return rolling;
}

/** Whether the time of the change is over, and its timer is at work. */
function timerWorks(): boolean {
  const pids = execFileSync('ip', ['netns', 'pids', net.server.namespace], { encoding: 'utf8' });
  return pids
    .split('\n')
    .filter(Boolean)
    .some((pid) => {
      const line = existsSync(`/proc/${pid}/cmdline`) ? readFileSync(`/proc/${pid}/cmdline`, 'latin1') : '';
      return line.startsWith(process.execPath) && line.includes('--change');
    });
}

/** Begins to roll back beside the timer, as `init` does, and answers the process once the change is its own. */
async function begin(): Promise<ReturnType<typeof startProcess>> {
  const rolling = startProcess(net.server.namespace, [...NFKNOCK, 'rules', 'roll-back', '-c', file], env);
  while (!has('undoing') && has('pending')) await setImmediate();
  return rolling;
}

describe('a change that somebody else has begun to roll back', () => {
  // Against: a roll-back that is killed before the change's own time has come
  // by: the timer carries on with it
  it.each([0, 1, Math.floor(Math.random() * 30), 30 + Math.floor(Math.random() * 100)])(
    'is rolled back by its timer where that one was killed after %i ms',
    { timeout: 120_000 },
    async (after) => {
      expect((await rules('install', '--confirm', '3s')).code).toBe(0);
      const rolling = await begin();
      await sleep(after);
      rolling.kill('SIGKILL');
      await expect
        .poll(() => has('undoing') || has('pending'), { timeout: 30_000, interval: 50 })
        .toBe(false);
      expect([await ours(), has('ended')]).toEqual([false, true]);
    },
  );

  it('is left to that one while it is alive, and rolled back once', { timeout: 120_000 }, async () => {
    expect((await rules('install', '--confirm', '12s')).code).toBe(0);
    const rolling = await beginAndStand();
    await expect.poll(timerWorks, { timeout: 40_000 }).toBe(true);
    await sleep(3_000);
    expect([await ours(), has('undoing')]).toEqual([true, true]);
    rolling.kill('SIGCONT');
    await expect.poll(() => has('undoing'), { timeout: 30_000, interval: 50 }).toBe(false);
    expect([await ours(), rolling.exitCode ?? (await once(rolling))]).toEqual([false, 0]);
  });

  it('is told to who rolls it back by hand, and left to the one that ends it in a moment', {
    timeout: 120_000,
  }, async () => {
    expect((await rules('install', '--confirm', '90s')).code).toBe(0);
    const rolling = await beginAndStand();
    const who = `process ${rolling.pid} (nfknock rules roll-back)`;
    // Every other command that asks is told the same.
    const confirm = await net.server.exec([...NFKNOCK, 'confirm', '-c', file], { env });
    expect([confirm.code, confirm.stderr]).toEqual([
      1,
      `nfknock: a change is being rolled back, by ${who}; nfknock rules roll-back waits for that, or does the rest\n`,
    ]);
    const second = startProcess(net.server.namespace, [...NFKNOCK, 'rules', 'roll-back', '-c', file], env);
    let said = '';
    second.stderr.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
    await expect.poll(() => said, { timeout: 20_000 }).toContain(`${who} is rolling the change back already`);
    const since = performance.now();
    rolling.kill('SIGCONT');
    expect(await once(second)).toBe(0);
    // On a busy machine that one may take longer than anybody is kept waiting.
    if (performance.now() - since < 4_000) expect(said).toContain(`${who} is done: the change of`);
    expect([await ours(), rolling.exitCode ?? (await once(rolling))]).toEqual([false, 0]);
  });

  // Against: who had claimed a change, and found it rolled back by another, said that there was none
  // by: it tells who did it, wherever it stood still meanwhile
  it.each([0, 2, 14])(
    'is done by another where that one stands still at its call %i of a file',
    { timeout: 120_000 },
    async (call) => {
      expect((await rules('install', '--confirm', '90s')).code).toBe(0);
      const rolling = await beginAndStandAt(call);
      expect((await rules('roll-back')).code).toBe(rolling === undefined ? 1 : 0);
      expect([await ours(), has('undoing')]).toEqual([false, false]);
      if (rolling === undefined) return;
      rolling.kill('SIGCONT');
      expect(rolling.exitCode ?? (await once(rolling))).toBe(0);
      expect(await ours()).toBe(false);
    },
  );

  it('is carried on with by hand where that one stands still, within seconds', {
    timeout: 120_000,
  }, async () => {
    expect((await rules('install', '--confirm', '90s')).code).toBe(0);
    const rolling = await beginAndStand();
    const since = performance.now();
    const { code, stderr } = await rules('roll-back');
    expect([code, stderr]).toEqual([0, expect.stringMatching(/is not done with it: carrying on/)]);
    expect(performance.now() - since).toBeLessThan(15_000);
    expect([await ours(), has('undoing')]).toEqual([false, false]);
    rolling.kill('SIGCONT');
    expect(rolling.exitCode ?? (await once(rolling))).toBe(0);
    expect(await ours()).toBe(false);
  });

  // Against: rules that a roll-back puts in again while everything is stood down
  // by: standing down waits for the roll-back
  it('is waited for by a stand-down, which then leaves no rule', { timeout: 120_000 }, async () => {
    expect((await rules('install')).code).toBe(0);
    expect((await rules('install', '--confirm', '90s')).code).toBe(0);
    const rolling = await beginAndStand();
    const down = startProcess(net.server.namespace, [...NFKNOCK, 'stand-down', '-c', file], env);
    let said = '';
    down.stderr.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
    await expect.poll(() => said, { timeout: 20_000 }).toContain('is rolling the change back already');
    rolling.kill('SIGCONT');
    expect(await once(down)).toBe(0);
    expect(rolling.exitCode ?? (await once(rolling))).toBe(0);
    expect(await ours()).toBe(false);
  });
});

const once = (child: ReturnType<typeof startProcess>): Promise<number | null> =>
  new Promise((resolve) => child.on('close', resolve));
