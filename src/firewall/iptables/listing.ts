import type { Family } from '../../packet/address.ts';
import { FirewallError } from '../firewall.ts';
import { openNftables } from '../netlink/nftables.ts';
import {
  digestOf,
  matchInfo,
  matchName,
  type NftChain,
  type NftRule,
  targetOf,
} from '../netlink/nftables-message.ts';
import type { NetfilterSocket } from '../netlink/socket.ts';
import { type Policies, policiesNow, policiesOf } from '../rules/base-policy.ts';
import { isOwnChain, parseSaved, type Saved } from '../rules/jump.ts';
import { CHAIN, GRANT_CHAINS, TABLES, type Table } from '../rules/names.ts';
import { LOCK_SECONDS, requireTool, runRequired, runTool } from './command.ts';
import { openRuleWords } from './rule-words.ts';

/** The tables of one family as they stand. */
export interface Listed {
  readonly saved: Saved;
  readonly policies: Policies;
}

/** Reads the tables of one family. Rejects with a FirewallError. */
export type List = () => Promise<Listed>;

export interface ListOptions {
  readonly family: Family;
  readonly socket: NetfilterSocket;
  /** Whether iptables may print rules that name a set. */
  readonly privilege: 'sets' | 'no sets';
  /** True where iptables writes nf_tables. */
  readonly nftables: () => Promise<boolean>;
  readonly directories: readonly string[] | undefined;
}

/** Chains of others that our jumps stand in. */
const PARENTS: readonly string[] = ['INPUT', 'FORWARD', 'PREROUTING', 'DOCKER-USER'];
/** Every chain of ours begins so. */
const OWN_PREFIX = 'NFKNOCK';
/** A rule of somebody else's: that it is there is all that matters. */
const OTHER = 'nf_tables';
/** Of a chain with more rules only this many are read while all that leads to us is among these: our jumps come first. */
const TOP_MAX = 128;
/** Jumps whose words are remembered: a handful, however often the configuration changes. */
const JUMPS_MAX = 256;

/**
 * From nf_tables itself where iptables writes that: it starts no process, and takes CAP_NET_ADMIN alone, where
 * iptables ends with an error at the first rule that names a set, anyone who made it. Else from iptables-save.
 */
export function openListing(options: ListOptions): List {
  const { privilege, nftables } = options;
  const byKernel = listByKernel(options);
  const byTool = listByTool(options);
  return async () => {
    if (await nftables()) return byKernel();
    if (privilege === 'sets') return byTool();
    const fix = 'iptables-legacy takes CAP_NET_RAW besides CAP_NET_ADMIN; give both, or use iptables-nft';
    throw new FirewallError('read the rules', 'NOT_PERMITTED', fix);
  };
}

function listByTool({ family, directories }: ListOptions): List {
  const save = requireTool('iptables-save', family, directories);
  return async () => {
    const text = await runRequired(save, []);
    return { saved: parseSaved(text), policies: policiesNow(text) };
  };
}

/**
 * Grants and our jumps come in iptables's words, since they are read and taken out by them; of every other rule of our
 * chains a digest is all that comparing takes. What others have is not read: where it is twenty thousand rules that
 * change twice a second, reading it is all that this machine would do.
 */
