import { close, fsync, open } from 'node:fs';

/** Carries a file to the disk without holding up the thread. */
export function syncBeside(path: string, done: (error: Error | null) => void): void {
  open(path, 'r', (error, log) => {
    // Nothing was written yet.
    if (error !== null) return done(error.code === 'ENOENT' ? null : error);
    fsync(log, (failed) => {
      close(log, () => done(failed));
    });
  });
}
