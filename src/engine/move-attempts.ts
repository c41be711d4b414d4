import { HOST_BITS } from '../packet/cidr.ts';
import { membersAt } from './alike.ts';
import { type Attempts, createAttempts, LEVELS, placeOf } from './attempt.ts';
import { clearAlone, isMember, type Kin, setBit } from './kin.ts';
import { OFFENDER_LEVELS } from './offenders.ts';
import type { Sequence } from './ports.ts';
import type { DoorSettings } from './settings.ts';
import type { State } from './state.ts';
import { countByHost, type Subject } from './subject.ts';
import { NONE, type Table } from './table.ts';
import { isUsed } from './used.ts';

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
  readonly known: Map<Sequence, Known>;
  /** Lower levels of the old table are empty. */
  level: number;
}

/** What entries of a sequence become that stand for these. */
interface Known {
  readonly mask: Int32Array;
  readonly standings: readonly Standing[];
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

/** Moves at most so many, the oldest first, or makes one table; true once nothing is left. */
export function moveSome(state: State, most: number): boolean {
  if (moveAttempts(state, most) >= most) return false;
  if (state.resizing.length > 0) {
    if (most !== Number.POSITIVE_INFINITY) {
      state.resizing.shift()?.();
      return false;
    }
    for (const make of state.resizing.splice(0)) make();
  }
  return moveOffenders(state, most) < most;
}

/** Moves at most so many attempts; answers how many there were. */
function moveAttempts(state: State, most: number): number {
  const { moving } = state;
  if (moving === undefined) return 0;
  const { table } = moving.old;
  const { level, moved } = walk(table, { from: moving.level, levels: LEVELS, most }, (slot) =>
    move(state, moving, subjectAt(state, table, slot), slot),
  );
  moving.level = level;
  if (moved < most) state.moving = undefined;
  return moved;
}

/** Offenders are moved when they are looked for. */
function moveOffenders(state: State, most: number): number {
  const { offenders } = state;
  const before = offenders.before();
  if (before === undefined) return 0;
  const { table } = before;
  const { moved } = walk(table, { from: 0, levels: OFFENDER_LEVELS, most }, (slot) => {
    const subject = subjectAt(state, table, slot);
    if (table.extra(slot) === HOST_BITS[subject.family]) countByHost(subject);
    offenders.find(subject);
  });
  if (moved < most) offenders.settle();
  return moved;
}

/** Takes the oldest of the lowest level at most so often: `take` removes it from the table. */
function walk(
  table: Table,
  { from, levels, most }: { readonly from: number; readonly levels: number; readonly most: number },
  take: (slot: number) => void,
): { readonly level: number; readonly moved: number } {
  let moved = 0;
  for (let level = from; level < levels; ) {
    if (moved >= most) return { level, moved };
    const slot = table.oldest(level);
    if (slot === NONE) level += 1;
    else {
      take(slot);
      moved += 1;
    }
  }
  return { level: levels, moved };
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
  const { old, before, now } = moving;
  const next = state.attempts;
  const sequence = before[old.sequence(slot)];
  if (sequence !== undefined) {
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
  { old, after, known, used }: Moving,
  sequence: Sequence,
  slot: number,
): readonly Standing[] {
  const there = known.get(sequence);
  if (there?.mask.every((bits, word) => bits === old.masks[slot * old.words + word])) return there.standings;
  const all = membersAt({ attempts: old }, sequence, slot);
  const members = all.filter((member) => !isUsed({ attempts: old, used }, slot, member));
  const standings = standingsOf(members, after, ports.words);
  const mask = old.masks.slice(slot * old.words, (slot + 1) * old.words);
  if (all.length > 1 && all.every(({ door }) => (used[door] ?? 0) === 0))
    known.set(sequence, { mask, standings });
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
    const mayShare = isMember(sequence);
    let standing = mayShare ? ofKin.get(kin) : undefined;
    if (standing === undefined) {
      standing = { leader: sequence, mask: new Int32Array(words) };
      standings.push(standing);
      if (mayShare) ofKin.set(kin, standing);
    }
    if (mayShare) setBit(standing.mask, bit);
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
