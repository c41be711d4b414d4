import { type Node, Scalar, YAMLSeq } from 'yaml';
import { quoted } from '../text/plain.ts';
import type { Reading, Spot } from './document.ts';
import { nearest } from './fault.ts';
import type { Json, Kind, Schema } from './kind.ts';
import { type Entry, entriesOf, type Found, isEmpty, keyOf, listed, type Read } from './read.ts';

/**
 * One record for each key of the configuration. The reader, the manual (scripts/man-config.ts), the JSON Schema for
 * editors (json-schema.ts) and the list of what takes a restart (restart.ts) are made from it.
 */
export interface Field<T> extends Kind<T> {
  /** What it means: a sentence for the manual, without its full stop. */
  readonly means: string;
  /** What holds where the file is silent, as it would stand there; undefined: no single value. */
  readonly fallback: Default | undefined;
  /** Whether a running daemon takes a new value at a reload. */
  readonly changes: 'reload' | 'restart';
  /** The keys below it. */
  readonly shape?: Shape;
  readonly absent: (spot: Spot, reading: Reading) => T | undefined;
}

export type Default = string | number | boolean | null | readonly string[];
export type Shape = Readonly<Record<string, Field<unknown>>>;
export type Fields<S extends Shape> = {
  readonly [K in keyof S]: Found<S[K] extends Field<infer T> ? T : never>;
};

interface Note {
  readonly means: string;
  readonly fallback: Default;
  /** A reload changes it where nothing is said. */
  readonly changes?: Field<unknown>['changes'];
}

/** A key with a default, which is read as if it stood in the file: the manual's default is the one that holds. */
export function field<T>(kind: Kind<T>, { means, fallback, changes = 'reload' }: Note): Field<T> {
  let value: T | undefined;
  const absent = (): T => {
    value ??= kind.read(nodeOf(fallback), NOWHERE, refused(fallback));
    return value as T;
  };
  return { ...kind, means, fallback, changes, absent };
}

interface Required {
  readonly means: string;
  readonly changes?: Field<unknown>['changes'];
  /** What to write, for example `a name of its own, for example name: edge1`. */
  readonly form: string;
}

/** A key that must stand in its section. */
export function required<T>(kind: Kind<T>, { means, changes = 'reload', form }: Required): Field<T> {
  const absent: Field<T>['absent'] = (spot, reading) => {
    reading.fault(spot, `the key ${spot.key.split('.').at(-1)} is missing`, `expected ${form}`);
    return undefined;
  };
  return { ...kind, means, fallback: undefined, changes, absent };
}

interface Section<S extends Shape> {
  readonly means: string;
  readonly shape: S;
  /** What holds of several keys together. */
  readonly rules?: readonly Schema[];
}

/** A mapping with known keys. Where the file is silent all its fields have their defaults. */
export function section<S extends Shape>({ means, shape, rules = [] }: Section<S>): Field<Fields<S>> {
  const known = Object.keys(shape);
  const takes = `keys below it: ${listed(known)}`;
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
  const read: Read<Fields<S>> = (node, spot, reading) => {
    // A section whose every line is commented out is as if it were not there.
    if (isEmpty(node)) return collect(new Map(), spot, reading);
    const entries = entriesOf(node, spot, reading, { noun: 'a mapping', form: takes });
    if (entries === undefined) return undefined;
    for (const [name, entry] of entries) if (!known.includes(name)) unknownKey(name, entry, known, reading);
    return collect(entries, spot, reading);
  };
  const absent: Field<Fields<S>>['absent'] = (spot, reading) => collect(new Map(), spot, reading);
  const schema = {
    type: ['object', 'null'],
    ...propertiesOf(shape),
    ...(rules.length > 0 ? { allOf: rules } : {}),
  };
  return { read, takes, schema, means, fallback: undefined, changes: 'reload', shape, absent };
}

/** A section without which what it configures is not there at all. */
export function optionalSection<S extends Shape>(note: Section<S>): Field<Fields<S> | null> {
  const whole = section(note);
  return {
    ...whole,
    fallback: null,
    read: (node, spot, reading) => (isEmpty(node) ? null : whole.read(node, spot, reading)),
    absent: () => null,
  };
}

function propertiesOf(shape: Shape): Schema {
  const properties = Object.entries(shape).map(([name, { means, schema, fallback }]): [string, Json] => [
    name,
    {
      description: means.replaceAll('`', ''),
      ...schema,
      ...(fallback === undefined ? {} : { default: fallback }),
    },
  ]);
  return { properties: Object.fromEntries(properties), additionalProperties: false };
}

function unknownKey(name: string, entry: Entry, known: readonly string[], reading: Reading): void {
  const meant = nearest(name, known);
  const hint = meant === undefined ? '' : `; did you mean "${meant}"?`;
  const fix = `remove it; known here: ${listed(known)}${hint}`;
  reading.fault({ at: entry.keyAt, key: entry.spot.key }, `${quoted(name)} is not a known key`, fix);
}

const NOWHERE: Spot = { at: 0, key: '' };

/** A default as a node of the file. */
function nodeOf(fallback: Default): Node | null {
  if (fallback === null) return null;
  if (typeof fallback !== 'object') return new Scalar(fallback);
  const list = new YAMLSeq();
  for (const each of fallback) list.add(new Scalar(each));
  return list;
}

/** A default that its own reader refuses is a mistake in the program. */
function refused(fallback: Default): Reading {
  return {
    root: null,
    faults: [],
    resolve: (node) => node,
    fault: (_, problem) => {
      throw new Error(`the default ${JSON.stringify(fallback)} is refused: ${problem}`);
    },
  };
}
