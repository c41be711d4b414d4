import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { readText } from '../machine/proc.ts';
import { isWithin } from './access.ts';

/** What of systemd's unit decides what the daemon may read, write and talk to. */
export interface Unit {
  readonly user: string;
  /** ProtectSystem=strict: only what is named may be written. */
  readonly strict: boolean;
  /** ProtectHome=: there is nothing in these. */
  readonly hidden: readonly string[];
  readonly writable: readonly string[];
  /** Of these those that systemd makes when it starts the unit, and gives to its user. */
  readonly made: readonly string[];
  /** IPAddressAllow= and IPAddressDeny=. */
  readonly allowed: readonly string[];
  readonly denied: readonly string[];
  /** RestrictAddressFamilies=; none: all. */
  readonly families: readonly string[];
}

/** The unit and what nfknock itself has added to it. */
export interface Walls {
  /** With every drop-in. */
  readonly unit: Unit;
  /** Without nfknock's own. */
  readonly bare: Unit;
  /** nfknock's own drop-in as it stands; empty: there is none. */
  readonly own: string;
}

/** The drop-in that `nfknock doctor --drop-in` writes, and nobody else: read after the owner's, which may begin anew. */
export const DROP_IN = '/etc/systemd/system/nfknock.service.d/zz-nfknock.conf';
const NAME = 'nfknock.service';
/** Where units lie, the one that counts first. */
const FOLDERS = ['etc/systemd/system', 'run/systemd/system', 'usr/lib/systemd/system', 'lib/systemd/system'];
/** Folders that systemd makes for a unit: they are the unit's to write. */
const MADE: Readonly<Record<string, string>> = {
  StateDirectory: '/var/lib',
  LogsDirectory: '/var/log',
  RuntimeDirectory: '/run',
  CacheDirectory: '/var/cache',
};
const HOMES = ['/home', '/root', '/run/user'];

/** What deploy/systemd/nfknock.service says; a test holds it against the file, which not every package has. */
export const SHIPPED_UNIT: Unit = {
  user: 'nfknock',
  strict: true,
  hidden: HOMES,
  writable: ['/var/lib/nfknock', '/var/log/nfknock', '/run/nfknock', '/tmp', '/var/tmp', '/dev'],
  made: ['/var/lib/nfknock', '/var/log/nfknock', '/run/nfknock'],
  allowed: ['localhost'],
  denied: ['any'],
  families: ['AF_UNIX', 'AF_NETLINK', 'AF_INET', 'AF_INET6'],
};

/** The unit as it is installed, with its drop-ins; undefined: there is none. */
export function installedUnit(root = '/'): Unit | undefined {
  return installedWalls(root)?.unit;
}

export function installedWalls(root = '/'): Walls | undefined {
  for (const folder of FOLDERS) {
    const text = readText(join(root, folder, NAME));
    if (text === '') continue;
    const files = dropIns(root);
    const own = join(root, DROP_IN);
    const without = files.filter((file) => file !== own);
    const unitOf = (paths: readonly string[]): Unit => parseUnit([text, ...paths.map(readText)].join('\n'));
    return { unit: unitOf(files), bare: unitOf(without), own: readText(own) };
  }
  return undefined;
}

export function parseUnit(text: string): Unit {
  const settings = text.split('\n').flatMap((line) => {
    const [, key, value] = /^([A-Za-z]+)\s*=\s*(.*)$/.exec(line.trim()) ?? [];
    return key === undefined || value === undefined ? [] : [[key, value] as const];
  });
  const last = (key: string): string | undefined => settings.findLast(([name]) => name === key)?.[1];
  // An empty value takes back what stands before it.
  const all = (key: string): readonly string[] => {
    const values = settings.filter(([name]) => name === key).map(([, value]) => value.trim());
    const since = values.lastIndexOf('') + 1;
    return values.slice(since).flatMap((value) => value.split(/\s+/));
  };
  const made = Object.entries(MADE).flatMap(([key, base]) => all(key).map((name) => join(base, name)));
  const home = last('ProtectHome') ?? 'no';
  return {
    user: last('User') ?? 'root',
    strict: last('ProtectSystem') === 'strict',
    hidden: ['yes', 'true', 'on', '1', 'tmpfs'].includes(home) ? HOMES : [],
    writable: [
      ...made,
      ...all('ReadWritePaths').map((path) => path.replace(/^[-+]+/, '')),
      '/tmp',
      '/var/tmp',
      '/dev',
    ],
    made,
    allowed: all('IPAddressAllow'),
    denied: all('IPAddressDeny'),
    families: all('RestrictAddressFamilies'),
  };
}

/** Why the unit's walls keep a path from the daemon; undefined: they don't. */
export function wallOf(unit: Unit, path: string, wish: 'read' | 'write'): string | undefined {
  if (unit.hidden.some((folder) => isWithin(path, folder)))
    return 'the unit hides home folders (ProtectHome)';
  const inside = unit.writable.some((folder) => isWithin(path, folder));
  if (wish === 'write' && unit.strict && !inside)
    return 'the unit may write only its own folders (ProtectSystem=strict)';
  return undefined;
}

/** The drop-ins that count, in systemd's order: by their names, whatever folder each is in. */
function dropIns(root: string): readonly string[] {
  const places = new Map<string, string>();
  for (const folder of FOLDERS) {
    const place = join(root, folder, `${NAME}.d`);
    for (const name of namesIn(place)) if (!places.has(name)) places.set(name, join(place, name));
  }
  return [...places].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, path]) => path);
}

function namesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder).filter((name) => name.endsWith('.conf'));
  } catch {
    return [];
  }
}
