import type { Command, FleetBan, FleetGrant, FleetLift } from '../../src/engine/command.ts';
import type { DoorSettings } from '../../src/engine/settings.ts';
import { type Bits, bitsOfAddress, bitsOfCidr, networkOf, networkText } from './address.ts';
import { closedEvent, holdsAny, holdsNear, makeGrant } from './grant.ts';
import { ban, bansBefore, forgive, isDivided, isExempt, known, rememberedUntil } from './offence.ts';
import { sequencesOf } from './port.ts';
import {
  type Ban,
  type EventLike,
  type Grant,
  having,
  lacking,
  type Result,
  type State,
  sequenceKey,
} from './state.ts';

type Hearing = Extract<Command, { command: 'fleet' }>;

/** What another member says: what it takes back, then whom it let in, then whom it bans. */
export function hearFleet(before: State, command: Hearing, now: number): Result {
  const { origin } = command;
  const steps: readonly ((state: State) => Result)[] = [
    ...command.lifts.map((lift) => (state: State) => takeBack(state, lift, origin, now)),
    ...command.grants.map((grant) => (state: State) => letIn(state, grant, origin, now)),
    ...command.bans.map((one) => (state: State) => banned(state, one, command, now)),
  ];
  let state = before;
  const events: EventLike[] = [];
  for (const step of steps) {
    const result = step(state);
    state = result.state;
    events.push(...result.events);
  }
  return { state, events };
}

function takeBack(state: State, lift: FleetLift, origin: string, now: number): Result {
  if (lift.lift === 'ban') {
    const target = bitsOfCidr(lift.target);
    const there = state.bans.get(target);
    if (there === undefined || (lift.only !== 'any' && lift.only !== there.origin))
      return { state, events: [] };
    return without(state, [target], origin, now);
  }
  const grantee = lift.grantee === 'any' ? 'any' : bitsOfCidr(lift.grantee);
  const isMeant = (grant: Grant): boolean => grant.door === lift.door && grant.grantee === grantee;
  const closed = state.grants.filter(isMeant);
  return {
    state: { ...state, grants: state.grants.filter((grant) => !isMeant(grant)) },
    events: closed.map((grant) => ({ ...closedEvent(state, grant, now, 'fleet'), origin })),
  };
}

function without(state: State, targets: readonly Bits[], origin: string, now: number): Result {
  return {
    state: { ...state, bans: lacking(state.bans, (key) => targets.includes(key)) },
    events: targets.map((target) => ({
      ...{ event: 'ban.lifted', at: now, target: networkText(target), reason: 'fleet', origin },
    })),
  };
}

/** Whom another member let in is let in here, as long as this machine's door would let him, and as if he had knocked. */
function letIn(state: State, theirs: FleetGrant, origin: string, now: number): Result {
  const nothing: Result = { state, events: [] };
  const door = state.settings.doors.find(({ name }) => name === theirs.door);
  if (door === undefined) return nothing;
  const grantee = theirs.grantee === 'any' ? 'any' : bitsOfCidr(theirs.grantee);
  if (!opensFor(state, door, grantee)) return nothing;
  const source = bitsOfAddress(theirs.source);
  const until = Math.min(theirs.until, now + door.for);
  const opened = Math.min(theirs.opened, now);
  const there = state.grants.find((one) => one.door === door.name && one.grantee === grantee);
  const fresh = there === undefined || there.renewed < opened;
  if (until <= now || (!fresh && until <= there.until)) return nothing;
  const freed = without(state, bansOfOthers(state, source), origin, now);
  const forgiven = fresh ? forgive(freed.state, source) : { state: freed.state, pardoned: [] };
  const known = fresh ? completed(forgiven.state, door, source, now) : forgiven.state;
  const wanted = { grantee, source, until, pardoned: forgiven.pardoned };
  const made = makeGrant(known, door, wanted, now);
  const both = [door.uses, theirs.usesLeft].filter((uses) => uses !== null);
  const usesLeft = door.uses === null ? null : Math.min(...both);
  const renewed = Math.max(opened, there?.renewed ?? opened);
  const grants = made.state.grants.map((one) =>
    one.door === door.name && one.grantee === grantee ? { ...one, renewed, usesLeft } : one,
  );
  const said = made.events.map((event) => (event.event === 'door.closed' ? event : { ...event, origin }));
  return { state: { ...made.state, grants }, events: [...freed.events, ...said] };
}

