/** What the page of a report is drawn from. It travels as JSON, so everything is a number, a text or a list. */
export interface ReportData {
  /** The capture's name, as the user gave it. */
  readonly title: string;
  /** Moments of the first and last packet, ms since 1970; null where there was none. */
  readonly first: number | null;
  readonly last: number | null;
  /** Why the capture could not be read to its end; null where it was. */
  readonly fault: string | null;
  /** This machine's addresses: whose packets were judged. */
  readonly local: readonly string[];
  readonly counts: readonly (readonly [label: string, count: number])[];
  readonly doors: readonly DoorData[];
  /** The most interesting first. */
  readonly lanes: readonly LaneData[];
  readonly marks: readonly MarkData[];
  readonly bars: readonly BarData[];
  /** What was left out since there was too much of it. */
  readonly thinned: Thinned;
}

export interface DoorData {
  readonly name: string;
  readonly opens: readonly string[];
}

export interface LaneData {
  readonly name: string;
  readonly tally: Tally;
}

/** What a source did and what it got. */
export interface Tally {
  knocks: number;
  wrong: number;
  decoys: number;
  scans: number;
  opened: number;
  /** Packets of keys: accepted, and refused. */
  accepted: number;
  refused: number;
  bans: number;
  /** The most strikes that counted at once. */
  strikes: number;
  first: number;
  last: number;
}

/** The kinds of marks, in the order of their numbers; the page's legend follows it. */
export const MARK_KINDS = [
  'knock.accepted',
  'knock.wrong',
  'knock.too_fast',
  'knock.expired',
  'decoy.hit',
  'scan.detected',
  'spa.accepted',
  'spa.rejected',
] as const;

/** The kinds of bars, in the order of their numbers. */
export const BAR_KINDS = ['grant', 'ban', 'shadow ban'] as const;

/** Something that a source did: `n` like it where marks stand for more than one. */
export type MarkData = readonly [
  at: number,
  lane: number,
  kind: number,
  door: number,
  port: string,
  step: number,
  of: number,
  reason: string,
  n: number,
];

/** Something that a source had for a while; `ended` is empty where the capture ends first. */
export type BarData = readonly [
  from: number,
  to: number,
  lane: number,
  kind: number,
  door: number,
  ended: string,
  grantee: string,
  /** The key that it was opened by, and whose; empty: none. */
  key: string,
];

export interface Thinned {
  /** Events that are in the counts but are not drawn as marks of their own. */
  readonly marks: number;
  readonly bars: number;
  /** Sources left out, at least. */
  readonly sources: number;
}
