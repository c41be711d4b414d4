import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { hasIpv6 } from '../firewall/iptables/families.ts';
import { lookForAcceptance } from '../firewall/iptables/read-following.ts';
import type { Acceptance } from '../firewall/rules/acceptance.ts';
import { parseSaved, type Saved } from '../firewall/rules/jump.ts';
import { layoutOf } from '../firewall/rules/layout.ts';
import type { Asking } from '../machine/asking.ts';
import { systemTrust } from '../machine/clock-trust.ts';
import { readText } from '../machine/proc.ts';
import type { Family } from '../packet/address.ts';
import type { Config } from '../policy/config.ts';
import type { OneTimePorts } from '../policy/port-roles.ts';
import type { Boot, Clock } from './machine.ts';
import type { Rulesets } from './tables.ts';

/* What there is to see on this machine. What can't be read is undefined or left out, and is no finding. */

export async function lookAtRules(asking: Asking): Promise<Rulesets> {
  const saved = async (tool: string): Promise<Saved | undefined> => {
    const text = await asking.printed(tool, []);
    return text === undefined ? undefined : parseSaved(text);
  };
  const [v4, v6] = await Promise.all([saved('iptables-save'), saved('ip6tables-save')]);
  return { v4, v6, ipv6: hasIpv6() };
}

/** What our chain accepts itself since nothing after it would, or would if it were laid now. */
export async function lookAtAcceptance(
  config: Config,
  oneTime: OneTimePorts,
): Promise<ReadonlyMap<Family, Acceptance>> {
  const layout = layoutOf(config, oneTime);
  const families: readonly Family[] = hasIpv6() ? [4, 6] : [4];
  return new Map(
    await Promise.all(
      families.map(async (family) => [family, await lookForAcceptance(layout, family)] as const),
    ),
  );
}

export function lookAtClock(): Clock {
  return { synchronised: systemTrust.synchronised(), realTimeClock: systemTrust.hasRtc() };
}

export function lookAtBoot(root = '/'): Boot {
  const wanted = (target: string, unit: string): boolean =>
    list(join(root, 'etc/systemd/system', `${target}.wants`)).includes(unit);
  const saved = [
    'etc/iptables/rules.v4',
    'etc/iptables/rules.v6',
    'etc/nftables.conf',
    'etc/sysconfig/iptables',
  ];
  return {
    daemon: wanted('multi-user.target', 'nfknock.service'),
    rules: wanted('sysinit.target', 'nfknock-rules.service'),
    saved: saved.map((file) => join(root, file)).filter((file) => /nfknock/i.test(readText(file))),
  };
}

export function lookAtConntrack(name: 'count' | 'max'): number | undefined {
  const text = readText(`/proc/sys/net/netfilter/nf_conntrack_${name}`);
  return text === '' ? undefined : Number(text);
}

function list(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
