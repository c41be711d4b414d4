import { DURATION_MAX, formatDuration, parseDuration } from '../config/duration.ts';
import { usage } from './talk.ts';

/** The milliseconds of `--for`; undefined where it was not given. Throws CommandFailure. */
export function timeArgument(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const time = parseDuration(text);
  if (time !== undefined && time > 0) return time;
  throw usage(`"${text}" is no time: write 90s, 10m, 2h or 7d, at most ${formatDuration(DURATION_MAX)}`);
}