/** Others may name a host. A wider network, or everyone, is let in only where this machine's door says just that. */
function opensFor(state: State, door: DoorSettings, grantee: Bits | 'any'): boolean {
  if (grantee === 'any') return door.grant === 'any';
  if (typeof door.grant === 'object' && bitsOfCidr(door.grant) === grantee) return true;
  const isHost = grantee.length === (grantee.startsWith('4') ? 33 : 129);
  return isHost && !state.everybody.some((network) => grantee.startsWith(network));
}

function bansOfOthers(state: State, source: Bits): readonly Bits[] {
  return [...new Set([source, networkOf(source)])].filter((target) => {
    const there = state.bans.get(target);
    return there?.from !== undefined && there.origin === 'strikes';
  });
}

/** The source has nothing under way at the door, and what it knocked is no offence when it comes again. */
function completed(state: State, door: DoorSettings, source: Bits, now: number): State {
  const sequence = sequencesOf(state).find((one) => one.door === door && one.kind === 'open');
  if (sequence === undefined) return state;
  const key = sequenceKey(source, door.name, 'open');
  return {
    ...state,
    attempts: lacking(state.attempts, (other) => other.startsWith(`${source} ${door.name} `)),
    tails: door.oneTime ? lacking(state.tails, (other) => other === key) : state.tails,
    openings: having(state.openings, key, { at: now, steps: sequence.steps }),
  };
}

function banned(before: State, theirs: FleetBan, { origin, shadow }: Hearing, now: number): Result {
  const target = bitsOfCidr(theirs.target);
  const isWanted = theirs.origin === 'order';
  const nothing: Result = { state: before, events: [] };
  if (isExempt(before, target) || isDivided(before, target)) return nothing;
  if (!isWanted && isLetIn(before, target)) return nothing;
  const had = bansBefore(before, target, now);
  const count = Math.max(had, theirs.count);
  const { until } = theirs;
  if (until <= now) {
    const kept = rememberedUntil(theirs.since, until);
    if (kept <= now || theirs.count <= had) return nothing;
    const state = known(before, target);
    return {
      state: { ...state, histories: having(state.histories, target, { count, until: kept }) },
      events: [],
    };
  }
  const why = { reason: 'fleet', origin, ...(isWanted ? { wanted: true } : {}) };
  if (shadow === true) {
    const event = { event: 'ban.added', at: now, target: networkText(target), until, count };
    return { state: before, events: [{ ...event, ...why, strikes: 0, shadow: true }] };
  }
  const there = before.bans.get(target);
  const { origin: kind } = theirs;
  if (there === undefined) {
    const made = ban(before, target, now, until - now, hostOf(target), { count, origin: kind, from: origin });
    return { state: made.state, events: [...made.events, { ...made.added, ...why, strikes: 0 }] };
  }
  const longer: Ban = {
    ...there,
    until: Math.max(until, there.until),
    count,
    origin: isWanted ? 'order' : there.origin,
    from: origin,
  };
  if (longer.until === there.until && count <= there.count && longer.origin === there.origin) return nothing;
  const state = known(before, target);
  const histories = having(state.histories, target, {
    count,
    until: rememberedUntil(there.since, longer.until),
  });
  const event = { event: 'ban.extended', at: now, target: networkText(target), until: longer.until, count };
  return {
    state: { ...state, bans: having(state.bans, target, longer), histories },
    events: [{ ...event, ...why }],
  };
}

/** Whether whoever the ban is for was let in here; of a network, anyone in it. */
function isLetIn(state: State, target: Bits): boolean {
  return target.length === 65 && target.startsWith('6') ? holdsNear(state, target) : holdsAny(state, target);
}

function hostOf(target: Bits): Bits | undefined {
  return target.startsWith('4') || target.length === 129 ? target : undefined;
}
