import { guarded, owned } from '../../guard/guard.ts';
import { type Acceptance, acceptanceOf, assumedAcceptance, sameAcceptance } from '../rules/acceptance.ts';
import { targetWords } from '../rules/coverage.ts';
import type { Following } from '../rules/following.ts';
import type { Layout } from '../rules/layout.ts';
import { CHAIN } from '../rules/names.ts';
import { type FollowingOptions, readFollowing } from './read-following.ts';

/** Who decides in INPUT on what is none of ours, as it was last found. */
export interface Decisions {
  /** What was last decided for a layout; before the first look what is assumed. */
  last(layout: Layout): Acceptance;
  /** Looks at what follows our jump, with the base policy's chain in it, and decides. */
  anew(layout: Layout, base: readonly string[]): Promise<void>;
  /** False where it would be decided otherwise. Where looking takes long it looks seldom, and the next call tells. */
  stands(layout: Layout, base: readonly string[]): Promise<boolean>;
  /** What was last decided, if anything was. */
  found(): readonly Acceptance[];
}

export interface DecisionsOptions extends FollowingOptions {
  /** Wall time, ms. */
  readonly now: () => number;
}

/** From this many rules on a look costs something. */
const MANY = 2_000;
/** After such a look the next comes this many times later as it took, though others change their rules meanwhile. */
const REST = 30;
const REST_MS_MAX = 30_000;

export function openDecisions(options: DecisionsOptions): Decisions {
  const { family, now } = options;
  let decided: { readonly layout: Layout; readonly acceptance: Acceptance } | undefined;
  let assumed: typeof decided;
  let resting = false;
  /** Looking takes long: it is done while nobody waits for it. */
  let costly = false;
  let looking = false;
  /** Such a look has found that it would be decided otherwise. */
  let overtaken = false;

  const rest = (time: number): void => {
    resting = true;
    setTimeout(
      guarded('rules', () => {
        resting = false;
      }),
      Math.min(REST_MS_MAX, time),
    ).unref();
  };
  const look = async (layout: Layout, base: readonly string[]): Promise<Acceptance> => {
    if (layout.config.accept !== 'auto') return assumedAcceptance(layout.config);
    const begun = now();
    const following = await readFollowing(options);
    if (following !== undefined) {
      costly = sizeOf(following) > MANY;
      if (costly) rest(REST * Math.max(0, now() - begun));
    }
    return acceptanceOf(layout, family, following === undefined ? undefined : withBase(following, base));
  };

  return {
    last(layout) {
      if (decided?.layout === layout) return decided.acceptance;
      if (assumed?.layout !== layout) assumed = { layout, acceptance: assumedAcceptance(layout.config) };
      return assumed.acceptance;
    },
    async anew(layout, base) {
      decided = { layout, acceptance: await look(layout, base) };
      overtaken = false;
    },
    async stands(layout, base) {
      const before = decided;
      if (before?.layout !== layout) {
        decided = { layout, acceptance: await look(layout, base) };
        return true;
      }
      if (overtaken) return false;
      if (resting || looking) return true;
      const agrees = async (): Promise<boolean> => agree(await look(layout, base), before.acceptance);
      if (!costly) return agrees();
      looking = true;
      const looked = agrees().then((same) => {
        if (decided === before) overtaken = !same;
      });
      owned(
        'rules',
        looked.finally(() => {
          looking = false;
        }),
      );
      return true;
    },
    found: () => (decided === undefined ? [] : [decided.acceptance]),
  };
}

/** One look that failed is no reason to lay the rules anew. */
function agree(found: Acceptance, decided: Acceptance): boolean {
  return (found.by === 'unread' && decided.by === 'read') || sameAcceptance(found, decided);
}

/** The base policy as it will stand: where its jump is missing it comes right after ours. */
function withBase({ chains, policy }: Following, base: readonly string[]): Following {
  if (base.length === 0) return { chains, policy };
  const input = chains.get('INPUT') ?? [];
  const there = input.some((rule) => targetWords(rule).target === CHAIN.base);
  return {
    chains: new Map([
      ...chains,
      ['INPUT', there ? input : [`-j ${CHAIN.base}`, ...input]],
      [CHAIN.base, base],
    ]),
    policy: 'DROP',
  };
}

function sizeOf({ chains }: Following): number {
  return [...chains.values()].reduce((sum, rules) => sum + rules.length, 0);
}
