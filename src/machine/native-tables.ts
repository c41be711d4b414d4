import { hasIpv6 } from '../firewall/iptables/families.ts';
import { type BaseChain, readBaseChains } from '../firewall/netlink/base-chains.ts';
import type { NativePacket } from '../firewall/netlink/native-packet.ts';
import { type NativeWalk, openNativeWalk } from '../firewall/netlink/native-walk.ts';
import type { Family } from '../packet/address.ts';
import { formatPortRange } from '../packet/port.ts';
import type { Config, Door } from '../policy/config.ts';
import { isHere, knocksOf, type OneTimePorts, rolesOf } from '../policy/port-roles.ts';
import { common, type Ports } from '../policy/port-set.ts';
import type { Observation } from './observations.ts';

/** The priorities of iptables's tables filter and mangle (NF_IP_PRI_* of linux/netfilter_ipv4.h), where our rules stand. */
const FILTER_PRIORITY = 0;
const MANGLE_PRIORITY = -150;
/** Tables and chains of iptables-nft itself: what our own chain accepts never meets a policy there. */
const IPTABLES_CHAINS: readonly string[] = ['PREROUTING', 'INPUT', 'FORWARD'];
const IPTABLES_TABLES: readonly string[] = ['raw', 'mangle', 'nat', 'filter', 'security'];
/** Packets of which it is asked whether a table accepts them, at most. */
const PACKETS_MAX = 2048;

/** A packet that a door needs: a knock, or the first of a connection by a grant. */
interface Needed {
  readonly packet: NativePacket;
  /** The ports that it stands for, or that it is a knock: which one, is said nowhere. */
  readonly what: string | 'knock';
}

/**
 * Tables that iptables knows nothing of, firewalld's or an owner's own, that drop what the doors need. What one table
 * accepts another may still drop: a knock never arrives, or a door opens and nobody gets in.
 */
export async function findNativeTables(
  config: Config,
  oneTime: OneTimePorts,
): Promise<readonly Observation[]> {
  const forwards = config.doors.some((door) => door.forward !== null);
  // The rules of iptables are not read for this: there may be many, and our own chain comes before them.
  const chains = await readBaseChains(
    (chain) => !isOfIptables(chain) && (chain.hook !== 'forward' || forwards),
  );
  const dropping = chains.filter((chain) => chain.rest !== 'accept');
  if (dropping.length === 0) return [];
  const walk = openNativeWalk();
  try {
    const observations: Observation[] = [];
    for (const chain of dropping) {
      const refused = await refusedBy(walk, chain, neededOf(config, chain, oneTime));
      if (refused.length > 0) observations.push(concernOf(config, chain, refused));
    }
    return observations;
  } finally {
    walk.close();
  }
}

async function refusedBy(
  walk: NativeWalk,
  chain: BaseChain,
  needed: readonly Needed[],
): Promise<readonly Needed[]> {
  const refused: Needed[] = [];
  // Of more than can be looked at nobody knows whether they are accepted.
  for (const each of needed.slice(0, PACKETS_MAX)) {
    if (!(await walk.accepts(chain, each.packet))) refused.push(each);
  }
  return [...refused, ...needed.slice(PACKETS_MAX)];
}

function neededOf(config: Config, chain: BaseChain, oneTime: OneTimePorts): readonly Needed[] {
  const found = new Map<string, Needed>();
  for (const family of familiesOf(chain)) {
    const { knocks } = rolesOf(config, family, oneTime);
    for (const door of config.doors) {
      const mark = isMarked(chain) ? (door.grantMark ?? 0) : 0;
      const own = knocksOf(door, oneTime);
      const all = [
        ...(arriveHere(chain) ? packets(own, family, 0, 'knock') : []),
        ...(arriveHere(chain) ? packets(common(own, knocks), family, mark, 'knock') : []),
        ...opened(door, chain, family, mark),
      ];
      // Of the marks of doors that share a knock it gets the first.
      for (const each of all) {
        const { protocol, port, mark: as } = each.packet;
        const key = `${family} ${protocol} ${port} ${each.what === 'knock' ? 'knock' : as}`;
        const known = found.get(key);
        if (known === undefined || known.packet.mark === 0) found.set(key, each);
      }
    }
  }
  return [...found.values()];
}

