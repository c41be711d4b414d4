import type { Address } from '../packet/address.ts';
import { type Cidr, contains, HOST_BITS, hostCidr, OFFENDER_BITS } from '../packet/cidr.ts';
import type { PortSpec } from '../packet/port.ts';
import { milliseconds } from '../packet/time.ts';
import { rememberedUntil } from '../policy/limits.ts';
import { authorize, refuseCode, reject } from './authorize.ts';
import { type Ban, banDuration } from './ban.ts';
import type { Command, CommandAnswer } from './command.ts';
import { end, openOrRenew, sameKnocks } from './door.ts';
import type { Emit, Grantee } from './event.ts';
import { createExemptions } from './exempt.ts';
import { hearFleet } from './fleet.ts';
import { moveBans, placeIn } from './move-bans.ts';
import { ban, bansSoFar, lift } from './offence.ts';
import { countKnocks } from './offender-scope.ts';
import { moveOn, reload } from './reload.ts';
import type { State } from './state.ts';
import { countByHost, type Subject } from './subject.ts';
import { NONE } from './table.ts';
import { noteUsed } from './used.ts';

const UNKNOWN_DOOR: CommandAnswer = { ok: false, reason: 'unknown door' };
const NOT_FOUND: CommandAnswer = { ok: false, reason: 'not found' };

/** Carries out what people, the kernel or the state file say. Ends that are due have been said before. */
export function execute(state: State, command: Command, now: number, emit: Emit): CommandAnswer {
  switch (command.command) {
    case 'grant':
      return grantByHand(state, command, now, emit);
    case 'revoke':
      return revoke(state, command, now, emit);
    case 'ban':
      return banByHand(state, command, now, emit);
    case 'unban':
      return unban(state, command.address, now, emit);
    case 'unban_all':
      return liftAll(state, command.most ?? Number.POSITIVE_INFINITY, now, emit);
    case 'exempt':
      state.found = { found: command.networks, everybody: command.everybody ?? [] };
      return exemptAnew(state, command.most, now, emit);
    case 'reload':
      reload(state, command.settings, now, emit);
      if (command.most === undefined) moveOn(state, Number.POSITIVE_INFINITY, now, emit);
      else moveBans(state, command.most, now, emit);
      return exemptAnew(state, command.most, now, emit);
    case 'move_attempts':
      return moveOn(state, command.most, now, emit);
    case 'lift_exempt':
      return liftExempt(state, { from: placeIn(state, command.from), most: command.most }, now, emit);
    case 'sequence':
      return nextSequence(state, command.door, command.knock);
    case 'connected':
      return connected(state, command, now, emit);
    case 'refuse': {
      const grant = state.grants.find(doorIndex(state, command.door), command.grantee);
      if (grant === undefined) return NOT_FOUND;
      end(state, grant, now, command.reason, emit);
      return { ok: true, changed: 1 };
    }
    case 'authorize':
      return authorize(state, command, now, emit);
    case 'reject':
      return reject(state, command, now, emit);
    case 'refuse_code':
      return refuseCode(state, command, now, emit);
    case 'fleet':
      return hearFleet(state, command, now, emit);
    case 'restore':
      return restore(state, command);
    default:
      return command satisfies never;
  }
}

function grantByHand(
  state: State,
  command: Command & { command: 'grant' },
  now: number,
  emit: Emit,
): CommandAnswer {
  const door = doorIndex(state, command.door);
  const settings = state.settings.doors[door];
  if (settings === undefined) return UNKNOWN_DOOR;
  const request = {
    door,
    grantee: hostCidr(command.address),
    source: command.address,
    now,
    until: now + (command.for ?? settings.for),
    reason: command.reason ?? null,
    holder: null,
  };
  return openOrRenew(state, request, emit) ? { ok: true, changed: 1 } : { ok: false, reason: 'full' };
}

