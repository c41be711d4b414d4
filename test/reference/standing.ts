import { type Bits, bitsOf } from './address.ts';
import { grantsHeld } from './grant.ts';
import type { RefPacket } from './packet.ts';
import { fits, type Sequence, sequencesOf } from './port.ts';
import { type Attempt, age, type State, sequenceKey } from './state.ts';

/* How a source stands to one sequence. */

/** A client whose packets are dropped repeats them for about a minute. */
export const REPEATED_FOR_MS = 70_000;
/** A client that knocks once more, backwards, is not to undo what it has done. */
const PAUSE_MS = 5000;

/** The one-time sequence of this door that was used last. */
export function usedLast(state: State, sequence: Sequence): readonly string[] {
  if (sequence.kind === 'close') return [];
  const oneTime = state.oneTime.get(sequence.door.name);
  if (oneTime === undefined) return [];
  return oneTime.used ? oneTime.knock : oneTime.former;
}

/**
 * Whether the packet's port is a step of what the source has completed a short while ago. At a one-time door that is
 * the sequence that was used last, whoever used it: the one before is forgotten.
 */
export function justCompletedWith(state: State, sequence: Sequence, packet: RefPacket, now: number): boolean {
  const key = sequenceKey(bitsOf(packet.source), sequence.door.name, sequence.kind);
  const opening = state.openings.get(key);
  if (opening === undefined || age(now, opening.at) > REPEATED_FOR_MS) return false;
  const isOneTime = sequence.kind === 'open' && state.oneTime.has(sequence.door.name);
  return (isOneTime ? usedLast(state, sequence) : opening.steps).some((step) => fits(step, packet));
}

/** A closing sequence is only there for one who holds a grant of its door. */
export function attemptsOf(state: State, sequence: Sequence, packet: RefPacket): readonly Attempt[] {
  const source = bitsOf(packet.source);
  const { name } = sequence.door;
  if (sequence.kind === 'close' && grantsHeld(state, source, name).length === 0) return [];
  return state.attempts.get(sequenceKey(source, name, sequence.kind)) ?? [];
}

export function mayBegin(state: State, sequence: Sequence, source: Bits): boolean {
  const { name } = sequence.door;
  if (sequence.kind === 'open') return state.oneTime.get(name)?.used !== true;
  return grantsHeld(state, source, name).length > 0;
}

/** For a while after one sequence of a door is complete, the other one neither begins nor goes on. */
export function pausing(state: State, sequence: Sequence, source: Bits, now: number): boolean {
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
