const UNITS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['min', 60_000],
  ['s', 1_000],
] as const;

/** How far a clock is behind this machine's (less than 0: ahead of it). */
export function distanceInWords(behind: number): string {
  return `its clock is ${spanInWords(behind)} ${behind < 0 ? 'ahead of' : 'behind'} this machine's`;
}

/** A time in its two greatest units, a second at least. */
export function spanInWords(span: number): string {
  let left = Math.max(1_000, Math.abs(Math.round(span / 1_000) * 1_000));
  const parts: string[] = [];
  for (const [unit, length] of UNITS) {
    const count = Math.floor(left / length);
    left -= count * length;
    if (count > 0) parts.push(`${count} ${unit}`);
  }
  return parts.slice(0, 2).join(' ');
}
