import { placeOf } from './attempt.ts';
import { type Candidate, isFor, type Knock } from './describe.ts';
import { clearAlone, firstBit, hasBit, type Kin, NO_KIN, type Part, setBit } from './kin.ts';
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
const NAMED_MAX = 10;

/** Tells the first of them one by one, and with the last how many there are beside. */
export function tellEach(
  members: readonly Sequence[],
  tell: (member: Sequence, more: { readonly count?: number }) => void,
): void {
  const named = Math.min(members.length, NAMED_MAX);
  for (let index = 0; index < named; index += 1) {
    const member = members[index];
    const isLast = index === named - 1 && members.length > named;
    if (member !== undefined) tell(member, isLast ? { count: members.length - named } : NO_MORE);
  }
}

const NO_MORE = {};

/** The sequences that the explanation is about: `sequence` and those that its entries, or the entry to come, stand for. */
export function membersOf({ masks }: State, { sequence, mask }: Candidate): readonly Sequence[] {
  return mask === NONE ? sequence.alone : inMask(sequence, masks, mask);
}

/** The sequences that an entry of this sequence stands for. */
export function membersAt(
  { attempts }: Pick<State, 'attempts'>,
  sequence: Sequence,
  slot: number,
): readonly Sequence[] {
  if (attempts.isAlone(slot)) return sequence.alone;
  return inMask(sequence, attempts.masks, slot * attempts.words);
}

function inMask({ kin }: Sequence, masks: Int32Array, at: number): readonly Sequence[] {
  let word = 0;
  while (word < kin.all.length && masks[at + word] === kin.all[word]) word += 1;
  return word === kin.all.length ? kin.members : kin.members.filter(({ bit }) => hasBit(masks, at, bit));
}

/** Parts the subject's entries, which have been collected, where the knock is not the same to all they stand for. */
export function partEntries(state: State, subject: Subject, knock: Knock): void {
  const { attempts, ports, slots, held } = state;
  if (attempts.words === 0) return;
  let parted = false;
  for (let index = 0; index < held; index += 1) {
    const slot = slots[index] ?? NONE;
    const sequence = ports.sequences[attempts.sequence(slot)];
    if (sequence === undefined || attempts.isAlone(slot) || !isFor(sequence, knock)) continue;
    const parts = sequence.kin.parts.get(knock.key) ?? [];
    if (parts.length > 1 && partEntry(state, subject, slot, sequence, parts, knock.now)) parted = true;
  }
  if (parted) collectAttempts(state, subject);
}

/** Parts the subject's entries that stand for this sequence and others, so that what comes to it comes to it alone. */
export function partFrom(state: State, subject: Subject, sequence: Sequence, now: number): void {
  const { attempts, ports } = state;
  const { kin, bit } = sequence;
  if (kin === NO_KIN) return;
  collectAttempts(state, subject);
  const own = new Int32Array(attempts.words);
  setBit(own, bit);
  const parts = [own, kin.all.map((bits, word) => bits & ~(own[word] ?? 0))].map((mask) => ({
    mask,
    isStep: true,
  }));
  // Parting takes slots where the table is full: what is looked at is what was collected.
  for (const slot of state.slots.slice(0, state.held)) {
    const leader = ports.sequences[attempts.sequence(slot)];
    if (leader?.kin !== kin || attempts.isAlone(slot)) continue;
    if (hasBit(attempts.masks, slot * attempts.words, bit))
      partEntry(state, subject, slot, leader, parts, now);
  }
}

/** The entry goes on for the part that its own sequence is in; each other part has one of its own from here on. */
function partEntry(
  state: State,
  subject: Subject,
  slot: number,
  { kin, bit }: Sequence,
  parts: readonly Part[],
  now: number,
): boolean {
  const { attempts, masks } = state;
  const { words } = attempts;
  const own = parts.find(({ mask }) => hasBit(mask, 0, bit));
  if (own === undefined) return false;
  const at = slot * words;
  let others = 0;
  for (let word = 0; word < words; word += 1) {
    const bits = attempts.masks[at + word] ?? 0;
    masks[word] = bits;
    others |= bits & ~(own.mask[word] ?? 0);
    attempts.masks[at + word] = bits & (own.mask[word] ?? 0);
  }
  if (others === 0) return false;
  clearAlone(attempts.masks, at, words);
  const place = attempts.place(slot);
  // The first of them may take the slot where the table is full.
  attempts.keep(slot);
  for (const part of parts) {
    if (part === own) continue;
    for (let word = 0; word < words; word += 1)
      masks[words + word] = (masks[word] ?? 0) & (part.mask[word] ?? 0);
    const leader = kin.members[firstBit(masks, words, words)];
    if (leader === undefined) continue;
    clearAlone(masks, words, words);
    attempts.mark(attempts.branch(subject, placeOf(leader.id, place), now), masks, words);
  }
  return true;
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
    const { bit } = sequence;
    if (attempts.isAlone(slot)) {
      masks[at + (bit >> 5)] = (masks[at + (bit >> 5)] ?? 0) & ~(1 << (bit & 31));
      continue;
    }
    for (let word = 0; word < words; word += 1)
      masks[at + word] = (masks[at + word] ?? 0) & ~(attempts.masks[slot * words + word] ?? 0);
  }
  const first = firstBit(masks, at, words);
  clearAlone(masks, at, words);
  return kin.members[first];
}
