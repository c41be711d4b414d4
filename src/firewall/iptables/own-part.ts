import type { Family } from '../../packet/address.ts';
import { grantKey } from '../../policy/grantee.ts';
import type { HeldGrant } from '../firewall.ts';
import { parseGrant } from '../grant.ts';
import { adoptSessions } from '../netlink/adopt-sessions.ts';
import type { Sets } from '../netlink/ipset.ts';
import { type Policies, policiesBefore, policiesNow, policyLines } from '../rules/base-policy.ts';
import { jumpRemovals, ownChains, ownJumps, parseSaved, type Saved } from '../rules/jump.ts';
import {
  banSet,
  CHAIN,
  DOOR_SET_LIMIT,
  GRANT_CHAINS,
  hasOwnSetName,
  TABLES,
  type Table,
} from '../rules/names.ts';
import { findTool, LOCK_SECONDS, requireTool, runRequired, toolName } from './command.ts';

/** What is nfknock's in the tables of one family, as it can be kept in a file and put back later. */
export interface OwnPart {
  readonly family: Family;
  readonly chains: readonly {
    readonly table: Table;
    readonly name: string;
    readonly rules: readonly string[];
  }[];
  readonly jumps: readonly { readonly table: Table; readonly from: string; readonly rule: string }[];
  /** The policies of the filter table as they were. */
  readonly policies: Policies;
}

const SET_NAME = /--match-set (\S+) /;

/** The families whose tools are here. */
export function familiesHere(): readonly Family[] {
  return ([4, 6] as const).filter((family) => findTool(toolName('iptables-save', family)) !== undefined);
}

/** Reads what is ours; takes the right to print rules that name sets. Rejects with a FirewallError. */
export async function readOwnPart(family: Family): Promise<OwnPart> {
  const text = await runRequired(requireTool('iptables-save', family), []);
  const saved = parseSaved(text);
  const chains = TABLES.flatMap((table) =>
    ownChains(saved, table).map((name) => ({ table, name, rules: saved.get(table)?.get(name) ?? [] })),
  );
  const jumps = TABLES.flatMap((table) => ownJumps(saved, table).map((jump) => ({ table, ...jump })));
  return { family, chains, jumps, policies: policiesNow(text) };
}

/**
 * Makes what is ours in a family's tables what it was, in one transaction a table; of what others have there nothing
 * is touched. Grants come back only where they are in force now: one that has ended or was revoked since stays so.
 */
export async function restoreOwnPart(was: OwnPart, sets: Sets): Promise<void> {
  const { family } = was;
  for (const name of setsNamedBy(was)) {
    if ((await sets.names()).includes(name)) continue;
    // The daemon gives the set of bans its size again.
    const type = name === banSet(4) ? 'hash:ip' : 'hash:net';
    await sets.create({ name, family, type, limit: DOOR_SET_LIMIT });
  }
  const text = await runRequired(requireTool('iptables-save', family), []);
  const blocks = restoreBlocks(was, parseSaved(text), policiesNow(text));
  if (blocks === '') return;
  const args = ['--noflush', '-w', `${LOCK_SECONDS}`];
  await runRequired(requireTool('iptables-restore', family), args, blocks);
  if (was.jumps.length > 0) await adoptSessions();
}

/** What `iptables-restore --noflush` is to be told. */
export function restoreBlocks(was: OwnPart, saved: Saved, now: Policies): string {
  return TABLES.map((table) => {
    const wanted = was.chains.filter((chain) => chain.table === table);
    const there = ownChains(saved, table);
    const stale = there.filter((name) => !wanted.some((chain) => chain.name === name));
    if (wanted.length === 0 && there.length === 0) return '';
    const granted = grantsNow(saved, table);
    const jumps = was.jumps.filter(
      (jump) => jump.table === table && saved.get(table)?.has(jump.from) !== false,
    );
    const lines = [
      `*${table}`,
      ...(table === 'filter' ? policyLinesFor(was, saved, now) : []),
      ...[...wanted.map((chain) => chain.name), ...stale].map((name) => `:${name} - [0:0]`),
      ...wanted.flatMap(({ name, rules }) =>
        rules.filter((rule) => isInForce(name, rule, granted)).map((rule) => `-A ${name} ${rule}`),
      ),
      ...jumpRemovals(saved, table),
      ...insertions(jumps),
      ...stale.map((name) => `-X ${name}`),
      'COMMIT',
      '',
    ];
    return lines.join('\n');
  }).join('');
}

/** The policies are ours only while the base policy stands; where it comes or goes they go with it. */
function policyLinesFor(was: OwnPart, saved: Saved, now: Policies): readonly string[] {
  const before = was.chains.some((chain) => chain.name === CHAIN.base);
  const after = ownChains(saved, 'filter').includes(CHAIN.base);
  if (before) return policyLines(was.policies);
  return after ? policyLines(policiesBefore(saved) ?? now) : [];
}

function insertions(jumps: OwnPart['jumps']): readonly string[] {
  const placed = new Map<string, number>();
  return jumps.map(({ from, rule }) => {
    const position = (placed.get(from) ?? 0) + 1;
    placed.set(from, position);
    return `-I ${from} ${position} ${rule}`;
  });
}

function grantsNow(saved: Saved, table: Table): ReadonlySet<string> {
  const rules = GRANT_CHAINS.flatMap((name) => saved.get(table)?.get(name) ?? []);
  return new Set(rules.flatMap((rule) => parse(rule) ?? []).map(keyOf));
}

function isInForce(chain: string, rule: string, granted: ReadonlySet<string>): boolean {
  if (!GRANT_CHAINS.includes(chain)) return true;
  const grant = parse(rule);
  return grant === undefined || granted.has(keyOf(grant));
}

function parse(rule: string): HeldGrant | undefined {
  return parseGrant(` ${rule}`);
}

function keyOf({ door, grantee }: HeldGrant): string {
  return grantKey(door, grantee);
}

/** The sets that the rules name: they must be there before the rules. */
export function setsNamedBy({ chains }: Pick<OwnPart, 'chains'>): readonly string[] {
  const names = chains.flatMap(({ rules }) => rules.flatMap((rule) => SET_NAME.exec(`${rule} `)?.[1] ?? []));
  return [...new Set(names.filter(hasOwnSetName))];
}

/**
 * How many packets came in through grants since the rules were laid: of those that reached the grants, what neither a
 * later rule of the same chain dropped nor handed on. A dump reads the rules in their order, so that a packet on its
 * way counts for less, never for more.
 */
export async function letInByGrants(family: Family): Promise<number> {
  const text = await runRequired(requireTool('iptables-save', family), ['-c', '-t', 'filter']);
  return [CHAIN.service, CHAIN.forwardService].reduce((sum, chain) => sum + passedIn(text, chain), 0);
}

function passedIn(text: string, chain: string): number {
  let entered: number | undefined;
  let stopped = 0;
  for (const [, packets = '0', name, rule = ''] of text.matchAll(/^\[(\d+):\d+\] -A (\S+) (.*)$/gm)) {
    if (name !== chain) continue;
    if (entered !== undefined) stopped += Number(packets);
    else if (/^-j NFKNOCK-(FWD-)?GRANT$/.test(rule)) entered = Number(packets);
  }
  return Math.max(0, (entered ?? 0) - stopped);
}
