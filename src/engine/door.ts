import { sameAddress } from '../packet/address.ts';
import { type Cidr, hostCidr } from '../packet/cidr.ts';
import type { PortSpec } from '../packet/port.ts';
import { keyOf } from '../packet/port-key.ts';
import { type Milliseconds, milliseconds } from '../packet/time.ts';
import { CLOSE_GUARD } from '../policy/limits.ts';
import { placeOf } from './attempt.ts';
import { endFrom } from './attempt-list.ts';
import { codeText } from './code.ts';
import { saidOf } from './code-ports.ts';
import type { CloseReason, Emit, Grantee, Holder } from './event.ts';
import type { Grant } from './grant.ts';
import { pardon } from './offence.ts';
import type { Sequence } from './ports.ts';
import type { DoorSettings } from './settings.ts';
import type { State } from './state.ts';
import { hostOf, type Subject } from './subject.ts';
import { noteUsed } from './used.ts';

/**
 * Rule 9: the last knock of a sequence that opens. Where everybody's packets may come from one address, behind a
 * gateway that translates them, a grant to it would let everybody in: it is given only where the door says so.
 */
export function complete(state: State, subject: Subject, sequence: Sequence, now: number, emit: Emit): void {
  const { door, settings } = sequence;
  const grantee: Grantee = settings.grant === 'source' ? hostCidr(hostOf(subject)) : settings.grant;
  finishAttempts(state, subject, sequence, now);
  if (settings.grant === 'source' && state.exempt.isEverybody(hostOf(subject))) {
    const refusal = { at: milliseconds(now), source: hostOf(subject), door: settings.name };
    emit({ event: 'door.refused', ...refusal, reason: 'gateway or name server' });
    return;
  }
  const forgiven = pardon(state, subject);
  if (settings.oneTime) {
    // At once, not when the next line has been read: the same knocks must not open it again in this batch.
    state.knocks.spent[door] = state.knocks.now[door] ?? [];
    state.knocks.now[door] = [];
    noteUsed(state, door);
  }
  const until = now + settings.for;
  const request = {
    door,
    grantee,
    source: hostOf(subject),
    now,
    until,
    reason: null,
    holder: null,
    forgiven,
  };
  openOrRenew(state, request, emit);
}

/** Rule 10: the last knock of a sequence that closes. */
export function completeClose(
  state: State,
  subject: Subject,
  sequence: Sequence,
  now: number,
  emit: Emit,
): void {
  finishAttempts(state, subject, sequence, now);
  for (const grant of state.grants.heldBy(subject)) {
    if (grant.door === sequence.door) end(state, grant, now, 'knock', emit);
  }
}

/** The last knock of a sequence that takes a code. Whose it is, and whether it opens, is said by a command. */
export function completeCode(
  state: State,
  subject: Subject,
  sequence: Sequence,
  code: number,
  now: number,
  emit: Emit,
): void {
  const { settings, steps } = sequence;
  finishAttempts(state, subject, sequence, now);
  emit({
    event: 'code.knocked',
    ...{ at: milliseconds(now), source: hostOf(subject), door: settings.name },
    ...{
      port: saidOf(state.ports.codes, steps.at(-1) ?? 0),
      of: steps.length,
      code: codeText(sequence, code),
    },
  });
}

/** Whether the subject may begin or go on with the close sequence of this door. */
export function mayClose(state: State, subject: Subject, door: number): boolean {
  return state.grants.heldBy(subject).some((grant) => grant.door === door);
}

/** Within 5 s of an opening its knocks, repeated in reverse, are no close sequence. */
export function closeIsGuarded(state: State, subject: Subject, door: number, now: number): boolean {
  return state.grants
    .heldBy(subject)
    .some((grant) => grant.door === door && now - guardedFrom(state, grant) <= CLOSE_GUARD);
}

/** The moment from which a close sequence is guarded: a renewal's too where its knocks could be taken for closing. */
export function guardedFrom({ ports }: State, grant: Grant): number {
  const [open, close] = ports.sequences.slice(grant.door * 2, grant.door * 2 + 2);
  const shared = close?.steps.some((step) => open?.steps.includes(step) || open?.spent.includes(step));
  return shared === true ? grant.opened : grant.since;
}

interface GrantRequest {
  readonly door: number;
  readonly grantee: Grantee;
  readonly source: Grant['source'];
  readonly now: number;
  readonly until: number;
  readonly reason: string | null;
  readonly holder: Holder | null;
  /** Whose count of bans this opening forgave. */
  readonly forgiven?: readonly Cidr[];
  /** Of a grant that another member of the fleet has said: by whom, when it was opened, connections left. */
  readonly elsewhere?: {
    readonly origin: string;
    readonly opened: number;
    readonly usesLeft: number | null;
  };
}

