import { type Cidr, formatCidr } from '../packet/cidr.ts';
import type { Outcome } from './belief.ts';
import type { Book } from './book.ts';
import type { Heard } from './host.ts';
import { GUESS_TOLERANCE } from './offset.ts';
import {
  type BanRegister,
  banKey,
  banKeys,
  type GrantRegister,
  grantRegisterKey,
  isTomb,
  type Register,
  registerKey,
} from './register.ts';

export type Standing = 'stands' | 'ended' | 'unknown';

/** A ban that is in force here, and the newest lift that it is known to have been made after; 0: none. */
export interface InForce extends Pick<BanRegister, 'target' | 'until'> {
  readonly origin: BanRegister['cause'];
  readonly knows: number;
}

/** For as long as it may last here. */
type Clipped = <R extends BanRegister | GrantRegister>(register: R) => R;

/** What is to be carried out after a batch, by what holds at its end. */
export function settle(
  { touched, amnesty: all }: Outcome,
  book: Book,
  clipped: Clipped,
  now: number,
): Omit<Heard, 'origin'> {
  const heard = {
    lifts: [] as Heard['lifts'][number][],
    grants: [] as GrantRegister[],
    bans: [] as BanRegister[],
  };
  const targets = new Map([...touched].map(([key, { register }]) => [key, register]));
  if (all !== null) {
    heard.lifts.push(all);
    for (const state of book.lifted()) if (state.kind === 'ban') targets.set(formatCidr(state.target), state);
  }
  for (const { register, ended } of touched.values())
    if (ended && (register.kind === 'grant' || all === null)) heard.lifts.push(register);
  for (const register of targets.values()) {
    if (register.kind === 'grant') heard.grants.push(...grantNow(register, book, clipped, now));
    else heard.bans.push(...bansNow(register.target, book, clipped));
  }
  return heard;
}

/** What is left of it by now. */
export function current(heard: Heard, book: Book, clipped: Clipped, now: number): Heard {
  const bans = new Map<Register | undefined, BanRegister>();
  const grants = new Map<string, GrantRegister>();
  const look = (register: Register): void => {
    if (register.kind === 'grant')
      for (const grant of grantNow(register, book, clipped, now)) grants.set(registerKey(grant), grant);
    else if (register.kind === 'ban')
      for (const ban of bansNow(register.target, book, clipped))
        bans.set(book.stateOf(banKey(ban.target, ban.cause)), ban);
  };
  // With all lifted there was time for new ones while they went.
  if (heard.lifts.some(({ kind }) => kind === 'amnesty')) for (const state of book.lifted()) look(state);
  for (const list of [heard.lifts, heard.grants, heard.bans]) for (const register of list) look(register);
  return { ...heard, bans: [...bans.values()], grants: [...grants.values()] };
}

/**
 * What is known of a ban that is in force here: whether it stands as it is, has been ended by a lift that did not come
 * from here, or is nobody's affair. One that stands for a part only, since a lift has ended the other cause or a later
 * end, has been ended; what is left of it is to be put in force again.
 */
export function standingOf({ target, knows, until, origin }: InForce, book: Book, now: number): Standing {
  const all = book.stateOf('amnesty')?.gen ?? 0;
  let [isOver, isWanted, lasts] = [false, false, now];
  for (const key of banKeys(target)) {
    const state = book.stateOf(key);
    if (state?.kind !== 'ban') continue;
    if (isTomb(state) || state.gen < all) continue;
    if (state.until <= now) isOver = true;
    else {
      lasts = Math.max(lasts, state.until);
      isWanted ||= state.cause === 'order';
    }
  }
  const isSaid = lasts > now;
  if (isSaid && until <= lasts + GUESS_TOLERANCE && (origin === 'strikes' || isWanted)) return 'stands';
  const isLifted = knows < newestLift(target, book.stateOf);
  if (isSaid) return isLifted ? 'ended' : 'stands';
  return isLifted && !isOver ? 'ended' : 'unknown';
}

/** What is to be in force of bans of this target, for as long as it may last here. */
export function left(target: Cidr, { book, clipped, now }: Told): readonly BanRegister[] {
  return bansNow(target, book, clipped).filter(({ until }) => until > now);
}

interface Told {
  readonly book: Book;
  readonly clipped: Clipped;
  readonly now: number;
}

/** The newest lift that a ban of this target can have been made after, whatever its cause; 0: none. */
export function newestLift(target: Cidr, stateOf: Book['stateOf']): number {
  const keys = ['amnesty', ...banKeys(target)];
  return Math.max(...keys.map((key) => stateOf(key)?.gen ?? 0));
}

/** Whether a grant has been ended by a lift that it did not know of. */
export function isClosed(
  grant: Pick<GrantRegister, 'door' | 'grantee'>,
  knows: number,
  book: Pick<Book, 'stateOf'>,
): boolean {
  const state = book.stateOf(grantRegisterKey(grant.door, grant.grantee));
  return state !== undefined && isTomb(state) && knows < state.gen;
}

function grantNow(register: GrantRegister, book: Book, clipped: Clipped, now: number): GrantRegister[] {
  const state = book.stateOf(registerKey(register));
  return state?.kind === 'grant' && clipped(state).until > now ? [clipped(state)] : [];
}

/** A target is banned once, whatever the causes: what is left of either is put in force. */
function bansNow(target: Cidr, book: Book, clipped: Clipped): BanRegister[] {
  const all = book.stateOf('amnesty')?.gen ?? 0;
  return banKeys(target).flatMap((key) => {
    const state = book.stateOf(key);
    return state?.kind === 'ban' && !isTomb(state) && state.gen >= all ? [clipped(state)] : [];
  });
}
