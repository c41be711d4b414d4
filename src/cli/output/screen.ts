import type { BanRow, GrantRow, SourceRow } from '../../control/answers.ts';
import type { Status } from '../../control/status.ts';
import { printable } from '../../text/plain.ts';
import { counted, leftInWords, lengthInWords } from './durations.ts';
import { type Column, fitted, formatTable } from './table.ts';

/** What the live screen shows. */
export interface Scene {
  readonly status: Status;
  readonly grants: readonly GrantRow[];
  readonly bans: readonly BanRow[];
  readonly sources: readonly SourceRow[];
  /** Sentences, oldest first, printable. */
  readonly events: readonly string[];
  /** Events that we were too slow for. */
  readonly lost: number;
  /** Why what is shown is old; null: it is not. */
  readonly trouble: string | null;
  /** Milliseconds since 1970. */
  readonly now: number;
}

export interface Size {
  readonly columns: number;
  readonly rows: number;
}

/** Writes a line with emphasis, or as it is where colours are not wanted. */
export type Ink = (emphasis: 'title' | 'heading' | 'bad', line: string) => string;

const PROBLEMS_SHOWN_MAX = 4;
/** The parts of the rows between header and footer that doors and offenders may take; events get the rest. */
const DOORS_SHARE = 0.4;
const OFFENDERS_SHARE = 0.35;

/** The screen as lines, none wider than the terminal and no more of them than it has rows. */
export function screenLines(scene: Scene, { columns, rows }: Size, ink: Ink): readonly string[] {
  const { status, now } = scene;
  const clock = new Date(now).toISOString().slice(11, 19);
  const title = ` nfknock ${status.version}  up ${lengthInWords(status.uptime)}  ${clock} UTC  q quits`;
  const top = [ink('title', padded(printable(title), columns)), fitted(healthLine(status), columns)];
  for (const problem of problemsOf(scene)) top.push(ink('bad', fitted(printable(problem), columns)));

  const room = Math.max(0, rows - top.length);
  const doors = section(
    ['Doors and who is in', doorLines(scene, columns)],
    Math.floor(room * DOORS_SHARE),
    columns,
    ink,
  );
  const offenders = section(
    ['Offenders', offenderLines(scene, columns)],
    Math.floor(room * OFFENDERS_SHARE),
    columns,
    ink,
  );
  const left = room - doors.length - offenders.length;
  const lost = scene.lost === 0 ? '' : ` (${scene.lost} left out)`;
  const newest = scene.events.slice(-Math.max(1, left - 2)).map((line) => fitted(line, columns));
  const events = section(
    [`Latest events${lost}`, newest.length === 0 ? ['none since this screen was opened'] : newest],
    left,
    columns,
    ink,
  );
  return [...top, ...doors, ...offenders, ...events].slice(0, rows);
}

function healthLine({ queue, bans, sources, state, enforce }: Status): string {
  // What the daemon's user may not read is left out, as far as it can be.
  const waiting = queue.depth === null ? '' : `${queue.depth} waiting, `;
  const least = queue.kernel_dropped === null ? 'at least ' : '';
  const lost = `${least}${(queue.kernel_dropped ?? 0) + queue.user_dropped} lost`;
  const lag = queue.lag === null ? '' : `, ${queue.lag.toFixed(1)} ms`;
  const shadow = enforce ? '' : ' (only said)';
  return ` queue ${waiting}${lost}${lag} · ${counted(bans, 'ban')}${shadow} · ${counted(sources, 'source')} · state ${state.ok ? 'on disk' : 'in memory only'}`;
}

function problemsOf({ status, trouble }: Scene): readonly string[] {
  const problems = status.problems.map(({ what, fix }) => ` ! ${what}: ${fix}`);
  const shown = problems.slice(0, PROBLEMS_SHOWN_MAX);
  const more = problems.length - shown.length;
  if (more > 0) shown.push(` ! and ${more} more: see nfknock status`);
  return trouble === null ? shown : [` ! ${trouble}`, ...shown];
}

/** An empty line, a heading, and as many lines as there is room for; the last says how many are not shown. */
function section(
  [heading, lines]: readonly [heading: string, lines: readonly string[]],
  room: number,
  columns: number,
  ink: Ink,
): readonly string[] {
  const fits = room - 2;
  if (fits < 1) return [];
  const more = lines.length - fits;
  const shown = more > 0 ? [...lines.slice(0, fits - 1), fitted(`… and ${more + 1} more`, columns)] : lines;
  return ['', ink('heading', fitted(heading, columns)), ...shown];
}

const DOORS: readonly Column[] = [
  { title: 'DOOR', least: 6 },
  { title: 'PROTECTS', least: 6 },
  { title: 'OPENED', align: 'right' },
  { title: 'IN', least: 10, kind: 'address' },
  { title: 'LEFT', align: 'right' },
  { title: 'REASON', least: 4 },
];

function doorLines({ status, grants, now }: Scene, columns: number): readonly string[] {
  const rows = status.doors.flatMap((door) => {
    const about = [door.name, door.ports.join(', '), `${door.opened}`];
    const inside = grants.filter((grant) => grant.door === door.name);
    if (inside.length === 0) return [[...about, '-']];
    return inside.map(({ grantee, until, reason }, index) => [
      ...(index === 0 ? about : ['', '', '']),
      grantee === 'any' ? 'everyone' : grantee,
      leftInWords(until, now),
      reason ?? '',
    ]);
  });
  return rows.length === 0 ? ['no doors'] : formatTable(DOORS, rows, columns).slice(1);
}

const OFFENDERS: readonly Column[] = [
  { title: 'SOURCE', least: 10, kind: 'address' },
  { title: 'STANDING', least: 10 },
  { title: 'PROGRESS', least: 6 },
];

/** The banned first, those who were banned most often on top; then by strikes. */
function offenderLines({ bans, sources, now }: Scene, columns: number): readonly string[] {
  const banned = [...bans]
    .sort((x, y) => y.count - x.count || Date.parse(y.since) - Date.parse(x.since))
    .map(({ target, until, count, shadow }) => [
      target,
      `${shadow ? 'would be banned' : 'banned'} for ${leftInWords(until, now)}, ban ${count}`,
      '',
    ]);
  const striking = sources
    .filter((row) => row.banned === null && (row.strikes > 0 || row.attempts.length > 0))
    .sort((x, y) => y.strikes - x.strikes)
    .map((row) => [
      row.source,
      counted(row.strikes, 'strike'),
      row.attempts.map(({ door, step, of }) => `${door} ${step}/${of}`).join(', '),
    ]);
  const rows = [...banned, ...striking];
  return rows.length === 0 ? ['none'] : formatTable(OFFENDERS, rows, columns).slice(1);
}

function padded(line: string, columns: number): string {
  return fitted(line, columns).padEnd(columns);
}
