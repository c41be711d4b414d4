import { readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { type Address, ipv4, ipv6, parseAddress, sameAddress, unmapped } from '../packet/address.ts';
import { type Cidr, hostCidr } from '../packet/cidr.ts';

/** What the system says where it has no room to open anything. */
const SHORTAGES: readonly string[] = ['EMFILE', 'ENFILE', 'ENOMEM'];

/** Nobody's address. A neighbour can forge it in a broadcast, and a set of the kernel takes no such member. */
const UNSPECIFIED = ipv4(0);

/** Who is never banned on this machine; `everybody`: packets of everybody may come from there. */
interface Exempt {
  readonly networks: readonly Cidr[];
  readonly everybody: readonly Cidr[];
}

/**
 * Who is never banned on this machine whatever the configuration says: its own addresses, its default gateways
 * and its name servers, and 0.0.0.0. What isn't there or isn't for us exempts nobody. Throws where the machine lacks
 * descriptors or memory to look: that nothing was seen must not be taken for nobody being there.
 */
export function findExempt(): Exempt {
  const own = ownAddresses();
  const others = [
    ...gatewaysV4(read('/proc/self/net/route')),
    ...gatewaysV6(read('/proc/self/net/ipv6_route')),
    ...nameServers(read('/etc/resolv.conf')),
  ];
  // A name server on this machine passes nobody's packets on.
  const everybody = others.filter((each) => !own.some((address) => sameAddress(address, each)));
  return { networks: [UNSPECIFIED, ...own].map(hostCidr), everybody: everybody.map(hostCidr) };
}

/** The addresses of every interface of this machine. */
export function ownAddresses(): readonly Address[] {
  return Object.values(networkInterfaces()).flatMap((list) =>
    (list ?? []).flatMap((each) => parseAddress(each.address.split('%')[0] ?? '') ?? []),
  );
}

/** /proc/self/net/route: a default route has destination and mask 0; addresses are little-endian hexadecimal. */
export function gatewaysV4(table: string): readonly Address[] {
  return rows(table).flatMap(([, destination, gateway, , , , , mask]) => {
    if (destination !== '00000000' || mask !== '00000000' || gateway === undefined || gateway === '00000000')
      return [];
    const bytes = Buffer.from(gateway, 'hex').reverse();
    return bytes.length === 4 ? [ipv4(bytes.readInt32BE(0))] : [];
  });
}

/** /proc/self/net/ipv6_route: destination, its length, source, its length, next hop, …, all hexadecimal. */
export function gatewaysV6(table: string): readonly Address[] {
  return rows(table).flatMap(([, length, , , hop]) => {
    if (length !== '00' || hop === undefined || /^0*$/.test(hop)) return [];
    const bytes = Buffer.from(hop, 'hex');
    if (bytes.length !== 16) return [];
    return [ipv6(bytes.readInt32BE(0), bytes.readInt32BE(4), bytes.readInt32BE(8), bytes.readInt32BE(12))];
  });
}

export function nameServers(resolvConf: string): readonly Address[] {
  return rows(resolvConf).flatMap(([word, text]) => {
    const address = word === 'nameserver' ? parseAddress(text?.split('%')[0] ?? '') : undefined;
    return address === undefined ? [] : [unmapped(address)];
  });
}

function rows(text: string): readonly (readonly string[])[] {
  return text.split('\n').map((line) => line.trim().split(/\s+/));
}

function read(file: string): string {
  try {
    return readFileSync(file, 'latin1');
  } catch (error) {
    if (SHORTAGES.includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    return '';
  }
}
