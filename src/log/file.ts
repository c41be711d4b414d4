import { constants } from 'node:fs';
import { type FileHandle, mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { WriteError, writeAll } from '../files/write.ts';
import type { Writer } from './sink.ts';

/** The log tells who may come in and when: the group may read it, others not. */
const FILE_MODE = 0o640;
const DIRECTORY_MODE = 0o750;
const APPEND = constants.O_RDWR | constants.O_APPEND | constants.O_CREAT;
const NEWLINE = 10;
/** Bytes given to one write. */
const WRITE_BYTES_MAX = 256 * 1024;

export interface FileSettings {
  readonly path: string;
  /** Bytes at which the file is rotated. */
  readonly maxSize: number;
  /** Files kept, the one being written included: `events.log`, `events.log.1` … */
  readonly files: number;
  /** Told in a sentence what went wrong without a line being lost. */
  readonly complain: (sentence: string) => void;
}

interface Opened {
  readonly handle: FileHandle;
  readonly dev: number;
  readonly ino: number;
  /** Only a regular file has a size and is rotated. */
  readonly regular: boolean;
  size: number;
  /** It ends in the middle of a line: of a process that was killed, or of our own on a disk that was full. */
  half: boolean;
}

/** A line that a full disk cut in two: its beginning is the end of a file. */
interface Begun {
  readonly line: Buffer;
  /** Bytes of it that are written. */
  readonly bytes: number;
  readonly dev: number;
  readonly ino: number;
  /** Of the file, with those bytes. */
  readonly size: number;
}

/**
 * Appends to a file and rotates it. Before every batch it looks whether the name still means the file that is
 * open, so that a file moved or removed by someone else is begun anew; a directory that vanished is made again.
 *
 * What a full disk left off is written later, from where it stopped. Nothing is ever cut off the file: anyone who follows
 * it (`tail -F`, a shipper of logs) takes a file that got shorter for a new one, and reads all of it again.
 *
 * winston's own file transport is not used: when a write fails (a full disk, say) it only tells its debug
 * channel, and everything logged afterwards is lost without a word.
 */
export function fileWriter(settings: FileSettings): Writer {
  let file: Opened | undefined;
  let begun: Begun | undefined;
  let stale = false;
  let cannotRotate = false;

  async function current(): Promise<Opened> {
    if (file !== undefined && (stale || !(await isStillNamed(settings.path, file)))) await drop();
    stale = false;
    file ??= await openFile(settings.path);
    return file;
  }

  async function drop(): Promise<void> {
    const { handle } = file ?? {};
    file = undefined;
    await handle?.close().catch(() => undefined);
  }

  async function rotated(full: Opened): Promise<Opened> {
    if (!full.regular || cannotRotate) return full;
    try {
      await rotate(settings.path, settings.files);
    } catch (error) {
      // A log that grows is better than none: the disk's owner is told, and a new start tries again.
      cannotRotate = true;
      settings.complain(
        `the log file ${settings.path} can not be rotated and grows on (${String(error)}): let nfknock's user write to its directory`,
      );
      return full;
    }
    await drop();
    file = await openFile(settings.path);
    return file;
  }

  /** Bytes of the first line that the file ends with already. Half a line that is not ours gets its end. */
  async function written(to: Opened, first: Buffer): Promise<number> {
    if (!to.half) return 0;
    const same = begun?.dev === to.dev && begun.ino === to.ino && begun.size === to.size;
    if (same && begun?.line === first) return begun.bytes;
    await append(to, Buffer.of(NEWLINE));
    to.half = false;
    return 0;
  }

  async function put(lines: Buffer[]): Promise<void> {
    let to = await current();
    for (let [first] = lines; first !== undefined; [first] = lines) {
      const from = await written(to, first);
      if (from === 0 && to.size > 0 && to.size + first.length > settings.maxSize) to = await rotated(to);
      const batch = takeUpTo(lines, Math.min(settings.maxSize - to.size, WRITE_BYTES_MAX));
      begun = undefined;
      try {
        await append(to, Buffer.concat(batch).subarray(from));
      } catch (error) {
        const bytes = takeOff(lines, from + (error instanceof WriteError ? error.written : 0));
        const [line] = lines;
        if (bytes > 0 && line !== undefined) begun = { line, bytes, dev: to.dev, ino: to.ino, size: to.size };
        await drop();
        throw error;
      }
      to.half = false;
      lines.splice(0, batch.length);
    }
  }

  return {
    name: `the log file ${settings.path}`,
    put,
    reopen() {
      stale = true;
      cannotRotate = false;
    },
    close: drop,
  };
}

async function openFile(path: string): Promise<Opened> {
  const handle = await openOrMakeDirectory(path);
  try {
    const found = await handle.stat();
    const { dev, ino, size } = found;
    const regular = found.isFile();
    const half = regular && size > 0 && !(await endsWithNewline(handle, size));
    return { handle, dev, ino, regular, size: regular ? size : 0, half };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

async function openOrMakeDirectory(path: string): Promise<FileHandle> {
  try {
    return await open(path, APPEND, FILE_MODE);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    await mkdir(dirname(path), { recursive: true, mode: DIRECTORY_MODE });
    return await open(path, APPEND, FILE_MODE);
  }
}

async function endsWithNewline(handle: FileHandle, size: number): Promise<boolean> {
  const last = Buffer.alloc(1);
  await handle.read(last, 0, 1, size - 1);
  return last[0] === NEWLINE;
}

async function isStillNamed(path: string, file: Opened): Promise<boolean> {
  try {
    const named = await stat(path);
    // Someone else may have emptied it (`logrotate` with `copytruncate`, or `: > file`).
    if (file.regular) file.size = named.size;
    return named.dev === file.dev && named.ino === file.ino;
  } catch {
    return false;
  }
}

/** Writes all of it, or throws; `size` then counts what was written before. */
async function append(to: Opened, bytes: Buffer): Promise<void> {
  try {
    await writeAll(to.handle.fd, bytes);
    to.size += bytes.length;
  } catch (error) {
    if (error instanceof WriteError) to.size += error.written;
    throw error;
  }
}

/** Takes the lines off that this many bytes hold whole; answers with the bytes left, which are of the next one. */
function takeOff(lines: Buffer[], bytes: number): number {
  let left = bytes;
  for (let [first] = lines; first !== undefined && first.length <= left; [first] = lines) {
    left -= first.length;
    lines.shift();
  }
  return left;
}

/** The first lines that together have at most this many bytes, but at least one. */
function takeUpTo(lines: readonly Buffer[], bytes: number): Buffer[] {
  let sum = 0;
  const end = lines.findIndex((line, index) => {
    sum += line.length;
    return index > 0 && sum > bytes;
  });
  return lines.slice(0, end === -1 ? lines.length : end);
}

/** `path` becomes `path.1`, `path.1` becomes `path.2`, and so on; `files` remain, the new one included. */
async function rotate(path: string, files: number): Promise<void> {
  const kept = Math.max(1, files);
  for (let number = kept - 1; number >= 1; number--) {
    const from = number === 1 ? path : `${path}.${number - 1}`;
    await rename(from, `${path}.${number}`).catch(unlessMissing);
  }
  if (kept === 1) await rm(path, { force: true });
  // Where fewer are kept than before, the rest goes too.
  for (let number = kept; await exists(`${path}.${number}`); number++)
    await rm(`${path}.${number}`, { force: true });
}

function unlessMissing(error: unknown): void {
  if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
}

function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
