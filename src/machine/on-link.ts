import { networkInterfaces } from 'node:os';
import type { Answers } from '../firewall/rules/answers.ts';
import { parseAddress } from '../packet/address.ts';
import { type Cidr, contains, formatCidr, HOST_BITS, networkOf } from '../packet/cidr.ts';
import { EPHEMERAL_FIRST, EPHEMERAL_LAST } from '../policy/limits.ts';
import type { Span } from '../policy/port-set.ts';
import { readText } from './proc.ts';

/** Holds for IPv6 too. A service manager may hide it (systemd's `ProcSubset=pid`): then Linux's default is taken. */
const PORT_RANGE = '/proc/sys/net/ipv4/ip_local_port_range';

type Addresses = ReturnType<typeof networkInterfaces>;

/** Whose answers to this machine's own questions are none of a stranger's business. */
export function findAnswers(): Answers {
  return { networks: onLink(networkInterfaces()), ports: portRange(readText(PORT_RANGE)) };
}

/**
 * The networks that this machine has an address in. Routes are not asked: one into a tunnel has no gateway either, and
 * may lead to half the internet.
 */
export function onLink(interfaces: Addresses): readonly Cidr[] {
  const found = new Map<string, Cidr>();
  for (const { address: text, cidr, internal } of Object.values(interfaces).flatMap((list) => list ?? [])) {
    const address = parseAddress(text.split('%')[0] ?? '');
    const bits = Number(/\/(\d+)$/.exec(cidr ?? '')?.[1]);
    // A host alone has no neighbours, and everybody is none.
    if (internal || address === undefined || !(bits > 0) || bits === HOST_BITS[address.family]) continue;
    const network = networkOf(address, bits);
    found.set(formatCidr(network), network);
  }
  const networks = [...found.values()];
  return [...found]
    .filter(([, each]) => !networks.some((other) => other.bits < each.bits && contains(other, each.address)))
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([, network]) => network);
}

export function portRange(text: string): Span {
  const [first, last] = text.trim().split(/\s+/).map(Number);
  if (first === undefined || last === undefined || !(first > 0 && first <= last && last <= 65_535)) {
    return { first: EPHEMERAL_FIRST, last: EPHEMERAL_LAST };
  }
  return { first, last };
}
