import type { Holder } from '../../src/engine/event.ts';
import type { DoorSettings } from '../../src/engine/settings.ts';
import { type Bits, bitsOfCidr, networkText, overlap, textOf } from './address.ts';
import { forgive } from './offence.ts';
import type { Sequence } from './port.ts';
import {
  type Attempt,
  age,
  type EventLike,
  type Fields,
  type Grant,
  having,
  lacking,
  type Result,
  type State,
  sequenceKey,
} from './state.ts';

/** Whether this grant is one that `source` holds: knocked for by it, or made out to a network around it. */
export function holdsIt(grant: Grant, source: Bits): boolean {
  return grant.source === source || (grant.grantee !== 'any' && source.startsWith(grant.grantee));
}

/** Whether the source may use what the grant opens; a grant to everyone is held by its knocker alone. */
export function letsIn(grant: Grant, source: Bits): boolean {
  return grant.grantee === 'any' || holdsIt(grant, source);
}

export function holdsAny(state: State, source: Bits): boolean {
  return state.grants.some((grant) => holdsIt(grant, source));
}

/** Whether some host of this network holds a grant. */
export function holdsNear(state: State, network: Bits): boolean {
  return state.grants.some(
    ({ grantee, source }) => source.startsWith(network) || (grantee !== 'any' && overlap(grantee, network)),
  );
}

export function grantsHeld(state: State, source: Bits, door: string): readonly Grant[] {
  return state.grants.filter((grant) => grant.door === door && holdsIt(grant, source));
}

/** A grant that has ended is remembered as its holders' for a day, by their door's name. */
export const ENDED_FOR_MS = 86_400_000;

/** Whether the source holds a grant of this door, or held one that ended in the last day. */
export function wasHeld(state: State, source: Bits, door: string, now: number): boolean {
  const was = state.ended.some(
    (one) =>
      one.door === door &&
      age(now, one.at) <= ENDED_FOR_MS &&
      (one.source === source || (one.grantee !== 'any' && source.startsWith(one.grantee))),
  );
  return was || grantsHeld(state, source, door).length > 0;
}

/** Notes which grants there were before and are no more, or are another's. */
export function notingEnds(before: State, after: State, endOf: (grant: Grant) => number): State {
  const gone = before.grants.filter((grant) => {
    const there = after.grants.find((one) => one.door === grant.door && one.grantee === grant.grantee);
    return there?.source !== grant.source;
  });
  if (gone.length === 0) return after;
  const ended = gone.map((grant) => ({
    door: grant.door,
    grantee: grant.grantee,
    source: grant.source,
    at: endOf(grant),
  }));
  return { ...after, ended: [...after.ended, ...ended] };
}

export function granteeOf(door: DoorSettings, source: Bits): Bits | 'any' {
  if (door.grant === 'any') return 'any';
  return door.grant === 'source' ? source : bitsOfCidr(door.grant);
}

/** An attempt to close ends with the last of the grants that it was to close: those that were there when it began. */
export function withoutIdleClosing(state: State): State {
  const isIdle = (key: string, attempt: Attempt): boolean => {
    const [source = '', door = '', kind] = key.split(' ');
    return kind === 'close' && !grantsHeld(state, source, door).some(({ since }) => since < attempt.first);
  };
  const left = [...state.attempts]
    .map(([key, attempts]) => [key, attempts.filter((attempt) => !isIdle(key, attempt))] as const)
    .filter(([, attempts]) => attempts.length > 0);
  return { ...state, attempts: new Map(left) };
}

/** The opening sequence is complete: the grant is made or renewed, and what led to it is done with. */
export function open(state: State, sequence: Sequence, source: Bits, now: number): Result {
  const { door } = sequence;
  if (door.grant === 'source' && state.everybody.some((network) => source.startsWith(network))) {
    const refused = { event: 'door.refused', at: now, source: textOf(source), door: door.name };
    const key = sequenceKey(source, door.name, 'open');
    return {
      state: {
        ...state,
        attempts: lacking(state.attempts, (other) => other.startsWith(`${source} ${door.name} `)),
        openings: having(state.openings, key, { at: now, steps: sequence.steps }),
      },
      events: [{ ...refused, reason: 'gateway or name server' }],
    };
  }
  const { state: forgiven, pardoned } = forgive(state, source);
  const made = makeGrant(
    forgiven,
    door,
    { grantee: granteeOf(door, source), source, until: now + door.for, pardoned },
    now,
  );
  const oneTime = state.oneTime.get(door.name);
  const usedUp = (key: string): boolean => door.oneTime && key.endsWith(` ${door.name} open`);
  const theirs = (key: string): boolean => key.startsWith(`${source} ${door.name} `);
  return {
    events: made.events,
    state: {
      ...made.state,
      attempts: lacking(made.state.attempts, (key) => theirs(key) || usedUp(key)),
      tails: lacking(made.state.tails, usedUp),
      openings: having(made.state.openings, sequenceKey(source, door.name, 'open'), {
        at: now,
        steps: sequence.steps,
      }),
      oneTime:
        oneTime === undefined
          ? made.state.oneTime
          : having(made.state.oneTime, door.name, { ...oneTime, used: true, former: [] }),
    },
  };
}

