import { FirewallError } from '../firewall.ts';
import type { Sets } from '../netlink/ipset.ts';
import type { Nftables } from '../netlink/nftables.ts';
import {
  type Expression,
  matchExpression,
  matchName,
  type ProtocolNumber,
} from '../netlink/nftables-message.ts';
import { CHAIN, type Table } from '../rules/names.ts';
import type { Chain } from '../rules/rules.ts';
import type { Restore } from './restore-process.ts';

/*
 * Rules that name a set, for who has CAP_NET_ADMIN alone. iptables looks a set up through a raw socket, which
 * takes CAP_NET_RAW; the kernel itself does not ask for it. So iptables-restore writes the rule into a chain of
 * its own that nothing jumps to, with a stand-in where the set belongs; it is read back as nf_tables has it, the
 * stand-in gives way to the set, and one transaction puts the rules where they belong and takes the draft out.
 */

/** Should a stand-in ever be reached, it matches no packet: its time is over. */
const STAND_IN = '-m time --datestop 1970-01-02T00:00:00';
const STAND_IN_MATCH = 'time';
const SET_MATCH = /-m set --match-set (\S+) src/;

/** XT's match `set`, its newest revision, which is the one that iptables itself writes (linux/netfilter/xt_set.h). */
const REVISION = 4;
/** struct xt_set_info_match_v4: index, dimensions and flags of the set, two counters to compare, flags. */
const INFO_BYTES = 48;
/** One dimension, the source's address (IPSET_DIM_ONE_SRC). */
const DIMENSIONS = 1;
const SOURCE = 1 << 1;

/** Where rules are drafted and taken from. */
export interface Workshop {
  readonly restore: Restore;
  readonly nft: Nftables;
  readonly sets: Sets;
}

/** Those of the chains in which a rule names a set. */
export function rewriteSetChains(chains: readonly Chain[]): readonly Chain[] {
  return chains.filter((chain) => chain.rules.some((rule) => SET_MATCH.test(rule)));
}

/** Makes a chain that is there hold its rules and no other, in one transaction. Its sets must be there. */
export async function rewriteChain({ restore, nft, sets }: Workshop, chain: Chain): Promise<void> {
  const { table, name } = chain;
  await restore.apply(draftBlock(table, chain.rules));
  const drafted = (await nft.rules(table)).filter((rule) => rule.chain === CHAIN.draft);
  if (drafted.length !== chain.rules.length) {
    throw new FirewallError(
      `write the chain ${name}`,
      'DRAFT_LOST',
      'another program keeps changing the rules; find out which',
    );
  }
  const rules = await Promise.all(
    chain.rules.map(async (rule, index) => ({
      protocol: protocolOf(rule),
      expressions: await withSet(drafted[index]?.expressions ?? [], SET_MATCH.exec(rule)?.[1], sets),
    })),
  );
  await nft.replace(table, name, rules, CHAIN.draft);
}

function draftBlock(table: Table, rules: readonly string[]): string {
  const lines = rules.map((rule) => `-A ${CHAIN.draft} ${rule.replace(SET_MATCH, STAND_IN)}`);
  return [`*${table}`, `:${CHAIN.draft} - [0:0]`, ...lines, 'COMMIT', ''].join('\n');
}

async function withSet(
  expressions: readonly Expression[],
  set: string | undefined,
  sets: Sets,
): Promise<readonly Expression[]> {
  if (set === undefined) return expressions;
  const match = setMatch(await sets.index(set));
  return expressions.map((each) => (matchName(each) === STAND_IN_MATCH ? match : each));
}

function setMatch(index: number): Expression {
  const info = Buffer.alloc(INFO_BYTES);
  info.writeUInt16LE(index, 0);
  info[2] = DIMENSIONS;
  info[3] = SOURCE;
  return matchExpression('set', REVISION, info);
}

function protocolOf(rule: string): ProtocolNumber {
  const name = /(?:^| )-p (tcp|udp)\b/.exec(rule)?.[1];
  if (name === undefined) return 0;
  return name === 'tcp' ? 6 : 17;
}
