import type { Family } from '../packet/address.ts';
import type { Asking } from './asking.ts';

/** What becomes of a packet to a port of this machine that no rule names. */
export type Fate = 'ACCEPT' | 'DROP' | 'REJECT';
/** Null: unknown, since root alone may look. */
export type InputDefaults = Readonly<Record<Family, Fate | null>>;

/** Chains that lead to each other are followed so deep. */
const DEPTH_MAX = 8;

/** What the tables of this network namespace do with packets that come to a port which nobody named. */
export async function findInputDefaults(asking: Asking): Promise<InputDefaults> {
  const native = await nativeDefaults(asking);
  const of = async (family: Family): Promise<Fate | null> => {
    const text = await asking.saved(family, 'filter');
    if (text === undefined) return null;
    const fate = savedDefault(text);
    return fate === 'ACCEPT' ? native[family] : fate;
  };
  return { 4: await of(4), 6: await of(6) };
}

/** The same of what `iptables-save` prints. */
export function savedDefault(text: string): Fate {
  const filter = /^\*filter$([\s\S]*?)^COMMIT$/m.exec(text)?.[1] ?? '';
  const chains = new Map<string, string[]>();
  for (const [, chain = '', rule = ''] of filter.matchAll(/^-A (\S+) (.*)$/gm)) {
    const rules = chains.get(chain) ?? [];
    rules.push(rule);
    chains.set(chain, rules);
  }
  const policy = /^:INPUT (\S+)/m.exec(filter)?.[1] === 'DROP' ? 'DROP' : 'ACCEPT';
  return fateIn(chains, 'INPUT', DEPTH_MAX) ?? policy;
}

/** What a chain does with every packet that comes to its end; undefined: it gives it back. */
function fateIn(
  chains: ReadonlyMap<string, readonly string[]>,
  chain: string,
  depth: number,
): Fate | undefined {
  for (const rule of chains.get(chain) ?? []) {
    const plain = rule.replace(/-m comment --comment (?:"(?:[^"\\]|\\.)*"|\S+) ?/, '');
    const target = /^-[jg] (\S+)/.exec(plain)?.[1];
    if (target === 'ACCEPT' || target === 'DROP' || target === 'REJECT') return target;
    if (target === 'RETURN') return undefined;
    const inner = target === undefined || depth === 0 ? undefined : fateIn(chains, target, depth - 1);
    if (inner !== undefined) return inner;
  }
  return undefined;
}

/** Tables of nftables that iptables knows nothing of: firewalld's, or an owner's own. */
async function nativeDefaults(asking: Asking): Promise<Readonly<Record<Family, Fate>>> {
  const text = await asking.printed('nft', ['-j', 'list', 'ruleset']);
  return text === undefined ? { 4: 'ACCEPT', 6: 'ACCEPT' } : nativeDefault(text);
}

interface Listed {
  readonly chain?: NativeChain;
  readonly rule?: { family: string; table: string; chain: string; expr: readonly object[] };
}

interface NativeChain {
  readonly family: string;
  readonly table: string;
  readonly name: string;
  readonly type?: string;
  readonly hook?: string;
  readonly policy?: string;
}

/** The same of what `nft -j list ruleset` prints. What stops everything says so by its policy or in its last rule. */
export function nativeDefault(text: string): Readonly<Record<Family, Fate>> {
  const listed = (JSON.parse(text) as { nftables?: readonly Listed[] }).nftables ?? [];
  const fates: Record<Family, Fate> = { 4: 'ACCEPT', 6: 'ACCEPT' };
  for (const { chain } of listed) {
    if (chain === undefined || chain.type !== 'filter' || chain.hook !== 'input' || isOfIptables(chain))
      continue;
    const last = listed
      .flatMap(({ rule }) => (rule === undefined ? [] : [rule]))
      .filter(({ family, table, chain: name }) => {
        return family === chain.family && table === chain.table && name === chain.name;
      })
      .at(-1);
    const fate = chain.policy === 'drop' ? 'DROP' : lastFate(last?.expr ?? []);
    if (fate === undefined) continue;
    for (const family of [4, 6] as const) {
      if (chain.family === 'inet' || chain.family === (family === 4 ? 'ip' : 'ip6')) fates[family] = fate;
    }
  }
  return fates;
}

function isOfIptables({ family, table, name }: NativeChain): boolean {
  return family !== 'inet' && table === 'filter' && name === 'INPUT';
}

function lastFate(expressions: readonly object[]): Fate | undefined {
  const words = expressions
    .flatMap((each) => Object.keys(each))
    .filter((word) => word !== 'counter' && word !== 'log');
  if (words.length !== 1) return undefined;
  if (words[0] === 'drop') return 'DROP';
  return words[0] === 'reject' ? 'REJECT' : undefined;
}
