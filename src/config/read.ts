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

/** What a value must be: `X is not NOUN; expected FORM`. */
export interface Wanted {
  readonly noun: string;
  readonly form: string;
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
      const entries = entriesOf(node, spot, reading, {
        noun: 'a mapping',
        form: `keys below it: ${list(known)}`,
      });
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

/** A list, each of its items with its place. A faulty item is left out; the list is faulty then too. */
export function listOf<T>(read: Read<T>, noun: string, min: number, max: number): Read<readonly Found<T>[]> {
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
      const form = `brackets around it, for example ${isEmpty(node) ? '[] for none' : '[A, B]'}`;
      return wrong(node, spot, reading, { noun, form }, mend);
    }
    if (node.items.length < min || node.items.length > max) {
      const count = node.items.length === 0 ? 'the list is empty' : `the list has ${node.items.length} items`;
      reading.fault(spot, count, `expected ${noun}, ${min} to ${max} of them`);
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
export function integer(min: number, max: number): Read<number> {
  return (node, spot, reading) => {
    const text = isScalar(node) && typeof node.value === 'number' ? sourceOf(node) : '';
    if (/^-?\d+$/.test(text) && Number(text) >= min && Number(text) <= max) return Number(text);
    return wrong(node, spot, reading, numberIn(min, max, 'a whole number'));
  };
}

/** A number, which may have a fraction. */
export function decimal(min: number, max: number): Read<number> {
  return (node, spot, reading) => {
    const text = isScalar(node) && typeof node.value === 'number' ? sourceOf(node) : '';
    if (/^\d+(\.\d+)?$/.test(text) && Number(text) >= min && Number(text) <= max) return Number(text);
    return wrong(node, spot, reading, numberIn(min, max, 'a number'));
  };
}

export const truth: Read<boolean> = (node, spot, reading) =>
  isScalar(node) && typeof node.value === 'boolean'
    ? node.value
    : wrong(node, spot, reading, { noun: 'a truth value', form: 'true or false' });

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
      { noun: 'one of the choices', form: list(words) },
      meant === undefined ? undefined : `did you mean "${meant}"?`,
    );
  };
}

/** `parse` gets the text of a scalar, quoted or not, and answers undefined for what is not allowed. */
export function parsed<T>(
  parse: (text: string) => T | undefined,
  wanted: Wanted,
  hint?: (text: string) => string | undefined,
): Read<T> {
  return (node, spot, reading) => {
    const text = textOf(node);
    const value = text === undefined ? undefined : parse(text);
    if (value !== undefined) return value;
    const word =
      isScalar(node) && typeof node.value === 'boolean'
        ? `to mean the text, write "${node.value}" in quotes`
        : undefined;
    return wrong(node, spot, reading, wanted, text === undefined ? word : hint?.(text));
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
  if (!isScalar(node) || isEmpty(node)) return 'an empty value';
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
  const hint = meant === undefined ? '' : `; did you mean "${meant}"?`;
  const fix = `remove it; known here: ${list(known)}${hint}`;
  reading.fault({ at: entry.keyAt, key: entry.spot.key }, `${quoted(name)} is not a known key`, fix);
}

/** Tells that a value is not what was wanted. */
export function wrong(
  node: Node | null,
  spot: Spot,
  reading: Reading,
  { noun, form }: Wanted,
  hint?: string,
): undefined {
  const fix = `expected ${form}${hint === undefined ? '' : `; ${hint}`}`;
  reading.fault(spot, `${describe(node)} is not ${noun}`, fix);
  return undefined;
}

function numberIn(min: number, max: number, noun: string): Wanted {
  return { noun: `${noun} from ${min} to ${max}`, form: `a number in that range, for example ${min || max}` };
}

/** The path of a key; a name that is no plain word stands in quotes, so that a path is always one line. */
function keyOf(parent: string, name: string): string {
  const step = /^[\w-]+$/.test(name) && name.length <= 60 ? name : quoted(name);
  return parent === '' ? step : `${parent}.${step}`;
}

function sourceOf(scalar: Scalar): string {
  return scalar.source ?? String(scalar.value);
}
