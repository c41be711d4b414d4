import {
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  statSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { type Owner, replaceFileSync } from '../../files/write.ts';
import { messageOf } from '../../text/error.ts';

/** What takes back what was done, the last of it first. */
export interface Journal {
  /** Remembers how to take back what is done next. */
  remember(undo: () => void | Promise<void>): void;
  /** Takes all back, whatever of it fails; answers with what failed. */
  undo(): Promise<readonly string[]>;
  /** What was done is there to stay: nothing of it is taken back any more. */
  keep(): void;
  readonly isKept: boolean;
}

export function createJournal(): Journal {
  const steps: (() => void | Promise<void>)[] = [];
  let kept = false;
  return {
    remember(undo) {
      steps.push(undo);
    },
    async undo() {
      const faults: string[] = [];
      for (const step of steps.splice(0).reverse()) {
        try {
          await step();
        } catch (error) {
          faults.push(messageOf(error));
        }
      }
      return faults;
    },
    keep() {
      kept = true;
      steps.length = 0;
    },
    get isKept() {
      return kept;
    },
  };
}

/** Remembers a file as it is now, or that there is none; undone, it is that again, with its owner and mode. */
export function rememberFile(journal: Journal, path: string): void {
  const before = existsSync(path) ? { bytes: readFileSync(path), ...statSync(path) } : undefined;
  journal.remember(() => {
    if (before === undefined) {
      rmSync(path, { force: true });
      return;
    }
    const { bytes, mode, uid, gid } = before;
    // What is as it was is not touched.
    if (existsSync(path) && readFileSync(path).equals(bytes)) return;
    replaceFileSync(path, bytes, { mode: mode & 0o7777, uid, gid });
  });
}

/** What is not there yet and is made by somebody else is gone again when all is undone: a file, or an empty folder. */
export function forgetNew(journal: Journal, path: string): void {
  if (existsSync(path)) return;
  journal.remember(() => {
    if (lstatSync(path, { throwIfNoEntry: false })?.isDirectory() !== true) rmSync(path, { force: true });
    else if (readdirSync(path).length === 0) rmdirSync(path);
  });
}

/** Makes a folder and those above it; undone, those that were made and are empty are gone. */
export function makeFolder(journal: Journal, path: string, { mode, uid, gid }: Owner): void {
  if (lstatSync(path, { throwIfNoEntry: false }) !== undefined) return;
  makeFolder(journal, dirname(path), { mode: 0o755 });
  journal.remember(() => {
    try {
      rmdirSync(path);
    } catch {
      // Something of somebody else's lies in it by now, or it is gone.
    }
  });
  mkdirSync(path, { mode });
  if (uid !== undefined && gid !== undefined) chownSync(path, uid, gid);
}

/** Puts a file in its place in one step; undone, it is what it was. */
export function writeRemembered(journal: Journal, path: string, text: string, owner: Owner): void {
  rememberFile(journal, path);
  replaceFileSync(path, Buffer.from(text), owner);
}
