import { createHash } from 'node:crypto';
import { chmodSync, chownSync, renameSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { type Place, readIfThere, remove, writeDurably } from './place.ts';

/** The configuration: what it is to hold again; null: it was not there; undefined: as it is now. */
export interface Kept {
  readonly path: string;
  readonly text?: string | null;
}

/** Where what nobody confirmed is kept. */
export function unconfirmedOf(path: string): string {
  return `${path}.unconfirmed`;
}

/**
 * What was tried is kept beside it, so that nobody's work is lost. There is always a file where there is to be one, also
 * on a disk without room for what is to be in it.
 */
export function restoreConfiguration(place: Place, { path, text }: Kept): void {
  const tried = readIfThere(path);
  if (tried !== undefined && text === undefined) {
    writeDurably(place.refused, `${createHash('sha256').update(tried).digest('hex')}  ${path}\n`);
  }
  if (text === undefined || tried === text) return;
  const beside = `${path}.restored`;
  const unconfirmed = unconfirmedOf(path);
  if (text !== null) write(beside, text, tried === undefined ? unconfirmed : path);
  if (tried !== undefined) renameSync(path, unconfirmed);
  if (text !== null) renameSync(beside, path);
}

/** With the owner and the mode of another file, or of the folder: the daemon's group reads it. */
function write(file: string, text: string, like: string): void {
  try {
    writeDurably(file, text);
  } catch (error) {
    remove(file);
    throw error;
  }
  const { uid, gid, mode } = statSync(like, { throwIfNoEntry: false }) ?? statSync(dirname(file));
  chownSync(file, uid, gid);
  chmodSync(file, mode & 0o666);
}
