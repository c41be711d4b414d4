import type { Family } from '../../packet/address.ts';
import { type Block, entriesByDoor, type Grants, type SetChange } from '../change.ts';
import { FirewallError, type HeldGrant } from '../firewall.ts';
import { parseGrant } from '../grant.ts';
import type { Sets } from '../netlink/ipset.ts';
import { openNftables } from '../netlink/nftables.ts';
import type { NetfilterSocket } from '../netlink/socket.ts';
import type { Acceptance } from '../rules/acceptance.ts';
import { baseOf, type Policies, policiesBefore, policyLines } from '../rules/base-policy.ts';
import { fingerprint, grantsInPlace, installBlocks, removeBlocks, type Wanted } from '../rules/install.ts';
import { ownChains, type Saved } from '../rules/jump.ts';
import type { Layout } from '../rules/layout.ts';
import { CHAIN, isOwnSet } from '../rules/names.ts';
import { type RuleSet, rulesOf } from '../rules/rules.ts';
import { openDecisions } from './decisions.ts';
import { openListing } from './listing.ts';
import type { Restore } from './restore-process.ts';
import { rewriteChain, rewriteSetChains } from './rewrite-set-rules.ts';

export type BaseWish = 'install' | 'keep';
/** What is looked at: while grants change, some may be there already. */
export type Looked = 'with grants' | 'without grants';

/** The tables of one family. Errors are FirewallErrors. */
export interface Tables {
  readonly family: Family;
  /** Makes the sets that the rules will name, and puts into them what they must hold from the first moment. */
  prepare(layout: Layout, grants: Grants, sets: Sets, now: number): Promise<readonly SetChange[]>;
  /** With `install`, also the base policy of an appliance; with `keep`, as it was. */
  install(layout: Layout, grants: Grants, now: number, base: BaseWish): Promise<void>;
  /** Those of the blocks that are of this family, in their order; `after`: as with a firewall's `apply`. */
  apply(blocks: readonly Block[], after?: Promise<void>): Promise<void>;
  /** Grants as rules, read from the kernel, however often each is there and whether or not it has ended. */
  grants(): Promise<readonly HeldGrant[]>;
  intact(layout: Layout, grants: Grants, now: number, what: Looked): Promise<boolean>;
  remove(): Promise<void>;
  /** What our chain was last found to have to accept itself; none before the first look. */
  acceptance(): readonly Acceptance[];
  /** Destroys nfknock's sets of this family that the layout does not need; without a layout all. */
  dropSets(layout: Layout | undefined, sets: Sets): Promise<Dropped>;
}

/** What became of sets that nothing of ours needs any more. */
export interface Dropped {
  /** The names of those that are gone. */
  readonly gone: readonly string[];
  /** Why others are still there: they do no harm. */
  readonly left: readonly FirewallError[];
}

export interface TablesOptions {
  readonly family: Family;
  readonly restore: Restore;
  readonly socket: NetfilterSocket;
  readonly sets: Sets;
  /** Whether iptables may print and write rules that name a set. */
  readonly privilege: 'sets' | 'no sets';
  /** True where iptables writes nf_tables. */
  readonly nftables: () => Promise<boolean>;
  /** Rules are in where none of ours were before: until now the kernel may have tracked no connection. */
  readonly onFirst: () => Promise<void>;
  readonly directories: readonly string[] | undefined;
  /** Wall time, ms. */
  readonly now: () => number;
}

