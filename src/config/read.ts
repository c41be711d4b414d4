import { isMap, isScalar, isSeq, type Node, type Scalar } from 'yaml';
import { quoted } from '../text/plain.ts';
import type { Reading, Spot } from './document.ts';

/**
 * Reads one value. Undefined: it is not what it must be, and the fault is told. The node is what stands in the
 * file, aliases resolved.
 */
export type Read<T> = (node: Node | null, spot: Spot, reading: Reading) => T | undefined;

/** A value with its place; `value` is undefined where it was faulty. `given`: it stands in the file. */
export interface Found<T> {
  readonly value: T | undefined;
  readonly spot: Spot;
  readonly given: boolean;
}

/** What a value must be: `X is not NOUN; expected FORM`. */
export interface Wanted {
  readonly noun: string;
  readonly form: string;
  /** What to write where it can be guessed what was meant. */
  readonly meant?: string | undefined;
}

/** A key and its value: the key's place where `atKey`, else the value's. */
export interface Entry {
  readonly node: Node | null;
  /** The value's place; the key's where there is no value. */
  readonly spot: Spot;
  readonly keyAt: number;
}

/** The entries of a mapping by their keys. Keys that are no plain text, or stand twice, are faults. */
export function entriesOf(
  node: Node | null,
  spot: Spot,
  reading: Reading,
  wanted: Wanted,
): ReadonlyMap<string, Entry> | undefined {
  if (!isMap(node)) {
    return wrong(node, spot, reading, wanted);
  }
  const entries = new Map<string, Entry>();
  for (const pair of node.items) {
    const key = reading.resolve(pair.key as Node | null);
    const keyAt = (pair.key as Node | null)?.range?.[0] ?? spot.at;
    if (!isScalar(key) || key.value === null || key.value === '') {
      reading.fault(
        { at: keyAt, key: spot.key },
        isScalar(key) ? 'a value has no key' : `${describe(key)} is not a key`,
        'write a name as the key',
      );
      continue;
    }
    const name = typeof key.value === 'string' ? key.value : sourceOf(key);
    const value = pair.value as Node | null;
    const place = {
      at: value === null || isEmpty(value) ? keyAt : (value.range?.[0] ?? keyAt),
      key: keyOf(spot.key, name),
    };
    if (entries.has(name))
      reading.fault({ at: keyAt, key: place.key }, 'the key stands twice', 'remove one of the two');
    else entries.set(name, { node: reading.resolve(value), spot: place, keyAt });
  }
  return entries;
}

/** What stands in the file, for a fault: `5`, `"abc"`, `a list`. */
export function describe(node: Node | null): string {
  if (isMap(node)) return 'a mapping';
  if (isSeq(node)) return 'a list';
  if (!isScalar(node) || isEmpty(node)) return 'an empty value';
  if (typeof node.value === 'string') return quoted(node.value);
  const source = sourceOf(node);
  return /^[\w.+-]{1,40}$/.test(source) ? source : quoted(source);
}

export function isEmpty(node: Node | null): boolean {
  return node === null || (isScalar(node) && node.value === null);
}

/** The text of a scalar as it was written; undefined for lists, mappings, nothing, true and false. */
export function textOf(node: Node | null): string | undefined {
  if (!isScalar(node)) return undefined;
  if (typeof node.value === 'string') return node.value;
  return typeof node.value === 'number' ? sourceOf(node) : undefined;
}

/** Tells that a value is not what was wanted. */
export function wrong(
  node: Node | null,
  spot: Spot,
  reading: Reading,
  { noun, form, meant }: Wanted,
): undefined {
  const fix = `expected ${form}${meant === undefined ? '' : `; ${meant}`}`;
  reading.fault(spot, `${describe(node)} is not ${noun}`, fix);
  return undefined;
}

/** `"a", "b" or "c"`, without the quotes. */
export function listed(words: readonly string[]): string {
  return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} or ${words[words.length - 1]}`;
}

/** The path of a key; a name that is no plain word stands in quotes, so that a path is always one line. */
export function keyOf(parent: string, name: string): string {
  const step = /^[\w-]+$/.test(name) && name.length <= 60 ? name : quoted(name);
  return parent === '' ? step : `${parent}.${step}`;
}

export function sourceOf(scalar: Scalar): string {
  return scalar.source ?? String(scalar.value);
}
