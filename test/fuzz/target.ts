import type { Random } from './random.ts';

/** Something that takes what strangers wrote. */
export interface Target {
  readonly name: string;
  /** Cases in the short run, and in the long one where nothing else is asked for. */
  readonly short: number;
  readonly long: number;
  /** Makes one run: each call tries one case, and throws where a promise is broken. */
  start(random: Random): Attempt;
}

export interface Attempt {
  /** Tries one more case; answers a word for what became of it, to be counted. */
  next(): string;
  close(): void;
}

export function check(condition: boolean, promise: string): void {
  if (!condition) throw new Error(`broken: ${promise}`);
}
