import { type Bits, bitsOfCidr, networkText, offenderOf, overlap } from './address.ts';
import { age, type EventLike, having, lacking, type Result, type State } from './state.ts';

/** The state after a strike, the strikes that count, and what was said of a ban. */
export interface Struck extends Result {
  readonly strikes: number;
}

/**
 * Adds one strike to the offender that `source` belongs to, and bans it when that was one too many. More than
 * the last few are never needed: an exempt offender stays at the threshold until they age.
 */
export function strike(state: State, source: Bits, now: number): Struck {
  const { bans } = state.settings;
  const offender = offenderOf(source);
  const made = [...(state.strikes.get(offender) ?? []), now].slice(-bans.strikes);
  const counting = made.filter((then) => age(now, then) <= bans.within);
  if (counting.length < bans.strikes || isExempt(state, offender)) {
    return {
      state: { ...state, strikes: having(state.strikes, offender, made) },
      strikes: counting.length,
      events: [],
    };
  }
  const banned = ban(state, offender, now, banLength(state, offender, now));
  const said = { ...banned.added, strikes: counting.length, reason: 'strikes' };
  return { state: banned.state, strikes: counting.length, events: [...banned.events, said] };
}

/** One who opens a door has nothing against him. */
export function forgive(state: State, source: Bits): State {
  return { ...state, strikes: lacking(state.strikes, (key) => key === offenderOf(source)) };
}

/** Whether the offender's network has an address that must never be banned. */
export function isExempt(state: State, offender: Bits): boolean {
  return [...state.settings.bans.never.map(bitsOfCidr), ...state.exempt].some((network) =>
    overlap(network, offender),
  );
}

/** How long the offender's next ban lasts: each one longer than the one before, up to the most. */
export function banLength(state: State, offender: Bits, now: number): number {
  const { bans } = state.settings;
  return Math.min(bans.for * bans.escalate ** bansBefore(state, offender, now), bans.max);
}

/** `added` is the event that says the ban, to which the caller adds why. */
interface Banned extends Result {
  readonly added: EventLike;
}

/** Carries a ban out, making room for it where the limit asks for that. In shadow nothing is held. */
export function ban(state: State, offender: Bits, now: number, length: number): Banned {
  const { bans } = state.settings;
  const count = bansBefore(state, offender, now) + 1;
  const until = now + length;
  const forgotten: State = {
    ...forget(state, offender),
    histories: having(state.histories, offender, { count, until: until + bans.max }),
  };
  const added = { event: 'ban.added', at: now, target: networkText(offender), until, count };
  if (!bans.enforce) return { state: forgotten, events: [], added: { ...added, shadow: true } };
  const room = makeRoom(forgotten, now);
  const held = having(room.state.bans, offender, { since: now, until, count });
  return { state: { ...room.state, bans: held }, events: room.events, added };
}

function bansBefore(state: State, offender: Bits, now: number): number {
  const history = state.histories.get(offender);
  return history === undefined || history.until < now ? 0 : history.count;
}

/** Strikes, progress and the memory of openings of everyone in the offender's network. */
function forget(state: State, offender: Bits): State {
  const theirs = (key: string): boolean => key.startsWith(offender);
  return {
    ...state,
    strikes: lacking(state.strikes, theirs),
    attempts: lacking(state.attempts, theirs),
    openings: lacking(state.openings, theirs),
  };
}

function makeRoom(state: State, now: number): Result {
  if (state.bans.size < state.settings.bans.limit) return { state, events: [] };
  const byEnd = [...state.bans].sort(([, x], [, y]) => x.until - y.until);
  const [nearest] = byEnd;
  if (nearest === undefined) return { state, events: [] };
  const [target] = nearest;
  return {
    state: { ...state, bans: lacking(state.bans, (key) => key === target) },
    events: [{ event: 'ban.lifted', at: now, target: networkText(target), reason: 'limit' }],
  };
}
