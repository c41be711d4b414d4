import { Writable } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { createProgress } from '../../../src/replay/output.ts';

/** What is written to it, with the words of a terminal in a form that can be read. */
function terminalOf(isTTY: boolean | undefined): {
  readonly terminal: Writable & { readonly isTTY?: boolean };
  readonly written: string[];
} {
  const written: string[] = [];
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      written.push(String(chunk).replace('\r', '<begin>').replace('\u001b[K', '<clear>'));
      done();
    },
  });
  return { terminal: isTTY === undefined ? stream : Object.assign(stream, { isTTY }), written };
}

describe('How far a replay has come', () => {
  test('is a bar on a terminal, which moves as the file is read and is gone at the end', () => {
    const { terminal, written } = terminalOf(true);
    const progress = createProgress(terminal, 1_000);
    progress.at(0, 0);
    progress.at(500, 7);
    progress.at(1_000, 14);
    progress.clear();
    expect(written).toEqual([
      `<begin>[${'.'.repeat(30)}] 0 %<clear>`,
      `<begin>[${'#'.repeat(15)}${'.'.repeat(15)}] 50 %<clear>`,
      `<begin>[${'#'.repeat(30)}] 100 %<clear>`,
      '<begin><clear>',
    ]);
  });

  test('is written only where it has changed', () => {
    const { terminal, written } = terminalOf(true);
    const progress = createProgress(terminal, 1_000_000);
    for (let at = 0; at < 10_000; at += 100) progress.at(at, at);
    expect(written).toHaveLength(1);
    progress.clear();
    progress.clear();
    expect(written).toHaveLength(2);
  });

  test('is in megabytes and packets where the end is not known, as on standard input', () => {
    const { terminal, written } = terminalOf(true);
    createProgress(terminal, undefined).at(12_345_678, 90);
    expect(written).toEqual(['<begin>12 MB, 90 packets<clear>']);
  });

  test('never passes the end of a file that grows meanwhile', () => {
    const { terminal, written } = terminalOf(true);
    createProgress(terminal, 10).at(11, 1);
    expect(written.join()).toContain('100 %');
  });

  test.each([false, undefined])('is not said where there is no terminal (%s)', (isTTY) => {
    const { terminal, written } = terminalOf(isTTY);
    const progress = createProgress(terminal, 1_000);
    progress.at(500, 7);
    progress.clear();
    expect(written).toEqual([]);
  });
});
