import type { Key, TotpCredential } from './key.ts';
import { hotp, STEP_MS, stepOf } from './totp.ts';

/*
 * A code is judged once, whole, at the last knock: no single knock tells whether its digits were right, so that who
 * guesses has 10⁸ to try, not 2 × 10⁴.
 */

/** Steps of 30 s before and after the present one whose codes are taken. */
export interface CodeSteps {
  readonly back: number;
  readonly ahead: number;
}

export const CODE_STEPS: CodeSteps = { back: 2, ahead: 1 };
/** Steps outside of these whose codes are no offence: an owner's clock is off, or he typed slowly. */
export const LATE_STEPS = 10;

/** A key of kind totp, and the beginning of the last step whose code it has used. */
export interface CodeKey {
  readonly key: Key & { readonly credential: TotpCredential };
  readonly floor: number;
}

export type CodeVerdict =
  /** `stamp`: when the code's step began; to be claimed before anything opens. */
  | { readonly outcome: 'right'; readonly key: string; readonly stamp: number }
  /** It, or a later one, has opened before. */
  | { readonly outcome: 'used'; readonly key: string }
  /** It is right for another time; in steps, less than 0: for one that is over. */
  | { readonly outcome: 'late'; readonly key: string; readonly steps: number }
  | { readonly outcome: 'expired'; readonly key: string }
  | { readonly outcome: 'wrong' };

/** Judges the digits that were knocked. */
export function judgeCode(
  code: string,
  keys: readonly CodeKey[],
  wall: number,
  { back, ahead }: CodeSteps,
): CodeVerdict {
  const now = stepOf(wall);
  const found: CodeVerdict[] = [];
  for (const { key, floor } of keys) {
    for (let steps = -back - LATE_STEPS; steps <= ahead + LATE_STEPS; steps += 1) {
      const step = now + steps;
      if (step < 0 || hotp(key.credential.secret, step, code.length) !== code) continue;
      found.push(
        verdictOf({ key, floor }, step * STEP_MS, steps, { wall, inside: steps >= -back && steps <= ahead }),
      );
    }
  }
  // Once in a hundred million times two are right at once: the one that opens counts.
  const order: readonly CodeVerdict['outcome'][] = ['right', 'used', 'expired', 'late'];
  for (const outcome of order) {
    const verdict = found.find((one) => one.outcome === outcome);
    if (verdict !== undefined) return verdict;
  }
  return { outcome: 'wrong' };
}

function verdictOf(
  { key, floor }: CodeKey,
  stamp: number,
  steps: number,
  { wall, inside }: { readonly wall: number; readonly inside: boolean },
): CodeVerdict {
  if (!inside) return { outcome: 'late', key: key.name, steps };
  if (key.expires !== null && wall >= key.expires) return { outcome: 'expired', key: key.name };
  return stamp <= floor ? { outcome: 'used', key: key.name } : { outcome: 'right', key: key.name, stamp };
}

/** The codes that are taken now: what the engine is told at each step, so that it needs neither clock nor secret. */
export function codesNow(
  keys: readonly CodeKey[],
  digits: number,
  wall: number,
  { back, ahead }: CodeSteps,
): readonly { readonly code: string; readonly key: string; readonly stamp: number }[] {
  const now = stepOf(wall);
  const steps = Array.from({ length: back + ahead + 1 }, (_, index) => now - back + index);
  return keys
    .filter(({ key }) => key.expires === null || wall < key.expires)
    .flatMap(({ key, floor }) =>
      steps
        .map((step) => ({ step, stamp: step * STEP_MS }))
        .filter(({ step, stamp }) => step >= 0 && stamp > floor)
        .map(({ step, stamp }) => ({
          code: hotp(key.credential.secret, step, digits),
          key: key.name,
          stamp,
        })),
    );
}
