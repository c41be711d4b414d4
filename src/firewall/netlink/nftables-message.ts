import { createHash } from 'node:crypto';
import type { Family } from '../../packet/address.ts';
import type { Table } from '../rules/names.ts';
import {
  AF,
  attributeMap,
  type MessageWriter,
  NFGEN_BYTES,
  NLM_F,
  readAttributes,
  writeMessage,
} from './attributes.ts';

/** NFNL_SUBSYS_NFTABLES of linux/netfilter/nfnetlink.h. */
const NFTABLES = 10;
const SUBSYSTEM: number = NFTABLES << 8;
/** NFNL_MSG_BATCH_BEGIN and _END of the same header: what stands between is done as one, or not at all. */
const BATCH = { begin: 0x10, end: 0x11 } as const;
/** Where `res_id` of `struct nfgenmsg` stands in a message. */
const RES_ID_AT = 18;

/** enum nf_tables_msg_types of linux/netfilter/nf_tables.h. */
const MESSAGE = { getChain: 4, delChain: 5, newRule: 6, getRule: 7, delRule: 8 } as const;
/** NFTA_* of the same header. */
const CHAIN = { table: 1, name: 3, policy: 5, use: 6 } as const;
const RULE = { table: 1, chain: 2, expressions: 4, compat: 5 } as const;
const COMPAT = { protocol: 1, flags: 2 } as const;
const LIST_ELEMENT = 1;
const EXPRESSION = { name: 1, data: 2 } as const;
const MATCH = { name: 1, revision: 2, info: 3 } as const;
const IMMEDIATE_DATA = 2;
const DATA_VERDICT = 2;
const VERDICT_CHAIN = 2;
/** NF_DROP and NF_ACCEPT as a base chain's policy. */
const POLICY_DROP = 0;
/** NLM_F_APPEND and NLA_F_NESTED of linux/netlink.h. */
const APPEND = 0x800;
const NESTED = 0x8000;

/** One expression of a rule: `match`, `counter`, `immediate` …, its data as the kernel gave it. */
export interface Expression {
  readonly name: string;
  readonly data: Buffer;
}

/** A rule as nf_tables holds it. */
export interface NftRule {
  readonly chain: string;
  readonly expressions: readonly Expression[];
}

export interface NftChain {
  readonly name: string;
  /** Of a built-in chain; undefined for others. */
  readonly policy: 'ACCEPT' | 'DROP' | undefined;
  /** Rules in it, and rules and maps that lead to it; undefined where the kernel does not say. */
  readonly use: number | undefined;
}

/** `-p` of a rule: some matches want it said apart from the expressions. 0: none. */
export type ProtocolNumber = 0 | 6 | 17;

export function listChainsMessage(family: Family): Buffer {
  return writeMessage({
    type: SUBSYSTEM | MESSAGE.getChain,
    flags: NLM_F.request | NLM_F.dump,
    family: AF[family],
  }).finish();
}

/** Of one chain, or of all. */
export function listRulesMessage(family: Family, table: Table, chain?: string): Buffer {
  const message = writeMessage({
    type: SUBSYSTEM | MESSAGE.getRule,
    flags: NLM_F.request | NLM_F.dump,
    family: AF[family],
  });
  message.text(RULE.table, table);
  if (chain !== undefined) message.text(RULE.chain, chain);
  return message.finish();
}

/** A chain, and the one in which its rules were tried. */
interface Replaced {
  readonly family: Family;
  readonly table: Table;
  readonly chain: string;
  readonly draft: string;
}

/** One transaction: `chain` holds these rules and no other, and `draft` is gone. */
export function replaceMessage(
  { family, table, chain, draft }: Replaced,
  rules: readonly { readonly expressions: readonly Expression[]; readonly protocol: ProtocolNumber }[],
): Buffer {
  const message = (type: number, flags: number): MessageWriter =>
    writeMessage({ type: SUBSYSTEM | type, flags: NLM_F.request | flags, family: AF[family] });
  const clear = (name: string): Buffer => {
    const each = message(MESSAGE.delRule, 0);
    each.text(RULE.table, table);
    each.text(RULE.chain, name);
    return each.finish();
  };
  const added = rules.map(({ expressions, protocol }) => {
    const each = message(MESSAGE.newRule, NLM_F.create | APPEND);
    each.text(RULE.table, table);
    each.text(RULE.chain, chain);
    writeExpressions(each, expressions);
    if (protocol !== 0) {
      each.begin(RULE.compat);
      each.u32(COMPAT.protocol, protocol);
      each.u32(COMPAT.flags, 0);
      each.end();
    }
    return each.finish();
  });
  // The last one alone is acknowledged: a refusal of any other comes before it.
  const drop = message(MESSAGE.delChain, NLM_F.ack);
  drop.text(CHAIN.table, table);
  drop.text(CHAIN.name, draft);
  return Buffer.concat([
    bracket(BATCH.begin),
    clear(chain),
    ...added,
    clear(draft),
    drop.finish(),
    bracket(BATCH.end),
  ]);
}

