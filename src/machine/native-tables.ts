import type { BaseChain } from '../firewall/netlink/base-chains.ts';
import { formatPortRange } from '../packet/port.ts';
import type { Config } from '../policy/config.ts';
import type { Concern } from './concerns.ts';

/** The priority of iptables's filter table (NF_IP_PRI_FILTER of linux/netfilter_ipv4.h), where our rules stand. */
const FILTER_PRIORITY = 0;
/** Tables and chains of iptables-nft itself: what our own chain accepts never meets a policy there. */
const IPTABLES_CHAINS: readonly string[] = ['PREROUTING', 'INPUT', 'FORWARD'];
const IPTABLES_TABLES: readonly string[] = ['raw', 'mangle', 'nat', 'filter', 'security'];

/**
 * Tables that iptables knows nothing of, firewalld's or an owner's own, that drop what they don't accept themselves. What
 * one table accepts another may still drop: a knock never arrives, or a door opens and nobody gets in.
 */
export function ofNativeTables(config: Config, chains: readonly BaseChain[]): readonly Concern[] {
  const forwards = config.doors.some((door) => door.forward !== null);
  return chains
    .filter((chain) => chain.rest === 'drop' && !isOfIptables(chain))
    .filter((chain) => chain.hook !== 'forward' || forwards)
    .map((chain): Concern => ({ code: 'native-table', key: 'doors', ...wordsFor(config, chain) }));
}

function wordsFor(config: Config, chain: BaseChain): Pick<Concern, 'what' | 'fix'> {
  const { family, table, name, hook } = chain;
  const door = 'a door opens and nobody gets in by it';
  // Of two chains with one priority the older is the first; the kernel does not say which that is.
  const effect = isAfter(chain) ? door : `knocks may never arrive, or ${door}`;
  const opens = config.doors
    .filter((each) => hook !== 'forward' || each.forward !== null)
    .flatMap((each) => each.opens.map(formatPortRange));
  return {
    what: `the nftables chain "${family} ${table} ${name}" drops what it does not accept itself: ${effect}`,
    fix: `let it accept ${isAfter(chain) ? '' : 'the knocks and '}${[...new Set(opens)].join(', ')}, which nfknock keeps closed itself; \`nft list chain ${family} ${table} ${name}\` shows it`,
  };
}

function isAfter({ hook, priority }: BaseChain): boolean {
  return hook !== 'prerouting' && priority > FILTER_PRIORITY;
}

function isOfIptables({ family, table, name }: BaseChain): boolean {
  return family !== 'inet' && IPTABLES_TABLES.includes(table) && IPTABLES_CHAINS.includes(name);
}
