import type { Family } from '../../packet/address.ts';
import { PORT_MAX, type Protocol } from '../../packet/port.ts';
import type { Span } from '../../policy/port-set.ts';

/** Ports that a rule is about; null: all. */
export type PortMatch = readonly Span[] | null;

/** A rule that is asked before connection tracking, as far as it can be read. */
export interface RawRule {
  /** How an owner finds it. */
  readonly text: string;
  /** Null: every protocol. */
  readonly protocol: Protocol | 'another' | null;
  readonly dports: PortMatch;
  readonly sports: PortMatch;
  /** Null: every interface. */
  readonly comesIn: string | null;
  /** `sometimes`: it has conditions besides these. */
  readonly holds: 'always' | 'sometimes' | 'never';
  /** `jump`: to the chains named in `to`. */
  readonly verdict: 'notrack' | 'end' | 'return' | 'jump' | 'next';
  readonly to: readonly string[];
}

/** A chain that the kernel calls before it tracks connections, with those that it leads to. */
export interface RawHook {
  readonly families: readonly Family[];
  readonly hook: 'prerouting' | 'output';
  readonly chain: string;
  readonly chains: ReadonlyMap<string, readonly RawRule[]>;
  /** What puts before all else in it that a port is not to be touched. */
  readonly exempt: (family: Family, protocol: Protocol, port: number) => string;
}

const TEXT_CHARACTERS_MAX = 200;

/** Comments are anybody's words: nothing that a terminal would act on is kept. */
export function readable(text: string): string {
  return text.replace(/[^\x20-\x7e]+/g, '?').slice(0, TEXT_CHARACTERS_MAX);
}

/** All ports but these. */
export function otherPorts(spans: readonly Span[]): readonly Span[] {
  const rest: Span[] = [];
  let next = 0;
  for (const { first, last } of [...spans].sort((a, b) => a.first - b.first)) {
    if (first > next) rest.push({ first: next, last: first - 1 });
    next = Math.max(next, last + 1);
  }
  return next <= PORT_MAX ? [...rest, { first: next, last: PORT_MAX }] : rest;
}
