import { type Bits, bitsOfCidr, networkOf, networkText } from './address.ts';
import { holdsNear } from './grant.ts';
import {
  age,
  type Ban,
  type EventLike,
  type Fields,
  having,
  lacking,
  type Result,
  type State,
} from './state.ts';

/** The state after a strike, the strikes that count, and what was said of a ban. */
export interface Struck extends Result {
  readonly strikes: number;
  /** What is said of it: how many, and why nobody is banned for so many. */
  readonly said: Fields;
}

/** Hosts of one IPv6 network that answer for themselves: of more the oldest is forgotten. */
const HOSTS_MOST = 64;
const DAY_MS = 86_400_000;

/** Whom the offences of `source` are counted against: `light` ones are touches of decoys, scans, too many packets. */
export function offenderOf(state: State, source: Bits, what: 'knock' | 'light'): Bits {
  const network = networkOf(source);
  if (isDivided(state, network)) return source;
  return what === 'light' && holdsNear(state, network) ? source : network;
}

/** Whether an address that must never be banned is in this network, and not the whole of it. */
export function isDivided(state: State, network: Bits): boolean {
  return exemptions(state).some((one) => one.length > network.length && one.startsWith(network));
}

function exemptions(state: State): readonly Bits[] {
  return [...state.settings.bans.never.map(bitsOfCidr), ...state.exempt, ...state.everybody];
}

/** The offender is one that something is known of from now on. */
export function known(state: State, offender: Bits): State {
  const network = networkOf(offender);
  if (network === offender || state.hosts.get(network)?.includes(offender) === true) return state;
  const all = [...(state.hosts.get(network) ?? []), offender];
  const kept = all.slice(-HOSTS_MOST);
  const gone = (key: Bits): boolean => all.includes(key) && !kept.includes(key);
  return {
    ...state,
    hosts: having(state.hosts, network, kept),
    windows: lacking(state.windows, gone),
    strikes: lacking(state.strikes, gone),
    histories: lacking(state.histories, gone),
  };
}

/**
 * Adds one strike to the offender that `source` belongs to, and bans it when that was one too many. More than
 * the last few are never needed: an exempt offender stays at the threshold until they age.
 */
export function strike(before: State, source: Bits, what: 'knock' | 'light', now: number): Struck {
  const { bans } = before.settings;
  const offender = offenderOf(before, source, what);
  const state = known(before, offender);
  const made = [...(state.strikes.get(offender) ?? []), now].slice(-bans.strikes);
  const counting = made.filter((then) => age(now, then) <= bans.within);
  if (counting.length < bans.strikes || isExempt(state, source)) {
    return {
      state: { ...state, strikes: having(state.strikes, offender, made) },
      strikes: counting.length,
      said: { strikes: counting.length, ...(counting.length < bans.strikes ? {} : whyExempt(state, source)) },
      events: [],
    };
  }
  const banned = ban(state, offender, now, banLength(state, offender, now), source);
  const said = { ...banned.added, strikes: counting.length, reason: 'strikes' };
  return {
    state: banned.state,
    strikes: counting.length,
    said: { strikes: counting.length },
    events: [...banned.events, said],
  };
}

export function whyExempt({ everybody, exempt }: State, source: Bits): Fields {
  const isIn = (networks: readonly Bits[]): boolean => networks.some((network) => source.startsWith(network));
  if (isIn(everybody)) return { exempt: 'gateway or name server' };
  return { exempt: isIn(exempt) ? 'own address' : 'bans.never' };
}

/** One who opens a door has nothing against him. Answers who had been banned before, and is as if he had not been. */
export function forgive(
  state: State,
  source: Bits,
): { readonly state: State; readonly pardoned: readonly Bits[] } {
  const both = new Set([source, networkOf(source)]);
  return {
    state: {
      ...state,
      strikes: lacking(state.strikes, (key) => both.has(key)),
      histories: lacking(state.histories, (key) => both.has(key)),
    },
    pardoned: [...both].filter((key) => state.histories.has(key)),
  };
}

/** Whether this address, or this whole network, must never be banned. */
export function isExempt(state: State, offender: Bits): boolean {
  return exemptions(state).some((network) => offender.startsWith(network));
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
export function ban(
  before: State,
  offender: Bits,
  now: number,
  length: number,
  source: Bits | undefined,
  {
    count = bansBefore(before, offender, now) + 1,
    origin = 'strikes',
    from,
  }: { readonly count?: number; readonly origin?: Ban['origin']; readonly from?: string } = {},
): Banned {
  const state = known(before, offender);
  const { bans } = state.settings;
  const until = now + length;
  const forgotten: State = {
    ...forget(state, offender),
    histories: having(state.histories, offender, { count, until: rememberedUntil(now, until) }),
  };
  const added = { event: 'ban.added', at: now, target: networkText(offender), until, count };
  if (!bans.enforce) return { state: forgotten, events: [], added: { ...added, shadow: true } };
  const room = makeRoom(forgotten, offender, now);
  const held = having(room.state.bans, offender, { since: now, until, count, source, origin, from });
  return { state: { ...room.state, bans: held }, events: room.events, added };
}

/** The count of bans is kept for ten times the last one, and at least a day. */
export function rememberedUntil(since: number, until: number): number {
  return until + Math.max(10 * (until - since), DAY_MS);
}

export function bansBefore(state: State, offender: Bits, now: number): number {
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
    tails: lacking(state.tails, theirs),
    lastKnocks: lacking(state.lastKnocks, theirs),
    openings: lacking(state.openings, theirs),
  };
}

/** Room among the hosts of one network is made by the oldest of them, elsewhere by the ban nearest to its end. */
function makeRoom(state: State, offender: Bits, now: number): Result {
  const network = networkOf(offender);
  const hosts = [...state.bans.keys()].filter((key) => key !== network && networkOf(key) === network);
  const byEnd = [...state.bans].sort(([, x], [, y]) => x.until - y.until).map(([key]) => key);
  const full = state.bans.size >= state.settings.bans.limit;
  const crowded = offender !== network && hosts.length >= HOSTS_MOST;
  const target = crowded ? hosts[0] : full ? byEnd[0] : undefined;
  if (target === undefined) return { state, events: [] };
  return {
    state: { ...state, bans: lacking(state.bans, (key) => key === target) },
    events: [{ event: 'ban.lifted', at: now, target: networkText(target), reason: 'limit' }],
  };
}
