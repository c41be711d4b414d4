import { existsSync } from 'node:fs';
import type { Family } from '../../packet/address.ts';
import type { Config } from '../../policy/config.ts';
import { FirewallError } from '../firewall.ts';
import { CHAIN, type Table } from '../rules/names.ts';
import { rulesFor } from '../rules/rules.ts';
import { LOCK_SECONDS, requireTool, runRequired } from './command.ts';

/**
 * Where IPv6 is switched off at boot this file is not there, and ip6tables has nothing to do. By way of `self`: with
 * systemd's `ProcSubset=pid` there is no /proc/net.
 */
const IPV6 = '/proc/self/net/if_inet6';

/** Which families can be guarded here. */
export interface Families {
  readonly usable: readonly Family[];
  /** IPv6 is there and its rules can't be installed: why. Then what the doors protect is open over it. */
  readonly fault: FirewallError | undefined;
}

export interface FamilyOptions {
  readonly config: Config;
  /** Default: both. */
  readonly wanted?: readonly Family[];
  readonly directories?: readonly string[] | undefined;
}

/** True where this kernel has IPv6; the addresses of an interface do not matter. */
export function hasIpv6(): boolean {
  return existsSync(IPV6);
}

/**
 * Tries IPv6's rules before anything is changed: the tools may not be installed, or the kernel of a container may lack
 * a part. IPv4's are not tried: without them there is nothing to go on with.
 */
export async function findFamilies({
  config,
  wanted = [4, 6],
  directories,
}: FamilyOptions): Promise<Families> {
  const there = wanted.filter((family) => family === 4 || hasIpv6());
  if (!there.includes(6)) return { usable: there, fault: undefined };
  try {
    for (const tool of ['iptables', 'iptables-save'] as const) requireTool(tool, 6, directories);
    const restore = requireTool('iptables-restore', 6, directories);
    await runRequired(restore, ['--noflush', '-w', `${LOCK_SECONDS}`], probe(config));
    return { usable: there, fault: undefined };
  } catch (error) {
    if (!(error instanceof FirewallError)) throw error;
    return { usable: there.filter((family) => family !== 6), fault: error };
  }
}

/** The matches and targets of the rules, in a chain that nothing jumps to and that is gone in the same transaction. */
function probe(config: Config): string {
  return (['filter', 'mangle'] as const).map((table) => probeOf(config, table)).join('');
}

function probeOf(config: Config, table: Table): string {
  const chains = rulesFor(config, 6).chains.filter((chain) => chain.table === table);
  if (chains.length === 0) return '';
  const rules = chains
    .flatMap(({ rules: each }) => each)
    // Sets are not there yet, nor are the other chains.
    .filter((rule) => !rule.includes('-m set '))
    .map((rule) => rule.replace(/ ?-[jg] NFKNOCK\S*$/, ''));
  const lines = [...new Set(rules)].map((rule) => `-A ${CHAIN.probe} ${rule}`.trimEnd());
  return [
    `*${table}`,
    `:${CHAIN.probe} - [0:0]`,
    ...lines,
    `-F ${CHAIN.probe}`,
    `-X ${CHAIN.probe}`,
    'COMMIT',
    '',
  ].join('\n');
}
