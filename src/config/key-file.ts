import { isKeyName, type Key, type KeyFile, type RealmBytes } from '../spa/key.ts';
import type { Reading } from './document.ts';
import { type Fault, WHOLE_FILE } from './fault.ts';
import { knownEntries, mappingOf, readHidden } from './hidden-reading.ts';
import { secretBytes } from './key-credential.ts';
import { type FoundKey, KEY_WORDS, moment, readKey } from './key-entry.ts';
import { crossCheckKeys } from './key-rules.ts';

/*
 * keys.yaml: the realm of this server and the keys of people. No fault repeats a value, since any of them may be a secret
 * that stands in the wrong place.
 */

export type ParsedKeys =
  | { readonly ok: true; readonly file: KeyFile }
  | { readonly ok: false; readonly faults: readonly Fault[] };

/** Keys of one file. */
export const KEYS_MAX = 4096;
/** Bytes of a realm: those of an HMAC-SHA256 key. */
const REALM_BYTES = [32, 32] as const;
const TOP = ['realm', 'old_realm', 'keys'];
const WORDS: readonly string[] = [...TOP, ...KEY_WORDS];
const FORM =
  'keys by their names, for example "ada: { person: ada, ssh: \'ssh-ed25519 AAAA…\', doors: [ssh] }"';

/** The keys that a text holds, or all its faults at once, in the order of the file. `file` only names it in the faults. */
export function parseKeyFile(text: string, file: string): ParsedKeys {
  const reading = readHidden(text, file, (step, before) =>
    before.length === 1 && before[0] === 'keys' ? isKeyName(step) : WORDS.includes(step),
  );
  const found = reading.faults.length > 0 ? undefined : read(reading);
  if (found === undefined || reading.faults.length > 0) {
    const inOrder = (x: Fault, y: Fault): number => x.line - y.line || x.column - y.column;
    return { ok: false, faults: reading.faults.toSorted(inOrder) };
  }
  return { ok: true, file: found };
}

function read(reading: Reading): KeyFile | undefined {
  const top = knownEntries(reading.resolve(reading.root), { at: 0, key: '' }, reading, TOP);
  if (top === undefined) return undefined;
  const entries = top.get('keys');
  const names = entries === undefined ? undefined : mappingOf(entries.node, entries.spot, reading, FORM);
  if (entries === undefined) {
    reading.fault({ at: 0, key: WHOLE_FILE }, 'there are no keys', `write ${FORM} below "keys:"`);
  }
  if (names !== undefined && names.size > KEYS_MAX && entries !== undefined) {
    reading.fault(entries.spot, `these are ${names.size} keys`, `write at most ${KEYS_MAX}`);
    return undefined;
  }
  const keys = [...(names ?? [])].flatMap(([name, entry]): readonly FoundKey[] => {
    const key = readKey(name, entry, reading);
    return key === undefined ? [] : [{ key, spot: entry.spot }];
  });
  const realms = readRealms(top, reading);
  crossCheckKeys(keys, top.has('realm'), reading);
  return { realms, keys: keys.map(({ key }): Key => key) };
}

function readRealms(
  top: NonNullable<ReturnType<typeof knownEntries>>,
  reading: Reading,
): readonly RealmBytes[] {
  const kind = secretBytes(REALM_BYTES, 'encoded');
  const present = top.get('realm');
  const realm = present && kind.read(present.node, present.spot, reading);
  const replaced = top.get('old_realm');
  const old = replaced && knownEntries(replaced.node, replaced.spot, reading, ['realm', 'until']);
  const [value, until] = [old?.get('realm'), old?.get('until')];
  if (replaced !== undefined && old !== undefined && (value === undefined || until === undefined)) {
    reading.fault(
      replaced.spot,
      'the realm that was replaced, or its last day, is missing',
      'write realm and until below it',
    );
  }
  const bytes = value && kind.read(value.node, value.spot, reading);
  const end = until && moment.read(until.node, until.spot, reading);
  return [
    ...(realm === undefined ? [] : [{ bytes: realm, until: null }]),
    ...(bytes === undefined || end === undefined ? [] : [{ bytes, until: end }]),
  ];
}
