import { type Attempts, createAttempts, PLACES } from './attempt.ts';
import { type AttemptList, createAttemptList } from './attempt-list.ts';
import { type Bans, createBans } from './ban.ts';
import { createExemptions, type Exemptions, type ExemptNetworks } from './exempt.ts';
import { createFormerHolders, type FormerHolders } from './former.ts';
import { createGrants, type Grants } from './grant.ts';
import type { HashKey } from './hash.ts';
import { type Moving, moveOf } from './move-attempts.ts';
import type { MovingBans } from './move-bans.ts';
import { createOffenders, type Offenders } from './offenders.ts';
import { createPorts, type Knocks, type Ports } from './ports.ts';
import { createRetransmissions, type Retransmissions } from './retransmission.ts';
import type { EngineSettings, Sharing } from './settings.ts';
import { countByHost, countByNetwork, createSubjects, type Subject, type Subjects } from './subject.ts';
import { NONE } from './table.ts';
import { endIfUsed, partUsed } from './used.ts';

/** Everything that the engine remembers. Only the engine's own files see it. */
export interface State {
  settings: EngineSettings;
  ports: Ports;
  knocks: Knocks;
  /** The turn at which each door's one-time sequence was used last: attempts at it that are older are over. */
  used: number[];
  /** The last of these turns. */
  usedLast: number;
  attempts: Attempts;
  /** Attempts that a reload has not moved yet. */
  moving: Moving | undefined;
  /** What a reload has left to be made in another size. */
  readonly resizing: (() => void)[];
  offenders: Offenders;
  bans: Bans;
  /** Bans that a reload has not moved yet into a table of another size. */
  movingBans: MovingBans | undefined;
  /** The bans that are being looked through for some that must not be any more. */
  lookedThrough: Bans | undefined;
  retransmissions: Retransmissions;
  readonly grants: Grants;
  readonly former: FormerHolders;
  readonly subjects: Subjects;
  /** Who is never banned, and what was found on this machine for that. */
  exempt: Exemptions;
  found: Omit<ExemptNetworks, 'never'>;
  /** How many packets and orders there were: tells older from newer where moments are equal. */
  turn: number;
  /** The subject's entries of attempts while a packet is judged, by ascending sequence: slots, and how many. */
  slots: Int32Array;
  held: number;
  /** While a packet is judged: for which sequences the entries of each of its candidates stand, as in `Attempts`. */
  masks: Int32Array;
  /** Its attempts at one sequence, while they are advanced. */
  readonly list: AttemptList;
  /** Undefined: this machine is alone. */
  readonly sharing: Sharing | undefined;
  /** The packet in hand went on with an attempt, and left another as it is that it may break. */
  leaves: boolean;
}

const NOTHING_FOUND = { found: [], everybody: [] } as const;

export function createState(settings: EngineSettings, key: HashKey, sharing: Sharing | undefined): State {
  const knocks = knocksOf(settings);
  const ports = createPorts(settings, knocks);
  return {
    settings,
    ports,
    knocks,
    used: settings.doors.map(() => 0),
    usedLast: 0,
    attempts: createAttempts(settings.sources, ports.words),
    moving: undefined,
    resizing: [],
    offenders: createOffenders(settings.sources, settings.bans),
    bans: createBans(settings.bans.limit),
    movingBans: undefined,
    lookedThrough: undefined,
    retransmissions: createRetransmissions(settings.sources, settings.repeats),
    grants: createGrants(),
    former: createFormerHolders(),
    subjects: createSubjects(key),
    exempt: createExemptions({ never: settings.bans.never, ...NOTHING_FOUND }),
    found: NOTHING_FOUND,
    turn: 0,
    slots: slotsFor(ports),
    held: 0,
    masks: masksFor(ports),
    list: createAttemptList(),
    sharing,
    leaves: false,
  };
}

/** Room for all that one source can have entries of. */
export function slotsFor(ports: Ports): Int32Array {
  return new Int32Array(ports.sequences.length * PLACES);
}

/** Room for the bits of as many candidates as there can be, and of two more. */
export function masksFor(ports: Ports): Int32Array {
  return new Int32Array((ports.sequences.length + 2) * ports.words);
}

/** What opens each door at the start and after a reload. */
export function knocksOf(settings: EngineSettings): Knocks {
  return { now: settings.doors.map((door) => door.knock), spent: settings.doors.map(() => []) };
}

/** Fills `state.slots` with the subject's entries, leaving out those that a ban has made forgotten. */
export function collectAttempts(state: State, subject: Subject): void {
  moveOf(state, subject);
  const { attempts, slots } = state;
  let count = attempts.collect(subject, slots);
  if (partUsed(state, subject, count)) count = attempts.collect(subject, slots);
  const forgotten = count === 0 ? -1 : forgottenSince(state, subject);
  state.held = 0;
  for (let index = 0; index < count; index += 1) {
    const slot = slots[index] ?? 0;
    if (attempts.changed(slot) < forgotten) {
      attempts.table.remove(slot);
    } else if (endIfUsed(state, slot)) {
      slots[state.held] = slot;
      state.held += 1;
    }
  }
}

/** The packet's number at which the last ban of this host, or of its network, began; −1 where there was none. */
function forgottenSince({ offenders }: State, subject: Subject): number {
  const { offenderBits } = subject;
  countByNetwork(subject);
  const shared = offenders.find(subject);
  let own = shared;
  if (subject.family === 6) {
    countByHost(subject);
    own = offenders.find(subject);
    if (offenderBits !== subject.offenderBits) countByNetwork(subject);
  }
  return Math.max(
    own === NONE ? -1 : offenders.forgotten(own),
    shared === NONE ? -1 : offenders.forgotten(shared),
  );
}

/** Ends every attempt of the subject; what is known of openings stays. */
export function endAttempts(state: State, subject: Subject): void {
  collectAttempts(state, subject);
  for (let index = 0; index < state.held; index += 1) state.attempts.end(state.slots[index] ?? 0);
}

/** Forgets everything that the subject's host began or completed. */
export function forgetAttempts(state: State, subject: Subject): void {
  collectAttempts(state, subject);
  for (let index = 0; index < state.held; index += 1) state.attempts.table.remove(state.slots[index] ?? 0);
}
