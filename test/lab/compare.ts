/** An event, as a line of the log or as the daemon tells those who watch. */
export type Told = Readonly<Record<string, unknown>>;

export interface Comparison {
  /** What differs, a line each; empty where all is as it should be. */
  readonly differences: readonly string[];
  /** Events that were held against each other. */
  readonly compared: number;
  /** How far a moment, counted from the first event, was from where it should have been, at most. Milliseconds. */
  readonly drift: number;
  /** What was not compared, and why; for people. */
  readonly notes: readonly string[];
}

/**
 * Holds what the daemon said against what a replay says. Kinds of events, their order, sources, doors, ports, steps,
 * strikes and how long each grant and ban is for must be the same. The moments can't be: a wire has its own; by how
 * much they drifted is told.
 */
export function compare(expected: readonly Told[], found: readonly Told[]): Comparison {
  const notes: string[] = [];
  const counted = new Set(
    [...expected, ...found].flatMap((event) =>
      event['event'] === 'log.suppressed' ? [event['of_event']] : [],
    ),
  );
  if (counted.size > 0) {
    notes.push(
      `a flood's lines were counted and not written, so these are left out: ${[...counted].join(', ')}`,
    );
  }
  const malformed = count(expected, 'packet.malformed');
  if (malformed > 0) {
    notes.push(`${malformed} broken packets are the kernel's: it drops them before any rule`);
  }
  const isCompared = (event: Told): boolean =>
    event['event'] !== 'log.suppressed' &&
    event['event'] !== 'packet.malformed' &&
    !counted.has(event['event']);
  const wanted = bySource(expected.filter(isCompared));
  const seen = bySource(found.filter(isCompared));
  return {
    differences: differencesOf(wanted.map(textOf), seen.map(textOf)),
    compared: wanted.length,
    drift: driftOf(wanted, seen),
    notes,
  };
}

/** A grant or ban is said once it is on the disk and in the kernel; what others do meanwhile is said before it. */
function bySource(events: readonly Told[]): readonly Told[] {
  const sourceOf = (event: Told): string => String(event['source'] ?? '');
  return events.toSorted((a, b) => sourceOf(a).localeCompare(sourceOf(b)));
}

function count(events: readonly Told[], name: string): number {
  return events.filter((event) => event['event'] === name).length;
}

/** The event without its moment; where it has an end, that in milliseconds from the moment. */
function textOf(event: Told): string {
  const { time, until, level: _level, ...rest } = event;
  const lasting = until === undefined ? {} : { lasts: momentOf(until) - momentOf(time) };
  return JSON.stringify({ ...rest, ...lasting });
}

/** Where the two first part, and what is on either side from there on. */
function differencesOf(wanted: readonly string[], found: readonly string[]): readonly string[] {
  let same = 0;
  while (same < wanted.length && wanted[same] === found[same]) same++;
  if (same === wanted.length && same === found.length) return [];
  return [
    `the first ${same} of ${wanted.length} events are as written, then`,
    ...wanted.slice(same).map((line) => `  - ${line}`),
    ...found.slice(same).map((line) => `  + ${line}`),
  ];
}

function driftOf(wanted: readonly Told[], found: readonly Told[]): number {
  let drift = 0;
  const both = Math.min(wanted.length, found.length);
  for (let i = 0; i < both; i++) {
    drift = Math.max(drift, Math.abs(offset(wanted, i) - offset(found, i)));
  }
  return drift;
}

function offset(events: readonly Told[], i: number): number {
  return momentOf(events[i]?.['time']) - momentOf(events[0]?.['time']);
}

function momentOf(time: unknown): number {
  return typeof time === 'string' ? Date.parse(time) : Number.NaN;
}