/** Makes the grant or renews it; answers false where no more grants fit. */
export function openOrRenew(state: State, request: GrantRequest, emit: Emit): boolean {
  const { grants } = state;
  const { door, grantee, source, now, until, holder } = request;
  const settings = state.settings.doors[door];
  if (settings === undefined) return false;
  const there = grants.find(door, grantee);
  if (there !== undefined) {
    // It rests on whatever makes it last longest: where that is a key, it ends with the key.
    if (until >= there.until) there.holder = holder;
    grants.extend(there, Math.max(there.until, until));
    // Who knocked for it before holds it no more.
    if (!sameAddress(there.source, source)) state.former.note(settings.name, there.source, grantee, now);
    grants.claim(there, source);
    Object.assign(there, ofOpening(request, settings));
    emit({
      event: 'door.renewed',
      ...eventFields(settings, there, now),
      until: milliseconds(there.until),
      ...because(request),
      ...heldBy(holder),
    });
    return true;
  }
  makeRoom(state, door, settings, now, emit);
  const grant: Grant = {
    door,
    grantee,
    source,
    since: now,
    until,
    holder,
    ...ofOpening(request, settings),
  };
  if (!grants.add(grant)) return false;
  emit({
    event: 'door.opened',
    ...eventFields(settings, grant, now),
    until: milliseconds(until),
    ...because(request),
    ...heldBy(holder),
  });
  return true;
}

/** What an opening or renewal sets anew. */
function ofOpening(
  { now, reason, elsewhere }: GrantRequest,
  { uses }: DoorSettings,
): Pick<Grant, 'opened' | 'usesLeft' | 'reason' | 'from'> {
  if (elsewhere === undefined) return { opened: now, usesLeft: uses, reason, from: undefined };
  const { opened, usesLeft, origin } = elsewhere;
  return { opened, usesLeft: fewerUses(uses, usesLeft), reason, from: origin };
}

/** Null is no limit. */
function fewerUses(own: number | null, theirs: number | null): number | null {
  return own === null || theirs === null ? own : Math.min(own, theirs);
}

export function end(
  state: State,
  grant: Grant,
  now: number,
  reason: Exclude<CloseReason, 'fleet'>,
  emit: Emit,
): void {
  remove(state, grant, now, { reason }, emit);
}

/** As another member of the fleet has said. */
export function endFor(state: State, grant: Grant, now: number, origin: string, emit: Emit): void {
  remove(state, grant, now, { reason: 'fleet', origin }, emit);
}

function remove(
  state: State,
  grant: Grant,
  now: number,
  why: { readonly reason: CloseReason; readonly origin?: string },
  emit: Emit,
): void {
  const settings = state.settings.doors[grant.door];
  state.grants.remove(grant);
  if (settings !== undefined) state.former.note(settings.name, grant.source, grant.grantee, now);
  if (settings === undefined) return;
  emit({ event: 'door.closed', ...eventFields(settings, grant, now), ...why, ...heldBy(grant.holder) });
}

/** One door's grants never exceed `holders`: who came first has moved on. */
function makeRoom(state: State, door: number, settings: DoorSettings, now: number, emit: Emit): void {
  if (settings.holders === null) return;
  const held = [...state.grants.ofDoor(door)].sort((x, y) => x.opened - y.opened);
  for (const grant of held.slice(0, Math.max(0, held.length - settings.holders + 1))) {
    end(state, grant, now, 'moved', emit);
  }
}

/** The attempts at this door end; the sequence's knocks stay known, so that their repeats are no offence. */
export function finishAttempts(state: State, subject: Subject, sequence: Sequence, now: number): void {
  const { attempts, ports } = state;
  for (const each of ports.sequences.slice(sequence.door * 2, sequence.door * 2 + 2)) {
    endFrom(attempts, subject, each.id, 0);
    // By id: a one-time door that this packet opened has had the sequences laid anew.
    if (each.id !== sequence.id) continue;
    const where = placeOf(each.id, 0);
    const slot = attempts.put(subject, where, 0, state.turn, now);
    attempts.complete(slot, now);
    // Again, now that it has completed: that decides its level.
    attempts.put(subject, where, 0, state.turn, now);
    if (sequence.settings.oneTime && sequence.kind === 'open') attempts.setTail(slot, 0, 0, now);
  }
}

function eventFields(
  settings: DoorSettings,
  grant: Grant,
  now: number,
): {
  at: Milliseconds;
  source: Grant['source'];
  door: string;
  ports: DoorSettings['opens'];
  grantee: Grantee;
} {
  return {
    at: milliseconds(now),
    source: grant.source,
    door: settings.name,
    ports: settings.opens,
    grantee: grant.grantee,
  };
}

function because({ reason, elsewhere, forgiven = [] }: GrantRequest): {
  reason?: string;
  origin?: string;
  forgiven?: readonly Cidr[];
} {
  return {
    ...(reason === null ? {} : { reason }),
    ...(elsewhere === undefined ? {} : { origin: elsewhere.origin }),
    ...(forgiven.length === 0 ? {} : { forgiven }),
  };
}

/** What an event says of a key. */
export function heldBy(holder: Holder | null): { key?: string; person?: string } {
  return holder === null ? {} : { key: holder.key, ...personOf(holder) };
}

export function personOf({ person }: Holder): { person?: string } {
  return person === null ? {} : { person };
}

/** Whether two sequences are the same knocks. */
export function sameKnocks(x: readonly PortSpec[], y: readonly PortSpec[]): boolean {
  return x.length === y.length && x.every((spec, index) => keyOf(spec) === keyOf(y[index] ?? spec));
}
