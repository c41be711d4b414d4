import { sameAddress } from '../packet/address.ts';
import { type Cidr, HOST_BITS, OFFENDER_BITS } from '../packet/cidr.ts';
import { milliseconds } from '../packet/time.ts';
import { rememberedUntil } from '../policy/limits.ts';
import { partFrom } from './alike.ts';
import type { Command, CommandAnswer, FleetBan, FleetGrant, FleetLift, LeftOut } from './command.ts';
import { endFor, finishAttempts, openOrRenew } from './door.ts';
import type { Emit, Grantee } from './event.ts';
import { ban, bansSoFar, liftFor, pardon } from './offence.ts';
import type { DoorSettings } from './settings.ts';
import type { State } from './state.ts';
import { countByHost, countByNetwork, type Subject } from './subject.ts';
import { NONE } from './table.ts';

type Hearing = Command & { command: 'fleet' };

/** The state that another member's word is taken into, whose word it is, and when. */
interface Told {
  readonly state: State;
  readonly origin: string;
  readonly now: number;
  readonly emit: Emit;
  /** Others' bans are said, and put in force nowhere. */
  readonly shadow: boolean;
}

/**
 * What another member of the fleet has said. Said again, in another order or late it changes nothing more: ends only
 * grow, counts are the greater of two and never added up, and of a ban and a grant of one source the grant counts,
 * whichever comes first, unless somebody wants the ban. This machine's exemptions, doors and times win over what others
 * say. Which of them a lift was made before is not known here: whoever calls has left out what is lifted already.
 */
export function hearFleet(state: State, command: Hearing, now: number, emit: Emit): CommandAnswer {
  const told: Told = { state, origin: command.origin, now, emit, shadow: command.shadow === true };
  const leftOut = new Map<LeftOut, number>();
  let changed = 0;
  const count = (outcome: Heard): void => {
    if (outcome === 'changed') changed += 1;
    else if (outcome !== 'known') leftOut.set(outcome, (leftOut.get(outcome) ?? 0) + 1);
  };
  for (const lift of command.lifts) count(hearLift(told, lift));
  for (const grant of command.grants) count(hearGrant(told, grant));
  for (const one of command.bans) count(hearBan(told, one));
  return leftOut.size === 0 ? { ok: true, changed } : { ok: true, changed, leftOut };
}

type Heard = 'changed' | 'known' | LeftOut;

function hearLift({ state, origin, now, emit }: Told, lift: FleetLift): Heard {
  if (lift.lift === 'grant') {
    const door = doorIndex(state, lift.door);
    if (door === NONE) return 'unknown door';
    const grant = state.grants.find(door, lift.grantee);
    if (grant === undefined) return 'known';
    endFor(state, grant, now, origin, emit);
    return 'changed';
  }
  const slot = state.bans.find(subjectFor(state, lift.target));
  if (slot === NONE || (lift.only !== 'any' && lift.only !== state.bans.at(slot).origin)) return 'known';
  liftFor(state, slot, now, origin, emit);
  return 'changed';
}

function hearGrant(told: Told, grant: FleetGrant): Heard {
  const { state, origin, now, emit } = told;
  const door = doorIndex(state, grant.door);
  const settings = state.settings.doors[door];
  if (settings === undefined) return 'unknown door';
  if (!mayHold(state, settings, grant.grantee)) return 'grantee';
  const until = Math.min(grant.until, now + settings.for);
  if (until <= now) return 'over';
  const opened = Math.min(grant.opened, now);
  const there = state.grants.find(door, grant.grantee);
  const isNewer = there === undefined || opened > there.opened;
  const lasts = there === undefined || until > there.until;
  if (!isNewer && !lasts) return 'known';
  state.subjects.ofAddress(grant.source);
  const { subject } = state.subjects;
  liftOthers(told, subject);
  const forgiven = isNewer ? pardon(state, subject) : [];
  countByNetwork(subject);
  // Late repeats of the knocks that opened it elsewhere are no offence here.
  const sequence = state.ports.sequences[door * 2];
  if (isNewer && sequence !== undefined && sequence.steps.length + sequence.spent.length > 0) {
    partFrom(state, subject, sequence, now);
    finishAttempts(state, subject, sequence, now);
  }
  const request = {
    ...{ door, grantee: grant.grantee, source: grant.source, now, until },
    ...{ reason: null, holder: null, forgiven },
    elsewhere: {
      origin,
      opened: Math.max(opened, there?.opened ?? opened),
      usesLeft: grant.usesLeft,
    },
  };
  return openOrRenew(state, request, emit) ? 'changed' : 'full';
}

