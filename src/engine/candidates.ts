import { CLOSE_GUARD } from '../policy/limits.ts';
import { bothOf, ownOf, restOf } from './alike.ts';
import { type Candidate, explain, isFor, type Knock } from './describe.ts';
import { guardedFrom } from './door.ts';
import { HOW } from './in-time.ts';
import { dropBit, hasBit, nextBit } from './kin.ts';
import type { Sequence } from './ports.ts';
import type { State } from './state.ts';
import type { Subject } from './subject.ts';
import { NONE } from './table.ts';

/* Rules 6 and 7: which sequences a packet concerns. Nothing is changed here. */

/** The sequences that the subject is in, or that begin with this port, in the order of judgement. */
export function candidatesOf(state: State, subject: Subject, knock: Knock): readonly Candidate[] {
  const { attempts, slots, held } = state;
  const own = ownOf(state, subject);
  const firsts = firstsFor(state, knock, own);
  const candidates: Candidate[] = [];
  let index = 0;
  let first = 0;
  while (index < held || first < firsts.length) {
    const inId = index < held ? attempts.sequence(slots[index] ?? NONE) : Number.POSITIVE_INFINITY;
    const firstId = firsts[first]?.id ?? Number.POSITIVE_INFINITY;
    const sequence = state.ports.sequences[Math.min(inId, firstId)];
    const from = index;
    if (inId <= firstId) while (index < held && attempts.sequence(slots[index] ?? NONE) === inId) index += 1;
    if (firstId <= inId) first += 1;
    if (sequence === undefined || !isFor(sequence, knock)) continue;
    const explanation = explain(state, subject, knock, sequence, from, index);
    if (explanation !== 'none') {
      const mask = from < index ? maskOf(state, slots[from] ?? NONE, candidates.length) : NONE;
      candidates.push({ sequence, from, to: index, explanation, mask });
    }
  }
  if (attempts.words > 0 && knock.how === HOW.judged) addKin(state, subject, knock, { candidates, own });
  // Of sequences with kin, what is late has not been asked yet.
  if (knock.how !== HOW.judged || !candidates.some(isRepeated)) addGuarded(state, subject, knock, candidates);
  return candidates;
}

function isRepeated({ explanation }: Candidate): boolean {
  return explanation === 'repeat' || explanation === 'renews' || explanation === 'guarded';
}

/** The sequences without kin that begin with this port. Of those that close only a door's that lets this source in can. */
function firstsFor({ ports }: State, { key }: Knock, own: readonly Sequence[]): readonly Sequence[] {
  const firsts = ports.firsts(key);
  const closing = own.filter(({ kind, steps }) => kind === 'close' && steps[0] === key);
  return closing.length === 0 ? firsts : [...firsts, ...closing].sort((x, y) => x.id - y.id);
}

/** Keeps for which sequences an entry stands: it may have to make room before all is carried out. */
function maskOf({ attempts, masks }: State, slot: number, candidate: number): number {
  if (attempts.isAlone(slot)) return NONE;
  const at = candidate * attempts.words;
  attempts.copyMask(slot, masks, at);
  return at;
}

/** Sequences with kin that begin with this port, and of which nothing is known: one entry is going to stand for all. */
function addKin(
  state: State,
  subject: Subject,
  knock: Knock,
  { candidates, own }: { readonly candidates: Candidate[]; readonly own: readonly Sequence[] },
): void {
  const { ports, attempts, masks } = state;
  const { key, flags } = knock;
  for (const kin of ports.kinFirsts(key)) {
    const beginning = bothOf(kin.firsts(key) ?? kin.all, kin.withFlags(key, flags));
    const apart = own.filter((sequence) => sequence.kin === kin && hasBit(beginning, 0, sequence.bit));
    for (const sequence of apart) {
      if (isHeld(state, sequence)) continue;
      const explanation = explain(state, subject, knock, sequence, 0, 0);
      candidates.push({ sequence, from: 0, to: 0, explanation, mask: NONE });
    }
    const at = candidates.length * attempts.words;
    const sequence = restOf(state, kin, without(beginning, apart), at);
    if (sequence !== undefined) {
      const explanation = explain(state, subject, knock, sequence, 0, 0);
      const mask = nextBit(masks, at, attempts.words, 0) < 0 ? NONE : at;
      candidates.push({ sequence, from: 0, to: 0, explanation, mask });
    }
    // In the order of judgement, as far as one entry that stands for several has one.
    candidates.sort((x, y) => x.sequence.id - y.sequence.id);
  }
}

function isHeld({ attempts, slots, held }: State, { id }: Sequence): boolean {
  for (let index = 0; index < held; index += 1)
    if (attempts.sequence(slots[index] ?? NONE) === id) return true;
  return false;
}

function without(mask: Int32Array, sequences: readonly Sequence[]): Int32Array {
  if (sequences.length === 0) return mask;
  const rest = mask.slice();
  for (const { bit } of sequences) dropBit(rest, 0, bit);
  return rest;
}

/**
 * The sequences that may not begin yet, of which this packet is a step: anyone who knocks on too soon is no offender.
 * They are not among the subject's attempts, and need not begin with this port.
 */
function addGuarded(state: State, subject: Subject, knock: Knock, candidates: Candidate[]): void {
  const { attempts, ports, grants, slots, held } = state;
  const { key, now } = knock;
  const grantsHeld = grants.heldBy(subject);
  // Every packet of a flood of first knocks ends here: it opened nothing, and closed nothing.
  if (grantsHeld.length === 0 && held === 0) return;
  const ids = grantsHeld.map((grant) =>
    now - guardedFrom(state, grant) <= CLOSE_GUARD ? grant.door * 2 + 1 : NONE,
  );
  for (let index = 0; index < held; index += 1) {
    const slot = slots[index] ?? NONE;
    const sequence = ports.sequences[attempts.sequence(slot)];
    const isMain = attempts.place(slot) === 0;
    if (isMain && sequence?.kind === 'close' && now - attempts.completed(slot) <= CLOSE_GUARD)
      ids.push(sequence.id - 1);
  }
  for (const id of ids) {
    const sequence = ports.sequences[id];
    if (sequence === undefined || !(sequence.steps.includes(key) || sequence.spent.includes(key))) continue;
    if (!isFor(sequence, knock) || candidates.some((each) => each.sequence === sequence)) continue;
    const found = explain(state, subject, knock, sequence, 0, 0);
    const explanation = found === 'none' ? 'repeat' : found;
    candidates.push({ sequence, from: 0, to: 0, explanation, mask: NONE });
    candidates.sort((x, y) => x.sequence.id - y.sequence.id);
  }
}
