import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, it } from 'vitest';
import { built } from '../cli/built.ts';

/** A process of its own, since nothing else may open or close a descriptor meanwhile. Answers with JSON. */
const SCRIPT = `
import { spawnSync } from 'node:child_process';
import { closeSync, openSync, readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
const { startProcess } = await import(${JSON.stringify(pathToFileURL(join(built(), 'process/start.js')).href)});

const descriptors = () => readdirSync('/proc/self/fd').length;
const limit = (most) => spawnSync('prlimit', ['--pid', String(process.pid), '--nofile=' + most + ':']).status;
// How it ended: the system's code, or that it ran.
const run = () => new Promise((resolve) => {
  const how = { stdin: 'pipe', output: 'pipe', group: 'ours' };
  const child = startProcess('/bin/true', [], how, ({ code }) => resolve(code ?? ''));
  child?.on('close', () => resolve('ran'));
});

const most = Number(spawnSync('ulimit -n', { shell: true, encoding: 'utf8' }).stdout);
// Given back at the end, so that the limit can be lifted again.
const ballast = Array.from({ length: 40 }, () => openSync('/dev/null', 'r'));
const first = await run();
const held = descriptors();
const found = [];
const limits = [];
for (let left = 0; left < 16; left += 1) {
  const spare = ballast.splice(0, 1);
  if (left === 0) limits.push(limit(held));
  spare.forEach(closeSync);
  found.push(await run());
}
ballast.forEach(closeSync);
limits.push(limit(most));
await sleep(50);
console.log(JSON.stringify({ first, found, limits, more: descriptors() - (held - 40) }));
`;

// Against: descriptors that are short for a while, so that each program that is tried takes some away for good
// by: room is looked for before a start
it('a program that can’t be started for want of descriptors takes none away, however few are left', () => {
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', SCRIPT], {
    encoding: 'utf8',
  });
  expect(stderr).toBe('');
  const { first, found, limits, more } = JSON.parse(stdout);
  expect([first, limits, more]).toEqual(['ran', [0, 0], 0]);
  expect([found[0], found.at(-1)]).toEqual(['EMFILE', 'ran']);
});
