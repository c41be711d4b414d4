import { type Stats, statSync } from 'node:fs';
import { readsKeys } from '../policy/codes.ts';
import type { Config } from '../policy/config.ts';
import { FWKNOP_KEYS_A_PORT_MAX } from '../spa/candidates.ts';
import type { KeyFile } from '../spa/key.ts';
import { type Fault, WHOLE_FILE } from './fault.ts';
import { parseKeyFile } from './key-file.ts';
import { fwknopKeysAt, type KeyWarning, keyWarnings } from './key-warnings.ts';
import { readText } from './load.ts';

/** The keys of a configuration, and what its owner should know of them. */
export type LoadedKeys =
  | { readonly ok: true; readonly file: KeyFile; readonly warnings: readonly KeyWarning[] }
  | { readonly ok: false; readonly faults: readonly Fault[] };

const NO_KEYS: KeyFile = { realms: [], keys: [] };
const OTHERS = 0o007;
const GROUP = 0o070;

/** Reads the key file where a port takes keys. Nobody but the daemon's user, and root, may be able to read or change it. */
export function loadKeys(config: Pick<Config, 'keys' | 'listen' | 'doors'>): LoadedKeys {
  if (!readsKeys(config)) return { ok: true, file: NO_KEYS, warnings: [] };
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
  const warnings = [...(access === undefined ? [] : [access]), ...keyWarnings(config, keys)];
  return { ok: true, file: parsed.file, warnings };
}

/** What can't be looked at is told of when it is read. */
function statOf(path: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch {
    return undefined;
  }
}

function refused(file: string, problem: string, fix: string): LoadedKeys {
  return { ok: false, faults: [{ file, line: 1, column: 1, key: WHOLE_FILE, problem, fix }] };
}

type Access = { readonly problem: string; readonly fix: string } | KeyWarning;

/** Who else could read the secrets. A file that is not there is told of when it is read. */
function accessOf(path: string): Access | undefined {
  const stats = statOf(path);
  if (stats === undefined) return undefined;
  // A pipe would be waited for, and a device never ends.
  if (!stats.isFile()) return { problem: 'it is not a regular file', fix: 'name the file with the keys' };
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
    return {
      code: 'key-file-group',
      at: 'keys',
      text: `${path} can be read or changed by a group (${mode})`,
      fix: `chmod 0600 ${path}`,
    };
  return undefined;
}