function revoke(
  state: State,
  command: Command & { command: 'revoke' },
  now: number,
  emit: Emit,
): CommandAnswer {
  const only = command.door === undefined ? undefined : doorIndex(state, command.door);
  if (only === NONE) return UNKNOWN_DOOR;
  const held = state.grants.heldBy(subjectOf(state, command.address));
  const ended = held.filter((grant) => only === undefined || grant.door === only);
  for (const grant of ended) end(state, grant, now, 'revoked', emit);
  return ended.length === 0 ? NOT_FOUND : { ok: true, changed: ended.length };
}

function banByHand(
  state: State,
  command: Command & { command: 'ban' },
  now: number,
  emit: Emit,
): CommandAnswer {
  const { settings, bans } = state;
  const subject = subjectOf(state, command.address);
  if (state.exempt.reason(command.address) !== undefined) return { ok: false, reason: 'never banned' };
  countKnocks(state, subject);
  const slot = bans.find(subject);
  const count = slot === NONE ? bansSoFar(state, subject, now) + 1 : bans.at(slot).count;
  const until = now + (command.for ?? banDuration(settings.bans, count));
  if (slot === NONE) {
    ban(state, subject, now, until, { count, strikes: 0, reason: 'order' }, emit);
  } else {
    const there = bans.at(slot);
    bans.put(subject, there.since, until, there.count);
    bans.order(subject);
    const offender = state.offenders.put(subject);
    state.offenders.remember(offender, there.count, rememberedUntil(there.since, until));
    emit({
      event: 'ban.extended',
      at: milliseconds(now),
      target: there.target,
      until: milliseconds(until),
      reason: 'order',
      count: there.count,
    });
  }
  return { ok: true, changed: 1 };
}

/** The host's own ban and its network's. */
function unban(state: State, address: Address, now: number, emit: Emit): CommandAnswer {
  let changed = 0;
  const subject = subjectOf(state, address);
  for (let slot = state.bans.covering(subject); slot !== NONE; slot = state.bans.covering(subject)) {
    lift(state, slot, now, 'unban', emit);
    changed += 1;
  }
  return changed === 0 ? NOT_FOUND : { ok: true, changed };
}

/**
 * Who is never banned is read anew, from the configuration and from what was found on this machine. Where that is who
 * it was, no ban has to be looked at: none is made of someone exempt.
 */
function exemptAnew(state: State, most: number | undefined, now: number, emit: Emit): CommandAnswer {
  const exempt = createExemptions({ never: state.settings.bans.never, ...state.found });
  const same = exempt.text === state.exempt.text;
  state.exempt = exempt;
  state.lookedThrough = state.bans;
  return same ? { ok: true, changed: 0 } : liftExempt(state, { from: 0, most }, now, emit);
}

interface Stretch {
  readonly from: number;
  readonly most: number | undefined;
}

/**
 * Bans that must not be any more. Where an exempt address has come to lie in a banned IPv6 /64, the ban is turned into
 * one of the host whose offence it was.
 */
function liftExempt(state: State, { from, most }: Stretch, now: number, emit: Emit): CommandAnswer {
  const { bans, exempt } = state;
  const narrowed: { readonly host: Address; readonly ban: Ban }[] = [];
  let changed = 0;
  const rest = bans.eachOf(from, most ?? Number.POSITIVE_INFINITY, (slot) => {
    const there = bans.at(slot);
    const { address, bits } = there.target;
    const splits = bits === OFFENDER_BITS[6] && exempt.splits(address.a, address.b);
    if (!splits && exempt.reason(address) === undefined) return;
    const host = splits ? bans.host(slot) : undefined;
    if (host !== undefined && exempt.reason(host) === undefined) narrowed.push({ host, ban: there });
    lift(state, slot, now, 'exempt', emit);
    changed += 1;
  });
  for (const { host, ban: before } of narrowed) {
    const subject = subjectOf(state, host);
    countKnocks(state, subject);
    const { count, until, origin } = before;
    if (bans.find(subject) === NONE)
      ban(state, subject, now, until, { count, strikes: 0, reason: origin }, emit);
  }
  return rest === NONE ? { ok: true, changed } : { ok: true, changed, rest };
}

