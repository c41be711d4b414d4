import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { keysCapture } from '../../unit/source/keys-capture.ts';
import { malformedCapture } from '../../unit/source/malformed-capture.ts';
import { CAPTURES, goldenCases } from './captures.ts';
import { configOf, replayed } from './replayed.ts';

describe('a capture of a real client gives the events that were written down for it', () => {
  const cases = goldenCases().map((each) => ({ ...each, name: basename(each.golden, '.jsonl') }));
  test.each(cases)('$name', async ({ capture, config, golden }) => {
    const { lines, end } = await replayed(capture, configOf(config));
    expect(lines).toBe(readFileSync(golden, 'utf8'));
    expect(end.fault).toBeNull();
  });

  test.each(cases)('$name: the same when it comes packed and in pieces', async ({ capture, config, golden }) => {
    const packed = gzipSync(readFileSync(capture));
    const pieces = Array.from({ length: Math.ceil(packed.length / 100) }, (_, at) =>
      packed.subarray(at * 100, at * 100 + 100),
    );
    const { lines } = await replayed(pieces, configOf(config));
    expect(lines).toBe(readFileSync(golden, 'utf8'));
  });
});

test('the capture of malformed headers is what its description makes', () => {
  const written = readFileSync(`${CAPTURES}malformed.pcap`);
  expect(malformedCapture().equals(written)).toBe(true);
});

test('the capture of packets of keys is what its description makes', () => {
  const written = readFileSync(`${CAPTURES}keys.pcap`);
  expect(keysCapture().equals(written)).toBe(true);
});
