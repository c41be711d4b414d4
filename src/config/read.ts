import { isMap, isScalar, isSeq, type Node, type Scalar } from 'yaml';
import type { Reading, Spot } from './document.ts';
import { nearest, quoted } from './fault.ts';

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

/** How a key is read, and what it is where the file is silent. */
export interface Field<T> {
  readonly read: Read<T>;
  readonly absent: (spot: Spot, reading: Reading) => T | undefined;
}

export type Shape = Readonly<Record<string, Field<unknown>>>;
export type Fields<S extends Shape> = {
  readonly [K in keyof S]: Found<S[K] extends Field<infer T> ? T : never>;
};

export function field<T>(read: Read<T>, fallback: T): Field<T> {
  return { read, absent: () => fallback };
}

/** A mapping with known keys. Where the file is silent all its fields have their defaults. */
export function section<S extends Shape>(shape: S): Field<Fields<S>> {
  const known = Object.keys(shape);
  const collect = (entries: ReadonlyMap<string, Entry>, spot: Spot, reading: Reading): Fields<S> => {
    const found: Record<string, Found<unknown>> = {};
    for (const [name, { read, absent }] of Object.entries(shape)) {
      const entry = entries.get(name);
      const place = entry?.spot ?? { at: spot.at, key: keyOf(spot.key, name) };
      const value = entry === undefined ? absent(place, reading) : read(entry.node, place, reading);
      found[name] = { value, spot: place, given: entry !== undefined };
    }
    return found as Fields<S>;
  };
  return {
    read: (node, spot, reading) => {
      // A section whose every line is commented out is as if it were not there.
      if (isEmpty(node)) return collect(new Map(), spot, reading);
      const entries = entriesOf(node, spot, reading, `a mapping with ${list(known)}`);
      if (entries === undefined) return undefined;
      for (const [name, entry] of entries) if (!known.includes(name)) unknownKey(name, entry, known, reading);
      return collect(entries, spot, reading);
    },
    absent: (spot, reading) => collect(new Map(), spot, reading),
  };
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
  allowed: string,
): ReadonlyMap<string, Entry> | undefined {
  if (!isMap(node)) {
    reading.fault(spot, describe(node), allowed);
    return undefined;
  }
  const entries = new Map<string, Entry>();
  for (const pair of node.items) {
    const key = reading.resolve(pair.key as Node | null);
    const keyAt = (pair.key as Node | null)?.range?.[0] ?? spot.at;
    if (!isScalar(key) || key.value === null || key.value === '') {
      reading.fault(
        { at: keyAt, key: spot.key },
        isScalar(key) ? 'a value without a key' : `${describe(key)} as a key`,
        'a name as a key',
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
      reading.fault({ at: keyAt, key: place.key }, 'the key a second time', 'each key once', 'remove one');
    else entries.set(name, { node: reading.resolve(value), spot: place, keyAt });
  }
  return entries;
}

/** A list, each of its items with its place. A faulty item is left out; the list is faulty then too. */
export function listOf<T>(read: Read<T>, what: string, min: number, max: number): Read<readonly Found<T>[]> {
  return (node, spot, reading) => {
    if (!isSeq(node)) {
      const words = textOf(node)
        ?.split(/[\s,]+/)
        .slice(0, 4)
        .map((word) => word.slice(0, 40));
      const mend =
        words === undefined
          ? undefined
          : `write it in brackets: ${quoted(`[${words.join(', ')}]`).slice(1, -1)}`;
      reading.fault(spot, describe(node), what, isEmpty(node) ? 'for none write []' : mend);
      return undefined;
    }
    if (node.items.length < min || node.items.length > max) {
      const count = node.items.length === 0 ? 'an empty list' : `${node.items.length} items`;
      reading.fault(spot, count, `${what} (${min} to ${max})`);
      return undefined;
    }
    return node.items.map((item, index) => {
      const at = (item as Node | null)?.range?.[0] ?? spot.at;
      const place = { at, key: `${spot.key}[${index}]` };
      return { value: read(reading.resolve(item as Node | null), place, reading), spot: place, given: true };
    });
  };
}

/** A whole number, written in decimal digits. */
export function integer(min: number, max: number, what = 'a whole number'): Read<number> {
  return (node, spot, reading) => {
    const text = isScalar(node) && typeof node.value === 'number' ? sourceOf(node) : '';
    if (/^-?\d+$/.test(text) && Number(text) >= min && Number(text) <= max) return Number(text);
    return wrong(node, spot, reading, `${what} from ${min} to ${max}`);
  };
}

/** A number, which may have a fraction. */
export function decimal(min: number, max: number): Read<number> {
  return (node, spot, reading) => {
    const text = isScalar(node) && typeof node.value === 'number' ? sourceOf(node) : '';
    if (/^\d+(\.\d+)?$/.test(text) && Number(text) >= min && Number(text) <= max) return Number(text);
    return wrong(node, spot, reading, `a number from ${min} to ${max}`);
  };
}

export const truth: Read<boolean> = (node, spot, reading) =>
  isScalar(node) && typeof node.value === 'boolean'
    ? node.value
    : wrong(node, spot, reading, 'true or false');

export function oneOf<const T extends string>(...words: readonly T[]): Read<T> {
  return (node, spot, reading) => {
    const text = textOf(node);
    const word = words.find((each) => each === text);
    if (word !== undefined) return word;
    const meant = text === undefined ? undefined : nearest(text, words);
    return wrong(
      node,
      spot,
      reading,
      list(words),
      meant === undefined ? undefined : `did you mean "${meant}"?`,
    );
  };
}

/** `parse` gets the text of a scalar, quoted or not, and answers undefined for what is not allowed. */
export function parsed<T>(
  parse: (text: string) => T | undefined,
  allowed: string,
  mend?: (text: string) => string | undefined,
): Read<T> {
  return (node, spot, reading) => {
    const text = textOf(node);
    const value = text === undefined ? undefined : parse(text);
    if (value !== undefined) return value;
    const word =
      isScalar(node) && typeof node.value === 'boolean' ? `"${node.value}" in quotes is a text` : undefined;
    return wrong(node, spot, reading, allowed, text === undefined ? word : mend?.(text));
  };
}

/** Like `read`, and `null` (or nothing) besides. */
export function orNull<T>(read: Read<T>): Read<T | null> {
  return (node, spot, reading) => (isEmpty(node) ? null : read(node, spot, reading));
}

/** What stands in the file, for a fault: `5`, `"abc"`, `a list`. */
export function describe(node: Node | null): string {
  if (isMap(node)) return 'a mapping';
  if (isSeq(node)) return 'a list';
  if (!isScalar(node) || isEmpty(node)) return 'nothing';
  if (typeof node.value === 'string') return quoted(node.value);
  const source = sourceOf(node);
  return /^[\w.+-]{1,40}$/.test(source) ? source : quoted(source);
}

/** `"a", "b" or "c"`, without the quotes. */
function list(words: readonly string[]): string {
  return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} or ${words[words.length - 1]}`;
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

function unknownKey(name: string, entry: Entry, known: readonly string[], reading: Reading): void {
  const meant = nearest(name, known);
  const mend = meant === undefined ? undefined : `did you mean "${meant}"?`;
  reading.fault(
    { at: entry.keyAt, key: entry.spot.key },
    `the unknown key ${quoted(name)}`,
    list(known),
    mend,
  );
}

function wrong(node: Node | null, spot: Spot, reading: Reading, allowed: string, mend?: string): undefined {
  reading.fault(spot, describe(node), allowed, mend);
  return undefined;
}

/** The path of a key; a name that is no plain word stands in quotes, so that a path is always one line. */
function keyOf(parent: string, name: string): string {
  const step = /^[\w-]+$/.test(name) && name.length <= 60 ? name : quoted(name);
  return parent === '' ? step : `${parent}.${step}`;
}

function sourceOf(scalar: Scalar): string {
  return scalar.source ?? String(scalar.value);
}
