import type { Family } from '../../packet/address.ts';
import { type Block, type Grants, rulesOfGrants } from '../change.ts';
import type { HeldGrant } from '../firewall.ts';
import { grantKey, parseGrant } from '../grant.ts';
import { jumpEdits, jumpRemovals, jumpsInPlace, ownChains, type Saved } from './jump.ts';
import type { Layout } from './layout.ts';
import { CHAIN, GRANT_CHAINS, JUMP_COMMENT, type Table } from './names.ts';
import type { Chain, Jump, RuleSet } from './rules.ts';

/** The tables, in the order in which they are written: a translation is of use only once FORWARD judges. */
const TABLES: readonly Table[] = ['filter', 'nat'];

/** The base policy's jump: after nfknock's own, before the administrator's. */
const BASE_JUMP: Jump = {
  table: 'filter',
  from: 'INPUT',
  rule: `-m comment --comment ${JUMP_COMMENT} -j ${CHAIN.base}`,
  optional: false,
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
  readonly apart: readonly Chain[];
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
        .filter((chain) => !isApart(wanted, chain))
        .flatMap((chain) => chain.rules.map((rule) => `-A ${chain.name} ${rule}`)),
      ...jumpEdits(saved, table, jumpsOf(wanted)),
      ...stale.map((name) => `-X ${name}`),
    ];
    return [block(family, table, lines)];
  });
}

/** The blocks that take out all that is nfknock's. `policies` of the built-in chains are put back as given. */
export function removeBlocks(saved: Saved, family: Family, policies: readonly string[]): readonly Block[] {
  return TABLES.flatMap((table): readonly Block[] => {
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

/** True where every grant that should be is in the tables. */
export function grantsInPlace(saved: Saved, wanted: Wanted): boolean {
  if (wanted.layout.config.grants === 'set') return true;
  const there = new Set(grantsSaved(saved).map((grant) => grantKey(grant.door, grant.grantee)));
  const rules = rulesOfGrants(wanted.layout, wanted.grants.values(), wanted.rules.family, wanted.now);
  const due = [...rules.values()].flat().flatMap((rule) => parseGrant(` ${rule}`) ?? []);
  return due.every((grant) => there.has(grantKey(grant.door, grant.grantee)));
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

function isApart({ apart }: Wanted, { name, table }: Chain): boolean {
  return apart.some((each) => each.name === name && each.table === table);
}

/** True for a chain that is not to be written: one of grants that holds exactly those it should. */
function isRight(saved: Saved, wanted: Wanted, chain: Chain): boolean {
  if (isApart(wanted, chain)) return saved.get(chain.table)?.has(chain.name) === true;
  if (!GRANT_CHAINS.includes(chain.name) || wanted.layout.config.grants === 'set') return false;
  const there = saved.get(chain.table)?.get(chain.name);
  if (there === undefined || there.length !== chain.rules.length) return false;
  return there.map(identity).sort().join('\n') === chain.rules.map(identity).sort().join('\n');
}

/** What two rules of the same grant share, however a version of iptables words the rest. */
function identity(rule: string): string {
  const grant = parseGrant(` ${rule}`);
  const ports = / --dports (\S+)/.exec(rule)?.[1] ?? '';
  const protocol = /-p (\S+)/.exec(rule)?.[1] ?? '';
  const rest = `${protocol} ${ports} ${/ -[jg] .*$/.exec(rule)?.[0] ?? ''}`;
  return grant === undefined ? rule : `${grantKey(grant.door, grant.grantee)} ${grant.until} ${rest}`;
}

function block(family: Family, table: Table, lines: readonly string[]): Block {
  return { family, table, text: `*${table}\n${lines.join('\n')}\nCOMMIT\n` };
}

/** The grants that a family's tables hold, however often each is there. */
function grantsSaved(saved: Saved): readonly HeldGrant[] {
  const chains = saved.get('filter');
  return [CHAIN.grant, CHAIN.forwardGrant].flatMap((chain) =>
    (chains?.get(chain) ?? []).flatMap((rule) => parseGrant(` ${rule}`) ?? []),
  );
}
