import type { Cidr } from '../packet/cidr.ts';
import type { RefusedReason } from '../policy/fleet.ts';
import type { Grantee } from '../policy/grantee.ts';
import { rememberedUntil } from '../policy/limits.ts';
import { type Belief, type Outcome, refuse, touch } from './belief.ts';
import { type Book, createBook, type Entry } from './book.ts';
import type { Budget } from './budget.ts';
import type { Heard } from './host.ts';
import { createKept } from './kept.ts';
import type { BusClock } from './offset.ts';
import { AHEAD_MAX, TICKS } from './offset.ts';
import {
  type BanRegister,
  banKey,
  type GrantRegister,
  isTomb,
  merge,
  type Register,
  registerKey,
  sameState,
} from './register.ts';
import { current, type InForce, isClosed, left, type Standing, settle, standingOf } from './settle.ts';

/**
 * `live`: told just now; otherwise read by who joins or has missed something. `again`: bans are carried out that were
 * only looked at when they were heard first.
 */
export type How = 'live' | 'read' | 'again';

/** Everything that the fleet holds in common, as this member knows it. */
export interface View {
  hear(member: string, register: Register, how: How, outcome: Outcome): void;
  /** What is to be carried out after a batch, by what holds at its end. */
  settle(outcome: Outcome): Omit<Heard, 'origin'>;
  /** The same by what holds now: what has been decided or heard since it was settled counts. */
  current(heard: Heard): Heard;
  /** What is known of a ban that is in force here, its end on the daemon's clock. */
  standing(ban: InForce): Standing;
  /** What is to be in force of bans of this target. */
  left(target: Cidr): readonly BanRegister[];
  /** Whether a grant has been closed by a lift that it did not know of; `knows`: the newest that it did. */
  isClosed(door: string, grantee: Grantee, knows: number): boolean;
  /** What was known of others before a restart, and is in force here already. After what this member itself has said. */
  know(register: Register): void;
  /** Whether all that is known of it is that, by this machine's own clock. */
  isGuessed(key: string): boolean;
  /** The bus's clock is known: what was known before is put right. */
  correctKept(): void;
  /** What this member itself says, or has said; answers what it comes to. */
  say(register: Register): Register;
  /** What this member itself has said is this instead; nobody has heard the other. */
  replace(register: Register): void;
  /** This member has not told of it after all. */
  retract(register: Register): void;
  /** The newest lift that this register, or all, is known to be after. */
  genOf(key: string): number;
  own(): Iterable<Register>;
  ownCounts(): { readonly bans: number; readonly grants: number };
  ownOf(key: string): Register | undefined;
  states(): Iterable<Register>;
  stateOf(key: string): Register | undefined;
  size(): number;
  /** Nobody needs to know of it any more. */
  isOver(register: Register): boolean;
  /** Goes on through so many registers, and forgets those that nobody needs any more; answers this member's own of them. */
  sweep(most: number): readonly Register[];
}

const AMNESTY = 'amnesty';

