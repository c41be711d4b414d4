import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isWithin } from './access.ts';

/** What of systemd's unit decides what the daemon may read and write. */
export interface Unit {
  readonly user: string;
  /** ProtectSystem=strict: only what is named may be written. */
  readonly strict: boolean;
  /** ProtectHome=: there is nothing in these. */
  readonly hidden: readonly string[];
  readonly writable: readonly string[];
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
};

/** The unit as it is installed, with its drop-ins; undefined: there is none. */
export function installedUnit(root = '/'): Unit | undefined {
  for (const folder of FOLDERS) {
    const text = textOf(join(root, folder, NAME));
    if (text !== undefined) return parseUnit([text, ...dropIns(root)].join('\n'));
  }
  return undefined;
}

export function parseUnit(text: string): Unit {
  const settings = text.split('\n').flatMap((line) => {
    const [, key, value] = /^([A-Za-z]+)\s*=\s*(.*)$/.exec(line.trim()) ?? [];
    return key === undefined || value === undefined ? [] : [[key, value] as const];
  });
  const last = (key: string): string | undefined => settings.findLast(([name]) => name === key)?.[1];
  const all = (key: string): readonly string[] =>
    settings.filter(([name]) => name === key).flatMap(([, value]) => value.split(/\s+/).filter(Boolean));
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
      return names.sort().flatMap((name) => textOf(join(place, name)) ?? []);
    } catch {
      return [];
    }
  });
}

function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