function liftAll(state: State, most: number, now: number, emit: Emit): CommandAnswer {
  let changed = 0;
  for (let slot = state.bans.oldest(); slot !== NONE && changed < most; slot = state.bans.oldest()) {
    lift(state, slot, now, 'unban', emit);
    changed += 1;
  }
  return { ok: true, changed };
}

function nextSequence(state: State, name: string, knock: readonly PortSpec[]): CommandAnswer {
  const door = doorIndex(state, name);
  if (state.settings.doors[door] === undefined) return UNKNOWN_DOOR;
  const before = state.knocks.now[door] ?? [];
  if (sameKnocks(before, knock)) return { ok: true, changed: 0 };
  state.knocks.now[door] = knock;
  // Progress in the sequence that was must not count in the one that is.
  noteUsed(state, door);
  return { ok: true, changed: 1 };
}

function connected(
  state: State,
  command: Command & { command: 'connected' },
  now: number,
  emit: Emit,
): CommandAnswer {
  const door = doorIndex(state, command.door);
  // Who knocked for a grant to someone else has come in by another way.
  const counted = state.grants
    .ofDoor(door)
    .filter(
      ({ grantee, usesLeft }) =>
        usesLeft !== null && (grantee === 'any' || contains(grantee, command.source)),
    );
  const ended: Grantee[] = [];
  for (const grant of counted) {
    grant.usesLeft = (grant.usesLeft ?? 0) - 1;
    if (grant.usesLeft > 0) continue;
    ended.push(grant.grantee);
    end(state, grant, now, 'used', emit);
  }
  return counted.length === 0
    ? NOT_FOUND
    : ended.length === 0
      ? { ok: true, changed: counted.length }
      : { ok: true, changed: counted.length, ended };
}

/** Takes in what was kept. The caller has left out what is over; more than the tables hold is left out too. */
function restore(state: State, command: Command & { command: 'restore' }): CommandAnswer {
  let changed = 0;
  for (const { target, count, since, until } of command.histories) {
    const offender = state.offenders.put(subjectFor(state, target));
    state.offenders.remember(offender, count, rememberedUntil(since, until));
  }
  for (const { target, since, until, count, origin, from } of command.bans) {
    const subject = subjectFor(state, target);
    const splits = target.bits === OFFENDER_BITS[6] && state.exempt.splits(subject.a, subject.b);
    if (splits || state.exempt.reason(target.address) !== undefined) continue;
    const isNew = state.bans.find(subject) === NONE;
    if (isNew && (state.bans.full(state.settings.bans.limit) || state.bans.crowdedOut(subject) !== NONE))
      continue;
    state.bans.put(subject, since, until, count);
    if (origin === 'order') state.bans.order(subject);
    if (from !== undefined) state.bans.credit(subject, from);
    state.offenders.remember(state.offenders.put(subject), count, rememberedUntil(since, until));
    changed += 1;
  }
  for (const record of command.grants) {
    const door = doorIndex(state, record.door);
    if (door === NONE) continue;
    const there = state.grants.find(door, record.grantee);
    if (there !== undefined) {
      // What was restored before turns out to end sooner; nothing ends later for it.
      if (record.until < there.until) state.grants.extend(there, record.until);
      continue;
    }
    const { door: _, ...kept } = record;
    if (state.grants.add({ ...kept, door, opened: record.since })) changed += 1;
  }
  return { ok: true, changed };
}

function doorIndex(state: State, name: string): number {
  return state.settings.doors.findIndex((door) => door.name === name);
}

function subjectOf(state: State, address: Address): Subject {
  state.subjects.ofAddress(address);
  return state.subjects.subject;
}

/** The subject whose offender is this target. */
function subjectFor(state: State, { address, bits }: Cidr): Subject {
  const subject = subjectOf(state, address);
  if (bits === HOST_BITS[address.family]) countByHost(subject);
  return subject;
}
