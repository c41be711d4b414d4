import type { Cidr } from '../packet/cidr.ts';
import { milliseconds } from '../packet/time.ts';
import { rememberedUntil } from '../policy/limits.ts';
import { banDuration } from './ban.ts';
import type { Emit, LiftReason } from './event.ts';
import type { ExemptReason } from './exempt.ts';
import { forgetAttempts, type State } from './state.ts';
import { countByHost, countByNetwork, hostOf, type Subject, targetOf } from './subject.ts';
import { NONE } from './table.ts';

/** One strike for the subject's offender; answers how many count now. */
export function strike(state: State, subject: Subject, now: number): number {
  return state.offenders.strike(state.offenders.put(subject), now);
}

/** What an event says of strikes: how many, and why nobody is banned where nobody may be. */
export function counted(
  state: State,
  subject: Subject,
  strikes: number | undefined,
): { strikes?: number; exempt?: ExemptReason } {
  if (strikes === undefined) return {};
  if (strikes < state.settings.bans.strikes) return { strikes };
  const exempt = state.exempt.reason(hostOf(subject));
  return exempt === undefined ? { strikes } : { strikes, exempt };
}

/** Bans the offender if its strikes are enough, which the event before this has said. */
export function banIfDue(state: State, subject: Subject, strikes: number, now: number, emit: Emit): void {
  const { bans } = state.settings;
  if (strikes < bans.strikes || state.exempt.reason(hostOf(subject)) !== undefined) return;
  const count = bansSoFar(state, subject, now) + 1;
  ban(state, subject, now, now + banDuration(bans, count), { count, strikes, reason: 'strikes' }, emit);
}

interface Sentence {
  readonly count: number;
  readonly strikes: number;
  readonly reason: 'strikes' | 'order' | 'code' | 'fleet';
  /** Of a ban that another member of the fleet has said: by whom, and whether somebody wants it there. */
  readonly origin?: string;
  readonly wanted?: true;
}

/** Puts a ban in force, or in the shadow, and forgets what the offender was about. */
export function ban(
  state: State,
  subject: Subject,
  now: number,
  until: number,
  sentence: Sentence,
  emit: Emit,
): void {
  const { settings, bans, offenders } = state;
  const offender = offenders.put(subject);
  offenders.forgive(offender);
  offenders.remember(offender, sentence.count, rememberedUntil(now, until));
  forgetAttempts(state, subject);
  // The rest of an IPv6 /64 is not at hand: its attempts are known by being older than this.
  offenders.forget(offender, state.turn);
  state.held = 0;
  const moment = { at: milliseconds(now), target: targetOf(subject), until: milliseconds(until) };
  if (!settings.bans.enforce) {
    emit({ event: 'ban.added', ...moment, ...sentence, shadow: true });
    return;
  }
  if (bans.find(subject) === NONE) makeRoom(state, subject, now, emit);
  bans.put(subject, now, until, sentence.count);
  if (sentence.reason === 'order' || sentence.wanted === true) bans.order(subject);
  if (sentence.origin !== undefined) bans.credit(subject, sentence.origin);
  emit({ event: 'ban.added', ...moment, ...sentence });
}

/** At `limit` bans the one nearest to its end goes; of the hosts of one /64, where they are many, their oldest. */
function makeRoom(state: State, subject: Subject, now: number, emit: Emit): void {
  const { bans, settings } = state;
  const eldest = bans.crowdedOut(subject);
  if (eldest !== NONE) lift(state, eldest, now, 'limit', emit);
  else if (bans.full(settings.bans.limit)) lift(state, bans.first(), now, 'limit', emit);
}

/**
 * Forgives strikes and the count of bans, of the host and of its network; answers the targets that had been banned
 * before.
 */
export function pardon(state: State, subject: Subject): readonly Cidr[] {
  const { offenders } = state;
  const pardoned: Cidr[] = [];
  for (const count of [countByHost, countByNetwork]) {
    count(subject);
    const offender = offenders.find(subject);
    if (offender !== NONE && offenders.pardon(offender)) pardoned.push(targetOf(subject));
    if (subject.family === 4) break;
  }
  return pardoned;
}

/** Ends a ban before its time. */
export function lift(
  state: State,
  slot: number,
  now: number,
  reason: Exclude<LiftReason, 'fleet'>,
  emit: Emit,
): void {
  const { target } = state.bans.at(slot);
  state.bans.remove(slot);
  emit({ event: 'ban.lifted', at: milliseconds(now), target, reason });
}

/** As another member of the fleet has said. */
export function liftFor(state: State, slot: number, now: number, origin: string, emit: Emit): void {
  const { target } = state.bans.at(slot);
  state.bans.remove(slot);
  emit({ event: 'ban.lifted', at: milliseconds(now), target, reason: 'fleet', origin });
}

export function bansSoFar(state: State, subject: Subject, now: number): number {
  const offender = state.offenders.find(subject);
  return offender === NONE ? 0 : state.offenders.bans(offender, now);
}