/**
 * Only one host, or whom this machine's own door lets in: another member's word opens no door wider than that. A host
 * that everybody may come from is let in by this machine's own people alone.
 */
function mayHold(state: State, settings: DoorSettings, grantee: Grantee): boolean {
  const own = settings.grant;
  if (grantee === 'any') return own === 'any';
  const { address, bits } = grantee;
  if (own !== 'source' && own !== 'any' && sameNetwork(own, grantee)) return true;
  return bits === HOST_BITS[address.family] && !state.exempt.isEverybody(address);
}

function sameNetwork(x: Cidr, y: Cidr): boolean {
  return x.bits === y.bits && sameAddress(x.address, y.address);
}

/** A member that has let the source in knows better than one that banned it without anybody's asking. */
function liftOthers({ state, origin, now, emit }: Told, subject: Subject): void {
  for (const count of [countByHost, countByNetwork]) {
    count(subject);
    const slot = state.bans.find(subject);
    if (slot === NONE) continue;
    const { from, origin: kind } = state.bans.at(slot);
    if (from !== undefined && kind === 'strikes') liftFor(state, slot, now, origin, emit);
  }
}

function hearBan(told: Told, theirs: FleetBan): Heard {
  const { state, origin, now, emit } = told;
  const { target, until } = theirs;
  const subject = subjectFor(state, target);
  const splits = target.bits === OFFENDER_BITS[6] && state.exempt.splits(subject.a, subject.b);
  if (splits || state.exempt.reason(target.address) !== undefined) return 'exempt';
  const wanted = theirs.origin === 'order';
  if (!wanted && holdsGrant(state, subject)) return 'holds a grant';
  // Bans that began at two members at once are one: the count is the greater, not the sum.
  const before = bansSoFar(state, subject, now);
  const count = Math.max(theirs.count, before);
  if (until <= now) {
    const kept = rememberedUntil(theirs.since, until);
    if (theirs.count <= before || kept <= now) return 'over';
    state.offenders.remember(state.offenders.put(subject), count, kept);
    return 'over';
  }
  const said = { count, reason: 'fleet', origin, ...(wanted ? ({ wanted } as const) : {}) } as const;
  if (told.shadow) {
    const at = milliseconds(now);
    emit({ event: 'ban.added', at, target, until: milliseconds(until), strikes: 0, ...said, shadow: true });
    return 'changed';
  }
  const slot = state.bans.find(subject);
  if (slot === NONE) {
    ban(state, subject, now, until, { ...said, strikes: 0 }, emit);
    return 'changed';
  }
  const there = state.bans.at(slot);
  const isNews = until > there.until || count > there.count || (wanted && there.origin !== 'order');
  if (!isNews) return 'known';
  const latest = Math.max(until, there.until);
  state.bans.put(subject, there.since, latest, count);
  if (wanted) state.bans.order(subject);
  state.bans.credit(subject, origin);
  state.offenders.remember(state.offenders.put(subject), count, rememberedUntil(there.since, latest));
  const at = milliseconds(now);
  emit({ event: 'ban.extended', at, target: there.target, until: milliseconds(latest), ...said });
  return 'changed';
}

/** Whether the subject, or of a network some host, was let in. */
function holdsGrant({ grants }: State, subject: Subject): boolean {
  const isNetwork = subject.family === 6 && subject.offenderBits === OFFENDER_BITS[6];
  return isNetwork ? grants.isHeldIn(subject.a, subject.b) : grants.heldBy(subject).length > 0;
}

function doorIndex(state: State, name: string): number {
  return state.settings.doors.findIndex((door) => door.name === name);
}

/** The subject whose offender is this target. */
function subjectFor(state: State, { address, bits }: Cidr): Subject {
  const { subject } = state.subjects;
  state.subjects.ofAddress(address);
  if (bits === HOST_BITS[address.family]) countByHost(subject);
  return subject;
}
