import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type FileSettings, fileWriter } from '../../../src/log/file.ts';
import { openSink, type Sink, type SinkOptions } from '../../../src/log/sink.ts';

let directory = '';
let path = '';
let complaints: string[] = [];
const sinks: Sink[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'nfknock-log-'));
  path = join(directory, 'events.log');
  complaints = [];
});
afterEach(async () => {
  await Promise.all(sinks.splice(0).map((sink) => sink.close()));
  rmSync(directory, { recursive: true, force: true });
});

function sinkTo(settings: Partial<FileSettings> = {}, options: Partial<SinkOptions> = {}): Sink {
  const complain = (sentence: string): void => {
    complaints.push(sentence);
  };
  const writer = fileWriter({ path, maxSize: 1_000_000, files: 3, complain, ...settings });
  const sink = openSink(writer, {
    complain,
    recovered: () => undefined,
    retryMs: 20,
    // A busy machine is no full disk.
    graceMs: 5_000,
    ...options,
  });
  sinks.push(sink);
  return sink;
}
const read = (name = path): string => readFileSync(name, 'utf8');

describe('the log file', () => {
  test('is made with its directory, and only owner and group may read it', async () => {
    path = join(directory, 'a', 'b', 'events.log');
    const sink = sinkTo();
    sink.write('one');
    await sink.flush();
    expect(read()).toBe('one\n');
    expect(statSync(path).mode & 0o777 & ~0o022).toBe(0o640);
  });

  test('is appended to, and a half line of a process that was killed is ended first', async () => {
    writeFileSync(path, '{"time":"2026');
    const sink = sinkTo();
    sink.write('next');
    await sink.close();
    expect(read()).toBe('{"time":"2026\nnext\n');
  });

  test('is rotated before it would outgrow its size; so many files are kept, and no line is lost or cut', async () => {
    const sink = sinkTo({ maxSize: 40, files: 3 });
    for (let line = 0; line < 12; line++) sink.write(`line ${String(line).padStart(4, '0')}`); // ten bytes each
    await sink.close();
    expect(read()).toBe('line 0008\nline 0009\nline 0010\nline 0011\n');
    expect(read(`${path}.1`)).toBe('line 0004\nline 0005\nline 0006\nline 0007\n');
    expect(read(`${path}.2`)).toBe('line 0000\nline 0001\nline 0002\nline 0003\n');
    expect(existsSync(`${path}.3`)).toBe(false);
  });

  test('that is too big from before is rotated at the first line', async () => {
    writeFileSync(path, `${'x'.repeat(100)}\n`);
    const sink = sinkTo({ maxSize: 40 });
    sink.write('new');
    await sink.close();
    expect(read()).toBe('new\n');
    expect(read(`${path}.1`)).toHaveLength(101);
  });

  test('keeps no old one with files: 1, and removes what is left from when more were kept', async () => {
    for (const number of [1, 2, 3]) writeFileSync(`${path}.${number}`, 'old\n');
    const sink = sinkTo({ maxSize: 10, files: 1 });
    sink.write('first 678');
    sink.write('second 89');
    await sink.close();
    expect(read()).toBe('second 89\n');
    expect(existsSync(`${path}.1`) || existsSync(`${path}.2`) || existsSync(`${path}.3`)).toBe(false);
  });

  test('that a line alone outgrows still gets the line', async () => {
    const sink = sinkTo({ maxSize: 10 });
    sink.write('y'.repeat(50));
    sink.write('z');
    await sink.close();
    expect(read(`${path}.1`)).toBe(`${'y'.repeat(50)}\n`);
    expect(read()).toBe('z\n');
  });

  test('that someone moved away is begun anew', async () => {
    const sink = sinkTo();
    sink.write('before');
    await sink.flush();
    renameSync(path, `${path}.moved`);
    sink.write('after');
    await sink.flush();
    expect(read(`${path}.moved`)).toBe('before\n');
    expect(read()).toBe('after\n');
  });

  test('that someone emptied counts from nothing again', async () => {
    const sink = sinkTo({ maxSize: 20 });
    sink.write('0123456789');
    await sink.flush();
    writeFileSync(path, '');
    sink.write('0123456789');
    await sink.close();
    expect(read()).toBe('0123456789\n');
    expect(existsSync(`${path}.1`)).toBe(false);
  });

  test('whose directory vanishes is made again with it', async () => {
    path = join(directory, 'gone', 'events.log');
    const sink = sinkTo();
    sink.write('before');
    await sink.flush();
    rmSync(join(directory, 'gone'), { recursive: true });
    sink.write('after');
    await sink.flush();
    expect(read()).toBe('after\n');
  });

  test('in a directory that permits no rotation grows on, and that is said once', async () => {
    // A directory in the place of the old file is what even root can't replace.
    mkdirSync(`${path}.1`);
    appendFileSync(join(`${path}.1`, 'x'), '');
    const sink = sinkTo({ maxSize: 10, files: 2 });
    for (const line of ['first 678', 'second 89', 'third 789']) sink.write(line);
    await sink.close();
    expect(read()).toBe('first 678\nsecond 89\nthird 789\n');
    expect(complaints).toHaveLength(1);
    expect(complaints[0]).toMatch(/can not be rotated.*let nfknock's user write to its directory/);
  });
});

describe('a log file that can not be written', () => {
  test('keeps its lines and writes them in order once it can be', async () => {
    mkdirSync(path);
    const sink = sinkTo();
    sink.write('one');
    sink.write('two');
    await expect.poll(() => complaints.length).toBe(1);
    rmSync(path, { recursive: true });
    sink.write('three');
    await sink.flush();
    expect(read()).toBe('one\ntwo\nthree\n');
    expect(complaints).toHaveLength(1);
  });

  test('since the disk is full is complained of in the words of the system, and loses nothing', async () => {
    symlinkSync('/dev/full', path);
    const sink = sinkTo();
    sink.write('one');
    await expect
      .poll(() => complaints.join())
      .toMatch(/^the log file .*events\.log can not be written \(ENOSPC/);
    rmSync(path);
    await sink.flush();
    expect(read()).toBe('one\n');
  });

  test('does not hold up the end of the daemon, and how much was lost is said', async () => {
    mkdirSync(path);
    const sink = sinkTo();
    sink.write('one');
    sink.write('two');
    await sink.close();
    expect(complaints.at(-1)).toMatch(
      /^2 lines of the log could not be written to the log file .*events\.log$/,
    );
  });
});
