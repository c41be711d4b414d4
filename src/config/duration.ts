import { type Milliseconds, milliseconds } from '../packet/time.ts';

/** The longest time that can be configured, in milliseconds: an ipset entry's timeout ends at 2,147,483 s. */
export const DURATION_MAX: Milliseconds = milliseconds(2_147_483_000);

const UNITS: readonly (readonly [unit: string, ms: number])[] = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1000],
  ['ms', 1],
];

/**
 * Reads `250ms`, `10s`, `5m`, `2h`, `7d`: a whole number and its unit. A lone `0` needs none. Undefined for
 * everything else and for what is longer than DURATION_MAX.
 */
export function parseDuration(text: string): Milliseconds | undefined {
  if (text === '0') return milliseconds(0);
  const match = /^(\d{1,10})(ms|s|m|h|d)$/.exec(text);
  const unit = UNITS.find(([name]) => name === match?.[2]);
  if (match === null || unit === undefined) return undefined;
  const value = Number(match[1]) * unit[1];
  return value <= DURATION_MAX ? milliseconds(value) : undefined;
}

/** Writes a time in the largest unit that holds it whole, so that `parseDuration` gives it back: `90s`, `7d`. */
export function formatDuration(value: Milliseconds): string {
  const whole = Math.max(0, Math.round(value));
  if (whole === 0) return '0ms';
  for (const [unit, ms] of UNITS) if (whole % ms === 0) return `${whole / ms}${unit}`;
  return `${whole}ms`;
}
