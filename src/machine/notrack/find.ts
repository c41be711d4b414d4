import { readFileSync } from 'node:fs';
import { toolName } from '../../firewall/iptables/command.ts';
import { isNftables } from '../../firewall/iptables/watch.ts';
import type { Family } from '../../packet/address.ts';
import type { Config } from '../../policy/config.ts';
import type { OneTimePorts } from '../../policy/port-roles.ts';
import { type Asking, oneQuestion } from '../asking.ts';
import { savedRaw } from './iptables.ts';
import { nativeRaw, tablesBeforeTracking } from './nftables.ts';
import type { RawHook } from './raw-rule.ts';
import { type Untracked, untrackedOf } from './untracked.ts';

/** The ports of doors that a rule of this machine takes out of connection tracking. What may not be read is left out. */
export async function findUntracked(
  config: Config,
  oneTime: OneTimePorts,
  asking: Asking = oneQuestion,
): Promise<readonly Untracked[]> {
  const nftables = await isNftables().catch(() => false);
  const hooks = [
    ...(await ofIptables(asking, 4, nftables ? 'nftables' : 'legacy')),
    ...(await ofIptables(asking, 6, nftables ? 'nftables' : 'legacy')),
    ...(await ofNft(asking)),
  ];
  return untrackedOf(config, hooks, oneTime);
}

async function ofIptables(
  asking: Asking,
  family: Family,
  kind: 'nftables' | 'legacy',
): Promise<readonly RawHook[]> {
  const nftables = kind === 'nftables';
  const legacy = hasLegacyRaw(family);
  const text = nftables || legacy ? ((await asking.saved(family, 'raw')) ?? '') : '';
  // A table of iptables-legacy must not be asked for where it is not there: that would make it.
  const older =
    nftables && legacy
      ? ((await asking.printed(toolName('iptables-legacy-save', family), ['-t', 'raw'])) ?? '')
      : '';
  return [
    ...savedRaw(text, family, toolName('iptables', family)),
    ...savedRaw(older, family, family === 4 ? 'iptables-legacy' : 'ip6tables-legacy'),
  ];
}

function hasLegacyRaw(family: Family): boolean {
  try {
    const names = readFileSync(`/proc/self/net/${family === 4 ? 'ip' : 'ip6'}_tables_names`, 'utf8');
    return names.split('\n').includes('raw');
  } catch {
    return false;
  }
}

async function ofNft(asking: Asking): Promise<readonly RawHook[]> {
  const hooks: RawHook[] = [];
  const chains = (await asking.printed('nft', ['-j', 'list', 'chains'])) ?? '';
  for (const [family, table] of chains === '' ? [] : tablesBeforeTracking(chains)) {
    const text = await asking.printed('nft', ['-j', 'list', 'table', family, table]);
    if (text !== undefined) hooks.push(...nativeRaw(text));
  }
  return hooks;
}
