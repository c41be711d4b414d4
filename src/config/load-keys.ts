import { statSync } from 'node:fs';
import type { Config } from '../policy/config.ts';
import { FWKNOP_KEYS_A_PORT_MAX } from '../spa/candidates.ts';
import type { Key, KeyFile } from '../spa/key.ts';
import { type Fault, WHOLE_FILE } from './fault.ts';
import { parseKeyFile } from './key-file.ts';
import { readText } from './load.ts';

/** The keys of a configuration, and what its owner should know of them. */
export type LoadedKeys =
  | { readonly ok: true; readonly file: KeyFile; readonly warnings: readonly string[] }
  | { readonly ok: false; readonly faults: readonly Fault[] };

const NO_KEYS: KeyFile = { realms: [], keys: [] };
const OTHERS = 0o007;
const GROUP = 0o070;
/** Above it a stranger's packet costs noticeably more, since fwknop's packet names no key. */
const MANY_FWKNOP_KEYS = 8;

/** Reads the key file where a port takes keys. Nobody but the daemon's user, and root, may be able to read or change it. */
export function loadKeys(config: Pick<Config, 'keys' | 'listen' | 'doors'>): LoadedKeys {
  if (config.listen.spa.length === 0) return { ok: true, file: NO_KEYS, warnings: [] };
  const path = config.keys;
  const access = accessOf(path);
  if (access !== undefined && 'problem' in access) return refused(path, access.problem, access.fix);
  const text = readText(path);
  if (typeof text !== 'string') {
    const [found] = text.faults;
    const fix = `let the daemon's user read it, or make it: nfknock key new NAME --door DOOR`;
    return refused(path, found?.problem ?? 'the file cannot be read', fix);
  }
  const parsed = parseKeyFile(text, path);
  if (!parsed.ok) return parsed;
  const { keys } = parsed.file;
  for (const port of config.listen.spa) {
    const count = fwknopKeysAt(keys, port);
    if (count <= FWKNOP_KEYS_A_PORT_MAX) continue;
    const problem = `${count} fwknop keys at ${port}/udp: a stranger's packet costs ${count} MACs, and at most ${FWKNOP_KEYS_A_PORT_MAX} are taken`;
    return refused(
      path,
      problem,
      'give groups of them ports of their own in listen.spa, and each key its port',
    );
  }
  const warnings = [...(access?.warning === undefined ? [] : [access.warning]), ...warningsOf(config, keys)];
  return { ok: true, file: parsed.file, warnings };
}

function refused(file: string, problem: string, fix: string): LoadedKeys {
  return { ok: false, faults: [{ file, line: 1, column: 1, key: WHOLE_FILE, problem, fix }] };
}

type Access = { readonly problem: string; readonly fix: string } | { readonly warning: string };

/** Who else could read the secrets. A file that is not there is told of when it is read. */
function accessOf(path: string): Access | undefined {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats === undefined) return undefined;
  const mode = (stats.mode & 0o777).toString(8).padStart(4, '0');
  if ((stats.mode & OTHERS) !== 0)
    return { problem: `it can be read or changed by others (${mode})`, fix: `chmod 0600 ${path}` };
  const own = process.geteuid?.() ?? 0;
  if (own !== 0 && stats.uid !== own && stats.uid !== 0)
    return {
      problem: 'it belongs to another user than the daemon, who could open every door',
      fix: `chown ${own} ${path}`,
    };
  if ((stats.mode & GROUP) !== 0)
    return { warning: `${path} can be read or changed by a group (${mode}): chmod 0600 ${path}` };
  return undefined;
}

function fwknopKeysAt(keys: readonly Key[], port: number): number {
  return keys
    .filter((key) => key.port === null || key.port === port)
    .flatMap(({ credential, previous }) => [credential, ...(previous === null ? [] : [previous.credential])])
    .filter(({ kind }) => kind === 'fwknop').length;
}

function warningsOf(
  { doors, listen }: Pick<Config, 'listen' | 'doors'>,
  keys: readonly Key[],
): readonly string[] {
  const ports: readonly number[] = listen.spa;
  const named = new Set(keys.flatMap((key) => key.doors));
  return [
    ...doors.flatMap(({ name, knock }) => {
      const alone = !('oneTime' in knock) && knock.length === 0;
      if (alone && !named.has(name))
        return [`door ${name} opens by key alone, and no key names it: nfknock key new`];
      return alone || !named.has(name)
        ? []
        : [
            `door ${name} has a sequence beside keys, and a sequence can be replayed by who reads it: write knock: spa`,
          ];
    }),
    ...keys.flatMap((key) => {
      const gone = key.doors.filter((door) => !doors.some(({ name }) => name === door));
      return [
        ...gone.map((door) => `keys.${key.name}: there is no door ${door}`),
        ...(key.port !== null && !ports.includes(key.port)
          ? [`keys.${key.name}: ${key.port}/udp is not in listen.spa, so nobody hears it`]
          : []),
        ...(key.credential.kind === 'totp' ? [`keys.${key.name}: codes are not taken by this version`] : []),
        ...(key.credential.kind === 'doorman' && !ports.includes(1001)
          ? [`keys.${key.name}: doorman's packets are heard at 1001/udp, which is not in listen.spa`]
          : []),
      ];
    }),
    ...listen.spa.flatMap((port) => {
      const count = fwknopKeysAt(keys, port);
      return count <= MANY_FWKNOP_KEYS
        ? []
        : [
            `${count} fwknop keys at ${port}/udp: a stranger's packet costs ${count} MACs; give groups ports of their own`,
          ];
    }),
  ];
}
