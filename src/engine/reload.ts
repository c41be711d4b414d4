import { HOST_BITS } from '../packet/cidr.ts';
import { membersAt } from './alike.ts';
import { createAttempts, placeOf } from './attempt.ts';
import { createBans } from './ban.ts';
import { end } from './door.ts';
import type { Emit } from './event.ts';
import { clearAlone, type Kin, NO_KIN, setBit } from './kin.ts';
import { lift } from './offence.ts';
import { createOffenders } from './offenders.ts';
import { createPorts, type Sequence } from './ports.ts';
import { createRetransmissions } from './retransmission.ts';
import type { DoorSettings, EngineSettings } from './settings.ts';
import { knocksOf, masksFor, type State, slotsFor } from './state.ts';
import { countByHost } from './subject.ts';

/**
 * Takes a new configuration in. Grants of doors that are still there stay; attempts stay at doors whose sequence
 * and timing did not change; strikes, rates and bans stay. Tables are laid anew only where their size changed.
 */
export function reload(state: State, settings: EngineSettings, now: number, emit: Emit): void {
  const before = state.settings;
  const sequencesBefore = state.ports.sequences;
  const renumbered = before.doors.map((door) => settings.doors.findIndex((each) => each.name === door.name));
  for (const grant of state.grants.all()) {
    if (renumbered[grant.door] === -1) end(state, grant, now, 'reload', emit);
  }
  const kept = state.grants.all();
  for (const grant of kept) state.grants.remove(grant);
  state.settings = settings;
  for (const grant of kept) state.grants.add({ ...grant, door: renumbered[grant.door] ?? 0 });
  const used = state.used;
  state.knocks = knocksOf(settings);
  state.used = settings.doors.map(() => 0);
  state.ports = createPorts(settings, state.knocks);
  state.slots = slotsFor(state.ports);
  state.masks = masksFor(state.ports);
  moveAttempts(state, sequencesBefore, renumbered, used, now);
  moveOffenders(state);
  if (before.sources !== settings.sources) state.retransmissions = createRetransmissions(settings.sources);
  moveBans(state, before, now, emit);
}

function moveAttempts(
  state: State,
  before: readonly Sequence[],
  renumbered: readonly number[],
  used: readonly number[],
  now: number,
): void {
  const old = state.attempts;
  const next = createAttempts(state.settings.sources, state.ports.words);
  state.attempts = next;
  const after = before.map((sequence) => sameIn(state, sequence, renumbered));
  const moved = new Map<Sequence, readonly Standing[]>();
  old.table.each((slot) => {
    const sequence = before[old.sequence(slot)];
    if (sequence === undefined) return;
    if (sequence.kind === 'open' && old.changed(slot) < (used[sequence.door] ?? 0)) return;
    const members = membersAt({ attempts: old }, sequence, slot);
    // A flood leaves entries that all stand for the same sequences.
    const isAll = members === sequence.kin.members;
    const there = isAll ? moved.get(sequence) : undefined;
    const standings = there ?? standingsOf(members, after, state.ports.words);
    if (isAll) moved.set(sequence, standings);
    const subject = subjectAt(state, old.table, slot);
    for (const { leader, mask } of standings) {
      const where = placeOf(leader.id, old.place(slot));
      const to = next.put(subject, where, old.step(slot), old.changed(slot), now);
      next.copy(to, old, slot);
      next.mark(to, mask, 0);
      // Again, now that it is known whether it completed: that decides its level.
      next.put(subject, where, old.step(slot), old.changed(slot), now);
    }
  });
}

/** The sequence in the new configuration; undefined where it, or its timing, is another. */
function sameIn(state: State, sequence: Sequence, renumbered: readonly number[]): Sequence | undefined {
  const index = renumbered[sequence.door] ?? -1;
  const door = state.settings.doors[index];
  const found = state.ports.sequences[index * 2 + (sequence.kind === 'open' ? 0 : 1)];
  if (door === undefined || !sameTiming(sequence.settings, door)) return undefined;
  return String(found?.steps) === String(sequence.steps) ? found : undefined;
}

/** An entry to be: the sequence that it is of, and for which it stands. */
interface Standing {
  readonly leader: Sequence;
  readonly mask: Int32Array;
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

function moveOffenders(state: State): void {
  const { settings } = state;
  const old = state.offenders;
  state.offenders = createOffenders(settings.sources, settings.bans);
  const next = state.offenders;
  old.table.each((slot) => {
    const subject = subjectAt(state, old.table, slot);
    if (old.table.extra(slot) === HOST_BITS[subject.family]) countByHost(subject);
    next.write(next.put(subject), old.read(slot));
  });
}

/** Where the limit has shrunk, the bans that end last are kept. */
function moveBans(state: State, before: EngineSettings, now: number, emit: Emit): void {
  const { limit } = state.settings.bans;
  if (before.bans.limit === limit) return;
  while (state.bans.size() > limit) lift(state, state.bans.first(), now, 'limit', emit);
  const old = state.bans;
  state.bans = createBans(limit);
  old.each((slot) => {
    const { target, since, until, count, origin } = old.at(slot);
    state.subjects.ofAddress(old.host(slot) ?? target.address);
    const { subject } = state.subjects;
    if (target.bits === HOST_BITS[subject.family]) countByHost(subject);
    state.bans.put(subject, since, until, count);
    if (origin === 'order') state.bans.order(subject);
  });
}

function subjectAt(
  state: State,
  table: State['attempts']['table'],
  slot: number,
): State['subjects']['subject'] {
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
