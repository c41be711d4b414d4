import { type Attempts, placeOf } from './attempt.ts';
import type { Candidate, Knock } from './describe.ts';
import { clearAlone, countBits, dropBit, hasBit, type Kin, NO_KIN, nextBit, setBit } from './kin.ts';
import type { Sequence } from './ports.ts';
import { collectAttempts, type State } from './state.ts';
import type { Subject } from './subject.ts';
import { NONE } from './table.ts';

/*
 * One entry of attempts stands for all sequences of a kin of which it says the truth, each of a source's entries for
 * others. Before a packet is judged the entries are parted so that it is the same to all for which one stands: the
 * rules then see one sequence, and only what is said is said of each.
 */

/**
 * Doors of which it is said what one packet was to them. The log writes no more than some in a second, and a flood of
 * first knocks would be mostly talk.
 */
const NAMED_MAX = 3;

const NO_MORE = {};

/**
 * Tells the first of the sequences that the explanation is about one by one, and with the last how many there are
 * beside: `sequence`, and those that its entries, or the entry to come, stand for.
 */
export function tellEach(
  { attempts, masks }: State,
  { sequence, mask }: Pick<Candidate, 'sequence' | 'mask'>,
  tell: (member: Sequence, more: { readonly count?: number }) => void,
): void {
  if (mask === NONE) {
    tell(sequence, NO_MORE);
    return;
  }
  const { words } = attempts;
  const { everyone } = sequence.kin;
  const beside = countBits(masks, mask, words) - NAMED_MAX;
  let bit = nextBit(masks, mask, words, 0);
  for (let named = 1; bit >= 0 && named <= NAMED_MAX; named += 1) {
    const member = everyone[bit];
    if (member !== undefined) tell(member, named === NAMED_MAX && beside > 0 ? { count: beside } : NO_MORE);
    bit = nextBit(masks, mask, words, bit + 1);
  }
}

/** The sequences that an entry of this sequence stands for. */
export function membersAt(
  { attempts }: Pick<State, 'attempts'>,
  sequence: Sequence,
  slot: number,
): readonly Sequence[] {
  if (attempts.isAlone(slot)) return sequence.alone;
  const { words, masks } = attempts;
  return sequence.kin.everyone.filter((_, bit) => hasBit(masks, slot * words, bit));
}

/** Parts the subject's entries, which have been collected, where the knock is not the same to all they stand for. */
export function partEntries(state: State, subject: Subject, knock: Knock): void {
  const { attempts, ports, slots, held } = state;
  if (attempts.words === 0 || held === 0) return;
  const own = ownOf(state, subject);
  let parted = false;
  for (let from = 0, to = 0; from < held; from = to) {
    const id = attempts.sequence(slots[from] ?? NONE);
    for (to = from + 1; to < held && attempts.sequence(slots[to] ?? NONE) === id; ) to += 1;
    const leader = ports.sequences[id];
    if (leader === undefined || attempts.isAlone(slots[from] ?? NONE)) continue;
    const parts = partsFor(state, knock, { leader, from, to, own });
    if (parts.length > 1 && partGroup(state, subject, { leader, from, to }, parts, knock.now)) parted = true;
  }
  if (parted) collectAttempts(state, subject);
}

/** A source's entries of one sequence, which all stand for the same others: `state.slots[from … to)`. */
interface Group {
  readonly leader: Sequence;
  readonly from: number;
  readonly to: number;
}

