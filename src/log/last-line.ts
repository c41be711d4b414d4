import { closeSync, constants, openSync } from 'node:fs';
import type { NfknockEvent } from '../engine/event.ts';
import { WriteError, writeAllSync } from '../files/write.ts';
import { formatLine, type WallOf } from './line.ts';

const STDOUT = 1;
const FILE_MODE = 0o640;
const APPEND = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT;
/** A pipe whose reader is behind is tried again this often, each time after this many ms; then the line is given up. */
const ATTEMPTS_MAX = 50;
const PAUSE_MS = 10;

/**
 * Writes the last line that a process has to say, before this returns: to the log's file, or to standard output. For a
 * process that ends now; nothing here throws, since nobody is left to be told.
 */
export function writeLastLine(file: string | null, event: NfknockEvent, wallOf: WallOf): void {
  // Another line may have been cut off half-way.
  const bytes = Buffer.from(`\n${formatLine(event, wallOf)}\n`);
  try {
    const descriptor = file === null ? STDOUT : openSync(file, APPEND, FILE_MODE);
    writePatiently(descriptor, file === null ? bytes.subarray(1) : bytes);
    if (file !== null) closeSync(descriptor);
  } catch {
    // A full disk, a reader that is gone: what is on standard error stays.
  }
}

function writePatiently(descriptor: number, bytes: Uint8Array): void {
  let rest = bytes;
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt += 1) {
    try {
      writeAllSync(descriptor, rest);
      return;
    } catch (error) {
      if (!(error instanceof WriteError) || error.code !== 'EAGAIN') throw error;
      rest = rest.subarray(error.written);
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, PAUSE_MS);
    }
  }
}
