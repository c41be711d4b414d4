import type { Command } from '../../src/engine/command.ts';
import type { DoorSettings, EngineSettings } from '../../src/engine/settings.ts';
import { type Bits, bitsOfAddress, bitsOfCidr, networkOf, networkText } from './address.ts';
import { authorize, refuseCode, reject, whyNotAuthorized } from './authorize.ts';
import { hearFleet } from './fleet.ts';
import { closedEvent, holdsIt, makeGrant } from './grant.ts';
import { ban, banLength, isDivided, isExempt, known, offenderOf, rememberedUntil } from './offence.ts';
import { sequencesOf } from './port.ts';
import {
  type Ban,
  type EventLike,
  type Grant,
  having,
  lacking,
  type OneTime,
  type Result,
  type State,
  unusedOf,
} from './state.ts';

const NOTHING: readonly EventLike[] = [];

/** What people and the kernel tell the engine. A command that cannot be carried out changes and says nothing. */
export function followCommand(state: State, command: Command, now: number): Result {
  switch (command.command) {
    case 'grant': {
      const door = state.settings.doors.find((one) => one.name === command.door);
      if (door === undefined) return { state, events: NOTHING };
      const source = bitsOfAddress(command.address);
      const until = now + (command.for ?? door.for);
      return makeGrant(state, door, { grantee: source, source, until, byHand: command.reason ?? '' }, now);
    }
    case 'revoke': {
      const source = bitsOfAddress(command.address);
      const meant = (grant: Grant): boolean =>
        holdsIt(grant, source) && (command.door === undefined || command.door === grant.door);
      return endGrants(state, meant, now, 'revoked');
    }
    case 'refuse': {
      const grantee = command.grantee === 'any' ? 'any' : bitsOfCidr(command.grantee);
      return endGrants(
        state,
        (grant) => grant.door === command.door && grant.grantee === grantee,
        now,
        command.reason,
      );
    }
    case 'ban':
      return banByHand(state, bitsOfAddress(command.address), now, command.for);
    case 'unban': {
      const source = bitsOfAddress(command.address);
      return liftBans(state, (target) => source.startsWith(target), now, 'unban');
    }
    case 'unban_all':
      return liftBans(state, () => true, now, 'unban');
    case 'exempt': {
      const everybody = (command.everybody ?? []).map(bitsOfCidr);
      return liftExempt({ ...state, exempt: command.networks.map(bitsOfCidr), everybody }, now);
    }
    case 'lift_exempt':
    case 'move_attempts':
      // Here nothing is ever left over from before.
      return { state, events: [] };
    case 'reload':
      return reload(state, command.settings, now);
    case 'sequence':
      return nextSequence(state, command);
    case 'connected':
      return connected(state, command.door, bitsOfAddress(command.source), now);
    case 'authorize':
      return authorize(state, command, now);
    case 'reject':
      return reject(state, command, now);
    case 'refuse_code':
      return refuseCode(state, command, now);
    case 'fleet':
      return hearFleet(state, command, now);
    case 'restore':
      return restore(state, command);
    default:
      return command satisfies never;
  }
}

/** Why a command can not be carried out; undefined where it can. */
export function refusal(state: State, command: Command): string | undefined {
  const known = (name: string): boolean => state.settings.doors.some((door) => door.name === name);
  if ((command.command === 'grant' || command.command === 'sequence') && !known(command.door))
    return 'unknown door';
  if (command.command === 'authorize') return whyNotAuthorized(state, command);
  if (command.command === 'revoke') {
    if (command.door !== undefined && !known(command.door)) return 'unknown door';
    return isAnyMeant(state, command) ? undefined : 'not found';
  }
  if (command.command === 'refuse') {
    const grantee = command.grantee === 'any' ? 'any' : bitsOfCidr(command.grantee);
    const exists = state.grants.some((grant) => grant.door === command.door && grant.grantee === grantee);
    return exists ? undefined : 'not found';
  }
  if (command.command === 'connected') {
    const counts = (one: Grant): boolean =>
      one.usesLeft !== null && connectsBy(one, command.door, bitsOfAddress(command.source));
    return state.grants.some(counts) ? undefined : 'not found';
  }
  if (command.command !== 'ban' && command.command !== 'unban') return undefined;
  const source = bitsOfAddress(command.address);
  if (command.command === 'ban') return isExempt(state, source) ? 'never banned' : undefined;
  return state.bans.has(source) || state.bans.has(networkOf(source)) ? undefined : 'not found';
}

