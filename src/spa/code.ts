import { createHash } from 'node:crypto';
import { candidatesOf, createRotation } from './candidates.ts';
import type { Key, TotpCredential } from './key.ts';
import { hotp, STEP_MS, stepOf } from './totp.ts';

/*
 * A code is judged once, whole, at the last knock: no single knock tells whether its digits were right, so that who
 * guesses has 10⁸ to try, not 2 × 10⁴.
 *
 * Anybody can knock whole codes, as fast as he likes and in anybody's name. So the codes that are worth anything now are
 * computed once in 30 s, and a code that is knocked is looked up among them: a wrong one costs nothing more for the
 * hundredth person.
 */

/** Steps of 30 s before and after the present one whose codes are taken. */
export interface CodeSteps {
  readonly back: number;
  readonly ahead: number;
}

/** Steps outside of these whose codes are no offence: an owner's clock is off, or he typed slowly. */
export const LATE_STEPS = 10;

/** Whose a code is, and when its 30 s began. */
export interface CodeMatch {
  readonly key: Key;
  /** By which its secret is known again; it gives nothing of it away. */
  readonly id: string;
  readonly stamp: number;
  readonly by: 'present' | 'previous';
  /** It has been used for an opening: what its key was before it was rotated is done with. */
  readonly proven: () => void;
}

export type CodeVerdict =
  /** Of several matches, once in millions of times, the first that is not used yet counts. */
  | { readonly outcome: 'right'; readonly matches: readonly [CodeMatch, ...CodeMatch[]] }
  /** It is right for another time. `behind`: how long ago, in milliseconds; less than 0: it is yet to come. */
  | { readonly outcome: 'late'; readonly key: Key; readonly behind: number }
  | { readonly outcome: 'wrong' };

/** A code as it was knocked. */
export interface KnockedCode {
  readonly door: string;
  readonly code: string;
  /** When it was knocked, in milliseconds since 1970. */
  readonly wall: number;
  readonly steps: CodeSteps;
}

/** The codes of all keys. */
export interface CodeBook {
  judge(knocked: KnockedCode): CodeVerdict;
  /** How many sets of everybody's codes are held: at most one for each step that may be asked for, and length. */
  pages(): number;
}

interface Entry {
  readonly candidate: ReturnType<typeof candidatesOf<TotpCredential['kind']>>[number];
  readonly step: number;
}

/** `rotated`: credentials that are done with, as `rotationOf` names them. */
export function createCodeBook(keys: readonly Key[], rotated?: Set<string>): CodeBook {
  const candidates = candidatesOf(keys, 'totp');
  const rotation = createRotation(rotated);
  /** By step and number of digits. */
  const pages = new Map<string, ReadonlyMap<string, readonly Entry[]>>();
  let first = Number.NaN;

  function pageAt(step: number, digits: number): ReadonlyMap<string, readonly Entry[]> {
    const name = `${step} ${digits}`;
    const there = pages.get(name);
    if (there !== undefined) return there;
    const page = new Map<string, Entry[]>();
    for (const candidate of candidates) {
      const code = hotp(candidate.credential.secret, step, digits);
      page.set(code, [...(page.get(code) ?? []), { candidate, step }]);
    }
    pages.set(name, page);
    return page;
  }

  /** Only what may be asked for is kept: time goes on, and clocks are set. */
  function turnTo(from: number, to: number): void {
    if (from === first) return;
    first = from;
    for (const name of pages.keys()) {
      const step = Number.parseInt(name, 10);
      if (step < from || step > to) pages.delete(name);
    }
  }

  return {
    judge({ door, code, wall, steps: { back, ahead } }) {
      const now = stepOf(wall);
      const [from, to] = [now - back - LATE_STEPS, now + ahead + LATE_STEPS];
      turnTo(from, to);
      const right: CodeMatch[] = [];
      let late: Entry | undefined;
      for (let step = Math.max(0, from); step <= to; step += 1) {
        for (const entry of pageAt(step, code.length).get(code) ?? []) {
          const { candidate } = entry;
          const { key } = candidate;
          if (!key.doors.includes(door) || !rotation.takes(candidate, wall)) continue;
          if (step < now - back || step > now + ahead) late ??= entry;
          else
            right.push({
              ...{ key, id: idOf(candidate.credential), stamp: step * STEP_MS, by: candidate.by },
              proven: () => rotation.proven(candidate),
            });
        }
      }
      const [one, ...others] = right;
      if (one !== undefined) return { outcome: 'right', matches: [one, ...others] };
      if (late === undefined) return { outcome: 'wrong' };
      return { outcome: 'late', key: late.candidate.key, behind: (now - late.step) * STEP_MS };
    },
    pages: () => pages.size,
  };
}

function idOf({ secret }: TotpCredential): string {
  return createHash('sha256').update('totp').update(secret).digest().toString('hex', 0, 16);
}
