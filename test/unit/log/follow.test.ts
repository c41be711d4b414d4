import { appendFileSync, mkdtempSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { followFile, followStream, type Read } from '../../../src/log/follow.ts';

let directory = '';
let path = '';
let ended = new AbortController();
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'nfknock-tail-'));
  path = join(directory, 'events.log');
  ended = new AbortController();
});
afterEach(() => {
  ended.abort();
  rmSync(directory, { recursive: true, force: true });
});

interface Following {
  readonly lines: string[];
  /** Waits until so many lines have been read. */
  until(count: number): Promise<string[]>;
  readonly waited: () => number;
}

function follow(): Following {
  const lines: string[] = [];
  let waited = 0;
  const waiting = (): void => {
    waited++;
  };
  void collect(followFile(path, { mode: 'follow', signal: ended.signal, waiting }), lines);
  return {
    lines,
    waited: () => waited,
    async until(count) {
      await expect.poll(() => lines.length, { timeout: 3000, interval: 20 }).toBeGreaterThanOrEqual(count);
      return lines;
    },
  };
}
async function collect(reads: AsyncIterable<Read>, lines: string[]): Promise<string[]> {
  for await (const read of reads) lines.push(...read.lines);
  return lines;
}

describe('tail -f', () => {
  test('prints what is added, and a line only once it is whole', async () => {
    writeFileSync(path, 'one\nhal');
    const followed = follow();
    await followed.until(1);
    appendFileSync(path, 'f\nthree\n');
    expect(await followed.until(3)).toEqual(['one', 'half', 'three']);
  });

  test('goes on with the new file when the old one is moved away, and misses nothing of either', async () => {
    writeFileSync(path, 'one\n');
    const followed = follow();
    await followed.until(1);
    appendFileSync(path, 'two\n');
    renameSync(path, `${path}.1`);
    writeFileSync(path, 'three\n');
    expect(await followed.until(3)).toEqual(['one', 'two', 'three']);
  });

  test('misses nothing when the log was rotated several times between two looks', async () => {
    writeFileSync(path, 'one\n');
    const followed = follow();
    await followed.until(1);
    renameSync(path, `${path}.3`);
    writeFileSync(`${path}.2`, 'two\n');
    writeFileSync(`${path}.1`, 'three\n');
    writeFileSync(path, 'four\n');
    expect(await followed.until(4)).toEqual(['one', 'two', 'three', 'four']);
  });

  test('begins anew when the file is emptied', async () => {
    writeFileSync(path, 'one\ntwo\n');
    const followed = follow();
    await followed.until(2);
    truncateSync(path, 0);
    await new Promise((resolve) => setTimeout(resolve, 300));
    appendFileSync(path, 'new\n');
    expect(await followed.until(3)).toEqual(['one', 'two', 'new']);
  });

  test('waits for a file that is not there yet, and says so', async () => {
    const followed = follow();
    await expect.poll(followed.waited).toBe(1);
    writeFileSync(path, 'at last\n');
    expect(await followed.until(1)).toEqual(['at last']);
    expect(followed.waited()).toBe(1);
  });

  test('goes on when the file is removed and made again', async () => {
    writeFileSync(path, 'one\n');
    const followed = follow();
    await followed.until(1);
    rmSync(path);
    await new Promise((resolve) => setTimeout(resolve, 300));
    writeFileSync(path, 'two\n');
    expect(await followed.until(2)).toEqual(['one', 'two']);
  });
});

describe('tail without -f', () => {
  const once = (): Promise<string[]> =>
    collect(followFile(path, { mode: 'once', signal: ended.signal, waiting: () => undefined }), []);

  test('reads to the end, a last line without a newline included', async () => {
    writeFileSync(path, 'one\ntwo');
    expect(await once()).toEqual(['one', 'two']);
  });

  test('of a file that is not there is an error of the system', async () => {
    await expect(once()).rejects.toMatchObject({ code: 'ENOENT' });
  });
});

test('standard input is read as it comes, and to its end', async () => {
  const reads: Read[] = [];
  for await (const read of followStream(Readable.from([Buffer.from('one\ntw'), Buffer.from('o\nthree')])))
    reads.push(read);
  expect(reads).toEqual([
    { lines: ['one'], end: false },
    { lines: ['two'], end: false },
    { lines: ['three'], end: true },
  ]);
});
