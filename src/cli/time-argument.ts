import { DURATION_MAX, parseDuration } from '../config/duration.ts';
import { usage } from './failure.ts';

/** The longest in whole days, which is how such a time is written. */
const DAYS_MAX = Math.floor(DURATION_MAX / 86_400_000);

/** The milliseconds of `--for`; undefined where it was not given. Throws CommandFailure. */
export function timeArgument(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const time = parseDuration(text);
  if (time !== undefined && time > 0) return time;
  throw usage(`"${text}" is no time: write 90s, 10m, 2h or 7d, up to ${DAYS_MAX}d`);
}

/** What is wrong with a time for `--confirm`. */
export function confirmFault(time: string): string | undefined {
  if ((parseDuration(time) ?? 0) >= 1000) return undefined;
  return `--confirm "${time}" is no time of a second or more: write 30s or 2m`;
}
