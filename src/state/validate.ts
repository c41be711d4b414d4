/**
 * What of a file can be what nfknock wrote. SQLite sees damage to its own structures, not to values: a bit more in a
 * moment, and a grant would never end.
 */

/** 2200-01-01T00:00:00Z: no clock that this program will ever see is later. */
const MOMENT_MAX = 7_258_118_400_000;
/** The longest that a grant or a ban lasts, in milliseconds: the longest time that can be configured. */
const LASTS_MAX = 2_147_483_000;

/** A moment since 1970, in milliseconds. */
export function isMoment(value: number): boolean {
  return value >= 0 && value <= MOMENT_MAX;
}

/** When the last of what there is now will have ended; `seen` is when the file was last written. */
export function latestEnd(now: number, seen: number): number {
  return Math.max(now, seen) + LASTS_MAX;
}
