import { milliseconds } from '../packet/time.ts';
import { bothOf, restOf } from './alike.ts';
import { placeOf } from './attempt.ts';
import { saidOf } from './code-ports.ts';
import { type Candidate, isFor, type Knock } from './describe.ts';
import type { Emit } from './event.ts';
import type { Sequence } from './ports.ts';
import { collectAttempts, type State } from './state.ts';
import { hostOf, type Subject } from './subject.ts';
import { NONE } from './table.ts';
import { goOn, isRest, startUntimely, startWrong } from './tail.ts';

/* Rule 7: what excuses a wrong knock, and what is remembered of one. The subject's attempts have been collected. */

/** The same port again as the source's last knock packet is a repeat, also when that was wrong: browsers open three. */
export function isLast({ attempts, slots, held }: State, knock: Knock): boolean {
  for (let index = 0; index < held; index += 1) {
    if (attempts.last(slots[index] ?? NONE) === knock.port) return true;
  }
  return false;
}

/** What is concluded after a while is not the source's last knock. */
function isNow({ came, now }: Knock): boolean {
  return came === now;
}

export function noteLast({ attempts }: State, slot: number, knock: Knock): void {
  if (isNow(knock)) attempts.setLast(slot, knock.port);
}

/** Of what the source knew before, the last knock packet is not the last any more. */
export function noteOthers({ attempts, slots, held }: State, knock: Knock): void {
  for (let index = 0; index < held; index += 1) {
    const slot = slots[index] ?? NONE;
    if (attempts.last(slot) !== knock.port && isNow(knock)) attempts.setLast(slot, 0);
  }
}

/**
 * Steps that are no offence of this source: to close a grant that it held (what has ended or moved can't be closed),
 * and the one-time sequence that has been used last, which is said.
 */
export function isExcused(state: State, subject: Subject, knock: Knock, emit: Emit): boolean {
  const { grants, former, ports } = state;
  const host = hostOf(subject);
  // A stranger, as in a flood, has held nothing.
  const mayHave = grants.heldBy(subject).length > 0 || former.knows(host);
  for (const sequence of mayHave ? ports.excusing(knock.key) : ports.spentAt(knock.key)) {
    if (!isFor(sequence, knock)) continue;
    if (sequence.kind === 'close') {
      if (hasHeld(state, subject, sequence, knock.now)) return true;
    } else {
      const { settings } = sequence;
      const at = milliseconds(knock.now);
      const port = saidOf(ports.codes, knock.key);
      emit({
        event: 'knock.ignored',
        ...{ at, source: host, door: settings.name, port },
        reason: 'used already',
      });
      return true;
    }
  }
  return false;
}

function hasHeld(state: State, subject: Subject, { door, settings }: Sequence, now: number): boolean {
  if (state.grants.heldBy(subject).some((grant) => grant.door === door)) return true;
  return state.former.held(settings.name, hostOf(subject), now);
}

/** Whether the packet is the rest of a mistake that has been struck, or pardoned, already. */
export function isRestOfMistake(state: State, knock: Knock): boolean {
  const { attempts, slots, held } = state;
  for (let index = 0; index < held; index += 1) {
    const slot = slots[index] ?? NONE;
    const sequence = mainOf(state, slot, knock);
    if (sequence !== undefined && isRest(attempts, slot, sequence, knock.key, knock.now)) return true;
  }
  return false;
}

export function noteRest(state: State, knock: Knock): void {
  const { attempts, slots, held } = state;
  for (let index = 0; index < held; index += 1) {
    const slot = slots[index] ?? NONE;
    const sequence = mainOf(state, slot, knock);
    if (sequence === undefined || !isRest(attempts, slot, sequence, knock.key, knock.now)) continue;
    goOn(attempts, slot, sequence, knock.key, knock.now);
    noteLast(state, slot, knock);
  }
}

/** A wrong knock that is strike number `strikes`: a mistake at every sequence that it is a step of. */
export function noteMistake(state: State, subject: Subject, knock: Knock, strikes: number): void {
  for (const sequence of state.ports.containing(knock.key)) {
    if (!isFor(sequence, knock) || !sequence.steps.includes(knock.key)) continue;
    const slot = mainSlot(state, subject, sequence, NONE, knock.now);
    startWrong(state.attempts, slot, sequence, knock, strikes);
    noteLast(state, slot, knock);
  }
  if (state.attempts.words > 0) noteMistakeOfKin(state, subject, knock, strikes);
}

/** The same for sequences with kin: where an entry stands for some, by that; for the others by a new one. */
function noteMistakeOfKin(state: State, subject: Subject, knock: Knock, strikes: number): void {
  const { attempts, masks, ports, slots } = state;
  const { words } = attempts;
  const note = (sequence: Sequence, mask: number): void => {
    const slot = mainSlot(state, subject, sequence, mask, knock.now);
    startWrong(attempts, slot, sequence, knock, strikes);
    noteLast(state, slot, knock);
  };
  for (const kin of ports.kinContaining(knock.key)) {
    const matching = kin.withFlags(knock.key, knock.flags);
    // Anew: entries may have gone, and come, since.
    collectAttempts(state, subject);
    const { held } = state;
    const rests = kin.parts(knock.key).map((mask) => {
      const sequence = restOf(state, kin, bothOf(mask, matching), 0);
      return { sequence, mask: masks.slice(0, words) };
    });
    for (let index = 0, before = NONE; index < held; index += 1) {
      const slot = slots[index] ?? NONE;
      const id = attempts.sequence(slot);
      const sequence = ports.sequences[id];
      if (id === before || sequence?.kin !== kin || !sequence.steps.includes(knock.key)) continue;
      if (!isFor(sequence, knock)) continue;
      before = id;
      attempts.copyMask(slot, masks, 0);
      note(sequence, 0);
    }
    for (const { sequence, mask } of rests) {
      if (sequence === undefined) continue;
      masks.set(mask);
      note(sequence, 0);
    }
  }
}

/** A next step that came too late or too soon, where `made` steps had been made. */
export function noteGone(
  state: State,
  subject: Subject,
  knock: Knock,
  { sequence, mask }: Candidate,
  made: number,
): void {
  const slot = mainSlot(state, subject, sequence, mask, knock.now);
  startUntimely(state.attempts, slot, sequence, made, knock.now);
  noteLast(state, slot, knock);
}

/** The entry that knows of the sequence's mistakes, made if need be. */
function mainSlot(
  { attempts, masks, turn }: State,
  subject: Subject,
  sequence: Sequence,
  mask: number,
  now: number,
): number {
  const there = attempts.find(subject, sequence.id);
  const step = there === NONE ? 0 : attempts.step(there);
  const slot = attempts.put(subject, placeOf(sequence.id, 0), step, turn, now);
  if (mask !== NONE) attempts.mark(slot, masks, mask);
  return slot;
}

/** The sequence that the entry is the first of, if the packet can be a step of it. */
function mainOf({ attempts, ports }: State, slot: number, knock: Knock): Sequence | undefined {
  if (slot === NONE || attempts.place(slot) !== 0) return undefined;
  const sequence = ports.sequences[attempts.sequence(slot)];
  return sequence !== undefined && isFor(sequence, knock) ? sequence : undefined;
}
