import type { Grantee, NfknockEvent } from '../engine/event.ts';
import { formatCidr } from '../packet/cidr.ts';
import { formatPort, type PortSpec } from '../packet/port.ts';
import { writableMoment } from '../packet/time.ts';
import { refusalWords } from '../text/refusal-words.ts';
import { BAR_KINDS, type BarData, MARK_KINDS, type MarkData, type ReportData } from './data.ts';
import { createLanes, type KeptMark, type Lane, nameOf } from './rows.ts';

/** Gathers what a report or a summary shows, in bounded memory. */
export interface Collector {
  add(event: NfknockEvent): void;
  /** What has gathered. Bars that nothing ended last until the time that was announced. */
  data(about: About): ReportData;
}

/** What the events don't tell. */
export type About = Pick<ReportData, 'title' | 'first' | 'last' | 'fault' | 'local' | 'counts' | 'doors'>;

/** Marks that are held at once; beyond that those nearest to each other are drawn as one. */
const MARKS_MAX = 30_000;
/** Marks of one kind and source closer than this (ms) become one when there are too many; grows fourfold. */
const THINNING_FIRST_MS = 5;
/** Bars that are held; further ones are counted. */
const BARS_MAX = 20_000;

interface Mark extends KeptMark {
  readonly lane: Lane;
  readonly kind: number;
  readonly door: string;
  readonly port: string;
  readonly step: number;
  readonly of: number;
  readonly reason: string;
}

interface Bar {
  readonly from: number;
  to: number;
  readonly lane: Lane;
  readonly kind: number;
  readonly door: string;
  readonly grantee: string;
  ended: string;
  readonly key: string;
}

/** The events that become marks. */
type MarkedEvent = Extract<NfknockEvent, { readonly event: (typeof MARK_KINDS)[number] }>;

export function createCollector(): Collector {
  const lanes = createLanes();
  const marks = createMarks();
  const bars = createBars();

  return {
    add(event) {
      switch (event.event) {
        case 'door.opened':
        case 'door.renewed': {
          const lane = lanes.ofHost(event.source, event.at);
          lane.tally.opened++;
          bars.begin(`${event.door} ${textOf(event.grantee)}`, {
            from: event.at,
            to: event.until,
            lane,
            kind: BAR_KINDS.indexOf('grant'),
            door: event.door,
            grantee: textOf(event.grantee),
            ended: '',
            key: keyText(event),
          });
          return;
        }
        case 'door.closed':
          bars.end(`${event.door} ${textOf(event.grantee)}`, event.at, event.reason);
          return;
        case 'ban.added': {
          const lane = lanes.ofNetwork(event.target, event.at);
          lane.tally.bans++;
          lane.tally.strikes = Math.max(lane.tally.strikes, event.strikes);
          const kind = BAR_KINDS.indexOf(event.shadow === true ? 'shadow ban' : 'ban');
          const grantee = formatCidr(event.target);
          const bar = { from: event.at, to: event.until, lane, kind, door: '', grantee, ended: '', key: '' };
          bars.begin(grantee, bar);
          return;
        }
        case 'ban.extended':
          bars.extend(formatCidr(event.target), event.until);
          return;
        case 'ban.expired':
          bars.end(formatCidr(event.target), event.at, 'expired');
          return;
        case 'ban.lifted':
          bars.end(formatCidr(event.target), event.at, event.reason);
          return;
        default:
          if (isMarked(event)) marks.add(markOf(event, lanes.ofHost(event.source, event.at)));
      }
    },
    data(about) {
      const shown = lanes.list();
      const index = new Map(shown.map((lane, at) => [lane, at]));
      const doors = new Map(about.doors.map((door, at) => [door.name, at]));
      return {
        ...about,
        first: about.first === null ? null : writableMoment(about.first),
        last: about.last === null ? null : writableMoment(about.last),
        counts: [...about.counts, ...totalsOf(shown, lanes.dropped())],
        lanes: shown.map((lane) => ({ name: nameOf(lane), tally: writableTally(lane.tally) })),
        marks: marks.list().flatMap((mark) => markData(mark, index, doors)),
        bars: bars.list().flatMap((bar) => barData(bar, index, doors)),
        thinned: { marks: marks.thinned(), bars: bars.left(), sources: lanes.dropped() },
      };
    },
  };
}

/** With moments that a date can be made of: a capture may say any. */
function writableTally(tally: Lane['tally']): Lane['tally'] {
  return { ...tally, first: writableMoment(tally.first), last: writableMoment(tally.last) };
}

/** Sums over the sources that are there; of those that made room only their number is known. */
function totalsOf(shown: readonly Lane[], dropped: number): [label: string, count: number][] {
  const sum = (of: (tally: Lane['tally']) => number): number =>
    shown.reduce((total, { tally }) => total + of(tally), 0);
  const refused = sum((tally) => tally.refused);
  return [
    ['sources', shown.length + dropped],
    ['knocks', sum((tally) => tally.knocks)],
    ['offences', sum((tally) => tally.wrong + tally.decoys + tally.scans)],
    ['bans', sum((tally) => tally.bans)],
    ['let in', sum((tally) => tally.opened)],
    // Only where there are keys.
    ...(refused > 0 ? [['refused keys', refused] as [string, number]] : []),
  ];
}

