import type { Family } from '../packet/address.ts';
import { baseOf, type Policies, policiesBefore, policiesNow, policyLines } from './base.ts';
import { type Block, entriesByDoor, type Grants, type SetChange } from './change.ts';
import { LOCK_SECONDS, requireTool, runRequired, runTool } from './command.ts';
import { dumpFingerprint } from './dump.ts';
import { FirewallError, type HeldGrant } from './firewall.ts';
import { parseGrant } from './grant.ts';
import { fingerprint, grantsInPlace, installBlocks, removeBlocks, type Wanted } from './install.ts';
import type { Sets } from './ipset.ts';
import { ownChains, parseSaved, type Saved } from './jump.ts';
import type { Layout } from './layout.ts';
import { CHAIN, isOwnSet } from './names.ts';
import type { NetfilterSocket } from './netfilter.ts';
import type { Restore } from './restore.ts';
import { type RuleSet, rulesOf } from './rules.ts';

export type BaseWish = 'lay' | 'keep';

/** The tables of one family. Errors are FirewallErrors. */
export interface Tables {
  readonly family: Family;
  /** Makes the sets that the rules will name, and puts into them what they must hold from the first moment. */
  prepare(layout: Layout, grants: Grants, sets: Sets, now: number): Promise<readonly SetChange[]>;
  /** With `lay`, also the base policy of an appliance; with `keep`, as it was. */
  install(layout: Layout, grants: Grants, now: number, base: BaseWish): Promise<void>;
  /** Those of the blocks that are of this family, in their order. */
  apply(blocks: readonly Block[]): Promise<void>;
  /** Grants as rules, read from the kernel, however often each is there and whether or not it has ended. */
  grants(): Promise<readonly HeldGrant[]>;
  intact(layout: Layout, grants: Grants, now: number): Promise<boolean>;
  remove(): Promise<void>;
  /** Destroys nfknock's sets of this family that the layout does not need; without a layout all. */
  dropSets(layout: Layout | undefined, sets: Sets): Promise<void>;
}

export function openTables(
  family: Family,
  restore: Restore,
  socket: NetfilterSocket,
  directories?: readonly string[],
): Tables {
  const list = requireTool('iptables', family, directories);
  const save = requireTool('iptables-save', family, directories);
  let rules: { readonly layout: Layout; readonly set: RuleSet } | undefined;
  /** What `install` left behind; undefined until then. */
  let expected: string | undefined;
  /** The same as the kernel has it, for who may not list all rules. */
  let expectedDump: string | undefined;
  /** The policies from before the base was laid; undefined where there is no base. */
  let before: Policies | undefined;

  const ruleSet = (layout: Layout): RuleSet => {
    if (rules?.layout !== layout) rules = { layout, set: rulesOf(layout, family) };
    return rules.set;
  };
  const wanted = (layout: Layout, grants: Grants, now: number): Wanted => ({
    layout,
    rules: ruleSet(layout),
    grants,
    base: before === undefined ? undefined : baseOf(layout.config, family, before),
    now,
  });
  const read = async (wish: BaseWish = 'keep'): Promise<Saved> => {
    const text = await runRequired(save, []);
    const saved = parseSaved(text);
    const there = baseThere(saved);
    const now = policiesNow(text);
    // Emptied, or gone without the policy that it brought, it is laid again. Gone with it, someone has put
    // back what was before, and wants it so.
    const emptied = before?.input === 'ACCEPT' && now.input === 'DROP';
    if (there === undefined && !emptied) before = undefined;
    else before ??= there;
    if (wish === 'lay') before ??= now;
    return saved;
  };
  /** With CAP_NET_ADMIN alone rules that name a set can't be listed: iptables-save ends with an error. */
  const readIfPermitted = async (): Promise<Saved | undefined> => {
    try {
      return await read();
    } catch (error) {
      if (error instanceof FirewallError && error.code.startsWith('EXIT_')) return undefined;
      throw error;
    }
  };
  const apply = async (blocks: readonly Block[]): Promise<void> => {
    for (const block of blocks) if (block.family === family) await restore.apply(block.text);
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
      await apply(installBlocks(await read(base), wanted(layout, grants, now)));
      expectedDump = undefined;
      expected = fingerprint(await read(), wanted(layout, grants, now));
    },
    apply,
    async grants() {
      const found: HeldGrant[] = [];
      for (const chain of [CHAIN.grant, CHAIN.forwardGrant]) {
        // Of this chain alone: with CAP_NET_ADMIN alone, rules that name a set can't be listed.
        const ran = await runTool(list, ['-w', `${LOCK_SECONDS}`, '-S', chain]);
        // Status 1: there is no such chain, so it holds none.
        if (ran.status === 0) found.push(...ran.output.split('\n').flatMap((line) => parseGrant(line) ?? []));
        else if (ran.status !== 1) await runRequired(list, ['-w', `${LOCK_SECONDS}`, '-S', chain]);
      }
      return found;
    },
    async intact(layout, grants, now) {
      const want = wanted(layout, grants, now);
      const saved = await readIfPermitted();
      if (saved === undefined) {
        const dump = await dumpFingerprint(socket, want);
        if (dump !== undefined) expectedDump ??= dump;
        return dump !== undefined && dump === expectedDump;
      }
      const there = fingerprint(saved, want);
      if (there === undefined) return false;
      expected ??= there;
      return there === expected && grantsInPlace(saved, want);
    },
    async remove() {
      const saved = await read();
      await apply(removeBlocks(saved, family, before === undefined ? [] : policyLines(before)));
      before = undefined;
      expected = undefined;
      expectedDump = undefined;
    },
    async dropSets(layout, sets) {
      const needed = new Set(layout === undefined ? [] : ruleSet(layout).sets.map((spec) => spec.name));
      for (const name of await sets.names()) {
        const mine = isOwnSet(name) && name.endsWith(`${family}`);
        if (mine && !needed.has(name)) await sets.destroy(name);
      }
    },
  };
}

function baseThere(saved: Saved): Policies | undefined {
  if (!ownChains(saved, 'filter').includes(CHAIN.base)) return undefined;
  return policiesBefore(saved) ?? { input: 'ACCEPT', forward: 'ACCEPT' };
}