/** Whether knocks pass the chain before they come to ours. */
function arriveHere(chain: BaseChain): boolean {
  return chain.hook !== 'forward' && !isAfter(chain);
}

function opened(door: Door, { hook }: BaseChain, family: Family, mark: number): readonly Needed[] {
  const here = hook === 'forward' ? door.forward?.to.address.family === family : isHere(door, family);
  if (!here || (hook === 'input' && door.forward !== null)) return [];
  return door.opens.flatMap((range) => {
    const what = formatPortRange(range);
    return [range.first, range.last].map((port) => ({
      packet: { family, protocol: range.protocol, port, mark },
      what,
    }));
  });
}

function packets(ports: Ports, family: Family, mark: number, what: 'knock'): readonly Needed[] {
  return (['tcp', 'udp'] as const).flatMap((protocol) =>
    ports[protocol].flatMap(({ first, last }) =>
      Array.from({ length: last - first + 1 }, (_, index) => ({
        packet: { family, protocol, port: first + index, mark },
        what,
      })),
    ),
  );
}

function concernOf(config: Config, chain: BaseChain, refused: readonly Needed[]): Observation {
  const { family, table, name, hook } = chain;
  const opens = [...new Set(refused.flatMap(({ what }) => (what === 'knock' ? [] : [what])))];
  const knocks = refused.some(({ what }) => what === 'knock');
  const families = new Set(refused.map(({ packet }) => packet.family));
  const [only] = families;
  const over = family === 'inet' && families.size === 1 && hasIpv6() ? ` over IPv${only}` : '';
  const door = 'a door opens and nobody gets in by it';
  const gone = opens.length === 0 ? 'knocks may never arrive' : `knocks may never arrive, or ${door}`;
  const effect = knocks ? gone : door;
  const needed = [...(knocks ? ['the knocks'] : []), ...(opens.length === 0 ? [] : [opens.join(', ')])];
  const marks = config.doors.flatMap(({ grantMark }) => grantMark ?? []);
  const mark = `0x${(marks[0] ?? SUGGESTED_MARK).toString(16)}`;
  const rule = `nft insert rule ${family} ${table} ${name} meta mark ${mark} accept`;
  const byMark =
    marks.length > 0 ? `\`${rule}\`` : `give the doors "grant_mark: ${mark}" and run \`${rule}\``;
  const show = `\`nft list chain ${family} ${table} ${name}\` shows it`;
  const byPort = `let it accept ${needed.join(' and ')}, which nfknock keeps closed itself; ${show}`;
  return {
    code: 'native-table',
    key: 'doors',
    what: `the nftables chain "${family} ${table} ${name}" drops what it does not accept itself${over}: ${effect}`,
    fix: hook === 'prerouting' && !isMarked(chain) ? byPort : `${byMark}; or ${byPort}`,
  };
}

/** A number that nobody is known to use: "NF". */
const SUGGESTED_MARK = 0x4e46;

function familiesOf({ family }: BaseChain): readonly Family[] {
  if (family !== 'inet') return [family === 'ip' ? 4 : 6];
  return hasIpv6() ? [4, 6] : [4];
}

/** Whether our marks are there when the chain is asked. */
function isMarked({ hook, priority }: BaseChain): boolean {
  return hook !== 'prerouting' || priority > MANGLE_PRIORITY;
}

/** Of two chains with one priority the older is the first; the kernel does not say which that is. */
function isAfter({ hook, priority }: BaseChain): boolean {
  return hook !== 'prerouting' && priority > FILTER_PRIORITY;
}

function isOfIptables({ family, table, name }: Omit<BaseChain, 'rest'>): boolean {
  return family !== 'inet' && IPTABLES_TABLES.includes(table) && IPTABLES_CHAINS.includes(name);
}
