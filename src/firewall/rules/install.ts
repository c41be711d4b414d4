import type { Family } from '../../packet/address.ts';
import { formatCidr, parseCidr } from '../../packet/cidr.ts';
import { type Block, type Grants, rulesOfGrants } from '../change.ts';
import { grantRules, parseGrant } from '../grant.ts';
import { jumpEdits, jumpRemovals, jumpsInPlace, ownChains, type Saved } from './jump.ts';
import type { Layout } from './layout.ts';
import { CHAIN, GRANT_CHAINS, JUMP_COMMENT, TABLES, type Table } from './names.ts';
import type { Chain, Jump, RuleSet } from './rules.ts';

/** The base policy's jump: at first right after nfknock's own; what others put before it later stays before it. */
const BASE_JUMP: Jump = {
  table: 'filter',
  from: 'INPUT',
  rule: `-m comment --comment ${JUMP_COMMENT} -j ${CHAIN.base}`,
  optional: false,
  place: 'anywhere',
};

/** The base policy of an appliance: its chain, and what the built-in chains do with what nobody accepted. */
export interface Base {
  readonly rules: readonly string[];
  /** `:INPUT DROP [0:0]` and the like; empty where they are left as they are. */
  readonly policies: readonly string[];
}

/** What is to be put in: the rules of a configuration, the grants that live on, and the base policy if any. */
export interface Wanted {
  readonly layout: Layout;
  readonly rules: RuleSet;
  readonly grants: Grants;
  readonly base: Base | undefined;
  /** Chains that are only made where they are missing: their rules are written by other means. */
  readonly rewrittenElsewhere: readonly Chain[];
  /** Wall time, ms. */
  readonly now: number;
}

/**
 * The blocks that make the tables what is wanted, whatever of ours is in them. Chains change in one
 * transaction a table; a chain of grants that is right already is not touched.
 */
export function installBlocks(saved: Saved, wanted: Wanted): readonly Block[] {
  const { family } = wanted.rules;
  const chains = filledChains(wanted);
  return TABLES.flatMap((table): readonly Block[] => {
    const mine = chains.filter((chain) => chain.table === table);
    const there = ownChains(saved, table);
    const stale = there.filter((name) => !mine.some((chain) => chain.name === name));
    if (mine.length === 0 && stale.length === 0) return [];
    const written = mine.filter((chain) => !isRight(saved, wanted, chain));
    const lines = [
      ...(table === 'filter' ? (wanted.base?.policies ?? []) : []),
      ...[...written.map((chain) => chain.name), ...stale].map((name) => `:${name} - [0:0]`),
      ...written
        .filter((chain) => !isRewrittenElsewhere(wanted, chain))
        .flatMap((chain) => chain.rules.map((rule) => `-A ${chain.name} ${rule}`)),
      ...jumpEdits(saved, table, jumpsOf(wanted)),
      ...stale.map((name) => `-X ${name}`),
    ];
    return [block(family, table, lines)];
  });
}

/** The blocks that take out all that is nfknock's. `policies` of the built-in chains are put back as given. */
export function removeBlocks(saved: Saved, family: Family, policies: readonly string[]): readonly Block[] {
  return [...TABLES].reverse().flatMap((table): readonly Block[] => {
    const names = ownChains(saved, table);
    const jumps = jumpRemovals(saved, table);
    if (names.length === 0 && jumps.length === 0) return [];
    const lines = [
      ...(table === 'filter' ? policies : []),
      ...names.map((name) => `:${name} - [0:0]`),
      ...jumps,
      ...names.map((name) => `-X ${name}`),
    ];
    return [block(family, table, lines)];
  });
}

/**
 * What of the tables must stay as `install` made it, as one text to compare; undefined where a chain, a jump
 * or a rule is missing. The grants are no part of it, unless sets hold them.
 */
export function fingerprint(saved: Saved, wanted: Wanted): string | undefined {
  const chains = staticChains(wanted);
  const whole = chains.every(
    (chain) => saved.get(chain.table)?.get(chain.name)?.length === chain.rules.length,
  );
  const all = filledChains(wanted).every((chain) => saved.get(chain.table)?.has(chain.name) === true);
  const jumps = TABLES.every((table) => jumpsInPlace(saved, table, jumpsOf(wanted)));
  if (!whole || !all || !jumps) return undefined;
  return JSON.stringify(chains.map(({ table, name }) => [table, name, saved.get(table)?.get(name)]));
}

