import { type Cidr, contains, hostCidr } from '../packet/cidr.ts';
import type { PortSpec } from '../packet/port.ts';
import { milliseconds } from '../packet/time.ts';
import { banDuration } from './ban.ts';
import type { Order, OrderAnswer } from './command.ts';
import { end, give, sameKnocks } from './door.ts';
import type { Emit } from './event.ts';
import { ban, bansSoFar, lift } from './offence.ts';
import { createPorts } from './ports.ts';
import { reload } from './reload.ts';
import { asOffenders, isExempt, type State } from './state.ts';
import { hostOf, type Subject } from './subject.ts';
import { NONE } from './table.ts';

const UNKNOWN_DOOR: OrderAnswer = { ok: false, reason: 'unknown door' };
const NOT_FOUND: OrderAnswer = { ok: false, reason: 'not found' };

/** Carries out what people, the kernel or the state file say. Ends that are due have been said before. */
export function obey(state: State, order: Order, now: number, emit: Emit): OrderAnswer {
  switch (order.order) {
    case 'grant':
      return grantByHand(state, order, now, emit);
    case 'revoke':
      return revoke(state, order, now, emit);
    case 'ban':
      return banByHand(state, order, now, emit);
    case 'unban':
      return unban(state, subjectOf(state, order.address), now, emit);
    case 'unban_all':
      return liftWhere(state, () => true, now, 'unban', emit);
    case 'exempt':
      state.found = asOffenders(order.networks);
      return liftExempt(state, now, emit);
    case 'reload':
      reload(state, order.settings, now, emit);
      return liftExempt(state, now, emit);
    case 'sequence':
      return nextSequence(state, order.door, order.knock);
    case 'connected':
      return connected(state, order, now, emit);
    case 'refuse': {
      const grant = state.grants.find(doorIndex(state, order.door), order.grantee);
      if (grant === undefined) return NOT_FOUND;
      end(state, grant, now, order.reason, emit);
      return { ok: true, changed: 1 };
    }
    case 'restore':
      return restore(state, order);
    default:
      return order satisfies never;
  }
}

function grantByHand(state: State, order: Order & { order: 'grant' }, now: number, emit: Emit): OrderAnswer {
  const door = doorIndex(state, order.door);
  const settings = state.settings.doors[door];
  if (settings === undefined) return UNKNOWN_DOOR;
  const gift = {
    door,
    grantee: hostCidr(order.address),
    source: order.address,
    now,
    until: now + (order.for ?? settings.for),
    reason: order.reason ?? null,
  };
  return give(state, gift, emit) ? { ok: true, changed: 1 } : { ok: false, reason: 'full' };
}

function revoke(state: State, order: Order & { order: 'revoke' }, now: number, emit: Emit): OrderAnswer {
  const only = order.door === undefined ? undefined : doorIndex(state, order.door);
  if (only === NONE) return UNKNOWN_DOOR;
  const held = state.grants.heldBy(subjectOf(state, order.address));
  const ended = held.filter((grant) => only === undefined || grant.door === only);
  for (const grant of ended) end(state, grant, now, 'revoked', emit);
  return ended.length === 0 ? NOT_FOUND : { ok: true, changed: ended.length };
}

function banByHand(state: State, order: Order & { order: 'ban' }, now: number, emit: Emit): OrderAnswer {
  const { settings, bans } = state;
  const subject = subjectOf(state, order.address);
  if (isExempt(state, hostOf(subject))) return { ok: false, reason: 'never banned' };
  const slot = bans.find(subject);
  const count = slot === NONE ? bansSoFar(state, subject, now) + 1 : bans.at(slot).count;
  const until = now + (order.for ?? banDuration(settings.bans, count));
  if (slot === NONE) {
    ban(state, subject, now, until, { count, strikes: 0, reason: 'order' }, emit);
  } else {
    const there = bans.at(slot);
    bans.put(subject, there.since, until, there.count);
    state.offenders.remember(state.offenders.put(subject), there.count, until);
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

function unban(state: State, subject: Subject, now: number, emit: Emit): OrderAnswer {
  const slot = state.bans.find(subject);
  if (slot === NONE) return NOT_FOUND;
  lift(state, slot, now, 'unban', emit);
  return { ok: true, changed: 1 };
}

function liftExempt(state: State, now: number, emit: Emit): OrderAnswer {
  return liftWhere(state, (target) => isExempt(state, target.address), now, 'exempt', emit);
}

function liftWhere(
  state: State,
  chosen: (target: Cidr) => boolean,
  now: number,
  reason: 'unban' | 'exempt',
  emit: Emit,
): OrderAnswer {
  let changed = 0;
  state.bans.each((slot) => {
    if (!chosen(state.bans.at(slot).target)) return;
    lift(state, slot, now, reason, emit);
    changed += 1;
  });
  return { ok: true, changed };
}

function nextSequence(state: State, name: string, knock: readonly PortSpec[]): OrderAnswer {
  const door = doorIndex(state, name);
  if (state.settings.doors[door] === undefined) return UNKNOWN_DOOR;
  const before = state.knocks.now[door] ?? [];
  if (sameKnocks(before, knock)) return { ok: true, changed: 0 };
  state.knocks.now[door] = knock;
  // Progress in the sequence that was must not count in the one that is.
  state.used[door] = state.turn;
  state.ports = createPorts(state.settings, state.knocks);
  return { ok: true, changed: 1 };
}

function connected(
  state: State,
  order: Order & { order: 'connected' },
  now: number,
  emit: Emit,
): OrderAnswer {
  const door = doorIndex(state, order.door);
  // Who knocked for a grant to someone else has come in by another way.
  const counted = state.grants
    .ofDoor(door)
    .filter(
      ({ grantee, usesLeft }) => usesLeft !== null && (grantee === 'any' || contains(grantee, order.source)),
    );
  for (const grant of counted) {
    grant.usesLeft = (grant.usesLeft ?? 0) - 1;
    if (grant.usesLeft <= 0) end(state, grant, now, 'used', emit);
  }
  return counted.length === 0 ? NOT_FOUND : { ok: true, changed: counted.length };
}

/** Takes in what was kept. The caller has left out what is over; more than the tables hold is left out too. */
function restore(state: State, order: Order & { order: 'restore' }): OrderAnswer {
  let changed = 0;
  for (const history of order.histories) {
    const offender = state.offenders.put(subjectOf(state, history.target.address));
    state.offenders.remember(offender, history.count, history.until);
  }
  for (const record of order.bans) {
    const subject = subjectOf(state, record.target.address);
    if (isExempt(state, record.target.address) || (state.bans.full() && state.bans.find(subject) === NONE))
      continue;
    state.bans.put(subject, record.since, record.until, record.count);
    state.offenders.remember(state.offenders.put(subject), record.count, record.until);
    changed += 1;
  }
  for (const record of order.grants) {
    const door = doorIndex(state, record.door);
    if (door === NONE || state.grants.find(door, record.grantee) !== undefined) continue;
    const { grantee, source, since, until, usesLeft, reason } = record;
    if (state.grants.add({ door, grantee, source, since, opened: since, until, usesLeft, reason }))
      changed += 1;
  }
  return { ok: true, changed };
}

function doorIndex(state: State, name: string): number {
  return state.settings.doors.findIndex((door) => door.name === name);
}

function subjectOf(state: State, address: Cidr['address']): Subject {
  state.subjects.ofAddress(address);
  return state.subjects.subject;
}
