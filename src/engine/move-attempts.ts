import { membersAt } from './alike.ts';
import { type Attempts, createAttempts, LEVELS, placeOf } from './attempt.ts';
import { clearAlone, type Kin, NO_KIN, setBit } from './kin.ts';
import type { Sequence } from './ports.ts';
import type { DoorSettings } from './settings.ts';
import type { State } from './state.ts';
import type { Subject } from './subject.ts';
import { NONE, type Table } from './table.ts';

/*
 * A reload changes what every attempt is an attempt at. Tables are large, and packets must not wait while one is gone
 * through: a source's attempts are moved into the new table when it sends its next packet, the others a piece at a time.
 */

/** Attempts as they were before a reload, of which some are still to be moved. */
export interface Moving {
  readonly old: Attempts;
  readonly before: readonly Sequence[];
  /** By the id of each of these: the sequence that it is now. */
  readonly after: readonly (Sequence | undefined)[];
  readonly used: readonly number[];
  /** The moment of the reload. */
  readonly now: number;
  /** A flood leaves entries that all stand for the same sequences. */
  readonly known: Map<Sequence, readonly Standing[]>;
  /** Lower levels of the old table are empty. */
  level: number;
}

/** An entry to be: the sequence that it is of, and for which it stands. */
interface Standing {
  readonly leader: Sequence;
  readonly mask: Int32Array;
}

/** Begins to move attempts: to be called once the new configuration has its ports. */
export function beginMoving(
  state: State,
  before: readonly Sequence[],
  renumbered: readonly number[],
  used: readonly number[],
  now: number,
): void {
  const after = before.map((sequence) => sameIn(state, sequence, renumbered));
  const old = state.attempts;
  state.attempts = createAttempts(state.settings.sources, state.ports.words);
  state.moving = { old, before, after, used, now, known: new Map(), level: 0 };
}

/** Moves at most so many, the oldest first; true once none is left. */
export function moveSome(state: State, most: number): boolean {
  const { moving } = state;
  if (moving === undefined) return true;
  const { table } = moving.old;
  for (let moved = 0; moved < most; ) {
    const slot = table.oldest(moving.level);
    if (slot !== NONE) {
      move(state, moving, subjectAt(state, table, slot), slot);
      moved += 1;
    } else if (moving.level + 1 < LEVELS) {
      moving.level += 1;
    } else {
      state.moving = undefined;
      return true;
    }
  }
  return false;
}

/** Moves those of one source: it is there. */
export function moveOf(state: State, subject: Subject): void {
  const { moving } = state;
  if (moving === undefined) return;
  const { table } = moving.old;
  const { hostHash, family, a, b, c, d } = subject;
  let slot = table.first(hostHash, family, a, b, c, d);
  while (slot !== NONE) {
    const following = table.next(slot);
    move(state, moving, subject, slot);
    slot = following;
  }
}

function move(state: State, moving: Moving, subject: Subject, slot: number): void {
  const { old, before, used, now } = moving;
  const next = state.attempts;
  const sequence = before[old.sequence(slot)];
  const isOver = sequence?.kind === 'open' && old.changed(slot) < (used[sequence.door] ?? 0);
  if (sequence !== undefined && !isOver) {
    for (const { leader, mask } of standingsAt(state, moving, sequence, slot)) {
      const where = placeOf(leader.id, old.place(slot));
      const to = next.put(subject, where, old.step(slot), old.changed(slot), now);
      next.copy(to, old, slot);
      next.mark(to, mask, 0);
      // Again, now that it is known whether it completed: that decides its level.
      next.put(subject, where, old.step(slot), old.changed(slot), now);
    }
  }
  old.table.remove(slot);
}

function standingsAt(
  { ports }: State,
  { old, after, known }: Moving,
  sequence: Sequence,
  slot: number,
): readonly Standing[] {
  const members = membersAt({ attempts: old }, sequence, slot);
  const isAll = members === sequence.kin.members;
  const there = isAll ? known.get(sequence) : undefined;
  const standings = there ?? standingsOf(members, after, ports.words);
  if (isAll) known.set(sequence, standings);
  return standings;
}

/** The sequence in the new configuration; undefined where it, or its timing, is another. */
function sameIn(state: State, sequence: Sequence, renumbered: readonly number[]): Sequence | undefined {
  const index = renumbered[sequence.door] ?? -1;
  const door = state.settings.doors[index];
  const found = state.ports.sequences[index * 2 + (sequence.kind === 'open' ? 0 : 1)];
  if (door === undefined || !sameTiming(sequence.settings, door)) return undefined;
  const same = [found?.steps, found?.digits].join() === [sequence.steps, sequence.digits].join();
  return same ? found : undefined;
}

function standingsOf(
  members: readonly Sequence[],
  after: readonly (Sequence | undefined)[],
  words: number,
): readonly Standing[] {
  const ofKin = new Map<Kin, Standing>();
  const standings: Standing[] = [];
  for (const { id } of members) {
    const sequence = after[id];
    if (sequence === undefined) continue;
    const { kin, bit } = sequence;
    let standing = ofKin.get(kin);
    if (standing === undefined) {
      standing = { leader: sequence, mask: new Int32Array(words) };
      standings.push(standing);
      if (kin !== NO_KIN) ofKin.set(kin, standing);
    }
    if (kin !== NO_KIN) setBit(standing.mask, bit);
  }
  for (const { mask } of standings) clearAlone(mask, 0, words);
  return standings;
}

/** The subject of an entry of a table. */
export function subjectAt(state: State, table: Table, slot: number): Subject {
  state.subjects.ofAddress({
    family: table.family(slot),
    a: table.word(slot, 0),
    b: table.word(slot, 1),
    c: table.word(slot, 2),
    d: table.word(slot, 3),
  });
  return state.subjects.subject;
}

function sameTiming(x: DoorSettings, y: DoorSettings): boolean {
  return (
    x.within === y.within &&
    x.gap.min === y.gap.min &&
    x.gap.max === y.gap.max &&
    x.flags.set === y.flags.set &&
    x.flags.clear === y.flags.clear &&
    x.tolerate === y.tolerate
  );
}
