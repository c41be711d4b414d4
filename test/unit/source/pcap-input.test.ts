import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type CaptureInput, openCapture } from '../../../src/source/pcap-input.ts';

const CONTENT = Buffer.from(Array.from({ length: 300_000 }, (_, at) => (at * 7 + (at >>> 8)) & 255));

async function* given(...pieces: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* pieces;
}

async function read(input: CaptureInput): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of input.chunks) chunks.push(chunk);
  return Buffer.concat(chunks);
}

describe('the bytes of a capture', () => {
  let directory = '';
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'nfknock-input-'));
    writeFileSync(join(directory, 'plain'), CONTENT);
    writeFileSync(join(directory, 'packed'), gzipSync(CONTENT));
  });
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  test.each(['plain', 'packed'])('come from a file, %s', async (name) => {
    const input = await openCapture(join(directory, name), given());
    expect((await read(input)).equals(CONTENT)).toBe(true);
    expect(input.position()).toBe(input.size);
    expect(input.fault()).toBeUndefined();
  });

  test('that are not there, or are a directory, are answered with what to name instead', async () => {
    const missing = join(directory, 'none.pcap');
    const fix = 'name a capture that is there, or - for standard input';
    await expect(openCapture(missing, given())).rejects.toThrow(`${missing} can't be read (ENOENT): ${fix}`);
    await expect(openCapture(directory, given())).rejects.toThrow('name a capture file in it');
  });

  test('come from standard input, packed or not, in whatever pieces', async () => {
    const packed = gzipSync(CONTENT);
    const tiny = [packed.subarray(0, 1), packed.subarray(1, 2), packed.subarray(2)];
    expect((await read(await openCapture('-', given(...tiny)))).equals(CONTENT)).toBe(true);
    expect((await read(await openCapture('-', given(CONTENT)))).equals(CONTENT)).toBe(true);
    expect(await read(await openCapture('-', given(Buffer.from([0x1f]))))).toEqual(Buffer.from([0x1f]));
    expect(await read(await openCapture('-', given()))).toHaveLength(0);
  });

  test('come from several gzip members one after another', async () => {
    const input = await openCapture('-', given(gzipSync(CONTENT), gzipSync(CONTENT)));
    expect((await read(input)).equals(Buffer.concat([CONTENT, CONTENT]))).toBe(true);
  });

  test('packed and cut short, come as far as they go, and the place is named', async () => {
    const packed = gzipSync(CONTENT);
    const input = await openCapture('-', given(packed.subarray(0, packed.length / 2)));
    const got = await read(input);
    expect(got.length).toBeGreaterThan(CONTENT.length / 10);
    expect(got.equals(CONTENT.subarray(0, got.length))).toBe(true);
    expect(input.fault()).toMatch(/^its gzip data are damaged or cut short near byte \d+: /);
  });

  test('packed and damaged, come as far as they are sound', async () => {
    const packed = Buffer.from(gzipSync(CONTENT));
    packed.fill(0xff, packed.length / 2, packed.length / 2 + 50);
    const input = await openCapture('-', given(packed));
    const got = await read(input);
    expect(got.length).toBeLessThan(CONTENT.length);
    expect(input.fault()).toContain('damaged');
  });

  test('a reader that fails is told with the place', async () => {
    async function* failing(): AsyncGenerator<Uint8Array> {
      yield CONTENT;
      throw new Error('EIO: i/o error');
    }
    const input = await openCapture('-', failing());
    expect((await read(input)).equals(CONTENT)).toBe(true);
    expect(input.fault()).toBe('reading failed at byte 300000: EIO: i/o error');
  });

  test('a file that is not there, and a directory, are refused in words', async () => {
    await expect(openCapture(join(directory, 'none'), given())).rejects.toThrow(/ENOENT/);
    await expect(openCapture(directory, given())).rejects.toThrow(/is a directory: name a capture file/);
  });
});
