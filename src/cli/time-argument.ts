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

const MOMENT = /^(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d))?(Z)?)?$/;
const OF_DAY = /^(\d{1,2}):(\d\d)$/;

/**
 * The milliseconds of `--until`, which is a time (`30m`) or a moment: `18:30` is the next one on this machine's clock,
 * `2026-11-30 06:00` that moment, in UTC with a Z. Null where it was not given. Throws CommandFailure.
 */
export function untilArgument(
  text: string | undefined,
  now: number,
): { readonly length: number | null; readonly asked: 'length' | 'moment' } {
  if (text === undefined) return { length: null, asked: 'length' };
  const length = parseDuration(text);
  if (length !== undefined && length >= 1000) return { length, asked: 'length' };
  const moment = length === undefined ? momentOf(text, now) : undefined;
  if (moment === undefined || Number.isNaN(moment))
    throw usage(
      `"${text}" is no time of a second or more: write 30m or 2h, up to ${DAYS_MAX}d, or a moment: 18:30 or "2026-11-30 06:00"`,
    );
  if (moment - now < 1000)
    throw usage(`"${text}" has passed (by this machine's clock): write 30m or 2h instead`);
  if (moment - now > DURATION_MAX) throw usage(`"${text}" is further off than ${DAYS_MAX}d`);
  return { length: moment - now, asked: 'moment' };
}

function momentOf(text: string, now: number): number | undefined {
  const [, hour, minute] = OF_DAY.exec(text) ?? [];
  if (hour !== undefined && minute !== undefined) {
    if (Number(hour) > 23 || Number(minute) > 59) return undefined;
    const day = new Date(now);
    day.setHours(Number(hour), Number(minute), 0, 0);
    if (day.getTime() <= now) day.setDate(day.getDate() + 1);
    return day.getTime();
  }
  const found = MOMENT.exec(text);
  if (found === null) return undefined;
  const [, year, month, date, hours = '00', minutes = '00', seconds = '00', utc = ''] = found;
  const read = new Date(`${year}-${month}-${date}T${hours}:${minutes}:${seconds}${utc}`);
  // 31 February would be read as a day of March.
  const same = (utc === '' ? read.getDate() : read.getUTCDate()) === Number(date);
  return same ? read.getTime() : undefined;
}
