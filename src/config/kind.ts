import { isScalar, isSeq, type Node, Scalar } from 'yaml';
import { quoted } from '../text/plain.ts';
import type { Reading, Spot } from './document.ts';
import { nearest } from './fault.ts';
import { type Found, isEmpty, listed, type Read, sourceOf, textOf, type Wanted, wrong } from './read.ts';

/** A value of JSON, such as a default or a JSON Schema. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };
/** JSON Schema, draft 7, which every editor knows. It may let more through than the reader, and never less. */
export type Schema = { readonly [keyword: string]: Json };

/** What may stand for a key: how it is read, and how that is told to people and to editors. */
export interface Kind<T> {
  readonly read: Read<T>;
  /** A noun with its range, such as `a whole number from 1 to 1000`. */
  readonly takes: string;
  readonly schema: Schema;
}

/** A whole number, written in decimal digits. */
export function integer(min: number, max: number): Kind<number> {
  return number(/^-?\d+$/, [min, max], { type: 'integer', noun: 'a whole number' });
}

/** A number, which may have a fraction. */
export function decimal(min: number, max: number): Kind<number> {
  return number(/^\d+(\.\d+)?$/, [min, max], { type: 'number', noun: 'a number' });
}

function number(
  written: RegExp,
  [min, max]: readonly [min: number, max: number],
  { type, noun }: { readonly type: string; readonly noun: string },
): Kind<number> {
  const wanted = {
    noun: `${noun} from ${min} to ${max}`,
    form: `a number in that range, for example ${min || max}`,
  };
  return {
    read: (node, spot, reading) => {
      const text = isScalar(node) && typeof node.value === 'number' ? sourceOf(node) : '';
      const value = Number(text);
      return written.test(text) && value >= min && value <= max ? value : wrong(node, spot, reading, wanted);
    },
    takes: wanted.noun,
    schema: { type, minimum: min, maximum: max },
  };
}

export const truth: Kind<boolean> = {
  read: (node, spot, reading) =>
    isScalar(node) && typeof node.value === 'boolean'
      ? node.value
      : wrong(node, spot, reading, { noun: 'a truth value', form: 'true or false' }),
  takes: '`true` or `false`',
  schema: { type: 'boolean' },
};

export function oneOf<const T extends string>(...words: readonly T[]): Kind<T> {
  const wanted = { noun: 'one of the choices', form: listed(words) };
  return {
    read: (node, spot, reading) => {
      const text = textOf(node);
      const word = words.find((each) => each === text);
      if (word !== undefined) return word;
      const meant = text === undefined ? undefined : nearest(text, words);
      return wrong(node, spot, reading, {
        ...wanted,
        meant: meant === undefined ? undefined : `did you mean "${meant}"?`,
      });
    },
    takes: listed(words.map((word) => `\`${word}\``)),
    schema: { enum: words },
  };
}

/** What is known of a text besides how it is parsed. */
export interface Form extends Wanted {
  /** Where the noun names only a part. */
  readonly takes?: string;
  readonly schema: Schema;
  /** What was probably meant by a text that is refused. */
  readonly hint?: (text: string) => string | undefined;
}

/** `parse` gets the text of a scalar, quoted or not, and answers undefined for what is not allowed. */
export function parsed<T>(parse: (text: string) => T | undefined, form: Form): Kind<T> {
  return {
    read: (node, spot, reading) => {
      const text = textOf(node);
      const value = text === undefined ? undefined : parse(text);
      if (value !== undefined) return value;
      const word =
        isScalar(node) && typeof node.value === 'boolean'
          ? `to mean the text, write "${node.value}" in quotes`
          : undefined;
      return wrong(node, spot, reading, { ...form, meant: text === undefined ? word : form.hint?.(text) });
    },
    takes: form.takes ?? form.noun,
    schema: form.schema,
  };
}

/** Like `kind`, and `null` (or nothing) besides. */
export function orNull<T>({ read, takes, schema }: Kind<T>): Kind<T | null> {
  const { type } = schema;
  const plain = typeof type === 'string' && schema['enum'] === undefined;
  return {
    read: (node, spot, reading) => (isEmpty(node) ? null : read(node, spot, reading)),
    takes: `${takes}, or \`null\``,
    schema: plain ? { ...schema, type: [type, 'null'] } : { anyOf: [schema, { type: 'null' }] },
  };
}

/** A list, each of its items with its place. A faulty item is left out; the list is faulty then too. */
export function listOf<T>(
  item: Kind<T>,
  noun: string,
  [min, max]: readonly [min: number, max: number],
): Kind<readonly Found<T>[]> {
  return {
    read: (node, spot, reading) => {
      if (!isSeq(node)) {
        const form = `brackets around it, for example ${isEmpty(node) ? '[] for none' : '[A, B]'}`;
        return wrong(node, spot, reading, { noun, form, meant: inBrackets(node, item, reading) });
      }
      if (node.items.length < min || node.items.length > max) {
        const count =
          node.items.length === 0 ? 'the list is empty' : `the list has ${node.items.length} items`;
        reading.fault(spot, count, `expected ${noun}, ${min} to ${max} of them`);
        return undefined;
      }
      return node.items.map((each, index) => {
        const at = (each as Node | null)?.range?.[0] ?? spot.at;
        const place = { at, key: `${spot.key}[${index}]` };
        const value = item.read(reading.resolve(each as Node | null), place, reading);
        return { value, spot: place, given: true };
      });
    },
    takes: `${noun}, at most ${max}`,
    schema: { type: 'array', items: item.schema, ...(min > 0 ? { minItems: min } : {}), maxItems: max },
  };
}

/** A text that was probably meant as a list, written as one; undefined where that would be refused too. */
function inBrackets<T>(node: Node | null, item: Kind<T>, reading: Reading): string | undefined {
  const words = textOf(node)?.split(/[\s,]+/) ?? [];
  const silent: Reading = { ...reading, fault: () => {} };
  const sound = words.every((word) => item.read(scalarOf(word), NOWHERE, silent) !== undefined);
  if (words.length === 0 || !sound) return undefined;
  const shown = words.slice(0, 4).map((word) => word.slice(0, 40));
  return `write it in brackets: ${quoted(`[${shown.join(', ')}]`).slice(1, -1)}`;
}

const NOWHERE: Spot = { at: 0, key: '' };

/** A word as it is read where it stands by itself in a list. */
function scalarOf(word: string): Scalar {
  const scalar = new Scalar<string | number>(/^-?\d+$/.test(word) ? Number(word) : word);
  scalar.source = word;
  return scalar;
}
