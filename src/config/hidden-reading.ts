import { isMap, type Node } from 'yaml';
import { type Reading, readDocument, type Spot } from './document.ts';
import { nearest, WHOLE_FILE } from './fault.ts';
import type { Kind } from './kind.ts';
import { type Entry, entriesOf, isEmpty, listed } from './read.ts';

/*
 * Reading a file of secrets: a fault says where it is and what should stand there, never what stands there. A secret in
 * the wrong place can be the name of a key, an anchor, or what YAML's own parser complains about.
 */

/** What document.ts says without repeating anything of the file. */
const SAFE_PROBLEM =
  /^(the file has \d+ bytes|this line is indented with a tab|a second YAML document begins here|lists are nested too deeply|more than \d+ (brackets are open|aliases are used)|the values are nested more than \d+ levels deep)$/;
const HIDDEN = '…';

/** Whether a step of a path, behind these others, is no secret. */
export type IsWord = (step: string, before: readonly string[]) => boolean;

/** Parses YAML; only steps that are words are ever said. */
export function readHidden(text: string, file: string, isWord: IsWord): Reading {
  const reading = readDocument(text, file);
  // A second reading of nothing, for its faults: those of the first repeat what they complain about.
  const said = readDocument(text.replace(/[^\n]/g, ' '), file);
  const fault: Reading['fault'] = ({ at, key }, problem, fix) =>
    said.fault({ at, key: pathOf(key, isWord) }, problem, fix);
  for (const { line, column, problem, fix } of said.faults.length > 0 ? [] : reading.faults) {
    const safe = SAFE_PROBLEM.test(problem);
    const at = offsetOf(text, line, column);
    fault(
      { at, key: WHOLE_FILE },
      safe ? problem : 'this is not valid YAML, or not text',
      safe ? fix : 'correct it; what stands there is not repeated, since it may be a secret',
    );
  }
  return { root: reading.root, faults: said.faults, resolve: reading.resolve, fault };
}

/** A kind whose faults say nothing of the value. `form`: what to write instead. */
export function hidden<T>(kind: Kind<T>, form: string): Kind<T> {
  return {
    ...kind,
    read: (node, spot, reading) => {
      let faulty = false;
      const quiet: Reading = {
        ...reading,
        fault: (place) => {
          if (!faulty) reading.fault(place, `this is not ${kind.takes}`, `expected ${form}`);
          faulty = true;
        },
      };
      return kind.read(node, spot, quiet);
    },
  };
}

/** The entries of a mapping, of which only the known ones are kept; undefined: it is none. */
export function knownEntries(
  node: Node | null,
  spot: Spot,
  reading: Reading,
  known: readonly string[],
): ReadonlyMap<string, Entry> | undefined {
  const entries = mappingOf(node, spot, reading, `keys below it: ${listed(known)}`);
  for (const [name, entry] of entries ?? []) {
    if (known.includes(name)) continue;
    const meant = nearest(name, known);
    const hint = meant === undefined ? '' : `; did you mean "${meant}"?`;
    const fix = `remove it; known here: ${listed(known)}${hint}`;
    reading.fault({ at: entry.keyAt, key: entry.spot.key }, 'this is not a known key', fix);
  }
  return entries;
}

/** The entries of a mapping whose keys are names; nothing counts as none. */
export function mappingOf(
  node: Node | null,
  spot: Spot,
  reading: Reading,
  form: string,
): ReadonlyMap<string, Entry> | undefined {
  if (isEmpty(node)) return new Map();
  if (isMap(node)) return entriesOf(node, spot, reading, { noun: 'a mapping', form });
  reading.fault(spot, 'this is not a mapping', `expected ${form}`);
  return undefined;
}

/** A path whose steps that are no words of ours are left out. */
function pathOf(key: string, isWord: IsWord): string {
  if (key === WHOLE_FILE) return key;
  const shown: string[] = [];
  const quote = key.indexOf('"');
  const plain = quote < 0 ? key : key.slice(0, quote) + HIDDEN;
  for (const step of plain.split('.')) {
    const [, name = '', index = ''] = /^(.*?)((?:\[\d+\])?)$/.exec(step) ?? [];
    shown.push(isWord(name, shown) ? name + index : HIDDEN);
  }
  return shown.join('.');
}

function offsetOf(text: string, line: number, column: number): number {
  let at = 0;
  for (let count = 1; count < line; count += 1) at = text.indexOf('\n', at) + 1;
  return at + column - 1;
}
