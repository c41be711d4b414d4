import { spawnSync } from 'node:child_process';
import { closeSync, openSync, readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { startProcess } from '../../../src/process/start.ts';

const descriptors = (): number => readdirSync('/proc/self/fd').length;
const limit = (most: number): void => {
  expect(spawnSync('prlimit', ['--pid', `${process.pid}`, `--nofile=${most}:`]).status).toBe(0);
};

/** How it ended: the system's code, or that it ran. */
function run(): Promise<string> {
  return new Promise((resolve) => {
    const child = startProcess(
      '/bin/true',
      [],
      { stdin: 'pipe', output: 'pipe', group: 'ours' },
      ({ code }) => resolve(code ?? ''),
    );
    child?.on('close', () => resolve('ran'));
  });
}

// Against: descriptors that are short for a while, so that each program that is tried takes some away for good
// by: room is looked for before a start
it('a program that can’t be started for want of descriptors takes none away, however few are left', async () => {
  const most = Number(spawnSync('ulimit -n', { shell: true, encoding: 'utf8' }).stdout);
  // Given back at the end, so that the limit can be lifted again.
  const ballast = Array.from({ length: 40 }, () => openSync('/dev/null', 'r'));
  expect(await run()).toBe('ran');
  const held = descriptors();
  const found: string[] = [];
  try {
    for (let left = 0; left < 16; left += 1) {
      const spare = ballast.splice(0, 1);
      if (left === 0) limit(held);
      spare.forEach(closeSync);
      found.push(await run());
    }
  } finally {
    ballast.forEach(closeSync);
    limit(most);
  }
  await sleep(50);
  expect(found[0]).toBe('EMFILE');
  expect(found.at(-1)).toBe('ran');
  expect(descriptors()).toBe(held - 40);
});
