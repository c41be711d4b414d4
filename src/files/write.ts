import {
  closeSync,
  fchmodSync,
  fchownSync,
  fsyncSync,
  openSync,
  renameSync,
  rmSync,
  unlinkSync,
  write,
  writeSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { asError } from '../text/error.ts';

/*
 * write(2) may write less than it was given and call that success: on a disk that is nearly full it does. Every write
 * of the program to a file goes through here (test/architecture.test.ts): all of it, or an error.
 */

/** Writing came to its end before all was written; `cause` is what the system said. */
export class WriteError extends Error {
  /** The system's code, such as ENOSPC. */
  readonly code: string;
  /** Bytes that were written before. */
  readonly written: number;
  constructor(code: string, written: number, cause: unknown) {
    super(cause instanceof Error ? cause.message : code, { cause });
    this.name = 'WriteError';
    this.code = code;
    this.written = written;
  }
}

/** Writes all of it. Throws a WriteError where that fails. */
export function writeAllSync(descriptor: number, bytes: Uint8Array): void {
  let written = 0;
  try {
    while (written < bytes.length) written += atLeastOne(writeSync(descriptor, bytes, written));
  } catch (error) {
    throw writeError(error, written);
  }
}

/** Writes all of it. Rejects with a WriteError where that fails. */
export async function writeAll(descriptor: number, bytes: Uint8Array): Promise<void> {
  let written = 0;
  try {
    while (written < bytes.length) written += atLeastOne(await writeSome(descriptor, bytes, written));
  } catch (error) {
    throw writeError(error, written);
  }
}

export interface Owner {
  readonly mode: number;
  /** Left out: anyone who runs this. */
  readonly uid?: number;
  readonly gid?: number;
}

/**
 * Gives a file new content: written beside it, synced, and put in its place in one step, which is synced too. Whatever
 * fails, and whenever the power goes, the file is the old one or the new one, whole. Throws what the system says; then
 * it is the old one, but for the last step of all: where only the folder can't be synced the new one is there, and a
 * power cut may bring the old one back.
 */
export function replaceFileSync(path: string, content: Uint8Array, { mode, uid, gid }: Owner): void {
  const folder = dirname(path);
  const beside = join(folder, `.${basename(path)}.${process.pid}.new`);
  try {
    // A process of the same id, as in a container, may have been killed here.
    rmSync(beside, { force: true });
    const file = openSync(beside, 'wx', 0o600);
    try {
      writeAllSync(file, content);
      if (uid !== undefined && gid !== undefined) fchownSync(file, uid, gid);
      fchmodSync(file, mode & 0o7777);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(beside, path);
  } catch (error) {
    try {
      unlinkSync(beside);
    } catch {
      // It may never have been made.
    }
    throw error;
  }
  const opened = openSync(folder, 'r');
  try {
    fsyncSync(opened);
  } finally {
    closeSync(opened);
  }
}

/** Writes a file, or a device, anew: all of it, or it throws a WriteError or what the system says. */
export function writeFileWhole(path: string, content: Uint8Array): void {
  const file = openSync(path, 'w');
  try {
    writeAllSync(file, content);
  } finally {
    closeSync(file);
  }
}

/**
 * Makes a stream that is a file behind standard output write whole: Node's own calls write(2) once and takes what that
 * wrote for all of it, so that a list cut off on a full disk would end with success. Pipes and terminals need nothing.
 */
export function writeWhole(stream: NodeJS.WriteStream & { readonly fd: number }): void {
  stream._write = (chunk: Uint8Array | string, encoding, done): void => {
    try {
      writeAllSync(stream.fd, typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk);
    } catch (error) {
      done(asError(error));
      return;
    }
    done();
  };
}

function writeSome(descriptor: number, bytes: Uint8Array, from: number): Promise<number> {
  return new Promise((resolve, reject) => {
    write(descriptor, bytes, from, bytes.length - from, null, (error, written) => {
      if (error === null) resolve(written);
      else reject(error);
    });
  });
}

/** A device that takes nothing and says nothing would be asked for ever. */
function atLeastOne(written: number): number {
  if (written > 0) return written;
  throw Object.assign(new Error('EIO: nothing was written'), { code: 'EIO' });
}

function writeError(error: unknown, written: number): WriteError {
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'EIO';
  return new WriteError(code, written, error);
}
