import { readsKeys } from '../policy/codes.ts';
import type { Config } from '../policy/config.ts';
import { FWKNOP_KEYS_A_PORT_MAX } from '../spa/candidates.ts';
import type { KeyFile } from '../spa/key.ts';
import { type Fault, WHOLE_FILE } from './fault.ts';
import { KEYS_MAX, parseKeyFile } from './key-file.ts';
import { fwknopKeysAt, type KeyWarning, keyWarnings } from './key-warnings.ts';
import { readText } from './load.ts';
import { accessOf, unreadFix } from './secret-file.ts';

/** The keys of a configuration, and what its owner should know of them. */
export type LoadedKeys =
  | { readonly ok: true; readonly file: KeyFile; readonly warnings: readonly KeyWarning[] }
  | { readonly ok: false; readonly faults: readonly Fault[] };

const OWN = {
  key: 'keys',
  make: 'nfknock key new NAME --door DOOR',
  holds: `the keys alone, of which ${KEYS_MAX} are taken`,
};
const NO_KEYS: KeyFile = { realms: [], keys: [] };

/** Reads the key file where a port takes keys. Nobody but the daemon's user, and root, may be able to read or change it. */
export function loadKeys(config: Pick<Config, 'keys' | 'listen' | 'doors'>): LoadedKeys {
  if (!readsKeys(config)) return { ok: true, file: NO_KEYS, warnings: [] };
  const path = config.keys;
  const access = accessOf(path);
  if (access?.level === 'fault') return refused(path, access.problem, access.fix);
  const text = readText(path);
  if (typeof text !== 'string') {
    const [found] = text.faults;
    return refused(path, found?.problem ?? 'the file cannot be read', unreadFix(text, OWN));
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
  const shared: readonly KeyWarning[] =
    access === undefined
      ? []
      : [{ code: 'key-file-group', at: 'keys', text: access.problem, fix: access.fix }];
  const warnings = [...shared, ...keyWarnings(config, keys)];
  return { ok: true, file: parsed.file, warnings };
}

function refused(file: string, problem: string, fix: string): LoadedKeys {
  return { ok: false, faults: [{ file, line: 1, column: 1, key: WHOLE_FILE, problem, fix }] };
}
