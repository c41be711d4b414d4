import { targetWords } from '../firewall/rules/coverage.ts';
import { isOwnChain, parseSaved, type Saved } from '../firewall/rules/jump.ts';
import type { Family } from '../packet/address.ts';
import type { Protocol } from '../packet/port.ts';
import type { Asking } from './asking.ts';
import type { Listener } from './listeners.ts';

/** Ports whose packets nat sends elsewhere before INPUT could see them, as Docker publishes a container's. */
export interface Translated {
  readonly family: Family;
  readonly protocol: Protocol;
  readonly first: number;
  readonly last: number;
  /** Whose chain it is in: `DOCKER`. */
  readonly chain: string;
}

const DEPTH_MAX = 8;
const TRANSLATES: readonly string[] = ['DNAT', 'REDIRECT'];
/** Packets of some senders only, or to loopback: the world's still come in. */
const FOR_SOME = /(?<!! )-s \S|(?<!! )-d (?:127\.|::1)|(?<!! )-i lo\b|--match-set \S+ src/;

/** What this machine's nat tables take away. Chains of our own are left out: they let in who knocked. */
export async function findTranslated(asking: Asking): Promise<readonly Translated[]> {
  const of = async (family: Family): Promise<readonly Translated[]> => {
    const text = await asking.saved(family, 'nat');
    return text === undefined ? [] : translatedIn(parseSaved(text), family);
  };
  return [...(await of(4)), ...(await of(6))];
}

/** The same of tables that were read. */
export function translatedIn(saved: Saved, family: Family): readonly Translated[] {
  const chains = saved.get('nat') ?? new Map<string, readonly string[]>();
  const walk = (chain: string, depth: number): readonly Translated[] =>
    (chains.get(chain) ?? []).flatMap((rule): readonly Translated[] => {
      const { target } = targetWords(rule);
      if (target === undefined || isOwnChain(target) || FOR_SOME.test(rule)) return [];
      if (!TRANSLATES.includes(target)) return depth === 0 ? [] : walk(target, depth - 1);
      return portsOf(rule).map((ports) => ({ family, chain, ...ports }));
    });
  return walk('PREROUTING', DEPTH_MAX);
}

/** Listeners that packets from elsewhere reach: what nat takes away does not come to them (`docker-proxy`). */
export function reached(
  listeners: readonly Listener[],
  translated: readonly Translated[],
): readonly Listener[] {
  return listeners.flatMap((each) => {
    const families = each.families.filter((family) => !translated.some((one) => takes(one, family, each)));
    return families.length === 0 ? [] : [{ ...each, families }];
  });
}

function takes(one: Translated, family: Family, { protocol, port }: Listener): boolean {
  return one.family === family && one.protocol === protocol && port >= one.first && port <= one.last;
}

function portsOf(rule: string): readonly Pick<Translated, 'protocol' | 'first' | 'last'>[] {
  const protocol = /(?<!! )-p (tcp|udp)\b/.exec(rule)?.[1] as Protocol | undefined;
  const list = /(?<!! )--dports? (\S+)/.exec(rule)?.[1];
  if (protocol === undefined || list === undefined) return [];
  return list.split(',').flatMap((entry) => {
    const [first = Number.NaN, last = first] = entry.split(':').map(Number);
    return first <= last ? [{ protocol, first, last }] : [];
  });
}
