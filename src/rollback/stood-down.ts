import { lstatSync, mkdirSync, readlinkSync, renameSync } from 'node:fs';
import { uptime } from 'node:os';
import { dirname, join } from 'node:path';
import { FirewallError } from '../firewall/firewall.ts';
import { codeOf, namespaceOf, netlinkInode, readIfThere, remove, sync, writeDurably } from './place.ts';

/*
 * Every rule of nfknock out, because somebody at the console said so, and until when. A file of root's says it: daemon,
 * commands and deploy/boot-rules all read the same one, so that nobody puts rules back before its time, whichever of
 * them ends or is started anew meanwhile. The daemon's user may read it, and nobody but root write it.
 *
 * It holds lines `name=value`: what a shell without Node.js reads and writes as well.
 */

/** Names other folders, for machines on which these are not root's to write. */
const FOLDER_VARIABLE = 'NFKNOCK_STAND_DOWN_DIR';
/** The first survives a reboot; where it can't be written (a full disk) the second, which does not. */
const FOLDERS: readonly string[] = ['/var/lib/nfknock-stand-down', '/run/nfknock-stand-down'];
const SETTLED_MODE = 0o644;
/** NETLINK_ROUTE of linux/netlink.h, and the port of the kernel's own socket. */
const [NETLINK_ROUTE, KERNEL] = [0, 0];

/** Seconds; moments since 1970. */
export interface Marker {
  readonly id: string;
  readonly since: number;
  /** How long; null: until somebody ends it. */
  readonly length: number | null;
  readonly until: number | null;
  /** What was asked for: a length, or a moment of the wall clock. */
  readonly asked: 'length' | 'moment';
  /** Of this boot, the machine's uptime when it began. */
  readonly boot: string;
  readonly uptime: number;
  /** Tells a network namespace from another that has its number later. */
  readonly network: string;
  /** The machine's own network: there after a reboot too. */
  readonly host: boolean;
  /** The base policy of an appliance was in, and comes back too. */
  readonly base: boolean;
  /** Something of ours was in: else nothing comes back, whatever a configuration wants that was never in force. */
  readonly laid: boolean;
}

/** The machine at this moment. Seconds. */
export interface Here {
  readonly wall: number;
  readonly uptime: number;
  readonly boot: string;
  readonly network: string;
  /** A clock that runs while the machine is off. */
  readonly hasRtc: boolean;
}

export interface StoodDown {
  readonly id: string;
  /** Wall time, ms. */
  readonly since: number;
  /** Null: until somebody ends it. */
  readonly until: number | null;
  readonly base: boolean;
}

/** Whether a marker holds now: seconds left (Infinity: until somebody ends it), or 0. */
export function leftOf(marker: Marker, here: Here): number {
  const { length, until, since } = marker;
  if (marker.boot === here.boot) {
    if (marker.network !== here.network) return 0;
    if (length === null) return Number.POSITIVE_INFINITY;
    // The wall clock may be set meanwhile, which is what the console is often for: what was asked in minutes is
    // counted in minutes.
    const left = length - (here.uptime - marker.uptime);
    const byWall = marker.asked === 'moment' && until !== null ? until - here.wall : left;
    return Math.max(0, Math.min(left, byWall, length));
  }
  if (!marker.host) return 0;
  if (length === null) return Number.POSITIVE_INFINITY;
  // Nobody knows how long the machine was off but a clock that ran meanwhile: without one it is over.
  if (!here.hasRtc || until === null || here.wall < since) return 0;
  return Math.max(0, Math.min(until - here.wall, length));
}

/** What `leftOf` needs. `wall` in milliseconds. */
export function hereAt(wall: number, trust: { readonly boot: string; hasRtc(): boolean }): Here {
  return {
    wall: wall / 1000,
    uptime: uptime(),
    boot: trust.boot,
    network: networkOf(),
    hasRtc: trust.hasRtc(),
  };
}

/** The stand-down that holds here now, if any. */
export function findStoodDown(here: Here): StoodDown | undefined {
  for (const folder of foldersOf()) {
    const marker = readMarker(markerIn(folder));
    if (marker === undefined) continue;
    const left = leftOf(marker, here);
    if (left <= 0) continue;
    const { id, since, base } = marker;
    const until = left === Number.POSITIVE_INFINITY ? null : Math.round((here.wall + left) * 1000);
    return { id, since: since * 1000, until, base };
  }
  return undefined;
}

/** What an owner is to know of it, and how it ends. */
export function standDownProblem(down: StoodDown | undefined): { what: string; fix: string } | undefined {
  if (down === undefined) return undefined;
  return {
    what: `stood down since ${momentOf(down.since)}: every rule of nfknock is out, and what it protects is open to everyone, ${untilWords(down.until)}`,
    fix: 'nfknock stand-down --over; without Node.js: /usr/lib/nfknock/boot-rules over',
  };
}

/** Wall time, ms; null: until somebody ends it. */
export function untilWords(until: number | null): string {
  return until === null ? 'until somebody ends it' : `until ${momentOf(until)}`;
}

/** `2026-11-29 17:40:11Z`. */
export function momentOf(wall: number): string {
  return `${new Date(wall).toISOString().slice(0, 19).replace('T', ' ')}Z`;
}

/** A marker, and the folder that it is in. */
export interface Found {
  readonly folder: string;
  readonly marker: Marker;
}

/** Where the marker is; undefined: there is none, in force or over. */
export function findMarker(): Found | undefined {
  return findBy(markerIn);
}

/** One that somebody has begun to end: its rules are to be put back. */
export function findEnding(): Found | undefined {
  return findBy(endingIn);
}

