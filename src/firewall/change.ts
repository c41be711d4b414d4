import type { Family } from '../packet/address.ts';
import { type Cidr, networkOf } from '../packet/cidr.ts';
import { grantKey } from '../policy/grantee.ts';
import type { Change, Grantee, HeldGrant } from './firewall.ts';
import { grantRules, hasFamily, type PlacedRule } from './grant.ts';
import type { Layout } from './rules/layout.ts';
import { banSet, doorSet, TABLES, type Table } from './rules/names.ts';

/** Grants in force, by `grantKey`. */
export type Grants = ReadonlyMap<string, HeldGrant>;

/** One transaction of one table: `*table … COMMIT`. */
export interface Block {
  readonly family: Family;
  readonly table: Table;
  readonly text: string;
}

/** Entries for one set, all added or all taken out. */
export interface SetChange {
  readonly set: string;
  readonly family: Family;
  readonly action: 'add' | 'del';
  readonly entries: readonly SetEntry[];
}

export interface SetEntry {
  readonly target: Cidr;
  /** Whole seconds, 1–2147483; of no matter where the entry is taken out. */
  readonly seconds: number;
}

/** What must be carried to the kernel, in this order: blocks, sets. */
export interface Plan {
  readonly blocks: readonly Block[];
  readonly sets: readonly SetChange[];
  /** By `grantKey`: what becomes of each grant that is touched; undefined: it ends. */
  readonly grants: ReadonlyMap<string, HeldGrant | undefined>;
}

/** The longest timeout of a set's entry, in seconds (UINT_MAX / MSEC_PER_SEC / 2 of the kernel's ip_set.h). */
export const SET_TIMEOUT_SECONDS_MAX = 2_147_483;

/**
 * A chain of up to this many rules is written anew where one ends: 10 ms. To delete a rule iptables reads every rule that
 * anyone has in the table: half a second where another program has twenty thousand.
 */
const ANEW_MAX = 256;
/** Rules that are deleted one by one from a longer chain: at 500 rules more would take longer than all of them anew. */
const DELETIONS_MAX = 3;

const FAMILIES: readonly Family[] = [4, 6];

/** The order in which a door is opened: who is let in is marked by then. It is shut in that of `TABLES`. */
const OPENING: readonly Table[] = ['mangle', 'filter', 'nat'];

/** What there is before the changes. */
export interface Standing {
  readonly layout: Layout;
  readonly grants: Grants;
  /** Wall time in ms. */
  readonly now: number;
  /** Families whose grants are written anew whatever changes: an earlier block did not go through. */
  readonly stale: ReadonlySet<Family>;
}

/** Groups changes so that each table and set is told once. */
export function planChanges(standing: Standing, changes: readonly Change[]): Plan {
  const { layout, now } = standing;
  const touched = grantsTouched(standing, changes);
  const bySet = layout.config.grants === 'set';
  const blocks = bySet ? [] : FAMILIES.flatMap((family) => blocksOf(standing, touched, family));
  const doorSets = bySet ? doorSetChanges(standing, touched) : [];
  return { blocks, sets: [...doorSets, ...banSetChanges(changes, now)], grants: touched };
}

/** The rules of all grants, chain by chain, of one family. */
export function rulesOfGrants(
  layout: Layout,
  grants: Iterable<HeldGrant>,
  family: Family,
  now: number,
): ReadonlyMap<string, readonly string[]> {
  const chains = new Map<string, string[]>();
  for (const grant of grants) {
    if (grant.until <= now) continue;
    for (const { chain, rule } of grantRules(layout, grant, family)) {
      const rules = chains.get(chain);
      if (rules === undefined) chains.set(chain, [rule]);
      else rules.push(rule);
    }
  }
  return chains;
}

/** Whole seconds from `now` to `until`, never 0: an entry with timeout 0 would stay for good. */
export function secondsLeft(until: number, now: number): number {
  return Math.min(Math.max(1, Math.ceil((until - now) / 1000)), SET_TIMEOUT_SECONDS_MAX);
}

