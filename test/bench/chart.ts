/** A bar of a chart: what it stands for, and how long it is. */
export interface Bar {
  readonly label: string;
  readonly value: number;
  /** Ours are drawn in colour. */
  readonly ours: boolean;
}

const WIDTH = 760;
const LABEL = 300;
const ROW = 24;
const TOP = 44;

/** Bars side by side as an SVG that can be read on light and dark ground. */
export function chart(title: string, unit: string, bars: readonly Bar[]): string {
  const longest = Math.max(...bars.map(({ value }) => value));
  const height = TOP + bars.length * ROW + 12;
  const rows = bars.map(({ label, value, ours }, index) => {
    const y = TOP + index * ROW;
    const width = Math.max(1, Math.round((value / longest) * (WIDTH - LABEL - 110)));
    return (
      `<text x="${LABEL - 8}" y="${y + 14}" text-anchor="end">${escaped(label)}</text>` +
      `<rect x="${LABEL}" y="${y + 2}" width="${width}" height="16" fill="${ours ? '#2a7de1' : '#9aa0a6'}"/>` +
      `<text x="${LABEL + width + 6}" y="${y + 14}">${figure(value)} ${escaped(unit)}</text>`
    );
  });
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" ` +
    `font-family="sans-serif" font-size="13" fill="#1f2328">` +
    `<rect width="100%" height="100%" fill="#ffffff"/>` +
    `<text x="16" y="26" font-size="16" font-weight="bold">${escaped(title)}</text>${rows.join('')}</svg>\n`
  );
}

/** Three figures that count. */
export function figure(value: number): string {
  if (!Number.isFinite(value)) return '–';
  if (value === 0) return '0';
  const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))));
  return value.toLocaleString('en', { maximumFractionDigits: Math.min(digits, 4) });
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}
