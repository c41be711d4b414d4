import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { followFile } from '../../../src/log/follow.ts';
import { createSplitter } from '../../../src/log/split.ts';
import { temporaryFolder } from '../../support/scratch.ts';

test.each([
  ['Buffer', Buffer.alloc(4)],
  ['Uint8Array', new Uint8Array(4)],
])('half a line stays what it was when the caller writes over his %s', (_, reused) => {
  const splitter = createSplitter();
  const push = (text: string): string[] => {
    reused.set(Buffer.from(text));
    return splitter.push(reused.subarray(0, text.length));
  };
  expect(push('a\nha')).toEqual(['a']);
  expect(push('lf\nb')).toEqual(['half']);
  expect(push('oth\n')).toEqual(['both']);
});

test('lines of a file that is read in many pieces are those that were written', async () => {
  const path = join(temporaryFolder(), 'events.log');
  const lines = Array.from({ length: 5_000 }, (_, at) => `${at} ${'x'.repeat((at * 37) % 199)} ${at}`);
  writeFileSync(path, lines.map((line) => `${line}\n`).join(''));
  const read: string[] = [];
  const options = { mode: 'once', signal: new AbortController().signal, waiting: () => undefined } as const;
  for await (const piece of followFile(path, options)) read.push(...piece.lines);
  expect(read).toEqual(lines);
});
