/** One column of a table for people. */
export interface Column {
  readonly title: string;
  readonly align?: 'left' | 'right';
  /** Cut to as few cells as this where the terminal is too narrow; without it the column keeps its width. */
  readonly least?: number;
}

/** Between two columns. */
const GAP = '  ';
const CUT = '…';

/**
 * The lines of a table. Cells are made printable. Where the table is wider than `width` (in cells; null: as wide
 * as it wants), the widest column that may be cut is cut first, and what still does not fit is cut off.
 */
export function formatTable(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  width: number | null,
): string[] {
  const cells = rows.map((row) => columns.map((_, index) => printable(row[index] ?? '')));
  const wanted = columns.map((column, index) =>
    cells.reduce((most, row) => Math.max(most, widthOf(row[index] ?? '')), widthOf(column.title)),
  );
  const widths = width === null ? wanted : narrowed(columns, wanted, width);
  const line = (row: readonly string[]): string => {
    const text = columns
      .map((column, index) =>
        padded(fitted(row[index] ?? '', widths[index] ?? 0), widths[index] ?? 0, column.align),
      )
      .join(GAP);
    return width === null ? text.trimEnd() : fitted(text.trimEnd(), width);
  };
  return [line(columns.map(({ title }) => title)), ...cells.map(line)];
}

function narrowed(columns: readonly Column[], wanted: readonly number[], width: number): readonly number[] {
  const widths = [...wanted];
  const gaps = GAP.length * (columns.length - 1);
  for (let over = widths.reduce((sum, each) => sum + each, gaps) - width; over > 0; over -= 1) {
    let widest = -1;
    for (const [index, column] of columns.entries()) {
      const cells = widths[index] ?? 0;
      if (column.least !== undefined && cells > column.least && cells > (widths[widest] ?? 0)) widest = index;
    }
    if (widest < 0) break;
    widths[widest] = (widths[widest] ?? 0) - 1;
  }
  return widths;
}

/** The text cut to so many cells, with … where something is missing. */
export function fitted(text: string, width: number): string {
  if (widthOf(text) <= width) return text;
  let cells = 0;
  let kept = '';
  for (const character of text) {
    const wide = cellsOf(character);
    if (cells + wide > width - 1) break;
    kept += character;
    cells += wide;
  }
  return width < 1 ? '' : kept + CUT;
}

function padded(text: string, width: number, align: Column['align']): string {
  const space = ' '.repeat(Math.max(0, width - widthOf(text)));
  return align === 'right' ? space + text : text + space;
}

/** How many cells of a terminal a text takes. */
export function widthOf(text: string): number {
  let cells = 0;
  for (const character of text) cells += cellsOf(character);
  return cells;
}

/** Marks that are drawn onto the character before them, and characters that East Asian scripts draw two cells wide. */
const NO_CELL = /^[\p{Mn}\p{Me}\u200b-\u200d]$/u;
const TWO_CELLS =
  /^[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]$/u;

function cellsOf(character: string): number {
  if (NO_CELL.test(character)) return 0;
  return TWO_CELLS.test(character) ? 2 : 1;
}

/** The text on one line, without anything that a terminal would act on: such characters show as `\u{…}`. */
export function printable(text: string): string {
  return text.replaceAll(
    /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu,
    (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`,
  );
}
