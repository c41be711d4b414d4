import type { Knock } from './describe.ts';
import type { Sequence } from './ports.ts';

/*
 * Sequences of which some steps are ports whose last digits are a code's: such a step is any port of its range, and its
 * digits are kept. The code is not looked at before the last knock, so that no knock tells whether a digit was right.
 */

/** The digits of an attempt's code so far, as a number, once the packet is its next step. */
export function codeAfter({ digits }: Sequence, code: number, made: number, { port, key }: Knock): number {
  return digits === null ? 0 : code * 10 ** (digits[made] ?? 0) + port - key;
}

/** Whether the packet is one of the steps that an attempt has made, and of a code's the very same port. */
export function isMade({ steps, digits }: Sequence, code: number, made: number, knock: Knock): boolean {
  const step = steps.indexOf(knock.key);
  if (step < 0 || step >= made) return false;
  if (digits === null) return true;
  let rest = code;
  for (let after = made - 1; after > step; after -= 1) rest = Math.floor(rest / 10 ** (digits[after] ?? 0));
  return rest % 10 ** (digits[step] ?? 0) === knock.port - knock.key;
}

/** The whole code as it was knocked. */
export function codeText({ digits }: Sequence, code: number): string {
  const length = (digits ?? []).reduce((sum, each) => sum + each, 0);
  return String(code).padStart(length, '0');
}
