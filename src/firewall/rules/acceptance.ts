import type { Family } from '../../packet/address.ts';
import type { Config } from '../../policy/config.ts';
import { common, dports, type Ports, portsOf, type Span, without } from '../../policy/port-set.ts';
import { type Following, fateOf, type Traffic } from './following.ts';
import type { Layout } from './layout.ts';

/**
 * What nfknock's own chain accepts for good in INPUT, besides grants. All else of ESTABLISHED and `allow` goes back to
 * the rest of INPUT, so that another program's ban holds.
 */
export interface Acceptance {
  readonly established: 'accept' | 'return';
  /** Those of the ports of `allow` that our chain accepts. */
  readonly allow: Ports;
  /** `read`: by what follows our jump; `unread`: that could not be read; `configured`: by the configuration. */
  readonly by: 'configured' | 'read' | 'unread';
}

/** What is taken for true where nobody has looked: our chain accepts, since being cut off is worse than a ban passed by. */
export function assumedAcceptance(config: Config): Acceptance {
  return config.accept === 'return'
    ? { established: 'return', allow: portsOf([]), by: 'configured' }
    : {
        established: 'accept',
        allow: portsOf(config.allow),
        by: config.accept === 'own' ? 'configured' : 'unread',
      };
}

/** Decides by what follows our jump; undefined: it could not be read. */
export function acceptanceOf(layout: Layout, family: Family, following: Following | undefined): Acceptance {
  const { config } = layout;
  if (config.accept !== 'auto' || following === undefined) return assumedAcceptance(config);
  const passes = (traffic: Traffic): boolean => fateOf(following, traffic) === 'accept';
  const all = (['tcp', 'udp', 'icmp'] as const).every((protocol) =>
    passes({ protocol, state: 'ESTABLISHED', ports: undefined }),
  );
  const { allow } = layout.roles[family];
  const own = (protocol: 'tcp' | 'udp'): readonly Span[] =>
    allow[protocol].filter((ports) => !passes({ protocol, state: 'NEW', ports }));
  return {
    established: all ? 'return' : 'accept',
    allow: { tcp: own('tcp'), udp: own('udp') },
    by: 'read',
  };
}

export function sameAcceptance(some: Acceptance, other: Acceptance): boolean {
  return some.established === other.established && JSON.stringify(some.allow) === JSON.stringify(other.allow);
}

/** The rules of `allow`: what our chain accepts, and what it gives back. */
export function allowRules(allow: Ports, acceptance: Acceptance): readonly string[] {
  const own = common(allow, acceptance.allow);
  const rules = (ports: Ports, verdict: string): readonly string[] =>
    dports(ports).map((match) => `${match} -m conntrack --ctstate NEW -j ${verdict}`);
  return [...rules(own, 'ACCEPT'), ...rules(without(allow, own), 'RETURN')];
}
