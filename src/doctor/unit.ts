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
  for (const folder of FOLDERS) {
    const text = readText(join(root, folder, NAME));
    if (text !== '') return parseUnit([text, ...dropIns(root)].join('\n'));
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

function dropIns(root: string): readonly string[] {
  return FOLDERS.flatMap((folder) => {
    const place = join(root, folder, `${NAME}.d`);
    try {
      const names = readdirSync(place).filter((name) => name.endsWith('.conf'));
      return names.sort().map((name) => readText(join(place, name)));
    } catch {
      return [];
    }
  });
}
