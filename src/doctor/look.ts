import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { findTool, runTool } from '../firewall/iptables/command.ts';
import { hasIpv6 } from '../firewall/iptables/families.ts';
import type { Boot, Clock } from './machine.ts';
import type { Rulesets } from './tables.ts';

/* What there is to see on this machine. What can't be read is undefined or left out, and is no finding. */

export async function lookAtRules(): Promise<Rulesets> {
  const [v4, v6, nft] = await Promise.all([
    printed('iptables-save', []),
    printed('ip6tables-save', []),
    printed('nft', ['list', 'ruleset']),
  ]);
  return { v4, v6, nft, ipv6: hasIpv6() };
}

/** What a tool prints; undefined where it is not there or refuses. */
async function printed(name: string, args: readonly string[]): Promise<string | undefined> {
  const path = findTool(name, ['/usr/sbin', '/sbin', '/usr/bin', '/bin']);
  if (path === undefined) return undefined;
  try {
    const { status, output } = await runTool(path, args);
    return status === 0 ? output : undefined;
  } catch {
    return undefined;
  }
}

export async function lookAtClock(): Promise<Clock> {
  const said = existsSync('/run/systemd/system')
    ? await printed('timedatectl', ['show', '-p', 'NTPSynchronized', '--value'])
    : undefined;
  const synchronised = said === undefined ? undefined : said.trim() === 'yes';
  return { synchronised, realTimeClock: list('/sys/class/rtc').length > 0 };
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
    saved: saved.map((file) => join(root, file)).filter((file) => /nfknock/i.test(textOf(file) ?? '')),
  };
}

export function lookAtConntrack(name: 'count' | 'max'): number | undefined {
  const text = textOf(`/proc/sys/net/netfilter/nf_conntrack_${name}`);
  return text === undefined ? undefined : Number(text);
}

function list(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
