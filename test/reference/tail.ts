import type { Bits } from './address.ts';
import { bitsOf } from './address.ts';
import type { RefPacket } from './packet.ts';
import { fits, type Sequence } from './port.ts';
import { age, having, type State, sequenceKey, type Tail } from './state.ts';

/* The rest of a mistake is the same mistake: what of it a source may still send without a further strike. */

/** Whether this packet is what comes next in a mistake of its source at one of these sequences. */
export function isRest(
  state: State,
  sequences: readonly Sequence[],
  packet: RefPacket,
  now: number,
): boolean {
  return sequences.some((sequence) => restIn(state, sequence, packet, now).length > 0);
}

/** The places of the sequence where it is. */
function restIn(state: State, sequence: Sequence, packet: RefPacket, now: number): readonly number[] {
  const tail = state.tails.get(keyOf(sequence, bitsOf(packet.source)));
  if (tail === undefined || age(now, tail.at) > 2 * sequence.door.gap.max) return [];
  return tail.places.filter((place) => fits(sequence.steps[place], packet));
}

/** Each mistake that the packet is the rest of goes on by one step. */
export function afterRest(
  state: State,
  sequences: readonly Sequence[],
  packet: RefPacket,
  now: number,
): State {
  return sequences.reduce((before, sequence) => {
    const rest = restIn(before, sequence, packet, now);
    const key = keyOf(sequence, bitsOf(packet.source));
    const tail = before.tails.get(key);
    if (rest.length === 0 || tail === undefined) return before;
    const kind = tail.kind === 'swapping' ? 'swapped' : tail.kind === 'swapped' ? 'swapped' : 'other';
    return withTail(before, key, { ...tail, places: following(sequence, rest), at: now, kind });
  }, state);
}

/** A wrong knock, which was strike number `strikes`, is a mistake at every sequence that it is a step of. */
export function afterWrong(
  state: State,
  sequences: readonly Sequence[],
  packet: RefPacket,
  now: number,
  strikes: number,
): State {
  return sequences.reduce((before, sequence) => {
    const places = sequence.steps.flatMap((step, place) => (fits(step, packet) ? [place] : []));
    if (places.length === 0) return before;
    const key = keyOf(sequence, bitsOf(packet.source));
    const old = before.tails.get(key);
    const alone = strikes === 1 || (old?.alone === true && old.kind === 'swapped');
    const kind = places.includes(1) ? 'second' : 'other';
    return withTail(before, key, { places: following(sequence, places), at: now, kind, alone });
  }, state);
}

/** A next step came too late or too soon after `made` steps. */
export function afterUntimely(
  state: State,
  sequence: Sequence,
  source: Bits,
  made: number,
  now: number,
): State {
  const tail: Tail = { places: following(sequence, [made]), at: now, kind: 'other', alone: false };
  return withTail(state, keyOf(sequence, source), tail);
}

/**
 * The sequence was begun or advanced: its mistake is over. But where the second knock was the mistake and now the first
 * comes, they may have overtaken each other, and the third is still to come.
 */
export function afterProgress(
  state: State,
  sequence: Sequence,
  source: Bits,
  how: 'begun' | 'advanced',
): State {
  const key = keyOf(sequence, source);
  const tail = state.tails.get(key);
  if (tail === undefined || tail.places.length === 0) return state;
  const overtaken = tail.alone && (tail.kind === 'second' || tail.kind === 'swapping');
  if (how === 'begun' && overtaken) {
    return withTail(state, key, {
      ...tail,
      places: tail.places.filter((place) => place === 2),
      kind: 'swapping',
    });
  }
  return withTail(state, key, { ...tail, places: [], kind: tail.kind === 'swapped' ? 'swapped' : 'other' });
}

function following(sequence: Sequence, places: readonly number[]): readonly number[] {
  return places.map((place) => place + 1).filter((place) => place < sequence.steps.length);
}

function withTail(state: State, key: string, tail: Tail): State {
  return { ...state, tails: having(state.tails, key, tail) };
}

function keyOf(sequence: Sequence, source: Bits): string {
  return sequenceKey(source, sequence.door.name, sequence.kind);
}
