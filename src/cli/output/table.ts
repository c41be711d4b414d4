import { printable } from '../../text/plain.ts';
/** One column of a table for people. */
export interface Column {
  readonly title: string;
  readonly align?: 'left' | 'right';
  /** Cut to as few cells as this where the terminal is too narrow; without it the column keeps its width. */
  readonly least?: number;
  /**
   * Where the terminal is too narrow: an `address`, without which a row is of no use, is cut after all others; what is
   * `optional` is left out before that; of `text` nothing is cut, it goes on below. `text` is the last column.
   */
  readonly kind?: 'address' | 'optional' | 'text';
}

/** Between two columns. */
const GAP = '  ';
const CUT = '…';
/** Fewer cells than this for a text are no use. */
const TEXT_LEAST = 8;

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
    const shown = columns.flatMap(({ align }, index) => {
      const cell = row[index] ?? '';
      const room = widths[index] ?? 0;
      return room === 0 ? [] : [padded(isText(columns, index) ? cell : fitted(cell, room), room, align)];
    });
    const text = shown.join(GAP).trimEnd();
    return width === null ? text : fitted(text, width);
  };
  const last = columns.length - 1;
  const lines = (row: readonly string[]): string[] => {
    const room = widths[last] ?? 0;
    if (width === null || !isText(columns, last) || room === 0) return [line(row)];
    const rest = row.slice(0, last);
    return folded(row[last] ?? '', room).map((part, index) =>
      line([...(index === 0 ? rest : rest.map(() => '')), part]),
    );
  };
  return [line(columns.map(({ title }) => title)), ...cells.flatMap(lines)];
}

function isText(columns: readonly Column[], index: number): boolean {
  return columns[index]?.kind === 'text';
}

/** How wide each column may be; 0: it is left out. */
function narrowed(columns: readonly Column[], wanted: readonly number[], width: number): readonly number[] {
  const widths = [...wanted];
  const over = (): number => {
    const shown = widths.filter((cells) => cells > 0);
    return shown.reduce((sum, each) => sum + each, GAP.length * (shown.length - 1)) - width;
  };
  const cut = (those: readonly Column[], least: (column: Column) => number | undefined): void => {
    for (let left = over(); left > 0; left -= 1) {
      let widest = -1;
      for (const [index, column] of columns.entries()) {
        const cells = widths[index] ?? 0;
        const bound = those.includes(column) ? least(column) : undefined;
        if (bound !== undefined && cells > bound && cells > (widths[widest] ?? 0)) widest = index;
      }
      if (widest < 0) return;
      widths[widest] = (widths[widest] ?? 0) - 1;
    }
  };
  cut(
    columns.filter(({ kind }) => kind !== 'address'),
    ({ least }) => least,
  );
  for (const [index, { kind }] of columns.entries()) {
    if (kind === 'optional' && over() > 0) widths[index] = 0;
  }
  // What was left out may have made room again.
  const text = columns.findIndex(({ kind }) => kind === 'text');
  if (text >= 0 && over() < 0) widths[text] = Math.min(wanted[text] ?? 0, (widths[text] ?? 0) - over());
  cut(columns, ({ kind, least }) => (kind === 'text' ? TEXT_LEAST : least));
  return widths;
}

/** The text in lines of this many cells, broken between words where that can be; `indent` cells before all but the first. */
export function folded(text: string, width: number, indent = 0): string[] {
  const lines: string[] = [];
  const room = (): number => Math.max(1, lines.length === 0 ? width : width - indent);
  const end = (line: string): void => void lines.push(lines.length === 0 ? line : ' '.repeat(indent) + line);
  const [first = '', ...words] = text.split(' ');
  let line = first;
  for (const word of [...words, null]) {
    if (word !== null && widthOf(line) + 1 + widthOf(word) <= room()) {
      line = `${line} ${word}`;
      continue;
    }
    while (widthOf(line) > room()) {
      const [head, rest] = halves(line, room());
      end(head);
      line = rest;
    }
    end(line);
    line = word ?? '';
  }
  return lines;
}

/** As much of the text as fits, one character at least, and the rest. */
function halves(text: string, width: number): readonly [string, string] {
  let head = '';
  let cells = 0;
  for (const character of text) {
    cells += cellsOf(character);
    if (head !== '' && cells > width) break;
    head += character;
  }
  return [head, text.slice(head.length)];
}

/** The text cut to this many cells, with … where something is missing. */
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
