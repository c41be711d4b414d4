import { grantRules } from './grant.ts';
import type { Wanted } from './install.ts';
import { CHAIN, GRANT_CHAINS, type Table } from './names.ts';
import type { NetfilterSocket } from './netfilter.ts';
import { AF, attributeMap, type Message, NFGEN_BYTES, NLM_F, readAttributes, writeMessage } from './wire.ts';

/** NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETRULE of linux/netfilter/nf_tables.h. */
const GET_RULE: number = (10 << 8) | 7;
/** enum nft_rule_attributes, nft_list_attributes and nft_expr_attributes of the same header. */
const RULE = { table: 1, chain: 2, expressions: 4 } as const;
const ELEMENT = 1;
const EXPRESSION = { name: 1, data: 2 } as const;

/**
 * The rules of `install` as nf_tables holds them, byte for byte less their counters, as one text to compare;
 * undefined where a chain has not as many rules as it should, or the kernel has no nf_tables. Unlike
 * iptables-save this takes CAP_NET_ADMIN alone. The text says nothing to anyone: it is compared with another.
 */
export async function dumpFingerprint(socket: NetfilterSocket, wanted: Wanted): Promise<string | undefined> {
  const { rules, layout, base } = wanted;
  const tables: readonly Table[] = [...new Set(rules.chains.map((chain) => chain.table))];
  const parts: unknown[] = [];
  for (const table of tables) {
    const dump = await dumpRules(socket, wanted, table);
    if (dump === undefined) return undefined;
    for (const chain of rules.chains) {
      if (chain.table !== table) continue;
      const there = dump.get(chain.name) ?? [];
      const ofGrants = GRANT_CHAINS.includes(chain.name) && layout.config.grants !== 'set';
      if (ofGrants ? there.length < grantCount(wanted, chain.name) : there.length !== chain.rules.length)
        return undefined;
      if (!ofGrants) parts.push([chain.name, there]);
    }
    if (base !== undefined && table === 'filter') parts.push([CHAIN.base, dump.get(CHAIN.base)]);
    for (const from of new Set(rules.jumps.map((jump) => jump.from))) {
      const count = rules.jumps.filter((jump) => jump.table === table && jump.from === from).length;
      parts.push([from, (dump.get(from) ?? []).slice(0, count)]);
    }
  }
  return JSON.stringify(parts);
}

/** By chain: each rule's expressions, in hexadecimal. */
async function dumpRules(
  socket: NetfilterSocket,
  { rules: { family } }: Wanted,
  table: Table,
): Promise<ReadonlyMap<string, readonly string[]> | undefined> {
  const request = writeMessage({ type: GET_RULE, flags: NLM_F.request | NLM_F.dump, family: AF[family] });
  request.text(RULE.table, table);
  const answer = await socket.request(request.finish());
  if (!answer.ok) return undefined;
  const chains = new Map<string, string[]>();
  for (const message of answer.messages) {
    const rule = ruleOf(message);
    if (rule.table !== table) continue;
    const known = chains.get(rule.chain);
    if (known === undefined) chains.set(rule.chain, [rule.text]);
    else known.push(rule.text);
  }
  return chains;
}

function ruleOf({ payload }: Message): { table: string; chain: string; text: string } {
  const rule = attributeMap(payload.subarray(NFGEN_BYTES));
  let text = '';
  readAttributes(rule.get(RULE.expressions) ?? Buffer.alloc(0), (type, value) => {
    if (type !== ELEMENT) return;
    const expression = attributeMap(value);
    const name = textOf(expression.get(EXPRESSION.name));
    if (name === 'counter') return;
    text += `${name}:${expression.get(EXPRESSION.data)?.toString('hex') ?? ''};`;
  });
  return { table: textOf(rule.get(RULE.table)), chain: textOf(rule.get(RULE.chain)), text };
}

function grantCount({ layout, grants, rules: { family }, now }: Wanted, chain: string): number {
  let count = 0;
  for (const grant of grants.values()) {
    if (grant.until <= now) continue;
    count += grantRules(layout, grant, family).filter((rule) => rule.chain === chain).length;
  }
  return count;
}

function textOf(value: Buffer | undefined): string {
  return value === undefined ? '' : value.toString('latin1', 0, Math.max(0, value.indexOf(0)));
}
