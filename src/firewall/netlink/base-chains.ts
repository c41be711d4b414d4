import { FirewallError } from '../firewall.ts';
import { attributeMap, NFGEN_BYTES, NLM_F, readAttributes, writeMessage } from './attributes.ts';
import { type NetfilterSocket, openNetfilter } from './socket.ts';

/** A chain of nf_tables that the kernel itself calls. */
export interface BaseChain {
  readonly family: 'ip' | 'ip6' | 'inet';
  readonly table: string;
  readonly name: string;
  readonly hook: 'prerouting' | 'input' | 'forward';
  readonly priority: number;
  readonly policy: 'accept' | 'drop';
  /** What becomes of a packet that no rule decides: by the chain's policy, or by a last rule without a condition. */
  readonly rest: 'accept' | 'drop' | 'reject';
}

/** NFNL_SUBSYS_NFTABLES << 8 of linux/netfilter/nfnetlink.h, and enum nf_tables_msg_types of nf_tables.h. */
const SUBSYSTEM: number = 10 << 8;
const MESSAGE = { getChain: 4, getRule: 7 } as const;
/** NFTA_* of the same header. */
const CHAIN = { table: 1, name: 3, hook: 4, policy: 5 } as const;
const HOOK = { number: 1, priority: 2 } as const;
const RULE = { table: 1, chain: 2, expressions: 4 } as const;
const EXPRESSION = { name: 1, data: 2 } as const;
const IMMEDIATE_DATA = 2;
const DATA_VERDICT = 2;
const VERDICT_CODE = 1;
/** NF_DROP, as a policy and as a verdict. */
const DROP = 0;
/** NFPROTO_* of linux/netfilter.h. */
const FAMILIES: ReadonlyMap<number, BaseChain['family']> = new Map([
  [1, 'inet'],
  [2, 'ip'],
  [10, 'ip6'],
]);
/** NF_INET_* of linux/netfilter.h. */
const HOOKS: ReadonlyMap<number, BaseChain['hook']> = new Map([
  [0, 'prerouting'],
  [1, 'input'],
  [2, 'forward'],
]);
/** Expressions that look at no packet. */
const IDLE: readonly string[] = ['counter', 'log'];
/** Linux's errno: no nf_tables in this kernel, or the table went meanwhile. */
const NOTHING_THERE: readonly number[] = [2, 22, 95];

/**
 * The base chains of nf_tables, of every program, that are asked for: where packets come in or pass through. Rejects with a
 * FirewallError.
 */
export async function readBaseChains(
  wanted: (chain: Omit<BaseChain, 'rest'>) => boolean,
): Promise<readonly BaseChain[]> {
  const socket = openNetfilter();
  try {
    const chains: BaseChain[] = [];
    const message = writeMessage({
      type: SUBSYSTEM | MESSAGE.getChain,
      flags: NLM_F.request | NLM_F.dump,
      family: 0,
    }).finish();
    for (const payload of await list(socket, message)) {
      const chain = readChain(payload);
      if (chain === undefined || !wanted(chain)) continue;
      const rest = chain.policy === 'drop' ? 'drop' : await endOf(socket, payload[0] ?? 0, chain);
      chains.push({ ...chain, rest });
    }
    return chains;
  } finally {
    socket.close();
  }
}

async function list(socket: NetfilterSocket, message: Buffer): Promise<readonly Buffer[]> {
  const answer = await socket.request(message);
  if (answer.ok) return answer.messages.map(({ payload }) => payload);
  const { errno } = answer.refusal;
  if (NOTHING_THERE.includes(errno)) return [];
  throw new FirewallError(
    'list the tables of nf_tables',
    `ERRNO_${errno}`,
    'run as root or with CAP_NET_ADMIN',
  );
}

function readChain(payload: Buffer): BaseChain | undefined {
  const family = FAMILIES.get(payload[0] ?? 0);
  const top = attributeMap(payload.subarray(NFGEN_BYTES));
  const hooked = top.get(CHAIN.hook);
  if (family === undefined || hooked === undefined) return undefined;
  const parts = attributeMap(hooked);
  const hook = HOOKS.get(numberOf(parts.get(HOOK.number)) ?? -1);
  if (hook === undefined) return undefined;
  const policy = numberOf(top.get(CHAIN.policy)) === DROP ? 'drop' : 'accept';
  return {
    family,
    table: textOf(top.get(CHAIN.table)),
    name: textOf(top.get(CHAIN.name)),
    hook,
    priority: (numberOf(parts.get(HOOK.priority)) ?? 0) | 0,
    policy,
    rest: policy,
  };
}

/** firewalld's chains have the policy accept, and refuse everything in their last rule. */
async function endOf(socket: NetfilterSocket, family: number, chain: BaseChain): Promise<BaseChain['rest']> {
  const message = writeMessage({
    type: SUBSYSTEM | MESSAGE.getRule,
    flags: NLM_F.request | NLM_F.dump,
    family,
  });
  message.text(RULE.table, chain.table);
  message.text(RULE.chain, chain.name);
  const last = (await list(socket, message.finish())).at(-1);
  if (last === undefined) return 'accept';
  const steps: { name: string; data: Buffer }[] = [];
  const expressions = attributeMap(last.subarray(NFGEN_BYTES)).get(RULE.expressions);
  readAttributes(expressions ?? Buffer.alloc(0), (_type, value) => {
    const each = attributeMap(value);
    const name = textOf(each.get(EXPRESSION.name));
    if (!IDLE.includes(name)) steps.push({ name, data: each.get(EXPRESSION.data) ?? Buffer.alloc(0) });
  });
  const [only, ...more] = steps;
  if (only === undefined || more.length > 0) return 'accept';
  if (only.name === 'reject') return 'reject';
  return only.name === 'immediate' && verdictOf(only.data) === DROP ? 'drop' : 'accept';
}

function verdictOf(immediate: Buffer): number | undefined {
  const data = attributeMap(immediate).get(IMMEDIATE_DATA);
  const verdict = attributeMap(data ?? Buffer.alloc(0)).get(DATA_VERDICT);
  return numberOf(attributeMap(verdict ?? Buffer.alloc(0)).get(VERDICT_CODE));
}

function numberOf(value: Buffer | undefined): number | undefined {
  return value !== undefined && value.length >= 4 ? value.readUInt32BE(0) : undefined;
}

function textOf(value: Buffer | undefined): string {
  if (value === undefined) return '';
  const end = value.indexOf(0);
  return value.toString('latin1', 0, end < 0 ? value.length : end);
}
