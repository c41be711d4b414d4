/**
 * A length of time, or a moment on the engine's own clock, in milliseconds; fractions count. Live, the clock
 * is monotonic (it never steps back); in a replay it is the capture's.
 */
export type Milliseconds = number & { readonly __brand: 'Milliseconds' };

export function milliseconds(value: number): Milliseconds {
  return value as Milliseconds;
}

export const SECOND: Milliseconds = milliseconds(1000);

/** 9999-12-31T23:59:59.999Z: the last moment that is written with four digits of year. */
const LAST_MOMENT = 253_402_300_799_999;

/**
 * A moment since 1970 that can be written. A clock that is wrong by aeons, or a capture that says so, must end nothing:
 * what can't be written is written as the nearest that can.
 */
export function writableMoment(at: number): number {
  return Number.isNaN(at) ? 0 : Math.min(Math.max(at, 0), LAST_MOMENT);
}