/** What the packet is different to, of the sequences that a group stands for. */
function partsFor(
  { attempts, slots }: State,
  { key, flags, now, stamped }: Knock,
  { leader, from, to, own }: Group & { readonly own: readonly Sequence[] },
): readonly Int32Array[] {
  const { kin } = leader;
  const { limits } = kin;
  let parts: readonly Int32Array[] = [maskAt(attempts, slots[from] ?? NONE)];
  const divide = (mask: Int32Array | undefined): void => {
    parts = divided(parts, mask);
  };
  divide(kin.withFlags(key, flags));
  const steps = kin.parts(key);
  for (const mask of steps) divide(mask);
  for (const sequence of own) if (sequence.kin === kin) divide(bitOf(sequence, attempts.words));
  for (let index = from; index < to; index += 1) {
    const slot = slots[index] ?? NONE;
    const made = attempts.step(slot);
    if (attempts.tail(slot) !== 0) divide(limits.gapMax((now - attempts.tailAt(slot)) / 2));
    if (made === 0) continue;
    const since = now - attempts.advanced(slot);
    const tolerated = attempts.tolerated(slot);
    divide(limits.gapMax(since));
    divide(limits.within(now - attempts.begun(slot)));
    divide(limits.tolerate(tolerated));
    divide(limits.tolerate(tolerated + 1));
    if (steps.length === 0) continue;
    if (stamped) divide(limits.gapMin(-Math.max(0, since)));
    parts = completing(parts, kin, key, made);
  }
  return parts;
}

/** Sequences that the packet may complete are each for itself: of equal ones all open. */
function completing(
  parts: readonly Int32Array[],
  { everyone }: Kin,
  key: number,
  made: number,
): readonly Int32Array[] {
  let all = parts;
  for (const part of parts) {
    const { length } = part;
    for (let bit = nextBit(part, 0, length, 0); bit >= 0; bit = nextBit(part, 0, length, bit + 1)) {
      const sequence = everyone[bit];
      if (sequence === undefined || sequence.steps.length !== made + 1 || sequence.steps[made] !== key) break;
      all = divided(all, bitOf(sequence, length));
    }
  }
  return all;
}

/** The parts that come of parts if each is parted by a mask too. */
function divided(parts: readonly Int32Array[], mask: Int32Array | undefined): readonly Int32Array[] {
  if (mask === undefined || !parts.some((part) => isDivided(part, mask))) return parts;
  return parts.flatMap((part) =>
    isDivided(part, mask)
      ? [
          part.map((bits, word) => bits & (mask[word] ?? 0)),
          part.map((bits, word) => bits & ~(mask[word] ?? 0)),
        ]
      : [part],
  );
}

function isDivided(part: Int32Array, mask: Int32Array): boolean {
  let inside = 0;
  let outside = 0;
  for (let word = 0; word < part.length; word += 1) {
    const bits = part[word] ?? 0;
    inside |= bits & (mask[word] ?? 0);
    outside |= bits & ~(mask[word] ?? 0);
  }
  return inside !== 0 && outside !== 0;
}

function maskAt({ masks, words }: Attempts, slot: number): Int32Array {
  return masks.slice(slot * words, slot * words + words);
}

function bitOf({ bit }: Sequence, words: number): Int32Array {
  const mask = new Int32Array(words);
  setBit(mask, bit);
  return mask;
}

/** Each entry goes on for the part that its own sequence is in; each other part has one of its own from here on. */
function partGroup(
  { attempts, slots }: State,
  subject: Subject,
  { leader, from, to }: Group,
  parts: readonly Int32Array[],
  now: number,
): boolean {
  const pieces = parts.map((part) => {
    const isOwn = hasBit(part, 0, leader.bit);
    const first = isOwn ? leader : leader.kin.everyone[nextBit(part, 0, part.length, 0)];
    clearAlone(part, 0, part.length);
    return { id: first?.id ?? leader.id, mask: part };
  });
  const own = pieces.find(({ id }) => id === leader.id);
  if (own === undefined) return false;
  for (const slot of slots.slice(from, to)) {
    // Parting takes slots where the table is full.
    if (attempts.sequence(slot) !== leader.id) continue;
    const place = attempts.place(slot);
    attempts.mark(slot, own.mask, 0);
    attempts.keep(slot);
    for (const piece of pieces) {
      if (piece === own) continue;
      attempts.mark(attempts.branch(subject, placeOf(piece.id, place), now), piece.mask, 0);
    }
  }
  return true;
}

