import { type Bits, bitsOf, textOf } from './address.ts';
import { close, grantsHeld, open } from './grant.ts';
import { forgive, strike } from './offence.ts';
import type { RefPacket } from './packet.ts';
import { flagsFit, isAllowed, portText, type Sequence, sequencesOf, withinOf } from './port.ts';
import {
  type Attempt,
  age,
  type EventLike,
  type Fields,
  having,
  lacking,
  type Result,
  type State,
  sequenceKey,
} from './state.ts';

/** A client whose packets are dropped repeats them for about a minute. */
export const REPEATED_FOR_MS = 70_000;
/** A client that knocks once more, backwards, is not to undo what it has done. */
const PAUSE_MS = 5000;

/** What a packet is to one sequence: the cells of the table in docs/decisions/judgement.md. */
type Meaning =
  | 'advances'
  | 'too fast'
  | 'repeat'
  | 'tolerated'
  | 'broken off'
  | 'expired: gap'
  | 'expired: within'
  | 'begins'
  | 'nothing';

/** Rules 6, 7, 9 and 10: a packet that is a knock for at least one door, held against every sequence. */
export function judgeKnock(before: State, packet: RefPacket, now: number): Result {
  const sequences = sequencesOf(before).filter((sequence) => flagsFit(sequence.door, packet));
  const foreseen = sequences.map((sequence) => meaning(before, sequence, packet, now));
  const moves = foreseen.some((one) => !['repeat', 'tolerated', 'broken off', 'nothing'].includes(one));
  if (foreseen.includes('repeat') && !moves) return { state: before, events: [] };

  let state = before;
  const events: EventLike[] = [];
  const found: { sequence: Sequence; meaning: Meaning; steps: number }[] = [];
  for (const sequence of sequences) {
    const what = meaning(state, sequence, packet, now);
    const steps = attemptOf(state, sequence, packet)?.steps ?? 0;
    found.push({ sequence, meaning: what, steps });
    const done = carryOut(state, sequence, what, packet, now);
    state = done.state;
    events.push(...done.events);
  }

  const some = (...meanings: Meaning[]): boolean => found.some((one) => meanings.includes(one.meaning));
  const excused = some('advances', 'begins', 'repeat', 'tolerated', 'expired: gap', 'expired: within');
  const observed = isAllowed(before, packet);
  const offence = !observed && (some('too fast') || !excused);
  const struck = offence
    ? strike(state, bitsOf(packet.source), 'knock', now)
    : { state, events: [], strikes: 0 };
  const opened = events.some((event) => event.event === 'door.opened' || event.event === 'door.renewed');
  const after = opened ? { state: forgive(state, bitsOf(packet.source)).state, events: [] } : struck;
  const strikes: Fields = offence ? { strikes: struck.strikes } : {};
  const progress = events.some((event) => event.event === 'knock.accepted');
  for (const { sequence, meaning: what, steps } of found) {
    const about = {
      ...knockEvent(packet, now),
      door: sequence.door.name,
      step: steps,
      of: sequence.steps.length,
    };
    if (what === 'too fast') events.push({ ...about, event: 'knock.too_fast', reason: 'gap', ...strikes });
    if (what === 'expired: gap') events.push({ ...about, event: 'knock.expired', reason: 'gap' });
    if (what === 'expired: within') events.push({ ...about, event: 'knock.expired', reason: 'within' });
    if (what === 'tolerated') events.push({ ...about, event: 'knock.wrong', reason: 'tolerated' });
    const reason = progress ? 'another door' : 'out of order';
    if (what === 'broken off') events.push({ ...about, event: 'knock.wrong', reason, ...strikes });
  }
  if (offence && !some('too fast', 'broken off')) {
    events.push({ ...knockEvent(packet, now), event: 'knock.wrong', reason: 'out of order', ...strikes });
  }
  return { state: after.state, events: [...events, ...after.events] };
}

/** The table, cell by cell. */
function meaning(state: State, sequence: Sequence, packet: RefPacket, now: number): Meaning {
  const source = bitsOf(packet.source);
  const { door, steps } = sequence;
  const port = portText(packet);
  const completed = justCompletedWith(state, sequence, packet, now);
  if (pausing(state, sequence, source, now)) return completed || steps.includes(port) ? 'repeat' : 'nothing';
  const attempt = attemptOf(state, sequence, packet);
  const begins = port === steps[0] && mayBegin(state, sequence, source);
  if (attempt === undefined) {
    if (begins) return 'begins';
    return completed ? 'repeat' : 'nothing';
  }
  const gapExceeded = age(now, attempt.last) > door.gap.max;
  const withinExceeded = age(now, attempt.first) > withinOf(sequence);
  const isNext = port === steps[attempt.steps];
  if (gapExceeded || withinExceeded) {
    if (isNext) return gapExceeded ? 'expired: gap' : 'expired: within';
    return begins ? 'begins' : 'broken off';
  }
  if (isNext) return packet.stamped && age(now, attempt.last) < door.gap.min ? 'too fast' : 'advances';
  if (steps.slice(0, attempt.steps).includes(port)) return 'repeat';
  if (completed && sequence.former.includes(port)) return 'repeat';
  return attempt.tolerated < door.tolerate ? 'tolerated' : 'broken off';
}

