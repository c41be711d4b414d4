import { isDoorName } from '../policy/door-name.ts';

/** Whether a value that came over the wire is what the types say. */
export type Shape<T> = (value: unknown) => value is T;

/** The longest text that any answer holds, in characters: paths and problems, never a list. */
const TEXT_CHARACTERS_MAX = 8192;

export const text: Shape<string> = (value): value is string =>
  typeof value === 'string' && value.length <= TEXT_CHARACTERS_MAX;
export const number: Shape<number> = (value): value is number =>
  typeof value === 'number' && Number.isFinite(value);
export const flag: Shape<boolean> = (value): value is boolean => typeof value === 'boolean';
/** A name that completion puts on a command line: no other text of a daemon is taken for one. */
export const doorName: Shape<string> = (value): value is string => text(value) && isDoorName(value);
/** ISO 8601 that a date can be made of. */
export const moment: Shape<string> = (value): value is string =>
  text(value) && !Number.isNaN(Date.parse(value));

export function nullable<T>(shape: Shape<T>): Shape<T | null> {
  return (value): value is T | null => value === null || shape(value);
}

export function optional<T>(shape: Shape<T>): Shape<T | undefined> {
  return (value): value is T | undefined => value === undefined || shape(value);
}

export function list<T>(shape: Shape<T>): Shape<readonly T[]> {
  return (value): value is readonly T[] => Array.isArray(value) && value.every(shape);
}

export function oneOf<T extends string>(...allowed: readonly T[]): Shape<T> {
  return (value): value is T => allowed.some((each) => each === value);
}

/** An object whose values are all of one shape. */
export function table<T>(shape: Shape<T>): Shape<Readonly<Record<string, T>>> {
  return (value): value is Readonly<Record<string, T>> =>
    isObject(value) && Object.values(value).every(shape);
}

/** An object with these fields, and perhaps others that a newer daemon has added. */
export function record<T extends object>(fields: { readonly [Key in keyof T]-?: Shape<T[Key]> }): Shape<T> {
  const entries = Object.entries(fields) as [string, Shape<unknown>][];
  return (value): value is T => isObject(value) && entries.every(([name, shape]) => shape(value[name]));
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
