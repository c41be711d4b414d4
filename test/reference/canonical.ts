import type { DoorSettings } from '../../src/engine/settings.ts';
import { ENDED_FOR_MS } from './grant.ts';
import { REPEATED_FOR_MS } from './standing.ts';
import { age, type State } from './state.ts';

/** The longest time for a sequence of the explored worlds that has none of its own. */
const WITHIN_MOST_MS = 10_000;

/** No exploration lets more time pass than this. */
const EXPLORED_MS = 3_600_000;

/**
 * A state as a line of text in which only what can still matter stands, and times only as distances from now: two
 * states with the same line are judged alike from here on. `isForgettable` names packets that will never come again.
 */
export function canonical(state: State, now: number, isForgettable: (identity: string) => boolean): string {
  const { bans } = state.settings;
  const doors = new Map(state.settings.doors.map((door) => [door.name, door]));
  const younger = (then: number, limit: number): number => Math.min(age(now, then), limit + 1);
  const parts = [
    entries(state.seen, (at, identity) =>
      isForgettable(identity) || age(now, at) > REPEATED_FOR_MS ? undefined : age(now, at),
    ),
    entries(state.windows, ({ start, count }) =>
      age(now, start) >= bans.rate.per ? undefined : `${age(now, start)}x${count}`,
    ),
    entries(state.strikes, (made) => made.map((at) => younger(at, bans.within)).join('+')),
    entries(state.attempts, (attempts, key) => {
      const door = doorOf(doors, key);
      const texts = attempts.map(({ steps, first, last, tolerated }) => {
        return `${steps} ${younger(first, door.within ?? WITHIN_MOST_MS)} ${younger(last, door.gap.max)} ${tolerated}`;
      });
      return texts.sort().join('+');
    }),
    entries(state.tails, ({ places, at, kind, alone }, key) => {
      return `${places.join('+')} ${younger(at, 2 * doorOf(doors, key).gap.max)} ${kind} ${alone}`;
    }),
    entries(state.lastKnocks, (port) => port),
    entries(state.touches, (at) => (age(now, at) > REPEATED_FOR_MS ? undefined : age(now, at))),
    endedTexts(state, now).join(),
    entries(state.openings, ({ at, steps }) =>
      age(now, at) > REPEATED_FOR_MS ? undefined : `${age(now, at)} ${steps.join('+')}`,
    ),
    state.grants
      .map(
        (one) =>
          `${one.door} ${one.grantee} ${one.source} ${one.usesLeft} ${one.until - now} ${one.renewed - now}`,
      )
      .join(),
    entries(state.bans, ({ until, count }) => `${until - now} ${count}`),
    entries(state.histories, ({ until, count }) => (until < now ? undefined : `${until - now} ${count}`)),
    entries(state.oneTime, ({ knock, used, former }) => `${knock.join('+')} ${used} ${former.join('+')}`),
  ];
  return parts.join('|');
}

function entries<V>(
  map: ReadonlyMap<string, V>,
  text: (value: V, key: string) => string | number | undefined,
): string {
  const lines = [...map].map(([key, value]) => [key, text(value, key)] as const);
  return lines
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `${key}=${value}`)
    .sort()
    .join();
}

/** Of each door and holder only the last end matters, and not when it was, but when it is forgotten. */
function endedTexts(state: State, now: number): readonly string[] {
  const last = new Map(
    state.ended.map((one) => [`${one.door} ${one.grantee} ${one.source}`, age(now, one.at)] as const),
  );
  return [...last]
    .filter(([, old]) => old <= ENDED_FOR_MS)
    .map(([name, old]) => `${name} ${ENDED_FOR_MS - old > EXPLORED_MS ? 'long' : old}`)
    .sort();
}

function doorOf(doors: ReadonlyMap<string, DoorSettings>, key: string): DoorSettings {
  const door = doors.get(key.split(' ')[1] ?? '');
  if (door === undefined) throw new Error(`an attempt at a door that is not there: ${key}`);
  return door;
}
