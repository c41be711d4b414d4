import { capture, decoder } from './packets.ts';
import { randomOf } from './random.ts';
import { banRows, state } from './state.ts';
import type { Target } from './target.ts';
import { configuration, control, knockd, oneTime } from './texts.ts';

/** Everything that takes what strangers, or a failing disk, wrote. */
export const TARGETS: readonly Target[] = [
  decoder,
  capture,
  control,
  oneTime,
  configuration,
  knockd,
  state,
  banRows,
];

export interface Tally {
  readonly cases: number;
  /** How often each word was answered. */
  readonly outcomes: Readonly<Record<string, number>>;
}

/** Tries so many cases from a seed. What breaks a promise throws, with the case's number in front. */
export function fuzz(target: Target, cases: number, seed: number): Tally {
  const outcomes: Record<string, number> = {};
  const attempt = target.start(randomOf(seed));
  try {
    for (let number = 1; number <= cases; number += 1) {
      try {
        const outcome = attempt.next();
        outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
      } catch (error) {
        throw new Error(`${target.name}: case ${number} of seed ${seed}`, { cause: error });
      }
    }
  } finally {
    attempt.close();
  }
  return { cases, outcomes };
}