export function openTables(options: TablesOptions): Tables {
  const { family, restore, socket, privilege } = options;
  const workshop = { restore, nft: openNftables(socket, family), sets: options.sets };
  const list = openListing(options);
  const decide = openDecisions(options);
  let rules: { readonly layout: Layout; readonly acceptance: Acceptance; readonly set: RuleSet } | undefined;
  /** What `install` left behind, and for which configuration; undefined until then. */
  let expected: { readonly layout: Layout; readonly text: string } | undefined;
  /** The policies from before the base was laid; undefined where there is no base. */
  let before: Policies | undefined;

  const ruleSet = (layout: Layout): RuleSet => {
    const acceptance = decide.last(layout);
    if (rules?.layout !== layout || rules.acceptance !== acceptance) {
      rules = { layout, acceptance, set: rulesOf(layout, family, acceptance) };
    }
    return rules.set;
  };
  const wanted = (layout: Layout, grants: Grants, now: number): Wanted => ({
    layout,
    rules: ruleSet(layout),
    grants,
    base: before === undefined ? undefined : baseOf(layout.config, family, before),
    rewrittenElsewhere: privilege === 'sets' ? [] : rewriteSetChains(ruleSet(layout).chains),
    now,
  });
  const read = async (wish: BaseWish = 'keep'): Promise<Saved> => {
    const { saved, policies: now } = await list();
    const there = baseThere(saved);
    // Emptied, or gone without the policy that it brought, it is laid again. Gone with it, someone has put
    // back what was before, and wants it so.
    const emptied = before?.input === 'ACCEPT' && now.input === 'DROP';
    if (there === undefined && !emptied) before = undefined;
    else before ??= there;
    if (wish === 'install') before ??= now;
    return saved;
  };
  const apply = async (blocks: readonly Block[], after?: Promise<void>): Promise<void> => {
    for (const block of blocks) if (block.family === family) await restore.apply(block.text, after);
  };

  return {
    family,
    async prepare(layout, grants, sets, now) {
      for (const spec of ruleSet(layout).sets) await sets.create(spec);
      if (layout.config.grants !== 'set') return [];
      const changes = entriesByDoor([...grants.values()], 'add', family, now);
      await sets.change(changes);
      return changes;
    },
    async install(layout, grants, now, base) {
      // Should this end half-way, what is there is nobody's.
      expected = undefined;
      const saved = await read(base);
      await decide.anew(layout, before === undefined ? [] : baseOf(layout.config, family, before).rules);
      const want = wanted(layout, grants, now);
      const first = ownChains(saved, 'filter').length === 0;
      // First what closes: for a moment bans may not hold, but no port is open.
      await apply(installBlocks(saved, want));
      if (first) await options.onFirst();
      for (const chain of want.rewrittenElsewhere) await rewriteChain(workshop, chain);
      const text = fingerprint(await read(), wanted(layout, grants, now));
      expected = text === undefined ? undefined : { layout, text };
    },
    apply,
    async grants() {
      const chains = (await list()).saved.get('filter');
      const rules = [CHAIN.grant, CHAIN.forwardGrant].flatMap((name) => chains?.get(name) ?? []);
      return rules.flatMap((rule) => parseGrant(` ${rule}`) ?? []);
    },
    async intact(layout, grants, now, what) {
      const look = async (): Promise<boolean> => {
        const saved = await read();
        const base = before === undefined ? [] : baseOf(layout.config, family, before).rules;
        if (!(await decide.stands(layout, base))) return false;
        const want = wanted(layout, grants, now);
        const there = fingerprint(saved, want);
        if (there === undefined) return false;
        expected ??= { layout, text: there };
        if (expected.layout !== layout || there !== expected.text) return false;
        return what === 'without grants' || grantsInPlace(saved, want);
      };
      // What is read in pieces while someone else writes may be torn: only what is seen twice is believed.
      return (await look()) || (await look());
    },
    async remove() {
      const saved = await read();
      await apply(removeBlocks(saved, family, before === undefined ? [] : policyLines(before)));
      before = undefined;
      expected = undefined;
    },
    acceptance: decide.found,
    async dropSets(layout, sets) {
      const needed = new Set(layout === undefined ? [] : ruleSet(layout).sets.map((spec) => spec.name));
      const mine = (await sets.all()).filter((set) => set.family === family && isOwnSet(set));
      const gone: string[] = [];
      const left: FirewallError[] = [];
      for (const name of new Set(mine.map((set) => set.name))) {
        if (needed.has(name)) continue;
        try {
          await sets.destroy(name);
          gone.push(name);
        } catch (error) {
          if (!(error instanceof FirewallError)) throw error;
          left.push(error);
        }
      }
      return { gone, left };
    },
  };
}

function baseThere(saved: Saved): Policies | undefined {
  if (!ownChains(saved, 'filter').includes(CHAIN.base)) return undefined;
  return policiesBefore(saved) ?? { input: 'ACCEPT', forward: 'ACCEPT' };
}
