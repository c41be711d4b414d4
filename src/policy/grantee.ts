import { type Cidr, formatCidr } from '../packet/cidr.ts';

/** Who a grant lets in: everyone, one host, or a network. */
export type Grantee = 'any' | Cidr;

/** What tells one grant from another. */
export function grantKey(door: string, grantee: Grantee): string {
  return `${door} ${grantee === 'any' ? 'any' : formatCidr(grantee)}`;
}
