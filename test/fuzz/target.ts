import { mutateText, type Random, varyText } from './random.ts';

/** Something that takes what strangers wrote. */
export interface Target {
  readonly name: string;
  /** Cases in the short run, and in the long one where nothing else is asked for. */
  readonly short: number;
  readonly long: number;
  /** Begins one run. */
  start(random: Random): Attempt;
}

export interface Attempt {
  /** Makes another input of what is sound. */
  make(): Buffer;
  /** Makes another input of one that was kept, whose bytes it may change. */
  vary(kept: Buffer): Buffer;
  /** Tries an input; answers a word for what became of it, to be counted, and throws where a promise is broken. */
  take(input: Buffer): string;
  close(): void;
}

export function check(condition: boolean, promise: string): void {
  if (!condition) throw new Error(`broken: ${promise}`);
}

/** A target that takes texts, which are made of a sound one and of these words. */
export function ofText(
  about: Pick<Target, 'name' | 'short' | 'long'>,
  [sound, words]: readonly [sound: string, words: readonly string[]],
  take: (text: string, random: Random) => string,
): Target {
  return {
    ...about,
    start: (random) => ({
      make: () => Buffer.from(mutateText(sound, words, random)),
      vary: (kept) => varyText(kept, words, random),
      take: (input) => take(input.toString(), random),
      close: () => undefined,
    }),
  };
}
