import { statfsSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Config } from '../policy/config.ts';
import { needsRoot } from '../policy/root-programs.ts';
import { accessFault, findUser, isWithin, type User } from './access.ts';
import { type Finding, fault, warning } from './finding.ts';
import { type Unit, wallOf } from './unit.ts';

/** A file that the daemon needs, and for what. */
interface Needed {
  readonly code: string;
  readonly key: string;
  readonly path: string;
  readonly wish: 'read' | 'write' | 'run' | 'replace';
  /** What comes of it where it can't. */
  readonly loss: string;
  readonly place: string;
}

/** Files of a configuration that the daemon's user can't read, write or run. */
export function ofFiles(config: Config, unit: Unit | undefined): readonly Finding[] {
  const user = userOf(unit);
  if (user === undefined) return [noUser(unit?.user ?? '')];
  return needed(config).flatMap((each) => {
    const found = (why: string, fix: string): readonly Finding[] => [
      fault(each.code, `${each.key}: ${why}: ${each.loss}`, fix),
    ];
    if (isRoots(each, user, unit))
      return found(
        `${each.path} needs root, and ${user.name} can't become root`,
        'have a service of root\'s do it that follows "nfknock tail -f --json"',
      );
    const why = faultOf(each, user, unit);
    return why === undefined ? [] : found(why, fixOf(each, user));
  });
}

/** A program that the unit's user may run, and that does nothing for it. */
function isRoots({ path, wish }: Needed, user: User, unit: Unit | undefined): boolean {
  return wish === 'run' && unit !== undefined && user.uid !== 0 && needsRoot(path);
}

function faultOf({ path, wish }: Needed, user: User, unit: Unit | undefined): string | undefined {
  const wall =
    unit === undefined ? undefined : wallOf(unit, path, wish === 'read' || wish === 'run' ? 'read' : 'write');
  if (wall !== undefined) return `${path}: ${wall}`;
  if (unit?.made.some((folder) => isWithin(path, folder) && isStillToBeMade(folder, user))) return undefined;
  const first = wish === 'replace' ? accessFault(user, path, 'read') : undefined;
  return first ?? accessFault(user, path, wish);
}

/** systemd makes it, or gives it to the unit's user with all that is in it, when it starts the unit. */
function isStillToBeMade(folder: string, user: User): boolean {
  return statSync(folder, { throwIfNoEntry: false })?.uid !== user.uid;
}

function fixOf({ wish, path, place }: Needed, { name }: User): string {
  if (wish === 'run') return `chmod 755 it, in folders that ${name} may enter`;
  if (wish === 'read') return `let ${name} read it`;
  return `move it to ${place}, or let ${name} write ${dirname(path)} and add ReadWritePaths=${dirname(path)} by "systemctl edit nfknock"`;
}

function needed({ doors, log, state }: Config): readonly Needed[] {
  const found: Needed[] = [];
  for (const { name, knock, onOpen, onClose } of doors) {
    if ('oneTime' in knock)
      found.push({
        code: 'one-time-unwritable',
        key: `doors.${name}.one_time`,
        path: knock.oneTime,
        wish: 'replace',
        loss: 'no line can be marked used, so the door stays shut',
        place: '/var/lib/nfknock/',
      });
    for (const [key, argv] of [
      ['on_open', onOpen],
      ['on_close', onClose],
    ] as const) {
      if (argv?.[0] === undefined) continue;
      const loss = 'the command fails each time';
      found.push({
        code: 'hook-unrunnable',
        key: `doors.${name}.${key}`,
        path: argv[0],
        wish: 'run',
        loss,
        place: '',
      });
    }
  }
  if (log.file !== null) {
    const loss = 'events go to the journal alone';
    found.push({
      code: 'log-unwritable',
      key: 'log.file',
      path: log.file,
      wish: 'write',
      loss,
      place: '/var/log/nfknock/',
    });
  }
  const loss = 'grants and bans are forgotten at a restart';
  found.push({
    code: 'state-unwritable',
    key: 'state',
    path: state,
    wish: 'write',
    loss,
    place: '/var/lib/nfknock/',
  });
  return found;
}

/** Bytes that must be left where the state file is: a ban list of some hundred thousand needs as much. */
const ROOM_MIN = 16 * 1024 * 1024;

export function ofDisk({ state }: Config): readonly Finding[] {
  let free: number;
  try {
    const { bavail, bsize } = statfsSync(dirname(state));
    free = bavail * bsize;
  } catch {
    // That it can't be reached is found by ofFiles.
    return [];
  }
  if (free >= ROOM_MIN) return [];
  const problem = `the disk of the state file ${state} has ${Math.floor(free / 1024)} KiB left`;
  const fix = 'free some: what can not be kept is forgotten at a restart';
  return [free < 64 * 1024 ? fault('disk-full', problem, fix) : warning('disk-full', problem, fix)];
}

/** Where no unit is installed the daemon is anyone who starts it, and that is who asks. */
function userOf(unit: Unit | undefined): User | undefined {
  if (unit !== undefined) return findUser(unit.user);
  const groups = process.getgroups?.() ?? [];
  return { name: "nfknock's user", uid: process.geteuid?.() ?? 0, groups };
}

function noUser(name: string): Finding {
  return fault(
    'user-missing',
    `the unit runs as ${name}, and there is no such user`,
    'run systemd-sysusers, or install the package again',
  );
}
