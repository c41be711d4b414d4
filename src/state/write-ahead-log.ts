import { closeSync, constants, fdatasyncSync, fstatSync, openSync, statfsSync } from 'node:fs';
import { writeAllSync } from '../files/write.ts';

/** As much as what keys open in ten seconds takes, after which the log begins anew: 24 kB for each opening. */
const LOG_BYTES = 1 << 20;
/** A disk that has less than this many times as much left has better use for it. */
const ROOM_FACTOR = 64;

/**
 * What SQLite has written and not yet carried over into the database, in the file beside it. No lock is on this one: closing any
 * descriptor of the database itself would drop SQLite's.
 */
export interface WriteAheadLog {
  /** Carries what was written to the disk itself. */
  sync(): void;
  close(): void;
}

/**
 * Somebody waits for what keys open to be on the disk. A file that grew, or whose times changed, takes the file system's own
 * journal along when it is synced: measured on ext4, 2 to 6 ms. So the log is laid out at its full length at the start, and
 * only its bytes are synced: a third of that. SQLite reads no further than its own frames.
 */
export function openWriteAheadLog(path: string): WriteAheadLog {
  const log = openSync(path, constants.O_WRONLY | constants.O_APPEND | constants.O_NOFOLLOW);
  try {
    layOut(log, path);
  } catch {
    // It is only slower without. Whether the file can be written is found out where that matters.
  }
  return { sync: () => fdatasyncSync(log), close: () => closeSync(log) };
}

function layOut(log: number, path: string): void {
  const { size } = fstatSync(log);
  const { bavail, bsize } = statfsSync(path);
  if (size >= LOG_BYTES || bavail * bsize < ROOM_FACTOR * LOG_BYTES) return;
  writeAllSync(log, Buffer.alloc(LOG_BYTES - size));
  fdatasyncSync(log);
}
