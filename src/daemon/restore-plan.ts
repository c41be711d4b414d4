import type { Stored, StoredBan, StoredGrant } from '../state/store.ts';

/*
 * What was kept is in wall time, and a machine's wall clock may be wrong when it starts: there is no battery, or it was
 * taken from the moment of the last shutdown. By a clock that is behind, what had ended would come back, and what had
 * not would be stretched by the step that sets the clock right.
 */

/** What is known of the time at a start. Moments are wall time, ms. */
export interface StartMoment {
  readonly wall: number;
  /** The last moment at which an earlier process wrote: it is later than that now, whatever the clock says. */
  readonly seen: number;
  /** False after a reboot, as long as nothing says that the clock is right. */
  readonly trusted: boolean;
}

/** Something that goes on, for this many milliseconds from now. */
export interface Lasting<Kept> {
  readonly kept: Kept;
  readonly left: number;
}

export interface RestorePlan {
  readonly grants: readonly Lasting<StoredGrant>[];
  /** Not in force until the clock is synchronised; waiting does not open them. */
  readonly waiting: readonly StoredGrant[];
  readonly bans: readonly Lasting<StoredBan>[];
}

/** `inForce` tells of a grant that the kernel holds already: it was made in this boot. */
export function planRestore(
  kept: Stored,
  at: StartMoment,
  inForce: (grant: StoredGrant) => boolean,
): RestorePlan {
  const opens = (grant: StoredGrant): boolean => at.trusted || inForce(grant);
  return {
    grants: kept.grants.filter(opens).flatMap((grant) => {
      // Of this boot: by this clock, whatever an earlier one had seen.
      const seen = at.trusted ? at.seen : 0;
      return lasting(grant, grantLeft(grant, { ...at, seen }));
    }),
    waiting: kept.grants.filter((grant) => !opens(grant)),
    bans: kept.bans.flatMap((ban) => lasting(ban, banLeft(ban, at))),
  };
}

/** How long a grant goes on: until its end, and never longer than it lasts as a whole. */
export function grantLeft({ since, until }: Span, { wall, seen }: Now): number {
  return Math.min(until - Math.max(wall, seen), until - since);
}

/** A ban that began in the future by this clock keeps its whole length; how much of it has gone nobody knows. */
export function banLeft({ since, until }: Span, { wall, seen }: Now): number {
  if (since > wall) return until - since;
  return Math.min(until - Math.max(wall, seen), until - since);
}

interface Span {
  readonly since: number;
  readonly until: number;
}

type Now = Pick<StartMoment, 'wall' | 'seen'>;

function lasting<Kept>(kept: Kept, left: number): readonly Lasting<Kept>[] {
  return left > 0 ? [{ kept, left }] : [];
}