function listByKernel({ family, socket, directories }: ListOptions): List {
  const tool = requireTool('iptables', family, directories);
  const nft = openNftables(socket, family);
  /** What a rule of this digest is in words: it is asked once. */
  const jumps = new Map<string, string>();
  const words = openRuleWords(family);
  /** Of each chain of grants the rules of the last look, by their digests. */
  const printed = new Map<string, ReadonlyMap<string, string>>();
  const print = async (table: Table, chain: string, position?: number): Promise<readonly string[]> => {
    const which = position === undefined ? [chain] : [chain, `${position}`];
    const ran = await runTool(tool, ['-w', `${LOCK_SECONDS}`, '-t', table, '-S', ...which]);
    const start = `-A ${chain} `;
    return ran.output
      .split('\n')
      .flatMap((line) => (line.startsWith(start) ? [line.slice(start.length)] : []));
  };
  const printJump = async (table: Table, rule: NftRule, position: number): Promise<string> => {
    const digest = digestOf(rule.expressions);
    const known = jumps.get(digest);
    if (known !== undefined) return known;
    const text = (await print(table, rule.chain, position))[0] ?? '';
    // One that was moved meanwhile prints as another: then it is no jump of ours, and the next look tells.
    if (!text.endsWith(` ${targetOf(rule)}`)) return text;
    if (jumps.size >= JUMPS_MAX) jumps.clear();
    jumps.set(digest, text);
    return text;
  };

  /** The rules of a chain of grants; iptables is asked only for what no earlier rule has shown how to say. */
  const read = async (table: Table, chain: string, rules: readonly NftRule[]): Promise<readonly string[]> => {
    if (!isPrintable(chain, rules)) return rules.map(describe);
    const key = `${table} ${chain}`;
    const digests = rules.map((rule) => digestOf(rule.expressions));
    const known = printed.get(key) ?? new Map<string, string>();
    const told = rules.map((rule, index) => known.get(digests[index] ?? '') ?? words.textOf(rule));
    const all = told.every((text) => text !== undefined);
    const texts = all ? told : await print(table, chain);
    // Where it was changed meanwhile the next look tells.
    if (texts.length !== rules.length) return texts;
    printed.set(key, new Map(texts.map((text, index) => [digests[index] ?? '', text])));
    if (!all) for (const [index, rule] of rules.entries()) words.learn(rule, texts[index] ?? '');
    return texts;
  };

  const listTable = async (table: Table): Promise<{ chains: Map<string, string[]>; policies: Policies }> => {
    const chains = await nft.chains(table);
    const texts = new Map<string, string[]>(chains.map(({ name }) => [name, []]));
    const policy = (name: string): string | undefined => chains.find((chain) => chain.name === name)?.policy;
    const policies = policiesOf(policy('INPUT'), policy('FORWARD'));
    const all: NftRule[] = [];
    for (const { name } of chains.filter((chain) => isOwnChain(chain.name))) {
      const rules = await nft.rules(table, name);
      all.push(...rules);
      texts.set(name, [...(await read(table, name, rules))]);
    }
    const addJump = async (rule: NftRule, position: number): Promise<void> => {
      all.push(rule);
      const text = isOwnChain(targetOf(rule) ?? '') ? await printJump(table, rule, position) : OTHER;
      texts.get(rule.chain)?.push(text);
    };
    const addParent = async (
      parent: string,
      rules: readonly (NftRule | undefined)[],
      from = 0,
    ): Promise<void> => {
      for (const [index, rule] of rules.entries()) {
        if (index < from) continue;
        if (rule === undefined) texts.get(parent)?.push(OTHER);
        else await addJump(rule, index + 1);
      }
    };
    const isLedTo = (): boolean =>
      chains.some((chain) => isOwnChain(chain.name) && isLedToFromElsewhere(chain, all));
    const cut: string[] = [];
    for (const { name, use } of chains.filter((chain) => PARENTS.includes(chain.name))) {
      const long = use !== undefined && use > TOP_MAX;
      if (long) cut.push(name);
      await addParent(name, await nft.rulesWith(OWN_PREFIX, table, name, long ? TOP_MAX : undefined));
    }
    // A jump of ours stands further down, or somebody else's.
    for (const name of isLedTo() ? cut : []) {
      await addParent(name, await nft.rulesWith(OWN_PREFIX, table, name), texts.get(name)?.length);
    }
    // Someone else leads to us from elsewhere: who, is looked for in the whole table.
    if (isLedTo()) {
      const seen = new Map<string, number>();
      for (const rule of await nft.rules(table)) {
        const position = (seen.get(rule.chain) ?? 0) + 1;
        seen.set(rule.chain, position);
        if (!PARENTS.includes(rule.chain) && !isOwnChain(rule.chain)) await addJump(rule, position);
      }
    }
    return { chains: texts, policies };
  };

  return async () => {
    const tables = await Promise.all(TABLES.map(async (table) => [table, await listTable(table)] as const));
    const [filter] = tables;
    return {
      saved: new Map(
        tables.filter(([, each]) => each.chains.size > 0).map(([name, each]) => [name, each.chains]),
      ),
      policies: filter?.[1].policies ?? policiesOf(undefined, undefined),
    };
  };
}

/** Chains that hold grants as rules: what they say is read, and none of it names a set. */
function isPrintable(chain: string, rules: readonly NftRule[]): boolean {
  const named = rules.some((rule) => rule.expressions.some((each) => matchName(each) === 'set'));
  return GRANT_CHAINS.includes(chain) && rules.length > 0 && !named;
}

function isLedToFromElsewhere({ name, use }: NftChain, read: readonly NftRule[]): boolean {
  if (use === undefined) return true;
  return use > read.filter((rule) => rule.chain === name || targetOf(rule) === name).length;
}

/**
 * The base policy's comment is kept in words: it tells what was before it. Nobody else's is, least of all one in a
 * chain of grants, which would be read as a grant.
 */
function describe({ chain, expressions }: NftRule): string {
  const comment = expressions.find((each) => chain === CHAIN.base && matchName(each) === 'comment');
  const text = comment === undefined ? '' : matchInfo(comment).toString('latin1').split('\0')[0];
  return `${text === '' ? '' : `-m comment --comment "${text}" `}nf_tables ${digestOf(expressions)}`;
}
