import { writableMoment } from '../packet/time.ts';
import { type BarData, type LaneData, MARK_KINDS, type ReportData } from '../report/data.ts';

/** Sources listed in the table; JSON has all that are known. */
const ROWS_MAX = 100;

/** What a source did and what it got, as a table for people. */
export function summaryTable(data: ReportData): string {
  const byKey = data.lanes.some(({ tally }) => tally.accepted + tally.refused > 0)
    ? ['ACCEPTED', 'REFUSED']
    : [];
  const counted = ['KNOCKS', 'WRONG', 'DECOYS', 'SCANS', 'STRIKES', 'BANS', 'GRANTS', ...byKey];
  const head = ['SOURCE', ...counted, 'RESULT'];
  const rows = data.lanes
    .slice(0, ROWS_MAX)
    .map((lane, index) => [lane.name, ...figures(lane).slice(0, counted.length), got(data, index)]);
  const lines = [
    `${data.counts.map(countText).join(', ')}; this machine: ${data.local.join(', ')}`,
    '',
    ...aligned([head, ...rows]),
  ];
  const more = data.lanes.length - ROWS_MAX + data.thinned.sources;
  if (more > 0) lines.push(`… and ${more} more ${more === 1 ? 'source' : 'sources'}, which did less`);
  if (data.lanes.length === 0) lines.push('No source caused an event.');
  return lines.join('\n');
}

/** Labels that are nouns are plural: one of them is not. */
function countText([label, count]: readonly [label: string, count: number]): string {
  return `${count} ${count === 1 ? label.replace(/s$/, '') : label}`;
}

/** The same as one JSON object. */
export function summaryJson(data: ReportData): string {
  const sources = data.lanes.map((lane, index) => ({
    source: lane.name,
    ...lane.tally,
    first: momentOf(lane.tally.first),
    last: momentOf(lane.tally.last),
    got: barsOf(data, index).map((bar) => barJson(data, bar)),
    refusals: refusalsOf(data, index),
  }));
  const counts = Object.fromEntries(data.counts);
  return JSON.stringify({
    addresses: data.local,
    counts,
    sources,
    sources_left_out: data.thinned.sources,
    fault: data.fault,
  });
}

function figures({ tally }: LaneData): string[] {
  const { knocks, wrong, decoys, scans, strikes, bans, opened, accepted, refused } = tally;
  return [knocks, wrong, decoys, scans, strikes, bans, opened, accepted, refused].map(String);
}

function got(data: ReportData, lane: number): string {
  const bars = barsOf(data, lane);
  const last = bars.at(-1);
  if (last === undefined) return refusalsOf(data, lane).at(-1)?.why ?? '-';
  const more = bars.length > 1 ? ` (and ${bars.length - 1} before)` : '';
  const [, to, , kind, door, , , key] = last;
  const what =
    kind === 0
      ? `door ${data.doors[door]?.name ?? ''} open${key === '' ? '' : ` by ${key}`}`
      : kind === 1
        ? 'banned'
        : 'would be banned';
  return `${what} until ${momentOf(to)}${more}`;
}

/** Packets of keys that opened nothing, and why; where marks stand for several, one of them. */
function refusalsOf(
  data: ReportData,
  lane: number,
): readonly { readonly at: string; readonly why: string }[] {
  return data.marks
    .filter((mark) => mark[1] === lane && MARK_KINDS[mark[2]] === 'spa.rejected')
    .map((mark) => ({ at: momentOf(mark[0]), why: `refused: ${mark[7]}` }));
}

function barJson(data: ReportData, [from, to, , kind, door, ended, , key]: BarData): object {
  const what =
    kind === 0
      ? { door: data.doors[door]?.name ?? null, key: key === '' ? null : key }
      : { ban: kind === 1 ? 'in force' : 'shadow' };
  return { ...what, from: momentOf(from), until: momentOf(to), ended: ended === '' ? null : ended };
}

function barsOf(data: ReportData, lane: number): readonly BarData[] {
  return data.bars.filter((bar) => bar[2] === lane);
}

function aligned(rows: readonly (readonly string[])[]): string[] {
  const widths = rows.reduce<number[]>(
    (all, row) => row.map((cell, at) => Math.max(cell.length, all[at] ?? 0)),
    [],
  );
  return rows.map((row) =>
    row
      .map((cell, at) => {
        if (at === row.length - 1) return cell;
        return at === 0 ? cell.padEnd(widths[at] ?? 0) : cell.padStart(widths[at] ?? 0);
      })
      .join('  '),
  );
}

function momentOf(at: number): string {
  return new Date(writableMoment(at)).toISOString();
}