function isMarked(event: NfknockEvent): event is MarkedEvent {
  return MARK_KINDS.some((kind) => kind === event.event);
}

/** Counts the event for its source, and says it as a mark. */
function markOf(event: MarkedEvent, lane: Lane): Mark {
  const { tally } = lane;
  if (event.event === 'knock.accepted') tally.knocks++;
  else if (event.event === 'decoy.hit') tally.decoys++;
  else if (event.event === 'scan.detected') tally.scans++;
  else if (event.event === 'spa.accepted') tally.accepted++;
  else if (event.event === 'spa.rejected') tally.refused++;
  else tally.wrong++;
  if ('strikes' in event) tally.strikes = Math.max(tally.strikes, event.strikes ?? 0);
  const port: PortSpec = event.port;
  return {
    at: event.at,
    lane,
    kind: MARK_KINDS.indexOf(event.event),
    door: 'door' in event ? (event.door ?? '') : '',
    port: formatPort(port),
    step: 'step' in event ? (event.step ?? 0) : 0,
    of: 'of' in event ? (event.of ?? 0) : 0,
    reason: reasonOf(event),
    n: 1,
  };
}

function reasonOf(event: MarkedEvent): string {
  if (event.event === 'spa.accepted') return keyText(event);
  if (event.event === 'spa.rejected')
    return `${keyText(event)}: ${event.detail ?? refusalWords(event.reason)}`;
  return 'reason' in event ? (event.reason ?? '') : '';
}

/** By which key, and whose; empty: by none. */
function keyText({ key, person }: { readonly key?: string; readonly person?: string }): string {
  if (key === undefined) return '';
  return `key ${key}${person === undefined ? '' : ` (${person})`}`;
}

interface Marks {
  add(mark: Mark): void;
  list(): readonly Mark[];
  /** Events that are not marks of their own. */
  thinned(): number;
}

function createMarks(): Marks {
  let marks: Mark[] = [];
  let total = 0;
  let apart = 0;

  /** Keeps the mark, or lets the last one kept stand for it too. */
  const keep = (mark: Mark, into: Mark[]): void => {
    const near = mark.lane.kept.get(mark.kind);
    if (apart > 0 && near !== undefined && near !== mark && mark.at - near.at < apart) {
      near.n += mark.n;
      return;
    }
    mark.lane.kept.set(mark.kind, mark);
    into.push(mark);
  };
  const thin = (): void => {
    marks = marks.filter((mark) => !mark.lane.dropped);
    while (marks.length > MARKS_MAX / 2) {
      apart = apart === 0 ? THINNING_FIRST_MS : apart * 4;
      for (const { lane } of marks) lane.kept.clear();
      const kept: Mark[] = [];
      for (const mark of marks) keep(mark, kept);
      marks = kept;
      // One mark for each source and kind is the least; that there may be too many of.
      if (apart > Number.MAX_SAFE_INTEGER) marks = marks.slice(-MARKS_MAX / 2);
    }
  };
  return {
    add(mark) {
      total++;
      keep(mark, marks);
      if (marks.length > MARKS_MAX) thin();
    },
    list: () => marks,
    thinned: () => total - marks.filter((mark) => !mark.lane.dropped).length,
  };
}

interface Bars {
  begin(key: string, bar: Bar): void;
  extend(key: string, to: number): void;
  end(key: string, at: number, why: string): void;
  list(): readonly Bar[];
  /** Bars that there was no room for. */
  left(): number;
}

function createBars(): Bars {
  const bars: Bar[] = [];
  const open = new Map<string, Bar>();
  let left = 0;
  return {
    begin(key, bar) {
      const before = open.get(key);
      if (before !== undefined) {
        before.to = bar.from;
        before.ended = 'renewed';
      }
      if (bars.length >= BARS_MAX) {
        left++;
        open.delete(key);
        return;
      }
      bars.push(bar);
      open.set(key, bar);
    },
    extend(key, to) {
      const bar = open.get(key);
      if (bar !== undefined) bar.to = to;
    },
    end(key, at, why) {
      const bar = open.get(key);
      if (bar === undefined) return;
      bar.to = at;
      bar.ended = why;
      open.delete(key);
    },
    list: () => bars,
    left: () => left,
  };
}

function markData(
  mark: Mark,
  lanes: ReadonlyMap<Lane, number>,
  doors: ReadonlyMap<string, number>,
): readonly MarkData[] {
  const lane = lanes.get(mark.lane);
  if (lane === undefined) return [];
  const { at, kind, door, port, step, of, reason, n } = mark;
  return [[writableMoment(at), lane, kind, doors.get(door) ?? -1, port, step, of, reason, n]];
}

function barData(
  bar: Bar,
  lanes: ReadonlyMap<Lane, number>,
  doors: ReadonlyMap<string, number>,
): readonly BarData[] {
  const lane = lanes.get(bar.lane);
  if (lane === undefined) return [];
  const { from, to, kind, door, ended, grantee, key } = bar;
  return [[writableMoment(from), writableMoment(to), lane, kind, doors.get(door) ?? -1, ended, grantee, key]];
}

function textOf(grantee: Grantee): string {
  return grantee === 'any' ? grantee : formatCidr(grantee);
}
