import type { Family } from '../../packet/address.ts';
import { grantKey } from '../../policy/grantee.ts';
import { type Grants, planChanges } from '../change.ts';
import { type Change, FirewallError, type HeldGrant } from '../firewall.ts';
import type { Sets } from '../netlink/ipset.ts';
import type { Layout } from '../rules/layout.ts';
import { throwFirst } from './by-kind.ts';
import type { Canaries } from './canary.ts';
import { readGrants, strayEntries } from './read-back.ts';
import type { BaseWish, Looked, Tables } from './tables.ts';

/** Grants in sets, at most, that are each looked at as often as the sets are: listing a thousand takes 2 ms. */
const QUICK_MAX = 1024;

const NO_GRANTS: Grants = new Map();
const NONE_STALE: ReadonlySet<Family> = new Set();

/** What the tables and sets hold as far as we know, and what is carried to them. Who calls sees to the order. */
export interface Holding {
  /** What the rules in force were made from. */
  layout(): Layout;
  /** From now on these are. */
  follow(layout: Layout): void;
  isLoaded(): boolean;
  putIn(layout: Layout, base?: BaseWish): Promise<void>;
  /** Puts others in and follows them; where that fails, those of before. */
  replace(next: Layout): Promise<void>;
  /** Takes away the sets that a layout does not need; undefined: all. Answers with what stayed. */
  dropSets(needed: Layout | undefined): Promise<readonly FirewallError[]>;
  readonly tablesIntact: (what: Looked) => Promise<boolean>;
  readonly setsIntact: () => Promise<boolean>;
  readonly allIntact: () => Promise<boolean>;
  /** `after`: as with a firewall's `apply`. */
  carryDoors(changes: readonly Change[], after?: Promise<void>): Promise<void>;
  carryBans(changes: readonly Change[], after?: Promise<void>): Promise<void>;
  /** All of it was taken away. */
  forget(): void;
}

interface HoldingOptions {
  readonly layout: Layout;
  readonly families: readonly Family[];
  readonly tables: readonly Tables[];
  readonly sets: Sets;
  readonly canaries: Canaries;
  /** Wall time, ms. */
  readonly now: () => number;
}

export function openHolding({ families, tables, sets, canaries, now, ...first }: HoldingOptions): Holding {
  let { layout } = first;
  let grants = new Map<string, HeldGrant>();
  let loaded = false;
  const stale = new Set<Family>();

  /** What the kernel holds becomes what we know, once: later we know better. */
  const load = async (): Promise<void> => {
    if (loaded) return;
    const held = await readGrants(layout, tables, sets, now());
    grants = new Map(held.map((grant) => [grantKey(grant.door, grant.grantee), grant]));
    loaded = true;
  };

  const putIn = async (to: Layout, base: BaseWish = 'keep'): Promise<void> => {
    await load();
    const alive = new Map([...grants].filter(([, grant]) => grant.until > now() && to.doors.has(grant.door)));
    await canaries.forgetLost();
    await sets.change(await strayEntries({ layout: to, grants: alive, families }, sets, now()));
    for (const each of tables) canaries.note(await each.prepare(to, alive, sets, now()));
    // Each to its end, also where another fails: who puts the old rules back must not find one still at work.
    throwFirst(await Promise.allSettled(tables.map((each) => each.install(to, alive, now(), base))));
    grants = alive;
    stale.clear();
  };

  const dropSets = async (needed: Layout | undefined): Promise<readonly FirewallError[]> => {
    const left: FirewallError[] = [];
    for (const each of tables) {
      try {
        const dropped = await each.dropSets(needed, sets);
        canaries.forget(dropped.gone);
        left.push(...dropped.left);
      } catch (error) {
        // The sets could not even be looked at: the rules are in all the same.
        if (!(error instanceof FirewallError)) throw error;
        left.push(error);
      }
    }
    return left;
  };

  const tablesIntact = async (what: Looked): Promise<boolean> => {
    await load();
    const checks = await Promise.all(tables.map((each) => each.intact(layout, grants, now(), what)));
    return checks.every(Boolean);
  };

  const setsComplete = async (): Promise<boolean> => {
    await load();
    const strays = await strayEntries({ layout, grants, families }, sets, now());
    return strays.length === 0 && (await canaries.present());
  };

  const carryDoors: Holding['carryDoors'] = async (changes, after) => {
    await load();
    const plan = planChanges({ layout, grants, now: now(), stale }, changes);
    const results = await Promise.allSettled([
      ...tables.map((each) => each.apply(plan.blocks, after)),
      changeSets(plan.sets, after),
    ]);
    const failed = results.find((result) => result.status === 'rejected');
    if (failed !== undefined) {
      for (const family of families) stale.add(family);
      throw failed.reason;
    }
    stale.clear();
    for (const [key, grant] of plan.grants) {
      if (grant === undefined) grants.delete(key);
      else grants.set(key, grant);
    }
    canaries.note(plan.sets);
  };

  const changeSets = async (changes: Parameters<Sets['change']>[0], after?: Promise<void>): Promise<void> => {
    await after;
    await sets.change(changes.filter((each) => families.includes(each.family)));
  };

  const carryBans: Holding['carryBans'] = async (changes, after) => {
    const plan = planChanges({ layout, grants: NO_GRANTS, now: now(), stale: NONE_STALE }, changes);
    await changeSets(plan.sets, after);
    canaries.note(plan.sets);
  };

  const allIntact = async (): Promise<boolean> =>
    stale.size === 0 && (await tablesIntact('with grants')) && (await setsComplete());

  return {
    layout: () => layout,
    follow(next) {
      layout = next;
    },
    isLoaded: () => loaded,
    putIn,
    async replace(next) {
      const before = layout;
      const kept: Grants = new Map(grants);
      try {
        await putIn(next);
        layout = next;
      } catch (error) {
        grants = new Map(kept);
        await putIn(before);
        await dropSets(before);
        throw error;
      }
    },
    dropSets,
    tablesIntact,
    setsIntact: async () => (grants.size > QUICK_MAX ? canaries.present() : setsComplete()),
    allIntact,
    carryDoors,
    carryBans,
    forget() {
      grants.clear();
      canaries.clear();
      loaded = true;
    },
  };
}
