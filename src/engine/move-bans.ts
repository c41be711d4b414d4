import { HOST_BITS } from '../packet/cidr.ts';
import { type Bans, createBans } from './ban.ts';
import type { Emit } from './event.ts';
import { lift } from './offence.ts';
import type { State } from './state.ts';
import { countByHost } from './subject.ts';
import { NONE } from './table.ts';

/*
 * A reload may change how many bans there is room for. Packets must not wait while a large table is gone through: bans
 * are copied a piece at a time, and the table before goes on until all are there.
 */

/** Bans on their way into a table of another size. */
export interface MovingBans {
  /** Those in force meanwhile: what changes of one that was copied changes in both tables. */
  readonly bans: Bans;
  /** Copies at most so many, the one made first before the others; answers how many there were. */
  copy(state: State, most: number): number;
  /** Only once all are copied. */
  readonly next: Bans;
}

/**
 * Goes on making the bans as many as may be: lifts at most so many, those that end first before the others, or copies at
 * most so many into a table of that size. Answers how many were lifted, and whether anything is left to do.
 */
export function moveBans(
  state: State,
  most: number,
  now: number,
  emit: Emit,
): { readonly lifted: number; readonly isDone: boolean } {
  const { limit } = state.settings.bans;
  let lifted = 0;
  for (; lifted < most && state.bans.size() > limit; lifted += 1)
    lift(state, state.bans.first(), now, 'limit', emit);
  const isIn = state.bans.capacity === limit && state.movingBans === undefined;
  if (isIn || lifted >= most) return { lifted, isDone: isIn };
  const moving = state.movingBans ?? beginMoving(state.bans, limit);
  state.movingBans = moving;
  state.bans = moving.bans;
  const isDone = moving.copy(state, most - lifted) < most - lifted;
  if (isDone) {
    state.bans = moving.next;
    state.movingBans = undefined;
  }
  return { lifted, isDone };
}

/** Where bans were moved into another table meanwhile, that one is looked through from its beginning. */
export function placeIn(state: State, from: number): number {
  const isSame = state.lookedThrough === state.bans;
  state.lookedThrough = state.bans;
  return isSame ? from : 0;
}

function beginMoving(old: Bans, limit: number): MovingBans {
  const next = createBans(limit);
  /** By the slot of a ban: its slot in the next table, and one more; 0: not copied. */
  const copied = new Int32Array(old.capacity);
  let following = old.oldest();

  function copy(state: State, most: number): number {
    let count = 0;
    for (; count < most && following !== NONE; count += 1) {
      const slot = following;
      following = old.newer(slot);
      const { target, since, until, count: which, origin, from } = old.at(slot);
      state.subjects.ofAddress(old.host(slot) ?? target.address);
      const { subject } = state.subjects;
      if (target.bits === HOST_BITS[subject.family]) countByHost(subject);
      next.put(subject, since, until, which);
      if (origin === 'order') next.order(subject);
      if (from !== undefined) next.credit(subject, from);
      copied[slot] = next.find(subject) + 1;
    }
    return count;
  }

  const bans: Bans = {
    ...old,
    put(subject, begin, end, count) {
      old.put(subject, begin, end, count);
      const slot = old.find(subject);
      // One that is new is the youngest: it is copied last.
      if ((copied[slot] ?? 0) > 0) next.put(subject, begin, end, count);
      else if (following === NONE) following = slot;
    },
    credit(subject, name) {
      old.credit(subject, name);
      next.credit(subject, name);
    },
    order(subject) {
      old.order(subject);
      next.order(subject);
    },
    remove(slot) {
      if (slot === following) following = old.newer(slot);
      const there = (copied[slot] ?? 0) - 1;
      copied[slot] = 0;
      if (there >= 0) next.remove(there);
      old.remove(slot);
    },
  };
  return { bans, copy, next };
}
