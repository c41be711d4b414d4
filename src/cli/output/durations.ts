/** Times as people read them. Moments come as ISO 8601, `now` as milliseconds since 1970. */

const STEPS: readonly (readonly [seconds: number, unit: string])[] = [
  [86_400, 'd'],
  [3600, 'h'],
  [60, 'm'],
  [1, 's'],
];

/** A length of time in its two largest units: `1d 2h`, `9m 30s`, `28s`. */
export function lengthInWords(seconds: number): string {
  const whole = Math.max(0, Math.ceil(seconds));
  const first = STEPS.findIndex(([size]) => whole >= size);
  if (first < 0) return '0s';
  const parts: string[] = [];
  let rest = whole;
  for (const [size, unit] of STEPS.slice(first, first + 2)) {
    const count = Math.floor(rest / size);
    rest -= count * size;
    if (count > 0) parts.push(`${count}${unit}`);
  }
  return parts.join(' ');
}

/** How long it is until then; `over` where it has passed. */
export function leftInWords(moment: string, now: number): string {
  const left = Date.parse(moment) - now;
  return left <= 0 ? 'over' : lengthInWords(left / 1000);
}

/** `2026-11-21 06:40:30`, in UTC as everywhere in the log. */
export function utcTime(moment: string): string {
  return new Date(moment).toISOString().slice(0, 19).replace('T', ' ');
}

/** `1 grant`, `2 grants`. */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
