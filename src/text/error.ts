import { oneLine } from './plain.ts';

/** What was thrown, in its own words. Anything can be thrown, also what has no words. */
export function messageOf(thrown: unknown): string {
  if (thrown instanceof Error) return thrown.message;
  try {
    return String(thrown);
  } catch {
    return 'something without words was thrown';
  }
}

/** The same on one line. */
export function sentenceOf(thrown: unknown): string {
  return oneLine(messageOf(thrown));
}

export function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(messageOf(thrown), { cause: thrown });
}