/**
 * True where the chains of grants hold the rules of the grants that should be, each once and to the letter, and
 * nothing else but rules of grants that are over, which the kernel itself passes by.
 */
export function grantsInPlace(saved: Saved, wanted: Wanted): boolean {
  const { layout, now } = wanted;
  if (layout.config.grants === 'set') return true;
  return filledChains(wanted)
    .filter((chain) => GRANT_CHAINS.includes(chain.name))
    .every(({ table, name, rules }) => {
      const there = (saved.get(table)?.get(name) ?? []).filter((rule) => !isOver(rule, wanted, now));
      return sameRules(there, rules);
    });
}

function isOver(rule: string, { layout, rules }: Wanted, now: number): boolean {
  const grant = parseGrant(` ${rule}`);
  if (grant === undefined || grant.until > now) return false;
  return grantRules(layout, grant, rules.family).some((each) => canonical(each.rule) === canonical(rule));
}

/** The same rules, each as often, in any order: for grants it does not matter. */
function sameRules(some: readonly string[], others: readonly string[]): boolean {
  if (some.length !== others.length) return false;
  return some.map(canonical).sort().join('\n') === others.map(canonical).sort().join('\n');
}

function jumpsOf({ rules, base }: Wanted): readonly Jump[] {
  return base === undefined ? rules.jumps : [...rules.jumps, BASE_JUMP];
}

/** The chains with their grants in them. */
function filledChains({ layout, rules, grants, base, now }: Wanted): readonly Chain[] {
  const held =
    layout.config.grants === 'set' ? undefined : rulesOfGrants(layout, grants.values(), rules.family, now);
  const chains = rules.chains.map((chain) =>
    held !== undefined && GRANT_CHAINS.includes(chain.name)
      ? { ...chain, rules: held.get(chain.name) ?? [] }
      : chain,
  );
  return base === undefined ? chains : [...chains, { table: 'filter', name: CHAIN.base, rules: base.rules }];
}

function staticChains(wanted: Wanted): readonly Chain[] {
  const bySet = wanted.layout.config.grants === 'set';
  return filledChains(wanted).filter((chain) => bySet || !GRANT_CHAINS.includes(chain.name));
}

function isRewrittenElsewhere({ rewrittenElsewhere }: Wanted, { name, table }: Chain): boolean {
  return rewrittenElsewhere.some((each) => each.name === name && each.table === table);
}

/** True for a chain that is not to be written: one of grants that holds exactly those it should. */
function isRight(saved: Saved, wanted: Wanted, chain: Chain): boolean {
  if (isRewrittenElsewhere(wanted, chain)) return saved.get(chain.table)?.has(chain.name) === true;
  if (!GRANT_CHAINS.includes(chain.name) || wanted.layout.config.grants === 'set') return false;
  const there = saved.get(chain.table)?.get(chain.name);
  return there !== undefined && sameRules(there, chain.rules);
}

/** The same for the same rule, however it is worded: options have an order of iptables's own, and hosts a length. */
function canonical(rule: string): string {
  const words = (rule.match(/"[^"]*"|\S+/g) ?? []).map((word) => word.replaceAll('"', ''));
  const options: string[] = [];
  for (const [index, word] of words.entries()) {
    const before = words[index - 1];
    if (word.startsWith('-') || word === '!' || before === undefined) options.push(word);
    else if (before === '-s' || before === '-d') options.push(`${options.pop() ?? ''} ${addressOf(word)}`);
    else options.push(`${options.pop() ?? ''} ${word}`);
  }
  return options.sort().join('\n');
}

function addressOf(text: string): string {
  const network = parseCidr(text);
  return network === undefined ? text : formatCidr(network);
}

function block(family: Family, table: Table, lines: readonly string[]): Block {
  return { family, table, text: `*${table}\n${lines.join('\n')}\nCOMMIT\n` };
}
