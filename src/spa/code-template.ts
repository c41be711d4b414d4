import { isPort, meet, type PortSpec, rangeOf } from '../packet/port.ts';

/*
 * A sequence of which some digits are an authenticator's: 1????/tcp stands for every port from 10000 to 19999, and the
 * code 4913 9586 makes 1???? 2???? into 14913 29586.
 */

/** Digits of a code in all: what authenticators show. */
export const CODE_DIGITS = { min: 6, max: 8 } as const;

/** What is wrong with a sequence that takes a code. */
export type TemplateProblem =
  /** A first knock that is 10,000 ports would earn no scan a strike. */
  | 'first'
  /** Not 6, 7 or 8 digits in all. */
  | 'digits'
  /** A code's ports meet each other, or a fixed knock. */
  | 'overlap';

/** What is wrong with a sequence; undefined: nothing, or it takes no code. */
export function templateProblem(steps: readonly PortSpec[]): TemplateProblem | undefined {
  const digits = digitsOf(steps);
  if (digits === 0) return undefined;
  if (steps[0]?.digits !== undefined) return 'first';
  if (digits < CODE_DIGITS.min || digits > CODE_DIGITS.max) return 'digits';
  const meets = steps.some((x, index) =>
    // Two fixed knocks are not this page's business.
    steps.slice(index + 1).some((y) => (x.digits ?? y.digits) !== undefined && meet(rangeOf(x), rangeOf(y))),
  );
  return meets ? 'overlap' : undefined;
}

/** Digits of the code that a sequence takes; 0: it takes none. */
export function digitsOf(steps: readonly PortSpec[]): number {
  return steps.reduce((sum, { digits = 0 }) => sum + digits, 0);
}

/** The knocks that a code makes of a sequence; undefined: it has not as many digits. */
export function knocksOf(steps: readonly PortSpec[], code: string): readonly PortSpec[] | undefined {
  if (!/^\d+$/.test(code) || code.length !== digitsOf(steps)) return undefined;
  const knocks: PortSpec[] = [];
  let at = 0;
  for (const { protocol, port: base, digits = 0 } of steps) {
    const port = base + Number(code.slice(at, at + digits));
    at += digits;
    if (isPort(port)) knocks.push({ protocol, port });
  }
  return knocks;
}
