import { configuration, knockd, portsentry } from './configurations.ts';
import { type Kept, readCorpus } from './corpus.ts';
import { capture, decoder } from './packets.ts';
import { type Random, randomOf } from './random.ts';
import { banRows, state } from './state.ts';
import type { Attempt, Target } from './target.ts';
import { control, oneTime } from './texts.ts';

/** Everything that takes what strangers, or a failing disk, wrote. */
export const TARGETS: readonly Target[] = [
  decoder,
  capture,
  control,
  oneTime,
  configuration,
  knockd,
  portsentry,
  state,
  banRows,
];

export interface Tally {
  /** Inputs that had been kept, each tried once. */
  readonly kept: number;
  readonly cases: number;
  /** How often each word was answered. */
  readonly outcomes: Readonly<Record<string, number>>;
}

/**
 * Tries every input that was kept, and so many cases from a seed. What breaks a promise throws, with the case's number
 * in front.
 */
export function fuzz(target: Target, cases: number, seed: number): Tally {
  const outcomes: Record<string, number> = {};
  const random = randomOf(seed);
  const attempt = target.start(random);
  const corpus = readCorpus(target.name);
  try {
    for (const { file, bytes } of corpus) naming(`${target.name}: ${file}`, () => attempt.take(bytes));
    for (let number = 1; number <= cases; number += 1) {
      const outcome = naming(`${target.name}: case ${number} of seed ${seed}`, () =>
        attempt.take(another(attempt, corpus, random)),
      );
      outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
    }
  } finally {
    attempt.close();
  }
  return { kept: corpus.length, cases, outcomes };
}

function naming<Result>(what: string, act: () => Result): Result {
  try {
    return act();
  } catch (error) {
    throw new Error(what, { cause: error });
  }
}

/** Half of the inputs are made of kept ones, where there are any. */
export function another(attempt: Attempt, corpus: readonly Kept[], random: Random): Buffer {
  const kept = corpus.length > 0 && random(2) === 0 ? corpus[random(corpus.length)] : undefined;
  return kept === undefined ? attempt.make() : attempt.vary(Buffer.from(kept.bytes));
}
