import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { createGunzip, type Gunzip } from 'node:zlib';
import { messageOf } from '../text/error.ts';

/** Bytes read from a file at once. */
const READ_BYTES = 256 * 1024;
/** Compressed bytes inflated at once: gzip grows at most about 1,032-fold, so one step gives at most 17 MB. */
const INFLATE_BYTES = 16 * 1024;
const GZIP_MAGIC = [0x1f, 0x8b] as const;

/** The bytes of a capture as they come, unpacked. */
export interface CaptureInput {
  /** Ends early where reading fails; `fault` then says why. */
  readonly chunks: AsyncIterable<Uint8Array>;
  /** Bytes to be read, before unpacking; undefined where that can't be known. */
  readonly size: number | undefined;
  /** Bytes read so far, before unpacking. */
  position(): number;
  /** Why the chunks ended early, in words for people. */
  fault(): string | undefined;
}

/** Opens a file, or what `standardInput` gives where `file` is `-`. Throws, with what to do, if there is no such file. */
export async function openCapture(
  file: string,
  standardInput: AsyncIterable<Uint8Array>,
): Promise<CaptureInput> {
  if (file === '-') return unpacked(standardInput, undefined);
  const found = await stat(file).catch((error: NodeJS.ErrnoException) => {
    const fix = 'name a capture that is there, or - for standard input';
    throw new Error(`${file} can't be read (${error.code ?? error.message}): ${fix}`, { cause: error });
  });
  if (found.isDirectory()) throw new Error(`${file} is a directory: name a capture file in it`);
  const size = found.isFile() ? found.size : undefined;
  return unpacked(createReadStream(file, { highWaterMark: READ_BYTES }), size);
}

function unpacked(raw: AsyncIterable<Uint8Array>, size: number | undefined): CaptureInput {
  let position = 0;
  let fault: string | undefined;

  async function* counted(): AsyncGenerator<Uint8Array> {
    try {
      for await (const chunk of raw) {
        position += chunk.length;
        yield chunk;
      }
    } catch (error) {
      fault = `reading failed at byte ${position}: ${messageOf(error)}`;
    }
  }
  async function* chunks(): AsyncGenerator<Uint8Array> {
    const bytes = counted();
    const first = await firstBytes(bytes);
    if (first === undefined) return;
    if (first[0] !== GZIP_MAGIC[0] || first[1] !== GZIP_MAGIC[1]) {
      yield first;
      yield* bytes;
      return;
    }
    const wrong = yield* inflated(prepended(first, bytes));
    if (wrong !== undefined)
      fault ??= `its gzip data are damaged or cut short near byte ${position}: ${wrong}`;
  }
  return { chunks: chunks(), size, position: () => position, fault: () => fault };
}

/** The first chunk, made long enough to hold the magic where the input has so much. */
async function firstBytes(bytes: AsyncIterator<Uint8Array>): Promise<Uint8Array | undefined> {
  let first: Uint8Array | undefined;
  while (first === undefined || first.length < GZIP_MAGIC.length) {
    const next = await bytes.next();
    if (next.done === true) break;
    first = first === undefined ? next.value : Buffer.concat([first, next.value]);
  }
  return first;
}

async function* prepended(first: Uint8Array, rest: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield first;
  yield* rest;
}

/** Unpacks step by step, so that all that could be unpacked before damage is handed on. Returns what was wrong. */
async function* inflated(packed: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, string | undefined> {
  const gunzip = createGunzip();
  const ready: Uint8Array[] = [];
  let wrong: string | undefined;
  gunzip.on('data', (chunk: Uint8Array) => ready.push(chunk));
  gunzip.on('error', (error) => {
    wrong ??= error.message;
  });
  // After an error the calls below are never answered; the close always comes.
  const closed = new Promise<void>((resolve) => {
    gunzip.once('close', resolve);
  });
  try {
    for await (const chunk of packed) {
      for (let at = 0; at < chunk.length && wrong === undefined; at += INFLATE_BYTES) {
        await Promise.race([written(gunzip, chunk.subarray(at, at + INFLATE_BYTES)), closed]);
        yield* ready.splice(0);
      }
      if (wrong !== undefined) break;
    }
    if (wrong === undefined) await Promise.race([ended(gunzip), closed]);
    yield* ready.splice(0);
  } finally {
    gunzip.destroy();
  }
  return wrong;
}

function written(gunzip: Gunzip, chunk: Uint8Array): Promise<void> {
  return new Promise((resolve) => {
    gunzip.write(chunk, () => resolve());
  });
}

function ended(gunzip: Gunzip): Promise<void> {
  return new Promise((resolve) => {
    gunzip.once('end', resolve);
    gunzip.end();
  });
}
