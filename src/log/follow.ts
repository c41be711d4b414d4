import type { Stats } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import { createSplitter, type Splitter } from './split.ts';

/** How often a followed file is looked at, in milliseconds. */
const POLL_MS = 200;
const READ_BYTES = 65_536;
/** Rotated files looked through for what was written between two looks. */
const ROTATED_MAX = 100;

export interface FollowOptions {
  /** `once`: to the end of the file. `follow`: as it grows, across rotation, until the signal. */
  readonly mode: 'once' | 'follow';
  readonly signal: AbortSignal;
  /** Called once where the file is not there yet and is waited for. */
  readonly waiting: () => void;
}

/** Lines as they were read; `end`: there are no more for now. */
export interface Read {
  readonly lines: readonly string[];
  readonly end: boolean;
}

interface Followed {
  readonly handle: FileHandle;
  readonly found: Stats;
  position: number;
}

/** Reads a log file like `tail -F`. Rejects where it can't be read, except that a followed one may come later. */
export async function* followFile(
  path: string,
  options: FollowOptions,
): AsyncGenerator<Read, void, undefined> {
  const splitter = createSplitter();
  let file = await openFile(path, options.mode);
  if (file === undefined) options.waiting();
  try {
    while (!options.signal.aborted) {
      if (file !== undefined) yield* drain(file, splitter);
      if (options.mode === 'once') {
        yield { lines: rest(splitter), end: true };
        return;
      }
      yield { lines: [], end: true };
      await pause(POLL_MS, undefined, { signal: options.signal }).catch(() => undefined);
      const named = await statOf(path);
      if (named === undefined) continue;
      if (file !== undefined && isSame(named, file.found)) {
        if (named.size < file.position) {
          yield { lines: rest(splitter), end: false };
          file.position = 0;
        }
        continue;
      }
      if (file !== undefined) {
        yield* leave(file, path, splitter);
        await file.handle.close();
      }
      file = undefined;
      file = await openFile(path, options.mode);
    }
  } finally {
    await file?.handle.close();
  }
}

/** Lines of a stream, such as standard input. */
export async function* followStream(
  stream: AsyncIterable<Uint8Array | string>,
): AsyncGenerator<Read, void, undefined> {
  const splitter = createSplitter();
  for await (const chunk of stream) {
    yield { lines: splitter.push(typeof chunk === 'string' ? Buffer.from(chunk) : chunk), end: false };
  }
  yield { lines: rest(splitter), end: true };
}

async function* drain(file: Followed, splitter: Splitter): AsyncGenerator<Read, void, undefined> {
  const buffer = Buffer.alloc(READ_BYTES);
  for (;;) {
    const { bytesRead } = await file.handle.read(buffer, 0, READ_BYTES, file.position);
    if (bytesRead === 0) return;
    file.position += bytesRead;
    yield { lines: splitter.push(buffer.subarray(0, bytesRead)), end: false };
  }
}

/** What was still written to a file that was then moved away, and what filled whole files since. */
async function* leave(
  file: Followed,
  path: string,
  splitter: Splitter,
): AsyncGenerator<Read, void, undefined> {
  yield* drain(file, splitter);
  yield { lines: rest(splitter), end: false };
  for (const between of (await rotatedSince(file.found, path)).reverse()) {
    const rotated = await openFile(between, 'follow');
    if (rotated === undefined) continue;
    try {
      yield* drain(rotated, splitter);
      yield { lines: rest(splitter), end: false };
    } finally {
      await rotated.handle.close();
    }
  }
}

/** `path.1` … up to the one that this file has become, the newest first; none where it was removed. */
async function rotatedSince(file: Stats, path: string): Promise<string[]> {
  const between: string[] = [];
  for (let number = 1; number <= ROTATED_MAX; number++) {
    const found = await statOf(`${path}.${number}`);
    if (found === undefined) return [];
    if (isSame(found, file)) return between;
    between.push(`${path}.${number}`);
  }
  return [];
}

async function openFile(path: string, mode: 'once' | 'follow'): Promise<Followed | undefined> {
  try {
    const handle = await open(path, 'r');
    return { handle, found: await handle.stat(), position: 0 };
  } catch (error) {
    if (mode === 'follow' && (error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

function rest(splitter: Splitter): string[] {
  const line = splitter.end();
  return line === undefined ? [] : [line];
}

function isSame(x: Stats, y: Stats): boolean {
  return x.ino === y.ino && x.dev === y.dev;
}

function statOf(path: string): Promise<Stats | undefined> {
  return stat(path).catch(() => undefined);
}
