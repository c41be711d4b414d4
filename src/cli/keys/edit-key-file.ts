import { closeSync, existsSync, openSync, readFileSync, realpathSync, rmSync, statSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { formatFault } from '../../config/fault.ts';
import { parseKeyFile } from '../../config/key-file.ts';
import { findUser } from '../../doctor/access.ts';
import { installedUnit } from '../../doctor/unit.ts';
import { type Owner, replaceFileSync, writeAllSync } from '../../files/write.ts';
import type { KeyFile } from '../../spa/key.ts';
import { EXIT } from '../exit.ts';
import { CommandFailure } from '../failure.ts';
import { codeOf } from '../resolve.ts';
import { unbroken } from '../unbroken.ts';

/** The key file as it is: its text, and what it holds. An absent file is an empty one. */
export interface KeysOnDisk {
  readonly text: string;
  readonly file: KeyFile;
}

const NEW_FILE = `# The keys of people: whoever can read this file may be able to open doors (0600).
# Written by "nfknock key"; it may be edited: "nfknock check" says what is wrong, "nfknock reload" takes it in.
`;
const EMPTY: KeyFile = { realms: [], keys: [] };
/** Milliseconds that another who edits the file is waited for. */
const PATIENCE = 5_000;

/** Reads the key file. Throws CommandFailure with its faults, none of which repeats a value. */
export function readKeys(path: string): KeysOnDisk {
  let text: string;
  try {
    // An editor's mark at the beginning would hide the first line from who looks for its words.
    text = readFileSync(path, 'utf8').replace(/^\ufeff/, '');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return { text: NEW_FILE, file: EMPTY };
    throw refused(path, error, 'read');
  }
  if (!/^(keys|realm|old_realm)\s*:/m.test(text)) return { text, file: EMPTY };
  const parsed = parseKeyFile(text, path);
  if (parsed.ok) return { text, file: parsed.file };
  for (const fault of parsed.faults) process.stderr.write(`${formatFault(fault)}\n`);
  throw new CommandFailure(EXIT.config, `${path} is wrong, so nothing was changed: correct it`);
}

/**
 * Edits the key file in one step, while nobody else does. `change` gets what is there and answers with the new text;
 * what the reader would not take is not written. Rejects with CommandFailure.
 */
export async function editKeys<Made extends { readonly text: string }>(
  path: string,
  change: (held: KeysOnDisk) => Promise<Made>,
): Promise<Made> {
  const place = existsSync(path) ? realpathSync(path) : path;
  const unlock = await locked(place);
  try {
    return await unbroken(async (isAsked) => {
      const made = await change(readKeys(place));
      const parsed = parseKeyFile(made.text, path);
      if (!parsed.ok) {
        for (const fault of parsed.faults) process.stderr.write(`${formatFault(fault)}\n`);
        throw new CommandFailure(EXIT.config, `${path} would be wrong after that, so nothing was changed`);
      }
      await isAsked();
      try {
        replaceFileSync(place, Buffer.from(made.text), ownerOf(place));
      } catch (error) {
        throw refused(path, error, 'written');
      }
      return made;
    });
  } finally {
    unlock();
  }
}

/** Of whom the file is: as it was, and readable by nobody else; a new one is the daemon's, where there is one. */
export function ownerOf(path: string): Owner {
  if (existsSync(path)) {
    const { uid, gid } = statSync(path);
    return { mode: 0o600, uid, gid };
  }
  const unit = process.getuid?.() === 0 ? installedUnit() : undefined;
  const user = unit && findUser(unit.user);
  const [gid] = user?.groups ?? [];
  return user === undefined || gid === undefined ? { mode: 0o600 } : { mode: 0o600, uid: user.uid, gid };
}

/** Two who edit at once would undo one another. The lock of a process that is gone is taken away. */
async function locked(path: string): Promise<() => void> {
  const lock = `${path}.lock`;
  for (let waited = 0; ; waited += 50) {
    try {
      const file = openSync(lock, 'wx', 0o600);
      writeAllSync(file, Buffer.from(`${process.pid}\n`));
      closeSync(file);
      return () => rmSync(lock, { force: true });
    } catch (error) {
      if (codeOf(error) !== 'EEXIST') throw refused(path, error, 'written');
    }
    if (isLeft(lock)) rmSync(lock, { force: true });
    else if (waited >= PATIENCE)
      throw new CommandFailure(EXIT.failed, `another process edits ${path}: try again, or remove ${lock}`);
    else await setTimeout(50);
  }
}

function isLeft(lock: string): boolean {
  let holder: number;
  try {
    holder = Number(readFileSync(lock, 'utf8'));
  } catch {
    return false;
  }
  // Empty: it is being written.
  if (!Number.isInteger(holder) || holder < 1) return false;
  try {
    process.kill(holder, 0);
    return false;
  } catch (error) {
    return codeOf(error) === 'ESRCH';
  }
}

function refused(path: string, error: unknown, what: 'read' | 'written'): CommandFailure {
  const code = codeOf(error);
  const denied = code === 'EACCES' || code === 'EPERM';
  const fix = denied
    ? 'run this as root'
    : 'name another with "keys:" in the configuration, or make its folder';
  return new CommandFailure(
    denied ? EXIT.notPermitted : EXIT.failed,
    `${path} can't be ${what} (${code}): ${fix}`,
  );
}
