import { type Stats, statSync } from 'node:fs';
import type { Config } from '../policy/config.ts';
import { isPublished } from '../policy/published.ts';
import { accessFault, findUser, ownerName, type User } from './access.ts';
import { type Finding, fault, warning } from './finding.ts';
import type { Unit } from './unit.ts';

/** Anyone who is on this machine and neither root, the daemon, nor in one of its groups. */
const ANYBODY: User = { name: 'anybody', uid: -1, groups: [] };
const GROUP_READ = 0o040;
const GROUP_WRITE = 0o020;

interface Secret {
  readonly key: string;
  readonly path: string;
}

/** Sequences that are no secret, and files with secrets that others can read or change. */
export function ofSecrets(config: Config, file: string, unit: Unit | undefined): readonly Finding[] {
  return [...ofPublished(config), ...secretsOf(config, file).flatMap((each) => ofModes(each, unit))];
}

function ofPublished({ doors }: Config): readonly Finding[] {
  return doors.flatMap(({ name, knock }) => {
    if ('oneTime' in knock || !isPublished(knock)) return [];
    const problem = `the sequence of the door ${name} is a published example: guessers try it first`;
    return [warning('published-secret', problem, 'draw another, with ports of both protocols in no order')];
  });
}

/** The configuration holds the sequences and names commands that the daemon runs. */
function secretsOf({ doors }: Config, file: string): readonly Secret[] {
  const oneTime = doors.flatMap(({ name, knock }) =>
    'oneTime' in knock ? [{ key: `doors.${name}.one_time`, path: knock.oneTime }] : [],
  );
  return [{ key: 'the configuration', path: file }, ...oneTime];
}

function ofModes({ key, path }: Secret, unit: Unit | undefined): readonly Finding[] {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats === undefined) return [];
  const daemon = findUser(unit?.user ?? 'root');
  const group = unit === undefined ? 'root' : (daemon?.name ?? 'root');
  const mode = key === 'the configuration' ? '640' : '600';
  const owner = key === 'the configuration' ? 'root' : (daemon?.name ?? 'root');
  const fix = `chown ${owner}:${group} ${path}; chmod ${mode} ${path}`;
  const changer = changerOf(path, stats, daemon);
  if (changer !== undefined) {
    const problem = `${key}: ${path} can be changed by ${changer}, who can so open every door`;
    return [fault('secret-changeable', problem, fix)];
  }
  const reader = readerOf(path, stats, daemon);
  if (reader === undefined) return [];
  const problem = `${key}: ${path} can be read by ${reader}, and the knock sequences stand in it`;
  return [warning('secret-readable', problem, fix)];
}

function changerOf(path: string, stats: Stats, daemon: User | undefined): string | undefined {
  if (accessFault(ANYBODY, path, 'write') === undefined) return 'anybody on this machine';
  if (isReplaceable(path)) return 'anybody on this machine, since its folder can be written';
  if (stats.uid !== 0 && stats.uid !== daemon?.uid) return ownerName(stats.uid);
  return (stats.mode & GROUP_WRITE) !== 0 ? strangeGroup(path, stats, daemon) : undefined;
}

/** In a folder that anybody can write a file can be put in the place of another, unless the folder is sticky. */
function isReplaceable(path: string): boolean {
  const folder = statSync(path.slice(0, Math.max(1, path.lastIndexOf('/'))), { throwIfNoEntry: false });
  const isSticky = ((folder?.mode ?? 0) & 0o1000) !== 0;
  return !isSticky && accessFault(ANYBODY, path, 'replace') === undefined;
}

function readerOf(path: string, stats: Stats, daemon: User | undefined): string | undefined {
  if (accessFault(ANYBODY, path, 'read') === undefined) return 'anybody on this machine';
  return (stats.mode & GROUP_READ) !== 0 ? strangeGroup(path, stats, daemon) : undefined;
}

/** A group of others that comes to the file; undefined: it is root's or the daemon's, or can't come there. */
function strangeGroup(path: string, { gid }: Stats, daemon: User | undefined): string | undefined {
  if (gid === 0 || daemon?.groups.includes(gid) === true) return undefined;
  const member: User = { name: `the group ${gid}`, uid: -1, groups: [gid] };
  return accessFault(member, path, 'read') === undefined ? member.name : undefined;
}
