import type { FleetBan, FleetGrant, LeftOut } from '../engine/command.ts';
import type { Engine } from '../engine/engine.ts';
import type { Grantee } from '../engine/event.ts';
import type { Register } from '../fleet/register.ts';
import type { Address } from '../packet/address.ts';
import { type Cidr, contains } from '../packet/cidr.ts';
import type { Milliseconds } from '../packet/time.ts';
import type { RefusedReason } from '../policy/fleet.ts';

/** What others said and had no effect here, the newest of it, for `explain`. */
const DOUBTS_MAX = 1_024;
/** In a second: a flood must not push everything out at once, and costs little. */
const DOUBTS_PER_SECOND = 128;

/** Something that another member said, and why nothing came of it here. */
export interface Doubt {
  readonly at: Milliseconds;
  readonly member: string;
  /** Undefined: it is about a ban. */
  readonly door: string | undefined;
  readonly why: string;
}

interface Kept extends Doubt {
  readonly target: Cidr | undefined;
}

export interface Doubts {
  /** It was not believed. */
  refused(member: string, register: Register, reason: RefusedReason): void;
  /** It was believed, and this machine's own exemptions, grants or doors come first. */
  leftOut(
    member: string,
    said: { readonly bans: readonly FleetBan[]; readonly grants: readonly FleetGrant[] },
    reasons: ReadonlyMap<LeftOut, number>,
  ): void;
  /** About this host, oldest first, each once. */
  of(host: Address): readonly Doubt[];
}

export function createDoubts(
  engine: Pick<Engine, 'ban' | 'grant' | 'grantsOf'>,
  now: () => Milliseconds,
): Doubts {
  let kept: Kept[] = [];
  let second = Number.NEGATIVE_INFINITY;
  let inSecond = 0;

  function note(member: string, about: Cidr | Grantee, door: string | undefined, why: string): void {
    const at = now();
    if (at - second >= 1_000) [second, inSecond] = [at, 0];
    inSecond += 1;
    if (inSecond > DOUBTS_PER_SECOND) return;
    const target = about === 'any' ? undefined : about;
    kept.push({ at, member, door, why, target });
    if (kept.length >= 2 * DOUBTS_MAX) kept = kept.slice(-DOUBTS_MAX);
  }

  function isMissing({ target, until }: FleetBan): boolean {
    return until > now() && engine.ban(target.address) === undefined;
  }

  return {
    refused(member, register, reason) {
      if (register.kind === 'amnesty') return;
      const why = WORDS[reason];
      if (register.kind === 'ban') note(member, register.target, undefined, why);
      else note(member, register.grantee, register.door, why);
    },
    leftOut(member, { bans, grants }, reasons) {
      if (reasons.has('exempt') || reasons.has('holds a grant'))
        for (const one of bans.filter(isMissing)) {
          const isLetIn = one.origin !== 'order' && engine.grantsOf(one.target.address).length > 0;
          const why = isLetIn || !reasons.has('exempt') ? 'holds a grant' : 'exempt';
          note(member, one.target, undefined, WORDS[why]);
        }
      const why = (['unknown door', 'grantee', 'full'] as const).filter((each) => reasons.has(each));
      if (why.length === 0) return;
      for (const { door, grantee, until } of grants)
        if (until > now() && engine.grant(door, grantee) === undefined)
          note(member, grantee, door, why.map((each) => WORDS[each]).join(', or '));
    },
    of(host) {
      // Members say things again: the newest counts.
      const newest = new Map<string, Doubt>();
      for (const doubt of kept) {
        if (doubt.target === undefined || !contains(doubt.target, host)) continue;
        const words = doubtWords(doubt);
        newest.delete(words);
        newest.set(words, doubt);
      }
      return [...newest.values()];
    },
  };
}

const WORDS: Readonly<Record<RefusedReason | Exclude<LeftOut, 'over'>, string>> = {
  version: 'it is of another version',
  length: 'it is cut short',
  address: 'it is of no one host',
  time: 'its clock is off',
  origin: 'nobody is called so',
  limit: 'more than fleet.accept.each lets it say',
  'unknown door': 'there is no such door here',
  'not accepted': 'fleet.accept leaves it out',
  exempt: 'it is never banned here',
  'holds a grant': 'it was let in here',
  grantee: "this machine's door lets nobody in so",
  full: 'no more grants fit',
};

/** In words that stand after the outcome. */
export function doubtWords({ member, door, why }: Doubt): string {
  return `member ${member} says that it is ${door === undefined ? 'banned' : `let in at ${door}`}; ${why}`;
}
