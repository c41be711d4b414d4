import { execFileSync } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statfsSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { atEnd } from '../support/cleanup.ts';
import { NFKNOCK, writeConfig } from '../support/daemon.ts';
import { createNet, type Net } from '../support/net.ts';
import type { Result } from '../support/process.ts';

/* The way back of a change, on a disk that has no room for it, and beside what a killed one has left there. */

const PAGE = 4096;
/** The pages that a change takes there. */
const TAKEN = 3;
const config = (port: number): object => ({
  doors: { ssh: { knock: [`${port}/tcp`, '7002/tcp'], opens: ['22/tcp'], for: '5m' } },
});

let net: Net;
const folder = mkdtempSync(join(tmpdir(), 'nfknock-rollback-full-'));
const kept = join(folder, 'kept');
const { file } = writeConfig(config(7001), folder);
let unmount = (): void => undefined;

beforeAll(async () => {
  net = await createNet();
  mkdirSync(kept, { mode: 0o700 });
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${48 * PAGE},mode=700`, 'tmpfs', kept]);
  unmount = atEnd(() => void execFileSync('umount', ['-l', kept]));
});
beforeEach(async () => {
  for (const name of readdirSync(kept)) rmSync(join(kept, name), { recursive: true });
  await sh('for t in iptables ip6tables; do $t -F; $t -X; done; sleep 0.1; ipset destroy');
});
afterAll(() => {
  net?.close();
  unmount();
  rmSync(folder, { recursive: true, force: true });
});

const rules = (...args: readonly string[]): Promise<Result> =>
  net.server.exec([...NFKNOCK, 'rules', ...args, '-c', file], { env: { NFKNOCK_ROLLBACK_DIR: kept } });
const sh = async (script: string): Promise<string> => (await net.server.exec(['sh', '-c', script])).stdout;
const ours = async (): Promise<boolean> => /nfknock/i.test(await sh('iptables-save; ip6tables-save'));
const names = (): readonly string[] => readdirSync(kept).filter((name) => name !== 'filler');
const waiting = (): string => names().find((name) => name.startsWith('pending-')) ?? '';

/** Leaves so many pages free. */
function fillBut(pages: number): void {
  const filler = join(kept, 'filler');
  rmSync(filler, { force: true });
  writeFileSync(filler, Buffer.alloc((statfsSync(kept).bfree - pages) * PAGE));
}

describe('a change whose way back has no room', () => {
  it.each([0, 1, 2])('is not made, and leaves nothing behind: %i pages free', async (pages) => {
    fillBut(pages);
    const { code, stderr } = await rules('install', '--confirm', '1h');
    expect([code, stderr]).toEqual([1, expect.stringContaining(`make room in ${kept}`)]);
    expect([await ours(), names()]).toEqual([false, []]);
  });

  // Against: no room for the way back of a change, or for its end
  // by: the change is not made, waits on, or is rolled back once
  it('waits on where there is none to confirm it, and is confirmed once there is', async () => {
    expect((await rules('install', '--confirm', '1h')).code).toBe(0);
    const before = names();
    fillBut(0);
    const refused = await rules('confirm', '--yes');
    expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining(`make room in ${kept}`)]);
    expect(names()).toEqual(before);
    fillBut(1);
    expect((await rules('confirm', '--yes')).code).toBe(0);
    expect(names()).toEqual(['confirmed']);
    expect(readFileSync(join(kept, 'confirmed'), 'utf8')).toContain('7001');
  });

  it.each([0, 1])('is rolled back, once, where there is none to say so: %i pages free', async (pages) => {
    fillBut(TAKEN + pages);
    expect((await rules('install', '--confirm', '1h')).code).toBe(0);
    expect(await ours()).toBe(true);
    // That no boot may lay what was tried is noted there too.
    expect(await rules('roll-back')).toMatchObject({ code: pages === 0 ? 1 : 0 });
    expect([await ours(), names().filter((name) => !/^(ended|refused)/.test(name))]).toEqual([false, []]);
  });
});

// Against: a roll-back that was killed at its end
// by: what it has left is not taken for a change
it('a change is rolled back beside what a killed roll-back has left', async () => {
  expect((await rules('install', '--confirm', '1h')).code).toBe(0);
  const undoing = join(kept, waiting().replace('pending', 'undoing'));
  mkdirSync(undoing, { mode: 0o700 });
  for (const name of ['boot', 'path', 'configuration'])
    if (Math.random() < 0.7) writeFileSync(join(undoing, name), 'x');
  writeFileSync(join(undoing, 'disabled'), '');
  expect(await rules('roll-back')).toMatchObject({ code: 0 });
  expect([await ours(), waiting()]).toEqual([false, '']);
  expect(names().filter((name) => name.startsWith('undoing-'))).toEqual([]);
});

describe('a change whose timer can not be started', () => {
  const withoutShell = (): Promise<Result> => {
    const line = [...NFKNOCK, 'rules', 'install', '--confirm', '90s', '-c', file].join(' ');
    const script = `mount --bind /etc/hostname "$(readlink -f /bin/sh)"; exec ${line}`;
    return net.server.exec(['unshare', '--mount', 'sh', '-ec', script], {
      env: { NFKNOCK_ROLLBACK_DIR: kept },
    });
  };

  it('is not made, and none waits', async () => {
    const refused = await withoutShell();
    expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining('start the timer')]);
    expect([await ours(), names()]).toEqual([false, []]);
  });

  // Against: no shell or process for the timer of a second change, so that the first is never taken back
  // by: the first keeps its own time
  it('leaves an earlier one its own time', { timeout: 60_000 }, async () => {
    expect((await rules('install', '--confirm', '4s')).code).toBe(0);
    expect((await withoutShell()).stderr).toContain('start the timer');
    expect(await ours()).toBe(true);
    await expect.poll(ours, { timeout: 30_000 }).toBe(false);
  });
});