export function createView(clock: BusClock, budget: Budget, belief: Belief): View {
  const book = createBook(budget.release);
  const kept = createKept(book, clock);
  const amnesty = (): number => book.stateOf(AMNESTY)?.gen ?? 0;

  /** Whether it holds at this moment, as far as it itself goes. */
  function holds(register: Register, now: number): boolean {
    if (register.kind === 'amnesty') return false;
    return register.until > now && (register.kind === 'grant' || register.gen >= amnesty());
  }

  function refusalOf(member: string, register: Register, now: number): RefusedReason | undefined {
    if (!belief.accepts(member, register)) return 'not accepted';
    if (register.kind === 'ban' && register.since > now + AHEAD_MAX) return 'time';
    if (register.kind === 'grant') {
      if (belief.opensFor(register.door) === undefined) return 'unknown door';
      if (register.opened > now + AHEAD_MAX) return 'time';
    }
    return clock.see(register.gen) ? undefined : 'time';
  }

  /** A ban or grant that another made, for as long as it may last here. */
  function clipped<R extends BanRegister | GrantRegister>(register: R): R {
    const { until } = register;
    const most =
      register.kind === 'ban'
        ? register.since + belief.longest()
        : register.opened + (belief.opensFor(register.door) ?? 0);
    return until > most ? { ...register, until: most } : register;
  }

  function hear(member: string, register: Register, how: How, outcome: Outcome): void {
    const now = clock.now();
    const there = book.get(registerKey(register));
    // A message that only carries the end of rows says that nothing was lifted.
    if (register.kind === 'amnesty' && register.gen === 0) return;
    if (there !== undefined && belief.accepts(member, register)) kept.confirm(there, register);
    // What is known already costs nobody anything: it is said again after every change of the engine.
    if (there !== undefined && sameState(merge(there.state, register), there.state)) {
      if (how === 'again' && register.kind === 'ban') touch(outcome, there.state, false);
      repair(there, register, outcome);
      return;
    }
    const reason = refusalOf(member, register, now);
    if (reason !== undefined) {
      refuse(outcome, register, reason, reason === 'time' ? momentOf(register) - AHEAD_MAX : undefined);
      return;
    }
    const [isNew, isPast] = [
      there === undefined,
      register.kind !== 'amnesty' && clipped(register).until <= now,
    ];
    if (isNew && isPast && isNothing(register, budget.isTight(member))) return;
    const admitted = budget.admits(member, register, { live: how === 'live', isNew, isOver: isPast }, now);
    if (admitted !== 'yes') {
      refuse(outcome, register, 'limit', admitted.from);
      return;
    }
    if (there === undefined) {
      // What is over and known for its lift alone is kept as a lift is.
      const charged = register.kind === 'ban' || isPast ? member : null;
      const entry = book.put(register, charged);
      // Nothing is known of it, but it may be in force here all the same, from before a restart.
      touch(
        outcome,
        register,
        isTomb(register) && !goesOnOtherwise(register, book, (state) => holds(state, now)),
      );
      repair(entry, register, outcome);
      return;
    }
    const before = there.state;
    book.set(there, merge(before, register));
    const goesOn = there.kept !== undefined && lastsAsLong(before, there.state, now);
    if (there.kept !== undefined) there.kept = 'confirmed';
    // Whatever held before: this machine may have put in force what it has not said yet.
    touch(outcome, there.state, there.state.gen > before.gen && !goesOn);
    repair(there, register, outcome);
  }

  /** Which lifts it was made after has not been kept: where it is in force as it is said, nothing has been lifted. */
  function lastsAsLong(before: Register, state: Register, now: number): boolean {
    if (before.kind === 'amnesty' || state.kind === 'amnesty') return false;
    return holds(state, now) && state.until >= before.until - AHEAD_MAX;
  }

  /** Whoever says what a lift has ended has not heard of it, and the lift's maker may be gone. */
  function repair(entry: Entry, said: Register, outcome: Outcome): void {
    const now = clock.now();
    const { state, own } = entry;
    const isBelow = said.kind !== 'amnesty' && said.until > now && said.gen < state.gen;
    const ownIsBelow = own !== undefined && own.kind !== 'amnesty' && own.until > now && own.gen < state.gen;
    if ((isBelow || ownIsBelow) && (own === undefined || own.gen < state.gen)) {
      book.setOwn(entry, state);
      outcome.repairs.push(state);
    }
    const all = book.get(AMNESTY);
    if (all === undefined || said.kind !== 'ban') return;
    if (said.until > now && said.gen < all.state.gen && (all.own?.gen ?? 0) < all.state.gen) {
      book.setOwn(all, all.state);
      outcome.repairs.push(all.state);
    }
  }

  const isOver = (register: Register): boolean => neededUntil(register, belief.tombs()) <= clock.now();

  return {
    hear,
    settle: (outcome) => settle(outcome, book, clipped, clock.now()),
    current: (heard) => current(heard, book, clipped, clock.now()),
    isClosed: (door, grantee, knows) => isClosed({ door, grantee }, knows, book),
    standing: (ban) => standingOf({ ...ban, until: clock.toBus(ban.until) }, book, clock.now()),
    left: (target) => left(target, { book, clipped, now: clock.now() }),
    ...{ know: kept.know, isGuessed: kept.isGuessed, correctKept: kept.correct },
    say(register) {
      clock.resume(register.gen);
      const entry = book.put(register, null);
      book.set(entry, merge(entry.state, register));
      book.setOwn(entry, entry.state);
      return entry.state;
    },
    replace: book.replace,
    retract: book.retract,
    genOf(key) {
      const own = book.stateOf(key)?.gen ?? 0;
      return key.startsWith('grant ') ? own : Math.max(own, amnesty());
    },
    own: book.own,
    ownCounts: book.ownCounts,
    ownOf: book.ownOf,
    states: book.states,
    stateOf: book.stateOf,
    size: book.size,
    isOver,
    sweep: (most) => book.sweep(most, (entry) => isOver(entry.state) || isLent(entry, budget, clock.now())),
  };
}

/** The latest of its moments, but its end, on the bus's clock. */
function momentOf(register: Register): number {
  const lifted = register.gen / TICKS;
  if (register.kind === 'ban') return Math.max(lifted, register.since);
  return register.kind === 'grant' ? Math.max(lifted, register.opened) : lifted;
}

/** The end of a ban of one cause, while one of the other goes on from before a restart. */
function goesOnOtherwise(register: Register, book: Book, holds: (state: Register) => boolean): boolean {
  if (register.kind !== 'ban') return false;
  const entry = book.get(banKey(register.target, register.cause === 'order' ? 'strikes' : 'order'));
  return entry?.kept !== undefined && holds(entry.state);
}

/** Until when somebody may need to know of it; `tombs`: how long a lift is remembered. */
function neededUntil(register: Register, tombs: number): number {
  const lift = register.gen > 0 ? register.gen / TICKS + tombs : 0;
  if (register.kind === 'amnesty') return lift;
  if (register.kind === 'grant') return Math.max(lift, register.until);
  return Math.max(lift, register.until === 0 ? 0 : rememberedUntil(register.since, register.until));
}

/** Of what is over and knows of no lift: how long the next ban is to be, where there is room for that. */
function isNothing(register: Register, isTight: boolean): boolean {
  return register.gen === 0 && (register.kind === 'grant' || isTight);
}

/** Room for what another bans now is worth more than how often it had banned whom. */
function isLent({ state, charged, own }: Entry, budget: Budget, now: number): boolean {
  if (charged === null || own !== undefined || state.kind !== 'ban') return false;
  return state.gen === 0 && state.until <= now && budget.isTight(charged);
}
