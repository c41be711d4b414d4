import { FirewallError } from '../firewall/firewall.ts';
import { type BaseChain, readBaseChains } from '../firewall/netlink/base-chains.ts';
import type { Family } from '../packet/address.ts';
import type { Asking } from './asking.ts';
import { defaultRoutes } from './default-routes.ts';
import { rowsOf } from './proc.ts';

/** What becomes of a packet to a port of this machine that no rule names. */
export type Fate = 'ACCEPT' | 'DROP' | 'REJECT';
/** Null: unknown, since root alone may look. */
export type InputDefaults = Readonly<Record<Family, Fate | null>>;

/** Chains that lead to each other are followed so deep. */
const DEPTH_MAX = 8;

/** What the tables of this network namespace do with packets that come to a port which nobody named. */
export async function findInputDefaults(asking: Asking): Promise<InputDefaults> {
  const [native, outward] = [await nativeDefaults(), await outwardInterfaces()];
  const of = async (family: Family): Promise<Fate | null> => {
    const text = await asking.saved(family, 'filter');
    if (text === undefined) return null;
    const fate = savedDefault(text, outward);
    return fate === 'ACCEPT' ? native[family] : fate;
  };
  return { 4: await of(4), 6: await of(6) };
}

/** By which interfaces a default route leads: strangers come in there. */
async function outwardInterfaces(): Promise<readonly string[]> {
  const names = [
    ...rowsOf(await defaultRoutes(4)).flatMap(([name]) => name ?? []),
    ...rowsOf(await defaultRoutes(6)).flatMap((row) => row.at(-1) ?? []),
  ];
  return [...new Set(names)].filter((name) => name !== 'lo');
}

/** The same of what `iptables-save` prints; `outward`: by which interfaces strangers come in. */
export function savedDefault(text: string, outward: readonly string[] = []): Fate {
  const filter = /^\*filter$([\s\S]*?)^COMMIT$/m.exec(text)?.[1] ?? '';
  const chains = new Map<string, string[]>();
  for (const [, chain = '', rule = ''] of filter.matchAll(/^-A (\S+) (.*)$/gm)) {
    const rules = chains.get(chain) ?? [];
    rules.push(rule);
    chains.set(chain, rules);
  }
  const policy = /^:INPUT (\S+)/m.exec(filter)?.[1] === 'DROP' ? 'DROP' : 'ACCEPT';
  return fateIn({ chains, outward }, 'INPUT', DEPTH_MAX) ?? policy;
}

interface Saved {
  readonly chains: ReadonlyMap<string, readonly string[]>;
  readonly outward: readonly string[];
}

/** A rule for what comes in by an interface that strangers come in by holds for strangers. */
function withoutInterface(rule: string, outward: readonly string[]): string {
  const [whole = '', name = ''] = /^-i (\S+) /.exec(rule) ?? [];
  const holds = outward.some((each) =>
    name.endsWith('+') ? each.startsWith(name.slice(0, -1)) : each === name,
  );
  return name !== '' && holds ? rule.slice(whole.length) : rule;
}

/** What a chain does with every packet that comes to its end; undefined: it gives it back. */
function fateIn(saved: Saved, chain: string, depth: number): Fate | undefined {
  for (const rule of saved.chains.get(chain) ?? []) {
    const plain = withoutInterface(
      rule.replace(/-m comment --comment (?:"(?:[^"\\]|\\.)*"|\S+) ?/, ''),
      saved.outward,
    );
    // A stranger's first packet is new, and is none of lo's.
    const end =
      /^(?:! -i lo )?(?:-m (?:conntrack --ctstate|state --state) (?:\S+,)?NEW(?:,\S+)? )?-[jg] (\S+)/.exec(
        plain,
      )?.[1];
    if (end === 'ACCEPT' || end === 'DROP' || end === 'REJECT') return end;
    const target = /^-[jg] (\S+)/.exec(plain)?.[1];
    if (target === 'RETURN') return undefined;
    const inner = target === undefined || depth === 0 ? undefined : fateIn(saved, target, depth - 1);
    if (inner !== undefined) return inner;
  }
  return undefined;
}

/** Tables of nftables that iptables knows nothing of: firewalld's, or an owner's own. Who may not look sees none. */
async function nativeDefaults(): Promise<Readonly<Record<Family, Fate>>> {
  try {
    return nativeDefault(await readBaseChains((chain) => chain.hook === 'input' && !isOfIptables(chain)));
  } catch (error) {
    if (!(error instanceof FirewallError)) throw error;
    return nativeDefault([]);
  }
}

/** The same of these chains. What stops everything says so by its policy or in its last rule. */
export function nativeDefault(
  chains: readonly Pick<BaseChain, 'family' | 'rest'>[],
): Readonly<Record<Family, Fate>> {
  const fates: Record<Family, Fate> = { 4: 'ACCEPT', 6: 'ACCEPT' };
  for (const { family, rest } of chains) {
    if (rest === 'accept') continue;
    const fate = rest === 'drop' ? 'DROP' : 'REJECT';
    if (family !== 'ip6') fates[4] = fate;
    if (family !== 'ip') fates[6] = fate;
  }
  return fates;
}

function isOfIptables({ family, table, name }: Omit<BaseChain, 'rest'>): boolean {
  return family !== 'inet' && table === 'filter' && name === 'INPUT';
}