/** Reads one answer to `listChainsMessage`; undefined where it is of another table. */
export function readChain(payload: Buffer, table: Table): NftChain | undefined {
  const top = attributeMap(payload.subarray(NFGEN_BYTES));
  if (textOf(top.get(CHAIN.table)) !== table) return undefined;
  const policy = top.get(CHAIN.policy);
  const drops = policy !== undefined && policy.length >= 4 && policy.readUInt32BE(0) === POLICY_DROP;
  const word = drops ? 'DROP' : 'ACCEPT';
  const use = top.get(CHAIN.use);
  return {
    name: textOf(top.get(CHAIN.name)),
    policy: policy === undefined ? undefined : word,
    use: use !== undefined && use.length >= 4 ? use.readUInt32BE(0) : undefined,
  };
}

/** Reads one answer to `listRulesMessage`. */
export function readRule(payload: Buffer): NftRule {
  const top = attributeMap(payload.subarray(NFGEN_BYTES));
  const expressions: Expression[] = [];
  readAttributes(top.get(RULE.expressions) ?? Buffer.alloc(0), (_type, value) => {
    const each = attributeMap(value);
    expressions.push({
      name: textOf(each.get(EXPRESSION.name)),
      data: each.get(EXPRESSION.data) ?? Buffer.alloc(0),
    });
  });
  return { chain: textOf(top.get(RULE.chain)), expressions };
}

/** The name of an expression's match of x_tables; undefined for any other expression. */
export function matchName({ name, data }: Expression): string | undefined {
  return name === 'match' ? textOf(attributeMap(data).get(MATCH.name)) : undefined;
}

/** What a match of x_tables was told, as the kernel keeps it. */
export function matchInfo({ data }: Expression): Buffer {
  return attributeMap(data).get(MATCH.info) ?? Buffer.alloc(0);
}

/** A match of x_tables as an expression. */
export function matchExpression(name: string, revision: number, info: Buffer): Expression {
  const message = writeMessage({ type: 0, flags: 0, family: 0 });
  message.text(MATCH.name, name);
  message.u32(MATCH.revision, revision);
  message.bytes(MATCH.info, info);
  return { name: 'match', data: message.finish().subarray(EMPTY_BYTES) };
}

/** The chain that a rule jumps or goes to; undefined for any other rule. */
export function targetOf({ expressions }: NftRule): string | undefined {
  const verdicts = expressions.filter(({ name }) => name === 'immediate');
  const data = attributeMap(verdicts.at(-1)?.data ?? Buffer.alloc(0)).get(IMMEDIATE_DATA);
  const verdict = attributeMap(data ?? Buffer.alloc(0)).get(DATA_VERDICT);
  const chain = attributeMap(verdict ?? Buffer.alloc(0)).get(VERDICT_CHAIN);
  return chain === undefined ? undefined : textOf(chain);
}

/** The same text for the same rule, whatever it has counted. */
export function digestOf(expressions: readonly Expression[]): string {
  const hash = createHash('sha256');
  for (const { name, data } of expressions) {
    if (name !== 'counter') hash.update(`${name} ${canonical(name, data)}\n`);
  }
  return hash.digest('hex').slice(0, 32);
}

/** Of a match only what it was told: attributes may come back in other flags than they were sent with. */
function canonical(name: string, data: Buffer): string {
  if (name !== 'match') return data.toString('hex');
  const parts = attributeMap(data);
  return [MATCH.name, MATCH.revision, MATCH.info].map((part) => parts.get(part)?.toString('hex')).join(' ');
}

/** What `struct nlmsghdr` and `struct nfgenmsg` take of a message without attributes. */
const EMPTY_BYTES: number = writeMessage({ type: 0, flags: 0, family: 0 }).finish().length;

function writeExpressions(message: MessageWriter, expressions: readonly Expression[]): void {
  message.begin(RULE.expressions);
  for (const { name, data } of expressions) {
    message.begin(LIST_ELEMENT);
    message.text(EXPRESSION.name, name);
    message.bytes(EXPRESSION.data | NESTED, data);
    message.end();
  }
  message.end();
}

function bracket(type: number): Buffer {
  const message = writeMessage({ type, flags: NLM_F.request, family: 0 }).finish();
  message.writeUInt16BE(NFTABLES, RES_ID_AT);
  return message;
}

function textOf(value: Buffer | undefined): string {
  if (value === undefined) return '';
  const end = value.indexOf(0);
  return value.toString('latin1', 0, end < 0 ? value.length : end);
}
