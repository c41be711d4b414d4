import { formatCidr } from '../packet/cidr.ts';
import type { Outcome } from './belief.ts';
import type { Book } from './book.ts';
import type { Heard } from './host.ts';
import { type BanRegister, banKey, type GrantRegister, isTomb, registerKey } from './register.ts';

const CAUSES = ['strikes', 'order'] as const;

/** What is to be carried out after a batch, by what holds at its end; `clipped`: for as long as it may last here. */
export function settle(
  { touched, amnesty: all }: Outcome,
  book: Book,
  clipped: <R extends BanRegister | GrantRegister>(register: R) => R,
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
    if (register.kind === 'grant') {
      const state = book.stateOf(registerKey(register));
      if (state?.kind === 'grant' && clipped(state).until > now) heard.grants.push(clipped(state));
      continue;
    }
    // A target is banned once, whatever the causes: what is left of either is put in force.
    for (const cause of CAUSES) {
      const state = book.stateOf(banKey(register.target, cause));
      if (state?.kind === 'ban' && !isTomb(state) && state.gen >= (book.stateOf('amnesty')?.gen ?? 0))
        heard.bans.push(clipped(state));
    }
  }
  return heard;
}
