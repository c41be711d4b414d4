import type { State } from './state.ts';
import { countByHost, countByNetwork, type Subject } from './subject.ts';

/*
 * By what a packet's strikes are counted. An IPv6 host owns its /64, so that is what counts, but where that would shut
 * out someone else: an exempt address in the /64 makes each of its other hosts answer for itself alone; and one of its
 * hosts that holds a grant is not to be shut out by what a neighbour does to decoys, or in a neighbour's name. Wrong
 * knocks stay with the /64 then, or a guesser would have 2^64 sources.
 */

/** For wrong and too-fast knocks, and for bans by hand. */
export function countKnocks({ exempt }: State, subject: Subject): void {
  if (subject.family === 4) return;
  if (exempt.splits(subject.a, subject.b)) countByHost(subject);
  else countByNetwork(subject);
}

/** For decoys, scans and the rate of packets. */
export function countTouches({ exempt, grants }: State, subject: Subject): void {
  if (subject.family === 4) return;
  if (exempt.splits(subject.a, subject.b) || grants.isHeldIn(subject.a, subject.b)) countByHost(subject);
  else countByNetwork(subject);
}
