import type { Family } from '../../packet/address.ts';
import { openNftables } from '../netlink/nftables.ts';
import { matchInfo, matchName, type NftRule } from '../netlink/nftables-message.ts';
import type { NetfilterSocket } from '../netlink/socket.ts';
import { type Acceptance, acceptanceOf } from '../rules/acceptance.ts';
import { policiesNow } from '../rules/base-policy.ts';
import { targetWords } from '../rules/coverage.ts';
import type { Following } from '../rules/following.ts';
import { parseSaved } from '../rules/jump.ts';
import type { Layout } from '../rules/layout.ts';
import { CHAIN } from '../rules/names.ts';
import { findTool, LOCK_SECONDS, runTool, toolName } from './command.ts';

export interface FollowingOptions {
  readonly family: Family;
  readonly socket: NetfilterSocket;
  /** Whether iptables may print rules that name a set. */
  readonly privilege: 'sets' | 'no sets';
  readonly directories: readonly string[] | undefined;
}

/** Chains, and rules one by one, that are asked for at most where not all can be printed at once. */
const CHAINS_MAX = 64;
const SINGLE_MAX = 64;
/** IPSET_INV_MATCH of linux/netfilter/xt_set.h, and where the flags stand in `struct xt_set_info`. */
const SET_INVERTED = 1;
const SET_FLAGS_AT = 3;

/** Reads what follows our jump in INPUT; undefined where it can't be read. */
export async function readFollowing(options: FollowingOptions): Promise<Following | undefined> {
  try {
    return options.privilege === 'sets' ? await readSaved(options) : await readChains(options);
  } catch {
    return undefined;
  }
}

async function readSaved({
  family,
  directories,
}: Pick<FollowingOptions, 'family' | 'directories'>): Promise<Following | undefined> {
  const save = findTool(toolName('iptables-save', family), directories);
  if (save === undefined) return undefined;
  const { status, output } = await runTool(save, ['-t', 'filter']);
  if (status !== 0) return undefined;
  const chains = parseSaved(output).get('filter') ?? new Map<string, readonly string[]>([['INPUT', []]]);
  return { chains, policy: policiesNow(output).input };
}

/** What root's install would decide now; where this process may not look, what is assumed. */
export async function lookForAcceptance(layout: Layout, family: Family): Promise<Acceptance> {
  const following = await readSaved({ family, directories: undefined }).catch(() => undefined);
  return acceptanceOf(layout, family, following);
}

/** Chain by chain: iptables ends with an error at the first rule that names a set, anyone who made it. */
async function readChains(options: FollowingOptions): Promise<Following | undefined> {
  const { family, directories, socket } = options;
  const tool = findTool(toolName('iptables', family), directories);
  if (tool === undefined) return undefined;
  const nft = openNftables(socket, family);
  const print = async (...which: readonly string[]): Promise<readonly string[] | undefined> => {
    const ran = await runTool(tool, ['-w', `${LOCK_SECONDS}`, '-S', ...which]);
    return ran.status === 0 ? ran.output.split('\n').filter((line) => line !== '') : undefined;
  };
  const one = async (chain: string, rule: NftRule, position: number): Promise<string | undefined> => {
    const [set] = rule.expressions.filter((each) => matchName(each) === 'set');
    if (set === undefined) return (await print(chain, `${position}`))?.[0]?.slice(`-A ${chain} `.length);
    const inverted = ((matchInfo(set)[SET_FLAGS_AT] ?? SET_INVERTED) & SET_INVERTED) !== 0;
    // Which way it looks is in the bits that follow; a ban looks at the source. What it does is not asked: were it to
    // accept, it would be some sources only.
    return `-m set ${inverted ? '! ' : ''}--match-set NAME src -j DROP`;
  };
  const read = async (chain: string): Promise<readonly string[] | undefined> => {
    const start = `-A ${chain} `;
    const lines = await print(chain);
    if (lines !== undefined) {
      return lines.flatMap((line) => (line.startsWith(start) ? [line.slice(start.length)] : []));
    }
    const rules = await nft.rules('filter', chain);
    if (rules.length === 0 || rules.length > SINGLE_MAX) return undefined;
    const texts = await Promise.all(rules.map((rule, index) => one(chain, rule, index + 1)));
    return texts.every((text) => text !== undefined) ? texts : undefined;
  };
  const there = await nft.chains('filter');
  const names = new Set(there.map(({ name }) => name));
  const chains = new Map<string, readonly string[]>();
  const open = ['INPUT'];
  for (let chain = open.pop(); chain !== undefined; chain = open.pop()) {
    if (chains.size >= CHAINS_MAX) return undefined;
    // What can't be read is left out, and anyone who is led there makes it unsure.
    const rules = names.has(chain) ? await read(chain) : [];
    if (rules === undefined) continue;
    chains.set(chain, rules);
    for (const { target } of rules.map(targetWords)) {
      if (target === undefined || target === CHAIN.input || !names.has(target)) continue;
      if (!chains.has(target) && !open.includes(target)) open.push(target);
    }
  }
  const policy = there.find(({ name }) => name === 'INPUT')?.policy ?? 'ACCEPT';
  return { chains, policy };
}
