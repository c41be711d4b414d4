import { networkInterfaces } from 'node:os';
import { defaultRoutes, ROUTES } from '../machine/default-routes.ts';
import { linesOf, rowsOf } from '../machine/proc.ts';
import { type Address, ipv4, ipv6, parseAddress, sameAddress, unmapped } from '../packet/address.ts';
import { type Cidr, hostCidr } from '../packet/cidr.ts';

/** Nobody's address. A neighbour can forge it in a broadcast, and a set of the kernel takes no such member. */
const UNSPECIFIED = ipv4(0);

/** Who is never banned on this machine; `everybody`: packets of everybody may come from there. */
export interface Exempt {
  readonly networks: readonly Cidr[];
  readonly everybody: readonly Cidr[];
}

/** Where the kernel and the resolver tell of gateways and name servers. */
const PLACES: Places = {
  routes4: ROUTES[4],
  routes6: ROUTES[6],
  // A resolver of this machine names itself in the first. Whom it asks is told by systemd-resolved in the second, by
  // NetworkManager in the third (its dnsmasq), by resolvconf in the fourth (Debian's dnsmasq).
  resolvers: [
    '/etc/resolv.conf',
    '/run/systemd/resolve/resolv.conf',
    '/run/NetworkManager/no-stub-resolv.conf',
    '/run/dnsmasq/resolv.conf',
  ],
};

interface Places {
  readonly routes4: string;
  readonly routes6: string;
  readonly resolvers: readonly string[];
}

/** Of a resolver's file. */
const RESOLVER_BYTES_MAX = 65_536;

/**
 * Who is never banned on this machine whatever the configuration says: its own addresses, its default gateways
 * and its name servers, and 0.0.0.0. What isn't there or isn't for us exempts nobody. Rejects where the machine lacks
 * descriptors or memory to look: that nothing was seen must not be taken for nobody being there. Routers have hundreds
 * of thousands of routes: their table is read in pieces, in threads.
 */
export async function findExempt(places: Places = PLACES): Promise<Exempt> {
  const resolvers = await Promise.all(
    places.resolvers.map((file) => linesOf(file, RESOLVER_BYTES_MAX, () => true)),
  );
  const own = ownAddresses();
  const others = [
    ...gatewaysV4(await defaultRoutes(4, places.routes4)),
    ...gatewaysV6(await defaultRoutes(6, places.routes6)),
    ...resolvers.flatMap(nameServers),
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
  return rowsOf(table).flatMap(([, destination, gateway, , , , , mask]) => {
    if (destination !== '00000000' || mask !== '00000000' || gateway === undefined || gateway === '00000000')
      return [];
    const bytes = Buffer.from(gateway, 'hex').reverse();
    return bytes.length === 4 ? [ipv4(bytes.readInt32BE(0))] : [];
  });
}

/** /proc/self/net/ipv6_route: destination, its length, source, its length, next hop, …, all hexadecimal. */
export function gatewaysV6(table: string): readonly Address[] {
  return rowsOf(table).flatMap(([, length, , , hop]) => {
    if (length !== '00' || hop === undefined || /^0*$/.test(hop)) return [];
    const bytes = Buffer.from(hop, 'hex');
    if (bytes.length !== 16) return [];
    return [ipv6(bytes.readInt32BE(0), bytes.readInt32BE(4), bytes.readInt32BE(8), bytes.readInt32BE(12))];
  });
}

export function nameServers(resolvConf: string): readonly Address[] {
  return rowsOf(resolvConf).flatMap(([word, text]) => {
    const address = word === 'nameserver' ? parseAddress(text?.split('%')[0] ?? '') : undefined;
    return address === undefined ? [] : [unmapped(address)];
  });
}
