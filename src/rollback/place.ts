import {
  chmodSync,
  closeSync,
  existsSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { replaceFileSync } from '../files/write.ts';
import { FirewallError } from '../firewall/firewall.ts';

/**
 * Where the way back is kept: a folder that no unit's end, no crash and no power cut removes, and that nobody but
 * root can write to, since root does what stands in it.
 */
const FOLDER = '/var/lib/nfknock-rollback';
/** Names another folder, for machines on which that is not root's to write. */
const FOLDER_VARIABLE = 'NFKNOCK_ROLLBACK_DIR';
/** Where deploy/boot-rules notes that our rules stand, until the next boot. */
const MARKS = '/run/nfknock-rules';
/** Where it keeps what it lays at boot. */
const COPY = '/var/lib/nfknock-rules';
const ENOENT = 'ENOENT';

/** The files of one network namespace, all in one folder. deploy/boot-rules knows these names too. */
export interface Place {
  readonly folder: string;
  /** A change that waits for its confirmation; anyone who renames it first decides. */
  readonly pending: string;
  /** One that is being rolled back. */
  readonly undoing: string;
  /** How the last one ended. */
  readonly ended: string;
  /** The configuration that was last confirmed: its path in the first line, then its text. */
  readonly confirmed: string;
  /** The digest of a configuration that was rolled back and never confirmed: no boot lays it. */
  readonly refused: string;
}

export function placeOf(folder: string = process.env[FOLDER_VARIABLE] ?? FOLDER): Place {
  const namespace = namespaceOf();
  return {
    folder,
    pending: join(folder, `pending-${namespace}`),
    undoing: join(folder, `undoing-${namespace}`),
    ended: join(folder, `ended-${namespace}`),
    confirmed: join(folder, 'confirmed'),
    refused: join(folder, 'refused'),
  };
}

/** Makes the folder, or checks it. Throws a FirewallError where it is not ours alone. */
export function makePlace(): Place {
  const place = placeOf();
  try {
    mkdirSync(place.folder, { recursive: true, mode: 0o700 });
  } catch (error) {
    const fix = 'run it as root: what is saved for a rollback belongs to root';
    throw new FirewallError(`make ${place.folder}`, codeOf(error) ?? 'UNKNOWN', fix, { cause: error });
  }
  if (!isOurs(place.folder)) {
    const fix = 'it must be a folder of the user who runs this, mode 0700: remove what is there';
    throw new FirewallError(`use ${place.folder}`, 'NOT_OURS', fix);
  }
  chmodSync(place.folder, 0o700);
  return place;
}

/** True for a folder that belongs to who runs this, and that nobody else could ever have written to. */
function isOurs(folder: string): boolean {
  const { uid, mode } = lstatSync(folder);
  const directory = (mode & 0o170000) === 0o040000;
  return directory && uid === process.geteuid?.() && (mode & 0o022) === 0;
}

/** True where this user may look into the folder and what is there can be believed. */
export function isReadable({ folder }: Place): boolean {
  try {
    return isOurs(folder) && readable(folder);
  } catch {
    return false;
  }
}

function readable(folder: string): boolean {
  closeSync(openSync(folder, 'r'));
  return true;
}

/** Undefined where there is no such file. */
export function readIfThere(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if (codeOf(error) === ENOENT || codeOf(error) === 'ENOTDIR') return undefined;
    throw error;
  }
}

/** Writes a file so that after a power cut there is either the old one or the whole new one. */
export function writeDurably(file: string, text: string, mode = 0o600): void {
  replaceFileSync(file, Buffer.from(text), { mode });
}

/** Carries a file or a folder's names to the disk. */
export function sync(path: string): void {
  const file = openSync(path, 'r');
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

/** Renames a folder; false where somebody else was there first. */
export function claim(from: string, to: string): boolean {
  try {
    renameSync(from, to);
  } catch (error) {
    if (codeOf(error) === ENOENT) return false;
    throw error;
  }
  sync(dirname(to));
  return true;
}

/** Removes a folder at once: what is killed while it does so leaves none that is half there. */
export function discard(path: string): void {
  const gone = `${path}.gone`;
  remove(gone);
  if (claim(path, gone)) remove(gone);
}

export function remove(path: string): void {
  rmSync(path, { recursive: true, force: true });
}

export function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error ? String(error.code) : undefined;
}

/** Our rules are to stand again: deploy/boot-rules lays them after another program's, where it has a copy of them. */
export function rememberInstalled(): void {
  if (!existsSync(COPY)) return;
  mkdirSync(MARKS, { recursive: true, mode: 0o700 });
  writeDurably(join(MARKS, `laid-${namespaceOf()}`), '');
}

/** Our rules are not to stand any more: deploy/boot-rules lays them no more after another program's. */
export function forgetInstalled(): void {
  remove(join(MARKS, `laid-${namespaceOf()}`));
}

/**
 * The inode of a netlink socket of this network namespace: columns sk, protocol, port id, groups, rmem, wmem, dump, locks,
 * drops, inode. The port is signed there or not.
 */
export function netlinkInode(protocol: number, port: number): string | undefined {
  const rows = (readIfThere('/proc/self/net/netlink') ?? '')
    .split('\n')
    .map((line) => line.trim().split(/\s+/));
  return rows.find(([, of, id]) => of === `${protocol}` && Number(id) >>> 0 === port >>> 0)?.[9];
}

export function namespaceOf(): string {
  return /\d+/.exec(readlinkSync('/proc/self/ns/net'))?.[0] ?? '0';
}

/** This boot of the machine. */
export function bootId(): string {
  return (readIfThere('/proc/sys/kernel/random/boot_id') ?? '').trim().replaceAll('-', '');
}