function findBy(fileIn: (folder: string) => string): Found | undefined {
  for (const folder of foldersOf()) {
    const marker = readMarker(fileIn(folder));
    if (marker !== undefined) return { folder, marker };
  }
  return undefined;
}

/** Writes the marker where it can be written, and answers where. Throws a FirewallError where it can't be anywhere. */
export function writeMarker(marker: Marker): string {
  let last: unknown;
  for (const folder of foldersOf()) {
    try {
      makeFolder(folder);
      writeDurably(markerIn(folder), textOf(marker), SETTLED_MODE);
      // One that another folder holds would be found first, or later.
      for (const other of foldersOf()) if (other !== folder) remove(markerIn(other));
      return folder;
    } catch (error) {
      last = error;
    }
  }
  if (last instanceof FirewallError) throw last;
  const fix = 'run it as root, with room on /var or /run; without it: /usr/lib/nfknock/boot-rules unlay';
  throw new FirewallError('keep that nfknock is stood down', codeOf(last) ?? 'UNKNOWN', fix, { cause: last });
}

/** From now on it does not hold. False where somebody else was first. */
export function beginEnding(folder: string): boolean {
  try {
    renameSync(markerIn(folder), endingIn(folder));
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return false;
    throw error;
  }
  sync(folder);
  return true;
}

/** Nothing is kept of it any more. */
export function forgetStoodDown(): void {
  for (const folder of foldersOf()) {
    for (const path of [markerIn(folder), endingIn(folder), backIn(folder)]) remove(path);
  }
}

/** Where what is to come back is kept, for root alone. */
export function backIn(folder: string): string {
  return join(folder, `back-${namespaceOf()}`);
}

/** Whether a marker that is written here survives a reboot. */
export function survivesReboot(folder: string): boolean {
  return folder !== FOLDERS[1];
}

/** True where this process is in the network that the machine itself has, as far as it may know. */
export function isHost(): boolean {
  try {
    return readlinkSync('/proc/1/ns/net') === readlinkSync('/proc/self/ns/net');
  } catch {
    return false;
  }
}

/**
 * The inode of the kernel's own socket in this network namespace. The number of a namespace is given to another soon
 * after it has gone; this one is not given again.
 */
export function networkOf(): string {
  try {
    return netlinkInode(NETLINK_ROUTE, KERNEL) ?? '';
  } catch {
    return '';
  }
}

function foldersOf(): readonly string[] {
  const named = process.env[FOLDER_VARIABLE];
  return named === undefined || named === '' ? FOLDERS : [named];
}

function markerIn(folder: string): string {
  return join(folder, `stood-down-${namespaceOf()}`);
}

function endingIn(folder: string): string {
  return join(folder, `ending-${namespaceOf()}`);
}

function makeFolder(folder: string): void {
  mkdirSync(folder, { recursive: true, mode: 0o755 });
  if (isTrusted(folder, 'folder')) return;
  const fix = 'it must be a folder of root’s that nobody else may write to: remove what is there';
  throw new FirewallError(`use ${folder}`, 'NOT_OURS', fix);
}

/** Whoever could write it could open every door. */
function isTrusted(path: string, kind: 'file' | 'folder'): boolean {
  const { uid, mode } = lstatSync(path);
  const fits = (mode & 0o170000) === (kind === 'file' ? 0o100000 : 0o040000);
  return fits && (uid === 0 || uid === process.geteuid?.()) && (mode & 0o022) === 0;
}

/** Undefined where there is none that can be believed: then the rules are to stand. */
function readMarker(file: string): Marker | undefined {
  try {
    if (!isTrusted(dirname(file), 'folder') || !isTrusted(file, 'file')) return undefined;
    return markerOf(readIfThere(file) ?? '');
  } catch {
    return undefined;
  }
}

export function markerOf(text: string): Marker | undefined {
  const fields = new Map(
    text.split('\n').flatMap((line) => {
      const at = line.indexOf('=');
      return at < 1 ? [] : [[line.slice(0, at), line.slice(at + 1)] as const];
    }),
  );
  const number = (name: string): number => {
    const value = fields.get(name) ?? '';
    return /^\d+(\.\d+)?$/.test(value) ? Number(value) : Number.NaN;
  };
  const id = fields.get('id') ?? '';
  // One that has lost its length would hold for ever. Nothing of the time stands after `base`.
  if (!fields.has('length') || !['yes', 'no'].includes(fields.get('base') ?? '')) return undefined;
  const timed = fields.get('length') !== '';
  const [since, up] = [number('since'), number('uptime')];
  const length = timed ? number('length') : null;
  const until = timed ? number('until') : null;
  if (!/^[0-9a-f]{1,32}$/.test(id) || [since, up, length ?? 0, until ?? 0].some(Number.isNaN))
    return undefined;
  return {
    ...{ id, since, length, until, uptime: up },
    asked: fields.get('asked') === 'moment' ? 'moment' : 'length',
    ...{ boot: fields.get('boot') ?? '', network: fields.get('network') ?? '' },
    ...{ host: fields.get('host') === 'yes', base: fields.get('base') === 'yes' },
    laid: fields.get('laid') !== 'no',
  };
}

export function textOf(marker: Marker): string {
  const { id, since, length, until, asked, boot, uptime: up, network, host, base, laid } = marker;
  const yes = (flag: boolean): string => (flag ? 'yes' : 'no');
  const fields = {
    ...{ id, since, length: length ?? '', until: until ?? '', asked, boot, uptime: up, network },
    ...{ host: yes(host), base: yes(base), laid: yes(laid) },
  };
  return Object.entries(fields)
    .map(([name, value]) => `${name}=${value}\n`)
    .join('');
}
