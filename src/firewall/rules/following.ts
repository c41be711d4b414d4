import type { Span } from '../../policy/port-set.ts';
import { type Coverage, coverage, partsOf, type RuleParts } from './coverage.ts';
import { CHAIN } from './names.ts';

/** What follows our jump in INPUT, as `iptables -S` prints it, each rule without `-A CHAIN`. */
export interface Following {
  readonly chains: ReadonlyMap<string, readonly string[]>;
  readonly policy: 'ACCEPT' | 'DROP';
}

/** Packets from anyone, to these ports or to any. */
export interface Traffic {
  readonly protocol: 'tcp' | 'udp' | 'icmp';
  readonly state: 'NEW' | 'ESTABLISHED';
  readonly ports: Span | undefined;
}

/** `on`: the chain gives the packets back. `unsure`: it depends on what this walk does not follow. */
type Verdict = 'accept' | 'drop' | 'on' | 'unsure';

/** Chains that lead to each other are followed so deep. */
const DEPTH_MAX = 16;
/** Targets after which a packet goes on to the next rule. */
export const PASSING: readonly string[] = [
  'LOG',
  'NFLOG',
  'ULOG',
  'AUDIT',
  'SET',
  'TRACE',
  'CONNMARK',
  'MARK',
  'LED',
];
export const DROPPING: readonly string[] = ['DROP', 'REJECT', 'TARPIT', 'STEAL'];

/**
 * What becomes of such packets. A rule that drops some sources only is a ban and is left out: it is meant to hold.
 * Whatever else might drop some of them, or hand them to somebody, makes it `unsure`.
 */
export function fateOf(following: Following, traffic: Traffic): 'accept' | 'drop' | 'unsure' {
  const verdict = walk(following, 'INPUT', traffic, DEPTH_MAX);
  if (verdict !== 'on') return verdict;
  return following.policy === 'ACCEPT' ? 'accept' : 'drop';
}

function walk(following: Following, chain: string, traffic: Traffic, depth: number): Verdict {
  const rules = following.chains.get(chain);
  if (rules === undefined || depth === 0) return 'unsure';
  // Of some we know that they have left the chain already: then its verdict is not that of all.
  let someLeft = false;
  const ending = (verdict: Verdict): Verdict => {
    if (!someLeft) return verdict;
    return verdict === 'accept' || verdict === 'on' ? 'on' : 'unsure';
  };
  for (const rule of readOnce(rules)) {
    const covers = coverage(rule, traffic);
    const { kind, target } = rule;
    if (covers === 'none' || target === undefined || PASSING.includes(target)) continue;
    // Our own jump: what follows it is looked at.
    if (target === CHAIN.input) continue;
    if (target === 'RETURN') {
      if (covers === 'all') return 'on';
      someLeft = true;
      continue;
    }
    if (covers === 'sources') continue;
    const inner = verdictOf(target, () => walk(following, target, traffic, depth - 1));
    const next = step(covers, kind, inner);
    if (next !== 'next') return ending(next);
  }
  return 'on';
}

/** Several kinds of traffic are asked for: twenty thousand rules are read once, and bans of sources not at all. */
const read: WeakMap<readonly string[], readonly RuleParts[]> = new WeakMap();

function readOnce(rules: readonly string[]): readonly RuleParts[] {
  const known = read.get(rules);
  if (known !== undefined) return known;
  const parts = rules.filter((rule) => !isBan(rule)).map(partsOf);
  read.set(rules, parts);
  return parts;
}

/** It takes some sources, or nothing; iptables prints the source first. */
function isBan(rule: string): boolean {
  return rule.startsWith('-s ') && !rule.includes(' RETURN');
}

function verdictOf(target: string, jump: () => Verdict): Verdict {
  if (target === 'ACCEPT') return 'accept';
  return DROPPING.includes(target) ? 'drop' : jump();
}

function step(covers: Coverage, kind: 'jump' | 'goto', inner: Verdict): Verdict | 'next' {
  if (covers === 'all') return inner === 'on' && kind === 'jump' ? 'next' : inner;
  if (inner === 'accept') return 'next';
  return inner === 'on' && kind === 'jump' ? 'next' : 'unsure';
}