/** The closing sequence is complete. */
export function close(state: State, sequence: Sequence, source: Bits, now: number): Result {
  const key = sequenceKey(source, sequence.door.name, 'close');
  const held = grantsHeld(state, source, sequence.door.name);
  return {
    events: held.map((grant) => closedEvent(state, grant, now, 'knock')),
    state: {
      ...state,
      grants: state.grants.filter((grant) => !held.includes(grant)),
      attempts: lacking(state.attempts, (other) => other.startsWith(`${source} ${sequence.door.name} `)),
      openings: having(state.openings, key, { at: now, steps: sequence.steps }),
    },
  };
}

interface Wanted {
  readonly grantee: Bits | 'any';
  readonly source: Bits;
  readonly until: number;
  /** By hand: the end holds whatever is knocked later. */
  readonly byHand?: string;
  /** Whose earlier bans are forgiven with it. */
  readonly pardoned?: readonly Bits[];
  /** By whose key. */
  readonly holder?: Holder;
}

/** What is said of a key and its person. */
export function holderFields(holder: Holder | null): Fields {
  if (holder === null) return {};
  return holder.person === null ? { key: holder.key } : { key: holder.key, person: holder.person };
}

/** Makes a grant, or renews the one that this door and grantee have; at `holders` the oldest moves out first. */
export function makeGrant(state: State, door: DoorSettings, wanted: Wanted, now: number): Result {
  const { grantee, source } = wanted;
  const { byHand = '', pardoned = [], holder = null } = wanted;
  const fresh = { source, renewed: now, usesLeft: door.uses, holder };
  const reason = {
    ...(byHand === '' ? {} : { reason: byHand }),
    ...(pardoned.length === 0 ? {} : { forgiven: pardoned.map(networkText).join(' ') }),
    ...holderFields(holder),
  };
  const old = state.grants.find((grant) => grant.door === door.name && grant.grantee === grantee);
  if (old !== undefined) {
    // A grant that a key had made to last longer goes on as the key's.
    const lasting =
      wanted.until < old.until ? { until: old.until, holder: old.holder } : { until: wanted.until };
    const renewed: Grant = { ...old, ...fresh, ...lasting };
    const grants = state.grants.map((grant) => (grant === old ? renewed : grant));
    return {
      state: { ...state, grants },
      events: [{ ...grantEvent('door.renewed', state, renewed, now), until: renewed.until, ...reason }],
    };
  }
  const made: Grant = { door: door.name, grantee, since: now, until: wanted.until, ...fresh };
  const leaving = movedOut(state, door);
  const grants = [...state.grants.filter((grant) => !leaving.includes(grant)), made];
  const events = leaving.map((grant) => closedEvent(state, grant, now, 'moved'));
  const opened = { ...grantEvent('door.opened', state, made, now), until: made.until, ...reason };
  return { state: { ...state, grants }, events: [...events, opened] };
}

export function closedEvent(state: State, grant: Grant, at: number, reason: string): EventLike {
  return { ...grantEvent('door.closed', state, grant, at), reason, ...holderFields(grant.holder) };
}

function grantEvent(event: string, state: State, grant: Grant, at: number): EventLike {
  const door = state.settings.doors.find((one) => one.name === grant.door);
  const ports = (door?.opens ?? [])
    .map(({ first, last, protocol }) => `${first}-${last}/${protocol}`)
    .join(' ');
  const grantee = grant.grantee === 'any' ? 'any' : networkText(grant.grantee);
  return { event, at, source: textOf(grant.source), door: grant.door, ports, grantee };
}

/** The door's oldest grants, as many as must go for one more to have its place. */
function movedOut(state: State, door: DoorSettings): readonly Grant[] {
  if (door.holders === null) return [];
  const there = state.grants
    .filter((grant) => grant.door === door.name)
    .sort((x, y) => x.renewed - y.renewed);
  return there.slice(0, Math.max(0, there.length + 1 - door.holders));
}