/** Parts the subject's entries that stand for this sequence and others, so that what comes to it comes to it alone. */
export function partFrom(state: State, subject: Subject, sequence: Sequence, now: number): void {
  const { attempts, ports } = state;
  if (sequence.kin === NO_KIN) return;
  collectAttempts(state, subject);
  const own = bitOf(sequence, attempts.words);
  for (let index = 0; index < state.held; index += 1) {
    const slot = state.slots[index] ?? NONE;
    const leader = ports.sequences[attempts.sequence(slot)];
    if (leader?.kin !== sequence.kin || attempts.isAlone(slot)) continue;
    const parts = divided([maskAt(attempts, slot)], own);
    if (parts.length > 1) partGroup(state, subject, { leader, from: index, to: index + 1 }, parts, now);
  }
}

const NO_SEQUENCES: readonly Sequence[] = [];

/**
 * The sequences of which this source has something of its own that others have not: those of a door with a close
 * sequence that lets it in, or that it has just closed.
 */
export function ownOf(state: State, subject: Subject): readonly Sequence[] {
  const { attempts, grants, ports, slots, held } = state;
  const grantsHeld = grants.heldBy(subject);
  if (grantsHeld.length === 0 && held === 0) return NO_SEQUENCES;
  const doors = new Set<number>();
  for (const { door } of grantsHeld) if (hasClose(state, door)) doors.add(door);
  for (let index = 0; index < held; index += 1) {
    const slot = slots[index] ?? NONE;
    const sequence = ports.sequences[attempts.sequence(slot)];
    if (sequence?.kind === 'close' && attempts.completed(slot) !== Number.NEGATIVE_INFINITY)
      doors.add(sequence.door);
  }
  if (doors.size === 0) return NO_SEQUENCES;
  return [...doors].sort((x, y) => x - y).flatMap((door) => ports.sequences.slice(door * 2, door * 2 + 2));
}

function hasClose({ settings }: State, door: number): boolean {
  return (settings.doors[door]?.close.length ?? 0) > 0;
}

/** Of two masks what both have: the first where the second has all of it. */
export function bothOf(some: Int32Array, mask: Int32Array): Int32Array {
  for (let word = 0; word < some.length; word += 1) {
    if (((some[word] ?? 0) & ~(mask[word] ?? 0)) !== 0)
      return some.map((bits, each) => bits & (mask[each] ?? 0));
  }
  return some;
}

/** Of some of a kin those that none of the subject's entries stands for, in `state.masks`; answers the first of them. */
export function restOf(state: State, kin: Kin, some: Int32Array, at: number): Sequence | undefined {
  const { attempts, ports, slots, held, masks } = state;
  const { words } = attempts;
  for (let word = 0; word < words; word += 1) masks[at + word] = some[word] ?? 0;
  for (let index = 0; index < held; index += 1) {
    const slot = slots[index] ?? NONE;
    const sequence = ports.sequences[attempts.sequence(slot)];
    if (sequence?.kin !== kin) continue;
    if (attempts.isAlone(slot)) {
      dropBit(masks, at, sequence.bit);
      continue;
    }
    for (let word = 0; word < words; word += 1)
      masks[at + word] = (masks[at + word] ?? 0) & ~(attempts.masks[slot * words + word] ?? 0);
  }
  const first = nextBit(masks, at, words, 0);
  clearAlone(masks, at, words);
  return kin.everyone[first];
}

/** Whether all that an entry stands for have run out of time. */
export function areAllStale(
  { attempts }: Pick<State, 'attempts'>,
  slot: number,
  { kin }: Sequence,
  now: number,
): boolean {
  const { words, masks } = attempts;
  const gap = kin.limits.gapMax(now - attempts.advanced(slot));
  const within = kin.limits.within(now - attempts.begun(slot));
  for (let word = 0; word < words; word += 1) {
    const stale = (gap?.[word] ?? 0) | (within?.[word] ?? 0);
    if (((masks[slot * words + word] ?? 0) & ~stale) !== 0) return false;
  }
  return true;
}
