import { type Late, mayBreak, mostPassed, movedOn, placing } from './late.ts';
import type { RefPacket } from './packet.ts';
import { fits, portText, type Sequence, withinOf } from './port.ts';
import { type Attempt, age } from './state.ts';

/** What a packet makes of a source's attempts at one sequence, and whether it began or advanced any of them. */
export interface Moved {
  readonly attempts: readonly Attempt[];
  /** Of those that it began or advanced the most advanced; undefined where there is none. */
  readonly reached: number | undefined;
  /** Its knocks. */
  readonly ports: readonly string[];
  /** What it began or advanced of those that are not complete: a second knocking in the tail of the first. */
  readonly unfinished: readonly Attempt[];
}

interface Candidate extends Attempt {
  readonly moved: boolean;
}

/** The packet goes on with what it may, and leaves all else as it is. */
export function place(sequence: Sequence, before: readonly Attempt[], packet: RefPacket, late: Late): Moved {
  const goingOn = before
    .filter((attempt) => isInTime(sequence, attempt, late.came))
    .map((attempt): Candidate => {
      const goesOn = placing(sequence, attempt, packet, late) === 'next';
      const after = goesOn ? movedOn(sequence, attempt, portText(packet), late) : attempt;
      return { ...after, moved: goesOn };
    });
  return outcomeOf(sequence, newestOfEach(goingOn));
}

/** What has been concluded is let pass by those that may let it pass; what began after it knows nothing of it. */
export function letPass(
  sequence: Sequence,
  before: readonly Attempt[],
  packet: RefPacket,
  late: Late,
  now: number,
): readonly Attempt[] {
  const left = before
    .filter((attempt) => isInTime(sequence, attempt, now))
    .flatMap((attempt): Candidate[] => {
      if (!mayBreak(sequence, attempt, packet, late)) return [{ ...attempt, moved: false }];
      if (attempt.tolerated >= mostPassed(sequence, attempt, late)) return [];
      return [{ ...attempt, tolerated: attempt.tolerated + 1, moved: false }];
    });
  return kept(newestOfEach(left)).map(plain);
}

export function isInTime(sequence: Sequence, attempt: Attempt, now: number): boolean {
  return lateness(sequence, attempt, now) === undefined;
}

export function lateness(sequence: Sequence, attempt: Attempt, now: number): 'gap' | 'within' | undefined {
  if (age(now, attempt.last) > sequence.door.gap.max) return 'gap';
  return age(now, attempt.first) > withinOf(sequence) ? 'within' : undefined;
}

export function isNext(sequence: Sequence, attempt: Attempt, packet: RefPacket): boolean {
  return fits(sequence.steps[attempt.steps], packet);
}

export function isTooSoon(sequence: Sequence, attempt: Attempt, packet: RefPacket, now: number): boolean {
  return packet.stamped && age(now, attempt.last) < sequence.door.gap.min;
}

export function isMade(attempt: Attempt, packet: RefPacket): boolean {
  return attempt.ports.includes(portText(packet));
}

/** The packet is a next step, or a first one where `mayBegin`: every attempt that it fits goes on beside the others. */
export function move(
  sequence: Sequence,
  before: readonly Attempt[],
  packet: RefPacket,
  now: number,
  mayBegin: boolean,
): Moved {
  const goingOn = before
    .filter((attempt) => isInTime(sequence, attempt, now))
    .flatMap((attempt): Candidate[] => {
      if (isNext(sequence, attempt, packet)) {
        if (isTooSoon(sequence, attempt, packet, now)) return [];
        const ports = [...attempt.ports, portText(packet)];
        return [{ ...attempt, steps: attempt.steps + 1, last: now, ports, moved: true, stray: false }];
      }
      return isMade(attempt, packet) ? [{ ...attempt, moved: false }] : [];
    });
  const begun: Candidate[] =
    mayBegin && fits(sequence.steps[0], packet)
      ? [{ steps: 1, first: now, last: now, tolerated: 0, ports: [portText(packet)], moved: true }]
      : [];
  return outcomeOf(sequence, newestOfEach([...goingOn, ...begun]));
}

function outcomeOf(sequence: Sequence, all: readonly Candidate[]): Moved {
  const furthest = all.find((one) => one.moved);
  const length = sequence.steps.length;
  return {
    attempts: kept(all).map(plain),
    reached: furthest?.steps,
    ports: furthest?.ports ?? [],
    unfinished: all.filter((one) => one.moved && one.steps < length).map(plain),
  };
}

/** Each attempt that may still let one wrong packet pass does so; the others are over. */
export function patient(sequence: Sequence, before: readonly Attempt[], now: number): readonly Attempt[] {
  const left = before
    .filter((one) => isInTime(sequence, one, now) && one.tolerated < sequence.door.tolerate)
    .map((one) => ({ ...one, tolerated: one.tolerated + 1, moved: false }));
  return kept(newestOfEach(left)).map(plain);
}

/** Of attempts as far as each other the one begun last, the most advanced first. */
function newestOfEach(all: readonly Candidate[]): readonly Candidate[] {
  const byStep = new Map<number, Candidate>();
  for (const one of all) {
    const other = byStep.get(one.steps);
    const isNewer = other === undefined || other.first <= one.first || (one.moved && !other.moved);
    if (isNewer) byStep.set(one.steps, one);
  }
  return [...byStep.values()].sort((x, y) => y.steps - x.steps);
}

/** The most advanced, the newest, and what the packet moved. */
function kept(all: readonly Candidate[]): readonly Candidate[] {
  const latest = Math.max(...all.map((one) => one.first));
  const newest = all.find((one) => one.first === latest);
  return all.filter((one, index) => index === 0 || one === newest || one.moved);
}

function plain({ moved, ...attempt }: Candidate): Attempt {
  return attempt;
}