/**
 * Whether the packet's port is a step of what the source has completed a short while ago. At a one-time door that is
 * the sequence that was used last, whoever used it: the one before is forgotten.
 */
function justCompletedWith(state: State, sequence: Sequence, packet: RefPacket, now: number): boolean {
  const key = sequenceKey(bitsOf(packet.source), sequence.door.name, sequence.kind);
  const opening = state.openings.get(key);
  if (opening === undefined || age(now, opening.at) > REPEATED_FOR_MS) return false;
  const oneTime = sequence.kind === 'open' ? state.oneTime.get(sequence.door.name) : undefined;
  if (oneTime === undefined) return opening.steps.includes(portText(packet));
  return (oneTime.used ? oneTime.knock : oneTime.former).includes(portText(packet));
}

/** A closing sequence is only there for one who holds a grant of its door. */
function attemptOf(state: State, sequence: Sequence, packet: RefPacket): Attempt | undefined {
  const source = bitsOf(packet.source);
  const { name } = sequence.door;
  if (sequence.kind === 'close' && grantsHeld(state, source, name).length === 0) return undefined;
  return state.attempts.get(sequenceKey(source, name, sequence.kind));
}

function mayBegin(state: State, sequence: Sequence, source: Bits): boolean {
  const { name } = sequence.door;
  if (sequence.kind === 'open') return state.oneTime.get(name)?.used !== true;
  return grantsHeld(state, source, name).length > 0;
}

/** For a while after one sequence of a door is complete, the other one neither begins nor goes on. */
function pausing(state: State, sequence: Sequence, source: Bits, now: number): boolean {
  const { name } = sequence.door;
  if (sequence.kind === 'close') {
    const opening = sequencesOf(state).find((one) => one.kind === 'open' && one.door.name === name);
    const knocks = [...(opening?.steps ?? []), ...(opening?.former ?? [])];
    const alike = sequence.steps.some((step) => knocks.includes(step));
    return grantsHeld(state, source, name).some(
      ({ since, renewed }) => age(now, alike ? renewed : since) <= PAUSE_MS,
    );
  }
  const closed = state.openings.get(sequenceKey(source, name, 'close'));
  return closed !== undefined && age(now, closed.at) <= PAUSE_MS;
}

/** What the packet's meaning does to the attempt, and to the door where that was the last step. */
function carryOut(state: State, sequence: Sequence, what: Meaning, packet: RefPacket, now: number): Result {
  const source = bitsOf(packet.source);
  const key = sequenceKey(source, sequence.door.name, sequence.kind);
  const attempt = attemptOf(state, sequence, packet);
  const without: State = { ...state, attempts: lacking(state.attempts, (other) => other === key) };
  switch (what) {
    case 'repeat':
    case 'nothing':
      return { state, events: [] };
    case 'tolerated': {
      if (attempt === undefined) throw new Error('only an attempt can tolerate');
      const patient = { ...attempt, tolerated: attempt.tolerated + 1 };
      return { state: { ...state, attempts: having(state.attempts, key, patient) }, events: [] };
    }
    case 'broken off':
      return { state: without, events: [] };
    case 'too fast':
    case 'expired: gap':
    case 'expired: within': {
      const isFirst = portText(packet) === sequence.steps[0] && mayBegin(state, sequence, source);
      return isFirst
        ? reach(without, sequence, newAttempt(now), packet, now)
        : { state: without, events: [] };
    }
    case 'begins':
      return reach(without, sequence, newAttempt(now), packet, now);
    case 'advances': {
      if (attempt === undefined) throw new Error('only an attempt can advance');
      return reach(state, sequence, { ...attempt, steps: attempt.steps + 1, last: now }, packet, now);
    }
    default:
      return what satisfies never;
  }
}

/** Says the step; the last one opens or closes the door at once. */
function reach(state: State, sequence: Sequence, attempt: Attempt, packet: RefPacket, now: number): Result {
  const source = bitsOf(packet.source);
  const { door, steps, kind } = sequence;
  const step = { step: attempt.steps, of: steps.length };
  const said = { ...knockEvent(packet, now), event: 'knock.accepted', door: door.name, ...step };
  if (attempt.steps < steps.length) {
    const attempts = having(state.attempts, sequenceKey(source, door.name, kind), attempt);
    return { state: { ...state, attempts }, events: [said] };
  }
  const done = kind === 'open' ? open(state, sequence, source, now) : close(state, sequence, source, now);
  return { state: done.state, events: [said, ...done.events] };
}

function newAttempt(now: number): Attempt {
  return { steps: 1, first: now, last: now, tolerated: 0 };
}

function knockEvent(packet: RefPacket, now: number): { at: number; source: string; port: string } {
  return { at: now, source: textOf(bitsOf(packet.source)), port: portText(packet) };
}
