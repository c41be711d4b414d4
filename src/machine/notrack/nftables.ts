import type { Family } from '../../packet/address.ts';
import type { Span } from '../../policy/port-set.ts';
import { otherPorts, type RawHook, type RawRule, readable } from './raw-rule.ts';

/** NF_IP_PRI_CONNTRACK of linux/netfilter_ipv4.h: what comes later can't keep a packet from being tracked. */
const CONNTRACK_PRIORITY = -200;
const FAMILIES: ReadonlyMap<string, readonly Family[]> = new Map([
  ['inet', [4, 6]],
  ['ip', [4]],
  ['ip6', [6]],
]);
/** Statements that look at no packet and decide nothing. */
const IDLE: readonly string[] = ['counter', 'log', 'comment'];

interface ListedChain {
  readonly family: string;
  readonly table: string;
  readonly name: string;
  readonly type?: string;
  readonly hook?: string;
  readonly prio?: number;
}

interface ListedRule {
  readonly family: string;
  readonly table: string;
  readonly chain: string;
  readonly handle: number;
  readonly expr: readonly Readonly<Record<string, unknown>>[];
}

interface Listed {
  readonly chain?: ListedChain;
  readonly rule?: ListedRule;
}

/** The tables with a chain that is asked before tracking, of what `nft -j list chains` prints; iptables's are read by its own tools. */
export function tablesBeforeTracking(text: string): readonly (readonly [family: string, table: string])[] {
  const tables = rawChains(listed(text)).map(({ family, table }) => `${family} ${table}`);
  return [...new Set(tables)]
    .map((each) => each.split(' '))
    .flatMap(([family = '', table = '']) =>
      family !== 'inet' && table === 'raw' ? [] : [[family, table] as const],
    );
}

/** One table, as `nft -j list table` prints it. */
export function nativeRaw(text: string): readonly RawHook[] {
  const all = listed(text);
  const chains = new Map<string, RawRule[]>();
  for (const { chain, rule } of all) {
    if (chain !== undefined) chains.set(chain.name, chains.get(chain.name) ?? []);
    if (rule === undefined) continue;
    const rules = chains.get(rule.chain) ?? [];
    chains.set(rule.chain, rules);
    rules.push(ruleOf(rule));
  }
  return rawChains(all).map(
    ({ family, table, name, hook }): RawHook => ({
      families: FAMILIES.get(family) ?? [],
      hook: hook === 'output' ? 'output' : 'prerouting',
      chain: name,
      chains,
      exempt: (_family, protocol, port) =>
        `nft insert rule ${family} ${table} ${name} ${protocol} ${hook === 'output' ? 'sport' : 'dport'} ${port} accept`,
    }),
  );
}

function listed(text: string): readonly Listed[] {
  return (JSON.parse(text) as { nftables?: readonly Listed[] }).nftables ?? [];
}

function rawChains(all: readonly Listed[]): readonly ListedChain[] {
  return all.flatMap(({ chain }) => {
    if (chain === undefined || !FAMILIES.has(chain.family)) return [];
    const early = (chain.prio ?? 0) < CONNTRACK_PRIORITY;
    return early && (chain.hook === 'prerouting' || chain.hook === 'output') ? [chain] : [];
  });
}

function ruleOf({ family, table, chain, handle, expr }: ListedRule): RawRule {
  let rule: RawRule = {
    text: readable(`nft rule ${family} ${table} ${chain} handle ${handle}`),
    protocol: null,
    dports: null,
    sports: null,
    comesIn: null,
    holds: 'always',
    verdict: 'next',
    to: [],
  };
  for (const statement of expr) {
    const [word = ''] = Object.keys(statement);
    if (IDLE.includes(word)) continue;
    rule = { ...rule, ...said(word, statement[word], rule) };
  }
  return rule;
}

function said(word: string, value: unknown, rule: RawRule): Partial<RawRule> {
  switch (word) {
    case 'notrack':
      return { verdict: 'notrack' };
    case 'accept':
    case 'drop':
    case 'queue':
      return { verdict: 'end' };
    case 'return':
      return { verdict: 'return' };
    case 'jump':
    case 'goto':
      return { verdict: 'jump', to: targetsIn(value) };
    case 'vmap':
      return { verdict: 'jump', to: targetsIn(value), holds: least(rule) };
    case 'match':
      return matched(value as Match, rule);
    default:
      return { holds: least(rule) };
  }
}

function least({ holds }: RawRule): RawRule['holds'] {
  return holds === 'always' ? 'sometimes' : holds;
}

/** The chains that a verdict, or a map of verdicts, names. */
function targetsIn(value: unknown): readonly string[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, each]) =>
    key === 'target' && typeof each === 'string' ? [each] : targetsIn(each),
  );
}

interface Match {
  readonly op: string;
  readonly left: {
    readonly payload?: { readonly protocol?: string; readonly field?: string };
    readonly meta?: { readonly key: string };
  };
  readonly right: unknown;
}

function matched({ op, left, right }: Match, rule: RawRule): Partial<RawRule> {
  const { payload, meta } = left;
  const negated = op === '!=';
  const port = payload?.field === 'dport' || payload?.field === 'sport' ? payload.field : undefined;
  if (port !== undefined) {
    const spans = spansOf(right);
    const protocol =
      payload?.protocol === 'tcp' || payload?.protocol === 'udp' ? payload.protocol : rule.protocol;
    if (spans === undefined) return { protocol, holds: least(rule) };
    const ports = negated ? otherPorts(spans) : spans;
    return port === 'dport' ? { protocol, dports: ports } : { protocol, sports: ports };
  }
  if ((meta?.key === 'l4proto' || payload?.field === 'protocol') && !negated && typeof right === 'string') {
    return { protocol: right === 'tcp' || right === 'udp' ? right : 'another' };
  }
  if (meta?.key === 'iifname' || meta?.key === 'iif' || meta?.key === 'oifname' || meta?.key === 'oif') {
    if (right === 'lo') return negated ? {} : { holds: 'never' };
    const comesIn = meta.key.startsWith('i') && !negated && typeof right === 'string' ? right : rule.comesIn;
    return { comesIn, holds: least(rule) };
  }
  return { holds: least(rule) };
}

/** Undefined: not to be read from here, as a named set. */
function spansOf(right: unknown): readonly Span[] | undefined {
  if (typeof right === 'number') return [{ first: right, last: right }];
  if (typeof right !== 'object' || right === null) return undefined;
  const { range, set } = right as { range?: readonly unknown[]; set?: readonly unknown[] };
  if (range !== undefined) {
    const [first, last] = range;
    return typeof first === 'number' && typeof last === 'number' ? [{ first, last }] : undefined;
  }
  const parts = set?.map(spansOf);
  return parts?.every((part) => part !== undefined) === true
    ? parts.flatMap((part) => part ?? [])
    : undefined;
}
