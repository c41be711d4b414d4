import type { CommandAnswer } from './command.ts';
import { end } from './door.ts';
import type { Emit } from './event.ts';
import { beginMoving, moveSome } from './move-attempts.ts';
import { moveBans } from './move-bans.ts';
import { createOffenders } from './offenders.ts';
import { createPorts } from './ports.ts';
import { createRetransmissions } from './retransmission.ts';
import type { EngineSettings } from './settings.ts';
import { knocksOf, masksFor, type State, slotsFor } from './state.ts';

/**
 * Takes a new configuration in. Grants of doors that are still there stay; attempts stay at doors whose sequence
 * and timing did not change (they may still have to be moved); strikes, rates and bans stay. Their tables are laid anew
 * only where their size changed; what is in them may still have to be moved.
 */
export function reload(state: State, settings: EngineSettings, now: number, emit: Emit): void {
  moveSome(state, Number.POSITIVE_INFINITY);
  moveBans(state, Number.POSITIVE_INFINITY, now, emit);
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
  state.usedLast = 0;
  state.ports = createPorts(settings, state.knocks);
  state.slots = slotsFor(state.ports);
  state.masks = masksFor(state.ports);
  beginMoving(state, sequencesBefore, renumbered, used, now);
  resize(state, before);
}

/** Goes on with what a reload has left. */
export function moveOn(state: State, most: number, now: number, emit: Emit): CommandAnswer {
  if (!moveSome(state, most)) return { ok: true, changed: 0, rest: 0 };
  const { lifted, isDone } = moveBans(state, most, now, emit);
  return isDone ? { ok: true, changed: lifted } : { ok: true, changed: lifted, rest: 0 };
}

/**
 * Until its turn comes an old table goes on, under the new limits: to make a large one takes milliseconds. With another
 * number of strikes it can't, since it remembers as many as before.
 */
function resize(state: State, before: EngineSettings): void {
  const { sources, repeats, bans } = state.settings;
  state.offenders.configure(bans);
  const makeOffenders = () => {
    state.offenders = createOffenders(sources, bans, state.offenders);
  };
  if (before.bans.strikes !== bans.strikes) makeOffenders();
  if (before.sources === sources) return;
  state.resizing.push(() => {
    state.retransmissions = createRetransmissions(sources, repeats);
  });
  if (before.bans.strikes === bans.strikes) state.resizing.push(makeOffenders);
}
