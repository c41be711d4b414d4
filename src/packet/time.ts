/**
 * A length of time, or a moment on the engine's own clock, in milliseconds; fractions count. Live, the clock
 * is monotonic (it never steps back); in a replay it is the capture's.
 */
export type Milliseconds = number & { readonly __brand: 'Milliseconds' };

export function milliseconds(value: number): Milliseconds {
  return value as Milliseconds;
}

export const SECOND: Milliseconds = milliseconds(1000);
