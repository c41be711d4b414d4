import { describe, expect, test } from 'vitest';
import { openSink, type SinkOptions, WAITING_BYTES_MAX, type Writer } from '../../../src/log/sink.ts';

/** A place for lines that stops and goes as the test says. */
function slowWriter(): Writer & { readonly lines: string[]; open: () => void; fault: Error | undefined } {
  const lines: string[] = [];
  let gate = Promise.resolve();
  let release = (): void => undefined;
  return {
    name: 'the test',
    lines,
    fault: undefined,
    open: () => release(),
    async put(queue) {
      gate = new Promise((resolve) => {
        release = resolve;
      });
      await gate;
      if (this.fault !== undefined) throw this.fault;
      for (const line of queue.splice(0)) lines.push(line.toString());
    },
    reopen: () => undefined,
    close: () => Promise.resolve(),
  };
}
function options(complaints: string[], recovered: number[]): SinkOptions {
  return {
    complain: (sentence) => complaints.push(sentence),
    recovered: (count) => recovered.push(count),
    retryMs: 5,
    graceMs: 50,
  };
}

describe('a reader of the log that stands still', () => {
  test('makes the memory grow to its limit and no further; what is lost is counted, what was kept is written in order', async () => {
    const writer = slowWriter();
    const recovered: number[] = [];
    const sink = openSink(writer, options([], recovered));
    const line = 'x'.repeat(1023);
    const fits = WAITING_BYTES_MAX / 1024;
    for (let index = 0; index < fits; index++) expect(sink.write(line)).toBe(true);
    for (let index = 0; index < 10; index++) expect(sink.write(line)).toBe(false);
    const opener = setInterval(() => writer.open(), 1);
    await sink.flush();
    clearInterval(opener);
    expect(writer.lines).toHaveLength(fits);
    expect(recovered).toEqual([10]);
  });

  test('does not hold up the end', async () => {
    const complaints: string[] = [];
    const sink = openSink(slowWriter(), options(complaints, []));
    sink.write('never');
    await sink.close();
    expect(complaints).toEqual(['1 lines of the log could not be written to the test']);
  });
});

test('an error of the system is complained of once each time that it begins', async () => {
  const writer = slowWriter();
  const complaints: string[] = [];
  const sink = openSink(writer, options(complaints, []));
  const opener = setInterval(() => writer.open(), 1);
  for (const round of [1, 2]) {
    writer.fault = new Error('ENOSPC: no space left on device');
    sink.write(`line ${round}`);
    await new Promise((resolve) => setTimeout(resolve, 40));
    expect(complaints).toHaveLength(round);
    writer.fault = undefined;
    await sink.flush();
  }
  clearInterval(opener);
  expect(writer.lines).toEqual(['line 1\n', 'line 2\n']);
  await sink.close();
});

test('nothing is taken after the end, and to end twice is to end once', async () => {
  const writer = slowWriter();
  const sink = openSink(writer, options([], []));
  const opener = setInterval(() => writer.open(), 1);
  sink.write('last');
  await Promise.all([sink.close(), sink.close()]);
  clearInterval(opener);
  expect(sink.write('late')).toBe(false);
  expect(writer.lines).toEqual(['last\n']);
});