/** What a set holds for a grantee: sets know no network of length 0, so everyone is two halves. */
export function networksOf(grantee: Grantee, family: Family): readonly Cidr[] {
  if (grantee !== 'any') return grantee.address.family === family ? [grantee] : [];
  const half = (a: number): Cidr => networkOf({ family, a, b: 0, c: 0, d: 0 }, 1);
  return [half(0), half(1 << 31)];
}

type Touched = ReadonlyMap<string, HeldGrant | undefined>;

function grantsTouched({ layout, grants, now }: Standing, changes: readonly Change[]): Touched {
  const touched = new Map<string, HeldGrant | undefined>();
  for (const change of changes) {
    if (change.change !== 'open' && change.change !== 'close') continue;
    const { door, grantee } = change;
    const key = grantKey(door, grantee);
    if (change.change === 'close' || change.until <= now || !layout.doors.has(door))
      touched.set(key, undefined);
    else touched.set(key, { door, grantee, until: change.until });
  }
  for (const [key, grant] of touched) if (grants.get(key)?.until === grant?.until) touched.delete(key);
  return touched;
}

function goneOf(grants: Grants, touched: Touched): readonly HeldGrant[] {
  return [...touched.keys()].flatMap((key) => grants.get(key) ?? []);
}

function madeOf(touched: Touched): readonly HeldGrant[] {
  return [...touched.values()].flatMap((grant) => grant ?? []);
}

/**
 * New grants are added to their chain. Where some end it is written anew, in 38 µs a rule; of a long one a few are
 * deleted one by one, each in 8 µs a rule of the chain and 25 µs a rule of others. One transaction either way: a renewed
 * grant is never missing, nor twice there.
 */
function blocksOf(
  { layout, grants, now, stale }: Standing,
  touched: Touched,
  family: Family,
): readonly Block[] {
  const rulesOf = (some: readonly HeldGrant[]): readonly PlacedRule[] =>
    some.flatMap((grant) => grantRules(layout, grant, family));
  const gone = rulesOf(goneOf(grants, touched));
  const made = madeOf(touched);
  const anew = stale.has(family)
    ? chainsOf(openingsIn(layout, family))
    : chainsOf(cheaperAnew(gone, grants.size * mostOpenings(layout, family)));
  const kept =
    anew.size === 0 ? [] : [...grants].filter(([key]) => !touched.has(key)).map(([, grant]) => grant);
  const all = rulesOfGrants(layout, [...kept, ...(anew.size === 0 ? [] : made)], family, now);
  return (made.length > 0 ? OPENING : TABLES).flatMap((table): readonly Block[] => {
    const names = [...anew].filter(([, each]) => each === table).map(([name]) => name);
    const singly = (rules: readonly PlacedRule[]): readonly PlacedRule[] =>
      rules.filter((rule) => rule.table === table && !anew.has(rule.chain));
    const lines = [
      ...names.map((name) => `:${name} - [0:0]`),
      ...names.flatMap((name) => (all.get(name) ?? []).map((rule) => `-A ${name} ${rule}`)),
      ...singly(gone).map(({ chain, rule }) => `-D ${chain} ${rule}`),
      ...singly(rulesOf(made)).map(({ chain, rule }) => `-A ${chain} ${rule}`),
    ];
    return lines.length === 0 ? [] : [{ family, table, text: `*${table}\n${lines.join('\n')}\nCOMMIT\n` }];
  });
}

/** Those of the rules whose chain, of this many rules at most, it is quicker to write anew. */
function cheaperAnew(gone: readonly PlacedRule[], most: number): readonly PlacedRule[] {
  if (most <= ANEW_MAX) return gone;
  const losses = new Map<string, number>();
  for (const { chain } of gone) losses.set(chain, (losses.get(chain) ?? 0) + 1);
  return gone.filter(({ chain }) => (losses.get(chain) ?? 0) > DELETIONS_MAX);
}

