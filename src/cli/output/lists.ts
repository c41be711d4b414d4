import type { BanRow, GrantRow, SourceRow } from '../../control/answers.ts';
import type { View } from '../ask-daemon.ts';
import { leftInWords, utcTime } from './durations.ts';
import { formatTable } from './table.ts';

/** Who is let in, for people. */
export function grantLines(rows: readonly GrantRow[], { width, now }: View): readonly string[] {
  if (rows.length === 0) return ['Nobody is let in.'];
  const columns = [
    { title: 'DOOR', least: 8 },
    { title: 'GRANTED TO', least: 15, kind: 'address' },
    { title: 'REQUESTED BY', least: 15, kind: 'address' },
    { title: 'SINCE (UTC)', kind: 'optional' },
    { title: 'LEFT', align: 'right' },
    { title: 'USES', align: 'right' },
    { title: 'REASON', kind: 'text', least: 12 },
    { title: 'FROM', kind: 'text', least: 6 },
  ] as const;
  const cells = rows.map((row) => [
    row.door,
    row.grantee === 'any' ? 'everyone' : row.grantee,
    row.source === row.grantee ? '' : row.source,
    utcTime(row.since),
    leftInWords(row.until, now),
    row.uses_left === null ? '' : `${row.uses_left}`,
    row.reason ?? '',
    row.from ?? '',
  ]);
  return withoutEmpty(columns, cells, width);
}

/** Who is banned, for people. */
export function banLines(rows: readonly BanRow[], { width, now }: View): readonly string[] {
  if (rows.length === 0) return ['Nobody is banned.'];
  const columns = [
    { title: 'BANNED', least: 18, kind: 'address' },
    { title: 'SINCE (UTC)', kind: 'optional' },
    { title: 'LEFT', align: 'right' },
    { title: 'TIMES', align: 'right' },
    { title: 'NOTE', kind: 'text', least: 12 },
    { title: 'FROM', kind: 'text', least: 6 },
  ] as const;
  const cells = rows.map((row) => [
    row.target,
    utcTime(row.since),
    leftInWords(row.until, now),
    `${row.count}`,
    row.shadow ? 'only logged, not enforced' : '',
    row.from ?? '',
  ]);
  return withoutEmpty(columns, cells, width);
}

/** Who has strikes or is in the middle of a sequence, for people. */
export function sourceLines(rows: readonly SourceRow[], { width, now }: View): readonly string[] {
  if (rows.length === 0) return ['Nobody has strikes or is in the middle of a sequence.'];
  const columns = [
    { title: 'SOURCE', least: 18, kind: 'address' },
    { title: 'STRIKES', align: 'right' },
    { title: 'PROGRESS', least: 12 },
    { title: 'BANNED FOR', align: 'right' },
  ] as const;
  const cells = rows.map((row) => [
    row.source,
    `${row.strikes}`,
    row.attempts.map(({ door, step, of }) => `${door} ${step} of ${of}`).join(', '),
    row.banned === null ? '' : leftInWords(row.banned, now),
  ]);
  return withoutEmpty(columns, cells, width);
}

/** A column in which no row has anything is left out. */
function withoutEmpty(
  columns: Parameters<typeof formatTable>[0],
  cells: readonly (readonly string[])[],
  width: number | null,
): string[] {
  const kept = columns.map((_, index) => cells.some((row) => row[index] !== ''));
  return formatTable(
    columns.filter((_, index) => kept[index]),
    cells.map((row) => row.filter((_, index) => kept[index])),
    width,
  );
}