function isAnyMeant(state: State, command: Extract<Command, { command: 'revoke' }>): boolean {
  const source = bitsOfAddress(command.address);
  return state.grants.some((one) => holdsIt(one, source) && (command.door ?? one.door) === one.door);
}

/** Attempts at the sequence before are void; it stays known for as long as the next one is not used. */
function nextSequence(state: State, command: Extract<Command, { command: 'sequence' }>): Result {
  const old = state.oneTime.get(command.door);
  const former = old === undefined ? [] : old.used ? old.knock : old.former;
  const isOld = (key: string): boolean => key.endsWith(` ${command.door} open`);
  const attempts = lacking(state.attempts, isOld);
  const tails = lacking(state.tails, isOld);
  const oneTime = having(state.oneTime, command.door, { ...unusedOf(command), former });
  return { state: { ...state, attempts, tails, oneTime }, events: NOTHING };
}

function endGrants(state: State, meant: (grant: Grant) => boolean, now: number, reason: string): Result {
  const events = state.grants.filter(meant).map((grant) => closedEvent(state, grant, now, reason));
  return { state: { ...state, grants: state.grants.filter((grant) => !meant(grant)) }, events };
}

function liftBans(state: State, meant: (target: Bits) => boolean, now: number, reason: string): Result {
  const targets = [...state.bans.keys()].filter(meant);
  const events = targets.map((target) => ({
    event: 'ban.lifted',
    at: now,
    target: networkText(target),
    reason,
  }));
  return { state: { ...state, bans: lacking(state.bans, (target) => targets.includes(target)) }, events };
}

/** A network in which an exempt address has come to lie is banned no more; whoever earned that, alone, still is. */
function liftExempt(state: State, now: number): Result {
  const isOver = (target: Bits): boolean => isExempt(state, target) || isDivided(state, target);
  const over = [...state.bans].filter(([target]) => isOver(target));
  const lifted = liftBans(state, isOver, now, 'exempt');
  let after = lifted.state;
  const events = [...lifted.events];
  for (const [, { source, until, origin }] of over) {
    if (source === undefined || isExempt(after, source) || after.bans.has(source)) continue;
    const count = over.find(([, one]) => one.source === source)?.[1].count ?? 1;
    const banned = ban(after, source, now, until - now, source, { count, origin });
    after = banned.state;
    events.push(...banned.events, { ...banned.added, strikes: 0, reason: origin });
  }
  return { state: after, events };
}

function banByHand(before: State, source: Bits, now: number, length: number | undefined): Result {
  if (isExempt(before, source)) return { state: before, events: NOTHING };
  const offender = offenderOf(before, source, 'knock');
  const state = known(before, offender);
  const old = state.bans.get(offender);
  if (old !== undefined) {
    const { bans } = state.settings;
    const until = now + (length ?? Math.min(bans.for * bans.escalate ** (old.count - 1), bans.max));
    const extended: Ban = { ...old, until, source, origin: 'order', from: undefined };
    const events = [
      {
        event: 'ban.extended',
        at: now,
        target: networkText(offender),
        until,
        count: old.count,
        reason: 'order',
      },
    ];
    const histories = having(state.histories, offender, {
      count: old.count,
      until: rememberedUntil(old.since, until),
    });
    return { state: { ...state, bans: having(state.bans, offender, extended), histories }, events };
  }
  const banned = ban(state, offender, now, length ?? banLength(state, offender, now), source, {
    origin: 'order',
  });
  return {
    state: banned.state,
    events: [...banned.events, { ...banned.added, strikes: 0, reason: 'order' }],
  };
}

