import { type Stats, statSync } from 'node:fs';
import type { Unread } from './load.ts';

const OTHERS = 0o007;
const GROUP = 0o070;

/** Who else could read or change a file with secrets. */
export interface SecretAccess {
  /** What it is about: that it is no file, others, its owner, or a group. */
  readonly about: 'kind' | 'others' | 'owner' | 'group';
  /** `fault`: anybody can; `warning`: a group can. */
  readonly level: 'fault' | 'warning';
  readonly problem: string;
  readonly fix: string;
}

/** What is wrong with who may read a secret file; undefined also where it is not there, which is told when it is read. */
export function accessOf(path: string): SecretAccess | undefined {
  const stats = statOf(path);
  if (stats === undefined) return undefined;
  // A pipe would be waited for, and a device never ends.
  if (!stats.isFile())
    return {
      ...{ about: 'kind', level: 'fault' },
      problem: 'it is not a regular file',
      fix: 'name the file with the secrets',
    };
  const mode = (stats.mode & 0o777).toString(8).padStart(4, '0');
  if ((stats.mode & OTHERS) !== 0)
    return {
      ...{ about: 'others', level: 'fault' },
      problem: `it can be read or changed by others (${mode})`,
      fix: `chmod 0600 ${path}`,
    };
  const own = process.geteuid?.() ?? 0;
  if (own !== 0 && stats.uid !== own && stats.uid !== 0)
    return {
      ...{ about: 'owner', level: 'fault' },
      problem: 'it belongs to another user than the daemon, who could open every door',
      fix: `chown ${own} ${path}`,
    };
  if ((stats.mode & GROUP) !== 0)
    return {
      ...{ about: 'group', level: 'warning' },
      problem: `${path} can be read or changed by a group (${mode})`,
      fix: `chmod 0600 ${path}`,
    };
  return undefined;
}

/** A secret file, for who has to be told what to do about it. */
interface Own {
  /** The configuration's key that names it. */
  readonly key: string;
  /** The command that makes one. */
  readonly make: string;
  readonly holds: string;
}

/** What helps where a secret file can't be read. `code`: the system's, or null where it is too large. */
export function unreadFix({ code, faults }: Unread, { key, make, holds }: Own): string {
  switch (code) {
    case 'ENOENT':
      return `make it: ${make}; or name another with "${key}"`;
    case 'EACCES':
    case 'EPERM':
      return "let the daemon's user read it, and enter the folders above it";
    case 'ENOTDIR':
      return `a part of its path is not a directory: name another with "${key}"`;
    case 'ELOOP':
      return `name the file itself with "${key}"`;
    case null:
      return `${faults[0]?.fix ?? 'shorten it'}, if it is the file that "${key}" is to name: ${holds}`;
    default:
      return `name another with "${key}", or repair it`;
  }
}

/** What can't be looked at is told of when it is read. */
function statOf(path: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch {
    return undefined;
  }
}
