import { closeSync, constants, fdatasync, fdatasyncSync, fstatSync, openSync, statfsSync } from 'node:fs';
import { promisify } from 'node:util';
import { writeAllSync } from '../files/write.ts';

const carried = promisify(fdatasync);
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
  /** The same without holding up the thread. */
  syncBeside(): Promise<void>;
  /** What is being synced is carried to its end first. */
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
  let under = 0;
  let closed = false;
  const closeOnceIdle = (): void => {
    if (closed && under === 0) closeSync(log);
  };
  return {
    sync: () => fdatasyncSync(log),
    async syncBeside() {
      under += 1;
      try {
        await carried(log);
      } finally {
        under -= 1;
        closeOnceIdle();
      }
    },
    close() {
      closed = true;
      closeOnceIdle();
    },
  };
}

function layOut(log: number, path: string): void {
  const { size } = fstatSync(log);
  const { bavail, bsize } = statfsSync(path);
  if (size >= LOG_BYTES || bavail * bsize < ROOM_FACTOR * LOG_BYTES) return;
  writeAllSync(log, Buffer.alloc(LOG_BYTES - size));
  fdatasyncSync(log);
}