function mostOpenings(layout: Layout, family: Family): number {
  return Math.max(0, ...[...layout.openings[family].values()].map((openings) => openings.length));
}

function openingsIn(layout: Layout, family: Family): readonly { table: Table; chain: string }[] {
  return [...layout.openings[family].values()].flat();
}

function chainsOf(rules: readonly { readonly table: Table; readonly chain: string }[]): Map<string, Table> {
  return new Map(rules.map(({ chain, table }) => [chain, table]));
}

function doorSetChanges({ grants, now, stale }: Standing, touched: Touched): readonly SetChange[] {
  const gone = goneOf(grants, touched).filter(
    (grant) => touched.get(grantKey(grant.door, grant.grantee)) === undefined,
  );
  const kept =
    stale.size === 0 ? [] : [...grants].filter(([key]) => !touched.has(key)).map(([, grant]) => grant);
  return FAMILIES.flatMap((family) => [
    ...entriesByDoor(gone, 'del', family, now),
    ...entriesByDoor([...kept, ...madeOf(touched)], 'add', family, now),
  ]);
}

/** What puts these grants into their doors' sets, or takes them out. */
export function entriesByDoor(
  grants: readonly HeldGrant[],
  action: 'add' | 'del',
  family: Family,
  now: number,
): readonly SetChange[] {
  const sets = new Map<string, SetEntry[]>();
  for (const { door, grantee, until } of grants) {
    if (!hasFamily(grantee, family)) continue;
    const set = doorSet(door, family);
    const entries = sets.get(set) ?? [];
    sets.set(set, entries);
    for (const target of networksOf(grantee, family))
      entries.push({ target, seconds: secondsLeft(until, now) });
  }
  return [...sets].map(([set, entries]) => ({ set, family, action, entries }));
}

/** Bans that are lifted make room before others are laid: a set holds `bans.limit` and no more. */
function banSetChanges(changes: readonly Change[], now: number): readonly SetChange[] {
  const last = mayClash(changes) ? lastOfEach(changes) : changes;
  const result: SetChange[] = [];
  for (const family of FAMILIES) {
    const added: SetEntry[] = [];
    const removed: SetEntry[] = [];
    for (const change of last) {
      if (change.change !== 'ban' && change.change !== 'unban') continue;
      if (change.target.address.family !== family) continue;
      if (change.change === 'unban' || change.until <= now)
        removed.push({ target: change.target, seconds: 0 });
      else added.push({ target: change.target, seconds: secondsLeft(change.until, now) });
    }
    const set = banSet(family);
    if (removed.length > 0) result.push({ set, family, action: 'del', entries: removed });
    if (added.length > 0) result.push({ set, family, action: 'add', entries: added });
  }
  return result;
}

/**
 * Whether a target may be both lifted and banned. In a flood that fills the set each ban lifts another, and hardly
 * ever the same: to find that out must cost little.
 */
function mayClash(changes: readonly Change[]): boolean {
  const lifted = new Set<number>();
  for (const change of changes) if (change.change === 'unban') lifted.add(mixed(change.target));
  if (lifted.size === 0) return false;
  return changes.some((change) => change.change === 'ban' && lifted.has(mixed(change.target)));
}

/** The same for equal networks, and seldom for others: 30 bits, which a set takes without allocating. */
function mixed({ address, bits }: Cidr): number {
  const { a, b, c, d } = address;
  return (
    (Math.imul(a ^ Math.imul(b ^ Math.imul(c ^ Math.imul(d, 31), 31), 0x9e3779b1), 0x85ebca6b) ^ bits) >>> 2
  );
}

/** Of the changes to one target's ban the last counts. */
function lastOfEach(changes: readonly Change[]): readonly Change[] {
  const last = new Map<string, Change>();
  for (const change of changes) {
    if (change.change !== 'ban' && change.change !== 'unban') continue;
    const { address, bits } = change.target;
    last.set(`${address.family} ${address.a} ${address.b} ${address.c} ${address.d} ${bits}`, change);
  }
  return [...last.values()];
}
