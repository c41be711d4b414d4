import type { Address } from '../packet/address.ts';
import type { Cidr } from '../packet/cidr.ts';
import type { Grantee } from '../policy/grantee.ts';
import type { BusClock } from './offset.ts';
import {
  BAN_CAUSES,
  type BanRegister,
  banKey,
  banKeys,
  type GrantRegister,
  type Register,
  registerKey,
} from './register.ts';
import type { View } from './view.ts';

/** What happened on this machine, with moments of its own clock. */
export type Happened =
  | {
      readonly what: 'banned';
      readonly target: Cidr;
      readonly cause: BanRegister['cause'];
      readonly since: number;
      readonly until: number;
      readonly count: number;
    }
  /** `by`: a key lifts bans of strikes alone. */
  | { readonly what: 'lifted'; readonly target: Cidr; readonly by: 'anyone' | 'key' }
  | { readonly what: 'all lifted' }
  | {
      readonly what: 'opened';
      readonly door: string;
      readonly grantee: Grantee;
      readonly source: Address;
      readonly opened: number;
      readonly until: number;
      readonly uses: number | null;
    }
  | { readonly what: 'closed'; readonly door: string; readonly grantee: Grantee };

/**
 * The registers that say it. What is made here knows of every lift that this member has heard of, so it stands; a lift
 * is newer than all of that.
 */
export function registersOf(happened: Happened, view: View, clock: BusClock): readonly Register[] {
  switch (happened.what) {
    case 'banned':
      return bansOf(happened, view, clock);
    case 'lifted': {
      const { target, by } = happened;
      const counted = banKeys(target).map(view.stateOf);
      const count = Math.max(0, ...counted.map((state) => (state?.kind === 'ban' ? state.count : 0)));
      return liftsOf(target, by, clock.stamp(), count);
    }
    case 'all lifted':
      return [{ kind: 'amnesty', gen: clock.stamp() }];
    case 'opened': {
      const { door, grantee, source, opened, until, uses } = happened;
      const moments = { opened: clock.toBus(opened), until: clock.toBus(until) };
      const made: GrantRegister = { kind: 'grant', door, grantee, gen: 0, ...moments, source, uses };
      return [{ ...made, gen: view.genOf(registerKey(made)) }];
    }
    case 'closed': {
      const { door, grantee } = happened;
      const moments = { opened: 0, until: 0 };
      const source: Address = { family: 4, a: 0, b: 0, c: 0, d: 0 };
      return [{ kind: 'grant', door, grantee, gen: clock.stamp(), ...moments, source, uses: null }];
    }
    default:
      return happened satisfies never;
  }
}

/** An order that ends sooner than what is in force lifts that: within one generation ends only grow. */
function bansOf(banned: Happened & { what: 'banned' }, view: View, clock: BusClock): readonly BanRegister[] {
  const { target, cause, count } = banned;
  const [since, until] = [clock.toBus(banned.since), clock.toBus(banned.until)];
  const made = { kind: 'ban', target, cause, since, until, count } as const;
  const longer = banKeys(target)
    .map(view.stateOf)
    .filter((state) => state?.kind === 'ban' && state.until > until && state.gen >= view.genOf('amnesty'));
  if (cause !== 'order' || longer.length === 0) return [{ ...made, gen: view.genOf(banKey(target, cause)) }];
  const gen = clock.stamp();
  return [...liftsOf(target, 'key', gen, count), { ...made, gen }];
}

/** A ban's registers that a lift is said of: by a key only that of strikes. */
function liftsOf(target: Cidr, by: 'anyone' | 'key', gen: number, count: number): readonly BanRegister[] {
  const causes = by === 'key' ? (['strikes'] as const) : BAN_CAUSES;
  return causes.map((cause) => ({ kind: 'ban', target, cause, gen, since: 0, until: 0, count }));
}
