import { type Stats, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { readText } from '../machine/proc.ts';

/** Somebody who may be another than who asks. */
export interface User {
  readonly name: string;
  readonly uid: number;
  readonly groups: readonly number[];
}

const READ = 4;
const WRITE = 2;
const RUN = 1;
const BITS = { read: READ, write: WRITE, run: RUN } as const;

/** A user by name, from passwd and group files as they lie under `root`; undefined: there is none. */
export function findUser(name: string, root = '/'): User | undefined {
  const row = rows(join(root, 'etc/passwd')).find(([each]) => each === name);
  const [, , uid, gid] = row ?? [];
  if (uid === undefined || gid === undefined)
    return name === 'root' ? { name, uid: 0, groups: [0] } : undefined;
  const more = rows(join(root, 'etc/group')).filter(
    ([, , , members]) => members?.split(',').includes(name) === true,
  );
  return { name, uid: Number(uid), groups: [Number(gid), ...more.map(([, , id]) => Number(id))] };
}

/**
 * Why a user may not do this with a file; undefined: the modes let them. Lists beyond the modes (ACLs) are not seen.
 * `replace` is what is done to a file that is written anew beside itself: its folder is written.
 */
export function accessFault(
  user: User,
  path: string,
  wish: 'read' | 'write' | 'run' | 'replace',
): string | undefined {
  const folders = foldersOf(path);
  const closed = folders.find((folder) => !may(user, folder, RUN));
  if (closed !== undefined) return `${user.name} may not enter ${closed}`;
  const folder = dirname(path);
  if (wish === 'replace') {
    return may(user, folder, WRITE) ? undefined : `${user.name} may not write the folder ${folder}`;
  }
  const there = stats(path);
  if (there === undefined) {
    if (wish !== 'write') return `${path} is not there`;
    const above = folders.findLast((each) => stats(each) !== undefined) ?? '/';
    return may(user, above, WRITE) ? undefined : `${user.name} may not write the folder ${above}`;
  }
  return permitted(user, there, BITS[wish]) ? undefined : `${user.name} may not ${wish} ${path}`;
}

/** Whether a path is a folder or within it. */
export function isWithin(path: string, folder: string): boolean {
  return path === folder || path.startsWith(folder.endsWith('/') ? folder : `${folder}/`);
}

function may(user: User, path: string, bit: number): boolean {
  const found = stats(path);
  // What is not there yet is made by anyone who may write what is above it.
  return found === undefined || permitted(user, found, bit);
}

function permitted({ uid, groups }: User, { mode, uid: owner, gid }: Stats, bit: number): boolean {
  if (uid === 0) return bit !== RUN || (mode & 0o111) !== 0;
  const shift = owner === uid ? 6 : groups.includes(gid) ? 3 : 0;
  return ((mode >> shift) & bit) !== 0;
}

/** `/`, `/var`, `/var/lib` of `/var/lib/x`. */
function foldersOf(path: string): readonly string[] {
  const parts = dirname(path).split('/').filter(Boolean);
  return ['/', ...parts.map((_, index) => `/${parts.slice(0, index + 1).join('/')}`)];
}

function stats(path: string): Stats | undefined {
  return statSync(path, { throwIfNoEntry: false });
}

function rows(path: string): readonly (readonly string[])[] {
  return readText(path)
    .split('\n')
    .map((line) => line.split(':'));
}

/** What a user is called here, or else the number. */
export function ownerName(uid: number, root = '/'): string {
  const row = rows(join(root, 'etc/passwd')).find(([, , id]) => Number(id) === uid);
  return row?.[0] ?? `the user ${uid}`;
}
