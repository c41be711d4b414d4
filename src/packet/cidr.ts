import { type Address, type Family, formatAddress, parseAddress, unmapped } from './address.ts';

/** A network: `address` has no bit set beyond `bits`. */
export interface Cidr {
  readonly address: Address;
  /** Prefix length: 0–32 for IPv4, 0–128 for IPv6. */
  readonly bits: number;
}

/** The prefix by which strikes and bans are counted: an IPv6 host owns its whole /64. */
export const OFFENDER_BITS: Readonly<Record<Family, number>> = { 4: 32, 6: 64 };
/** The prefix by which attempts and grants are counted: one host. */
export const HOST_BITS: Readonly<Record<Family, number>> = { 4: 32, 6: 128 };

/** The prefix before an IPv4 address that is written as IPv6. */
const MAPPED_BITS = 96;

/** Reads `192.0.2.0/24`, `2001:db8::/32` or a lone address. Bits set beyond the prefix are refused. */
export function parseCidr(text: string): Cidr | undefined {
  const [host = '', length, ...rest] = text.split('/');
  const address = parseAddress(host);
  if (address === undefined || rest.length > 0) return undefined;
  if (length === undefined) return hostCidr(address);
  if (!/^(0|[1-9]\d{0,2})$/.test(length) || Number(length) > HOST_BITS[address.family]) return undefined;
  const cidr = networkOf(address, Number(length));
  return contains(cidr, address) && formatAddress(cidr.address) === formatAddress(address) ? cidr : undefined;
}

/** Writes `192.0.2.0/24`; a lone host without its length, as `iptables -S` and people write it. */
export function formatCidr(cidr: Cidr): string {
  const text = formatAddress(cidr.address);
  return cidr.bits === HOST_BITS[cidr.address.family] ? text : `${text}/${cidr.bits}`;
}

export function hostCidr(address: Address): Cidr {
  return { address, bits: HOST_BITS[address.family] };
}

/** The network by which this address's offences are counted. */
export function offenderOf(address: Address): Cidr {
  return networkOf(address, OFFENDER_BITS[address.family]);
}

export function networkOf(address: Address, bits: number): Cidr {
  const keep = (word: number, index: number): number => word & maskWord(bits - index * 32);
  const { family, a, b, c, d } = address;
  return { address: { family, a: keep(a, 0), b: keep(b, 1), c: keep(c, 2), d: keep(d, 3) }, bits };
}

/** The IPv4 network that one within ::ffff:0:0/96 stands for; any other as it is. See `unmapped`. */
export function unmappedCidr(cidr: Cidr): Cidr {
  const address = unmapped(cidr.address);
  if (address === cidr.address || cidr.bits < MAPPED_BITS) return cidr;
  return { address, bits: cidr.bits - MAPPED_BITS };
}

export function contains(cidr: Cidr, address: Address): boolean {
  const { address: net, bits } = cidr;
  if (net.family !== address.family) return false;
  return (
    ((net.a ^ address.a) & maskWord(bits)) === 0 &&
    ((net.b ^ address.b) & maskWord(bits - 32)) === 0 &&
    ((net.c ^ address.c) & maskWord(bits - 64)) === 0 &&
    ((net.d ^ address.d) & maskWord(bits - 96)) === 0
  );
}

/** The mask of a word of which the first `bits` count; below 1 none do, above 31 all do. */
function maskWord(bits: number): number {
  if (bits <= 0) return 0;
  return bits >= 32 ? -1 : -1 << (32 - bits);
}
