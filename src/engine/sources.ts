import type { Address } from '../packet/address.ts';
import { areAllStale, membersAt } from './alike.ts';
import { isAttempt } from './describe.ts';
import { staleness } from './in-time.ts';
import { moveSome } from './move-attempts.ts';
import type { Sequence } from './ports.ts';
import { collectAttempts, type State } from './state.ts';
import { countByHost, countByNetwork, type Subject } from './subject.ts';
import { NONE, type Table } from './table.ts';

/** How one source stands, for people. Moments are on the engine's clock. */
export interface SourceState {
  readonly source: Address;
  readonly strikes: number;
  readonly attempts: readonly { readonly door: string; readonly step: number; readonly of: number }[];
  readonly bannedUntil: number | null;
  readonly grants: readonly string[];
}

export function describe(state: State, address: Address, now: number): SourceState {
  state.subjects.ofAddress(address);
  const { subject } = state.subjects;
  const ban = state.bans.covering(subject);
  return {
    source: address,
    strikes: Math.max(
      strikesOf(state, subject, countByHost, now),
      strikesOf(state, subject, countByNetwork, now),
    ),
    attempts: attemptsOf(state, subject, now),
    bannedUntil: ban === NONE ? null : state.bans.at(ban).until,
    grants: state.grants.heldBy(subject).map((grant) => state.settings.doors[grant.door]?.name ?? ''),
  };
}

/** The attempts that can still go on; of those at one sequence the most advanced stands for the others. */
function attemptsOf(state: State, subject: Subject, now: number): SourceState['attempts'] {
  const found: SourceState['attempts'][number][] = [];
  collectAttempts(state, subject);
  const told = new Set<Sequence>();
  for (const slot of state.slots.subarray(0, state.held)) {
    const sequence = state.ports.sequences[state.attempts.sequence(slot)];
    if (sequence === undefined || !isAttempt(state, subject, sequence, slot)) continue;
    const step = state.attempts.step(slot);
    for (const member of membersAt(state, sequence, slot)) {
      if (told.has(member) || staleness(state, slot, member, now) !== undefined) continue;
      told.add(member);
      found.push({ door: member.settings.name, step, of: member.steps.length });
    }
  }
  return found;
}

/** The strikes that count against the host alone, or against its network. */
function strikesOf(state: State, subject: Subject, count: typeof countByHost, now: number): number {
  count(subject);
  const offender = state.offenders.find(subject);
  return offender === NONE ? 0 : state.offenders.strikes(offender, now);
}

/** Slots looked at in one piece of a search: some 0.3 ms where they are in no cache. */
const PIECE_SLOTS = 4096;
/** Sources described in one piece. */
const PIECE_SOURCES = 64;
/** What a strike or a step outweighs: any moment of the engine's clock, in milliseconds. */
const WEIGHT = 1e12;

/** A search that stops between pieces, and goes on where it was. */
export type Search = Generator<undefined, readonly SourceState[]>;

/**
 * Of each table those that weigh most are kept while it is walked, and only they are described: the work after the
 * walk, and the memory, are bounded by `limit`.
 */
export function* searchSources(state: State, now: number, limit: number): Search {
  while (!moveSome(state, PIECE_SOURCES)) yield undefined;
  const { attempts, offenders, ports } = state;
  // As they are now: a reload may replace them between pieces.
  const there = { attempts };
  const strikers = yield* heaviest(offenders.table, limit, (slot) => {
    const strikes = offenders.strikes(slot, now);
    return strikes === 0 ? 0 : strikes * WEIGHT + offenders.lastStrike(slot);
  });
  const knockers = yield* heaviest(attempts.table, limit, (slot) => {
    const step = attempts.step(slot);
    const sequence = ports.sequences[attempts.sequence(slot)];
    // What has run out of time is kept until a packet or the table's bound ends it, and is nothing to show.
    if (step === 0 || sequence === undefined) return 0;
    if (staleness(there, slot, sequence, now) !== undefined && areAllStale(there, slot, sequence, now))
      return 0;
    return step * WEIGHT + attempts.advanced(slot);
  });
  const found = new Map<string, SourceState>();
  let described = 0;
  for (const address of [...strikers, ...knockers]) {
    const { family, a, b, c, d } = address;
    const key = `${family} ${a} ${b} ${c} ${d}`;
    if (found.has(key)) continue;
    const each = describe(state, address, now);
    if (each.strikes > 0 || each.attempts.length > 0) found.set(key, each);
    described += 1;
    if (described % PIECE_SOURCES === 0) yield;
  }
  const furthest = ({ attempts: mine }: SourceState): number =>
    mine.reduce((most, { step }) => Math.max(most, step), 0);
  return [...found.values()]
    .sort((x, y) => y.strikes - x.strikes || furthest(y) - furthest(x))
    .slice(0, limit);
}

interface Weighed {
  readonly weight: number;
  readonly address: Address;
}

/** The heaviest entries of a table, at most `limit`, the heaviest first; those of weight 0 are left out. */
function* heaviest(
  table: Table,
  limit: number,
  weigh: (slot: number) => number,
): Generator<undefined, readonly Address[]> {
  // A heap whose first is the lightest that is kept.
  const heap: Weighed[] = [];
  for (let slot = 0; slot < table.slots(); slot += 1) {
    if (slot % PIECE_SLOTS === PIECE_SLOTS - 1) yield;
    const weight = table.isUsed(slot) ? weigh(slot) : 0;
    if (weight === 0 || (heap.length === limit && weight <= (heap[0]?.weight ?? 0))) continue;
    const [a, b, c, d] = [table.word(slot, 0), table.word(slot, 1), table.word(slot, 2), table.word(slot, 3)];
    keep(heap, { weight, address: { family: table.family(slot), a, b, c, d } }, limit);
  }
  return heap.sort((x, y) => y.weight - x.weight).map(({ address }) => address);
}

/** Adds to the heap; one that is full loses its lightest. */
function keep(heap: Weighed[], added: Weighed, limit: number): void {
  if (heap.length < limit) {
    let at = heap.push(added) - 1;
    for (let above = (at - 1) >> 1; at > 0 && lighter(heap, at, above); above = (at - 1) >> 1) {
      swap(heap, at, above);
      at = above;
    }
    return;
  }
  heap[0] = added;
  for (let at = 0; ; ) {
    const left = 2 * at + 1;
    const least = left + 1 < heap.length && lighter(heap, left + 1, left) ? left + 1 : left;
    if (left >= heap.length || !lighter(heap, least, at)) return;
    swap(heap, at, least);
    at = least;
  }
}

function lighter(heap: readonly Weighed[], one: number, other: number): boolean {
  return (heap[one]?.weight ?? 0) < (heap[other]?.weight ?? 0);
}

function swap(heap: Weighed[], one: number, other: number): void {
  const [x, y] = [heap[one], heap[other]];
  if (x === undefined || y === undefined) return;
  heap[one] = y;
  heap[other] = x;
}
