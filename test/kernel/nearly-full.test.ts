import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statfsSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fileWriter } from '../../src/log/file.ts';
import { openSink } from '../../src/log/sink.ts';
import { markUsed, parseSequence } from '../../src/one-time/file.ts';
import { atEnd } from '../support/cleanup.ts';
import { temporaryFolder } from '../support/scratch.ts';
import { built } from '../unit/cli/built.ts';

/* A disk with room for a part of what is to be written: write(2) then writes that part and calls it success. */

const PAGE = 4096;
const PAGES = 48;
let disk = '';
let unmount = (): void => undefined;

beforeAll(() => {
  disk = join(temporaryFolder(), 'disk');
  mkdirSync(disk);
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${PAGES * PAGE}`, 'tmpfs', disk], {
    encoding: 'utf8',
  });
  expect(mounted.stderr).toBe('');
  unmount = atEnd(() => void spawnSync('umount', [disk]));
});
afterAll(() => unmount());

/** Leaves so many pages free. */
function fillBut(pages: number): void {
  const filler = join(disk, 'filler');
  rmSync(filler, { force: true });
  writeFileSync(filler, Buffer.alloc((statfsSync(disk).bfree - pages) * PAGE));
  expect(statfsSync(disk).bfree).toBe(pages);
}

function some(from: number, to: number): number {
  return from + Math.floor(Math.random() * (to - from + 1));
}

describe('a one-time file on a disk that is nearly full', () => {
  const lineOf = (index: number): string =>
    Array.from({ length: 4 }, (_, step) => `${10_000 + index * 8 + step}:tcp`).join(',');

  // Against: a disk that has room for a part of what is written
  // by: one room writes files: all of it, or an error and the file as it was
  it.each([0, 1, 2, 3, 4, 5, 6])('is whole with its mark, or unchanged: %i pages free', (pages) => {
    const path = join(disk, 'sequences');
    // About one to five pages, with an end anywhere in a page.
    const count = some(100, 500);
    const lines = Array.from({ length: count }, (_, index) => lineOf(index));
    const before = `# kept as it is: caf\xe9\n${lines.join('\n')}\n`;
    rmSync(join(disk, 'filler'), { force: true });
    writeFileSync(path, before, 'latin1');
    fillBut(pages);
    const marked = some(0, count - 1);
    const sequence = parseSequence(lines[marked] ?? '') ?? [];
    let failed = false;
    try {
      expect(markUsed(path, sequence).left).toBe(count - 1);
    } catch (error) {
      failed = true;
      expect(error).toMatchObject({ code: 'ENOSPC' });
    }
    const after = readFileSync(path, 'latin1');
    const whole = before.replace(`\n${lines[marked]}\n`, `\n#${lines[marked]}\n`);
    expect(after).toBe(failed ? before : whole);
    expect(failed).toBe(Math.ceil(whole.length / PAGE) > pages);
    expect(readdirSync(disk).sort()).toEqual(['filler', 'sequences']);
  });

  it('that is a link stays one, and what it leads to is marked', () => {
    rmSync(join(disk, 'filler'), { force: true });
    const target = join(disk, 'target');
    const link = join(disk, 'sequences');
    rmSync(link, { force: true });
    writeFileSync(target, '1:tcp,2:tcp\n3:tcp,4:tcp\n');
    symlinkSync(target, link);
    markUsed(link, parseSequence('1:tcp,2:tcp') ?? []);
    expect(readFileSync(target, 'utf8')).toBe('#1:tcp,2:tcp\n3:tcp,4:tcp\n');
  });
});

describe('what is printed into a file on a disk that is nearly full', () => {
  it.each([1, 2])('is whole, or the command fails and says so: %i pages free', (pages) => {
    fillBut(pages);
    const path = join(disk, 'printed');
    const file = openSync(path, 'w');
    const { status, stderr } = spawnSync(
      process.execPath,
      [join(built(), 'bin/nfknock.js'), 'completion', 'zsh'],
      {
        stdio: ['ignore', file, 'pipe'],
        encoding: 'utf8',
      },
    );
    closeSync(file);
    rmSync(path);
    expect(stderr).toContain("standard output can't be written (ENOSPC)");
    expect(status).toBe(1);
  });
});

describe('a log on a disk that is nearly full', () => {
  it.each([1, 2, 3])(
    'never gets shorter, and has each line once when there is room again: %i pages free',
    async (pages) => {
      const path = join(disk, 'events.log');
      rmSync(path, { force: true });
      rmSync(join(disk, 'filler'), { force: true });
      writeFileSync(path, '');
      fillBut(pages);
      const follower = spawn('tail', ['-n', '+1', '-F', '-s', '0.02', path], {
        stdio: ['ignore', 'pipe', 'ignore'],
      });
      const stop = atEnd(() => void follower.kill('SIGKILL'));
      let followed = '';
      follower.stdout.setEncoding('utf8').on('data', (text: string) => {
        followed += text;
      });
      const complaints: string[] = [];
      const complain = (sentence: string): void => void complaints.push(sentence);
      const writer = fileWriter({ path, maxSize: 1_000_000, files: 3, complain });
      const sink = openSink(writer, { complain, recovered: () => undefined, retryMs: 20, graceMs: 200 });
      const lines = Array.from(
        { length: some(200, 400) },
        (_, index) => `${index} ${'x'.repeat(some(1, 200))}`,
      );
      for (const line of lines) {
        sink.write(line);
        if (Math.random() < 0.1) await sleep(1);
      }
      await expect.poll(() => complaints.join()).toMatch(/ENOSPC/);
      expect(statSync(path).size).toBe(pages * PAGE);
      await sleep(100);
      rmSync(join(disk, 'filler'), { force: true });
      await sink.flush();
      const whole = `${lines.join('\n')}\n`;
      expect(readFileSync(path, 'latin1')).toBe(whole);
      await expect.poll(() => followed.length).toBeGreaterThanOrEqual(whole.length);
      await sleep(100);
      expect(followed).toBe(whole);
      await sink.close();
      // As long as it runs it holds the pages of a file that is gone.
      const gone = once(follower, 'exit');
      stop();
      await gone;
    },
  );

  it('ends the half line where another process wrote behind it', async () => {
    const path = join(disk, 'events.log');
    rmSync(path, { force: true });
    rmSync(join(disk, 'filler'), { force: true });
    writeFileSync(path, '');
    fillBut(1);
    const complain = (): void => undefined;
    const sink = openSink(fileWriter({ path, maxSize: 1_000_000, files: 3, complain }), {
      complain,
      recovered: () => undefined,
      // Long enough that no further try is under way while the other process has its turn.
      retryMs: 2_000,
      graceMs: 200,
    });
    const line = 'y'.repeat(PAGE + some(1, 500));
    sink.write(line);
    await expect.poll(() => sink.fault()).toMatch(/ENOSPC/);
    rmSync(join(disk, 'filler'), { force: true });
    rmSync(path);
    writeFileSync(path, 'another');
    await sink.flush();
    expect(readFileSync(path, 'latin1')).toBe(`another\n${line}\n`);
    await sink.close();
  });
});
