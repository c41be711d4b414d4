import type { Address } from '../packet/address.ts';
import { type Cidr, contains, formatCidr, OFFENDER_BITS } from '../packet/cidr.ts';

/** Why a source is never banned. */
export type ExemptReason = 'bans.never' | 'own address' | 'gateway or name server' | 'holds a grant';

/** Who is never banned, and why. */
export interface Exemptions {
  /** Why this host is never banned; undefined where it can be. */
  reason(host: Address): ExemptReason | undefined;
  /** Whether the host is a gateway or name server: everybody may arrive from its address. */
  isEverybody(host: Address): boolean;
  /** Whether some, but not all, of this IPv6 /64 is exempt, so that its other hosts answer for themselves alone. */
  splits(a: number, b: number): boolean;
  /** Tells exemptions that are not the same apart. */
  readonly text: string;
}

/** `never` is configured, `found` are this machine's own addresses, `everybody` its gateways and name servers. */
export interface ExemptNetworks {
  readonly never: readonly Cidr[];
  readonly found: readonly Cidr[];
  readonly everybody: readonly Cidr[];
}

export function createExemptions({ never, found, everybody }: ExemptNetworks): Exemptions {
  const split = new Map<number, Set<number>>();
  for (const { address, bits } of [...never, ...found, ...everybody]) {
    if (address.family === 4 || bits <= OFFENDER_BITS[6]) continue;
    const known = split.get(address.a) ?? new Set();
    split.set(address.a, known.add(address.b));
  }
  const within = (networks: readonly Cidr[], host: Address): boolean =>
    networks.some((network) => contains(network, host));
  return {
    reason(host) {
      if (within(everybody, host)) return 'gateway or name server';
      if (within(found, host)) return 'own address';
      return within(never, host) ? 'bans.never' : undefined;
    },
    isEverybody: (host) => within(everybody, host),
    text: [never, found, everybody].map((networks) => networks.map(formatCidr).join()).join(' '),
    splits: (a, b) => split.size > 0 && split.get(a)?.has(b) === true,
  };
}