/** One of the uses of every grant that the source connects by. */
function connected(state: State, door: string, source: Bits, now: number): Result {
  const spent = (grant: Grant): Grant =>
    connectsBy(grant, door, source) && grant.usesLeft !== null
      ? { ...grant, usesLeft: grant.usesLeft - 1 }
      : grant;
  return endGrants(
    { ...state, grants: state.grants.map(spent) },
    (grant) => grant.usesLeft === 0,
    now,
    'used',
  );
}

/** Whether the grant is one of this door that lets this source in, whoever knocked for it. */
function connectsBy(grant: Grant, door: string, source: Bits): boolean {
  return grant.door === door && (grant.grantee === 'any' || source.startsWith(grant.grantee));
}

/** Progress stays with the sequence that it was made in, if its steps stay; grants for as long as their door does. */
function reload(state: State, settings: EngineSettings, now: number): Result {
  const names = settings.doors.map((door) => door.name);
  const closed = endGrants(state, (grant) => !names.includes(grant.door), now, 'reload');
  const oneTime = new Map(
    settings.doors
      .filter((door) => door.oneTime)
      .map((door) => [door.name, reloadedOneTime(state, door)] as const),
  );
  const changed: State = { ...closed.state, settings, oneTime };
  const stepsIn = (one: State): ReadonlyMap<string, string> =>
    new Map(sequencesOf(one).map(({ door, kind, steps }) => [`${door.name} ${kind}`, steps.join()]));
  const [before, after] = [stepsIn(state), stepsIn(changed)];
  const isGone = (key: string): boolean => {
    const sequence = key.slice(key.indexOf(' ') + 1);
    return before.get(sequence) !== after.get(sequence);
  };
  const kept = {
    ...changed,
    attempts: lacking(state.attempts, isGone),
    tails: new Map(),
    lastKnocks: new Map(),
    openings: lacking(state.openings, isGone),
  };
  const lifted = liftExempt(kept, now);
  return { state: lifted.state, events: [...closed.events, ...lifted.events] };
}

/** A sequence that is used up stays so; another one is the next, as if a command had brought it. */
function reloadedOneTime(state: State, door: DoorSettings): OneTime {
  const next = unusedOf(door);
  const old = state.oneTime.get(door.name);
  if (old === undefined) return next;
  if (old.knock.join() === next.knock.join()) return old;
  return { ...next, former: old.used ? old.knock : old.former };
}

/** Bans of those who are never banned now stay behind; how often somebody was banned is kept, past its last ban. */
function restore(state: State, command: Extract<Command, { command: 'restore' }>): Result {
  const grants = command.grants.map((record) => ({
    door: record.door,
    grantee: record.grantee === 'any' ? ('any' as const) : bitsOfCidr(record.grantee),
    source: bitsOfAddress(record.source),
    since: record.since,
    renewed: record.since,
    until: record.until,
    usesLeft: record.usesLeft,
    holder: record.holder,
  }));
  const bans = command.bans.map(
    ({ target, ...rest }) => [bitsOfCidr(target), { ...rest, source: undefined }] as const,
  );
  const held = bans.filter(([target]) => !isExempt(state, target) && !isDivided(state, target));
  const heldTargets = held.map(([target]) => target);
  const counts = [...command.histories, ...command.bans]
    .map(({ target, count, since, until }) => {
      return [bitsOfCidr(target), { count, until: rememberedUntil(since, until) }] as const;
    })
    .filter(([target], index) => index < command.histories.length || heldTargets.includes(target));
  return { state: { ...state, grants, bans: new Map(held), histories: new Map(counts) }, events: NOTHING };
}
