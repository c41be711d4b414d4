import { hostCidr } from '../packet/cidr.ts';
import { milliseconds } from '../packet/time.ts';
import type { Command, CommandAnswer } from './command.ts';
import { heldBy, openOrRenew, personOf } from './door.ts';
import type { Emit, Grantee } from './event.ts';
import { ban, banIfDue, bansSoFar, counted, lift, pardon, strike } from './offence.ts';
import { countKnocks, countTouches } from './offender-scope.ts';
import type { State } from './state.ts';
import { countByHost, countByNetwork, type Subject } from './subject.ts';
import { NONE } from './table.ts';

type Authorize = Command & { command: 'authorize' };
type Reject = Command & { command: 'reject' };
type RefuseCode = Command & { command: 'refuse_code' };

/**
 * What a key opens. As a complete knock does: who is let in is what the door says, strikes are forgiven. All of it is of
 * the address that the packet opens for: who sent it on is nobody here, since that address can be forged. A forger can
 * have that address banned, so a ban of strikes is lifted; what somebody wants is left.
 */
export function authorize(state: State, command: Authorize, now: number, emit: Emit): CommandAnswer {
  const { bans, settings, subjects } = state;
  const door = settings.doors.findIndex((each) => each.name === command.door);
  const own = settings.doors[door];
  if (own === undefined) return { ok: false, reason: 'unknown door' };
  const { address, holder } = command;
  if (own.grant === 'source' && state.exempt.isEverybody(address)) {
    const refusal = { at: milliseconds(now), source: address, door: own.name };
    emit({ event: 'door.refused', ...refusal, reason: 'gateway or name server', ...heldBy(holder) });
    return { ok: false, reason: 'everybody' };
  }
  subjects.ofAddress(address);
  const { subject } = subjects;
  const covering = bansOver(state, subject);
  if (covering.some((slot) => bans.at(slot).origin === 'order')) return { ok: false, reason: 'banned' };
  for (const slot of covering) lift(state, slot, now, 'key', emit);
  const forgiven = pardon(state, subject);
  const grantee: Grantee = own.grant === 'source' ? hostCidr(address) : own.grant;
  const request = {
    door,
    grantee,
    source: address,
    now,
    until: now + command.for,
    reason: null,
    holder,
    forgiven,
  };
  return openOrRenew(state, request, emit) ? { ok: true, changed: 1 } : { ok: false, reason: 'full' };
}

/** The bans that the subject's host is under: its own, and its network's. */
function bansOver({ bans }: State, subject: Subject): readonly number[] {
  countByHost(subject);
  const own = bans.find(subject);
  countByNetwork(subject);
  return [...new Set([own, bans.find(subject)])].filter((slot) => slot !== NONE);
}

/**
 * An authenticated packet that opens nothing is no offence: a clock that is off, a limit that is reached. Only who sends
 * a used packet that another had sent commits one. Such a packet can be forged in a holder's name, as a decoy's can.
 */
export function reject(state: State, command: Reject, now: number, emit: Emit): CommandAnswer {
  const { source, port, holder, reason, detail, offence } = command;
  const about = { at: milliseconds(now), source, port, key: holder.key, ...personOf(holder), reason };
  const said = detail === undefined ? {} : { detail };
  state.subjects.ofAddress(source);
  const { subject } = state.subjects;
  const banned = state.bans.size() > 0 && state.bans.covering(subject) !== NONE;
  if (!offence || banned || state.grants.heldBy(subject).length > 0) {
    emit({ event: 'spa.rejected', ...about, ...said });
    return { ok: true, changed: 0 };
  }
  countTouches(state, subject);
  const strikes = strike(state, subject, now);
  emit({ event: 'spa.rejected', ...about, ...said, ...counted(state, subject, strikes) });
  banIfDue(state, subject, strikes, now, emit);
  return { ok: true, changed: 1 };
}

/**
 * A wrong code is no strike: strikes within a minute would leave a guesser thousands of tries a day. Of wrong codes in a
 * day the last that is too many bans at once, for the longest time that there is.
 */
export function refuseCode(state: State, command: RefuseCode, now: number, emit: Emit): CommandAnswer {
  const { source, door, port, of, reason, holder, detail, tooMany } = command;
  state.subjects.ofAddress(source);
  const { subject } = state.subjects;
  const isBanned = state.bans.size() > 0 && state.bans.covering(subject) !== NONE;
  const due = tooMany && !isBanned;
  const exempt = due ? state.exempt.reason(source) : undefined;
  emit({
    ...{ event: 'knock.wrong', at: milliseconds(now), source, port, door, step: of, of, reason },
    ...heldBy(holder),
    ...(detail === undefined ? {} : { detail }),
    ...(exempt === undefined ? {} : { exempt }),
  });
  if (!due || exempt !== undefined) return { ok: true, changed: 0 };
  countKnocks(state, subject);
  const count = bansSoFar(state, subject, now) + 1;
  const until = now + state.settings.bans.max;
  ban(state, subject, now, until, { count, strikes: 0, reason: 'code' }, emit);
  return { ok: true, changed: 1 };
}
