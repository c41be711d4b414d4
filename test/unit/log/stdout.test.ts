import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { afterEach, describe, expect, test } from 'vitest';
import { openSink, type Sink } from '../../../src/log/sink.ts';
import { streamWriter } from '../../../src/log/stdout.ts';

const children: ChildProcess[] = [];
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

/** A reader behind a real pipe, as `nfknock run | reader` has one. */
function reader(script: string): {
  readonly sink: Sink;
  readonly output: Promise<string>;
  readonly complaints: string[];
  readonly ended: Promise<unknown>;
} {
  const child = spawn('sh', ['-c', script], { stdio: ['pipe', 'pipe', 'inherit'] });
  children.push(child);
  const complaints: string[] = [];
  const sink = openSink(streamWriter(child.stdin), {
    complain: (sentence) => complaints.push(sentence),
    recovered: () => undefined,
    retryMs: 10,
    graceMs: 100,
  });
  return { sink, output: text(child.stdout), complaints, ended: once(child, 'exit') };
}

describe('standard output', () => {
  test('gets every line in order, also when its reader is slow to begin', async () => {
    const { sink, output } = reader('sleep 0.1; head -n 20000 | sha1sum; exit');
    for (let line = 0; line < 20_000; line++) sink.write(`line ${line}`);
    await sink.flush();
    // seq -f "line %g" 0 19999 | sha1sum
    expect(await output).toBe('a708fd97d2632741c0a4d94ef3dc5d89fce7a13a  -\n');
  });

  test('whose reader stands still holds nobody up: writing returns at once, and so does the end', async () => {
    const { sink, complaints } = reader('sleep 5');
    const started = performance.now();
    for (let line = 0; line < 2000; line++) sink.write('x'.repeat(1000));
    expect(performance.now() - started).toBeLessThan(1000);
    await sink.close();
    expect(complaints.at(-1)).toMatch(/lines of the log could not be written to standard output/);
  });

  test('whose reader goes away does not end the daemon, and that is said', async () => {
    const { sink, complaints, ended } = reader('exit 0');
    await ended;
    sink.write('into the void');
    await expect.poll(() => complaints.length).toBe(1);
    expect(complaints[0]).toMatch(/^standard output can not be written/);
    await sink.close();
  });
});
