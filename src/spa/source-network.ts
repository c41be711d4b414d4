import type { Address } from '../packet/address.ts';
import { formatCidr, offenderOf } from '../packet/cidr.ts';

/** Who sends, as strikes are counted: an IPv4 address, or the /64 of an IPv6 one. */
export function sourceNetwork(source: Address): string {
  return formatCidr(offenderOf(source));
}
