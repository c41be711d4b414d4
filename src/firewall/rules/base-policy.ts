import { readFileSync } from 'node:fs';
import { shipped } from '../../files/shipped.ts';
import type { Family } from '../../packet/address.ts';
import type { Config } from '../../policy/config.ts';
import { NO_ONE_TIME, rolesOf } from '../../policy/port-roles.ts';
import { dports } from '../../policy/port-set.ts';
import type { Base } from './install.ts';
import type { Saved } from './jump.ts';
import { CHAIN } from './names.ts';
import { UNTRACKED_SESSION } from './refusal.ts';

/** The texts that a firewall person reads; what is laid is what stands there. */
const FILES: Readonly<Record<Family, URL>> = {
  4: shipped('iptables/base.v4'),
  6: shipped('iptables/base.v6'),
};

/** The first rule of the base chain tells what the policies were, so that `remove` can put them back. */
const WAS = /--comment "nfknock base: before, INPUT was (ACCEPT|DROP) and FORWARD was (ACCEPT|DROP)"/;

/** What the built-in chains of the filter table do with what no rule decides. */
export interface Policies {
  readonly input: 'ACCEPT' | 'DROP';
  readonly forward: 'ACCEPT' | 'DROP';
}

/**
 * The base policy of an appliance: `iptables/base.v4` or `.v6`, then what `allow` opens to everyone. The
 * allowed ports are here too, since on interfaces that nfknock does not watch its own chain is not passed.
 */
export function baseOf(config: Config, family: Family, before: Policies): Base {
  const lines = readFileSync(FILES[family], 'utf8').split('\n');
  const prefix = `-A ${CHAIN.base} `;
  const roles = rolesOf(config, family, NO_ONE_TIME);
  const allow = dports(roles.allow);
  const sessions = dports({ tcp: roles.services.tcp, udp: [] });
  const was = `nfknock base: before, INPUT was ${before.input} and FORWARD was ${before.forward}`;
  return {
    rules: [
      `-m comment --comment "${was}"`,
      ...lines.filter((line) => line.startsWith(prefix)).map((line) => line.slice(prefix.length).trim()),
      ...allow.map((match) => `${match} -m conntrack --ctstate NEW -j ACCEPT`),
      ...sessions.map((match) => `${match} ${UNTRACKED_SESSION} -j ACCEPT`),
    ],
    policies: policyLines({ input: 'DROP', forward: 'DROP' }),
  };
}

/** The policies from before the base was laid; undefined where it is not there, or does not tell. */
export function policiesBefore(saved: Saved): Policies | undefined {
  const found = WAS.exec(saved.get('filter')?.get(CHAIN.base)?.[0] ?? '');
  return found === null ? undefined : policiesOf(found[1], found[2]);
}

/** The policies in force, from what `iptables-save` prints. */
export function policiesNow(text: string): Policies {
  const filter = text.slice(Math.max(0, text.indexOf('*filter')));
  return policiesOf(/^:INPUT (\S+)/m.exec(filter)?.[1], /^:FORWARD (\S+)/m.exec(filter)?.[1]);
}

/** Where nothing is known of a built-in chain it lets everything pass, as one that was just made. */
export function policiesOf(input: string | undefined, forward: string | undefined): Policies {
  return { input: input === 'DROP' ? 'DROP' : 'ACCEPT', forward: forward === 'DROP' ? 'DROP' : 'ACCEPT' };
}

export function policyLines({ input, forward }: Policies): readonly string[] {
  return [`:INPUT ${input} [0:0]`, `:FORWARD ${forward} [0:0]`];
}
