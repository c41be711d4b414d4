import type { Family } from '../packet/address.ts';
import { type Milliseconds, milliseconds } from '../packet/time.ts';

/** A dropped SYN is repeated for about a minute (Linux: 1, 3, 7, 15, 31, 63 s); one knock all the same. */
export const RETRANSMISSION_WINDOW: Milliseconds = milliseconds(70_000);

/** A UDP knock that comes twice within this time, byte for byte, is one packet seen twice: no kernel repeats UDP. */
export const TWIN_WINDOW: Milliseconds = milliseconds(1_000);

/** nmap repeats its ports in reverse two seconds later; a close sequence must not begin with that. */
export const CLOSE_GUARD: Milliseconds = milliseconds(5_000);

/** How long the knocks of a sequence that has just opened or closed are known again as repeats. */
export const REPEAT_WINDOW: Milliseconds = milliseconds(70_000);

/** How long the close sequence of a grant that has ended is known as its holder's. */
export const FORMER_WINDOW: Milliseconds = milliseconds(24 * 3_600_000);

/** Holders of grants that have ended who are remembered at once; the one whose grant ended first goes first. */
export const FORMER_MAX = 16_384;

/** Steps of a sequence. */
export const SEQUENCE_STEPS_MAX = 32;

/** Grants in force at once: who knows a sequence can forge it from any address. */
export const GRANTS_MAX = 16_384;

/** The shortest time for a whole sequence where none is configured, and what each knock after the first adds. */
const WITHIN_LEAST: Milliseconds = milliseconds(10_000);
const WITHIN_A_STEP: Milliseconds = milliseconds(3_000);

/** How long a sequence may take; without a time of its own more steps are no harder to knock. */
export function withinOf(within: Milliseconds | null, steps: number): Milliseconds {
  return within ?? milliseconds(Math.max(WITHIN_LEAST, WITHIN_A_STEP * (steps - 1)));
}

/** Hosts of one IPv6 /64 whose strikes or bans are kept one by one: one more, and the oldest of that /64 goes. */
export const HOSTS_OF_A_NETWORK_MAX = 64;

const DAY: Milliseconds = milliseconds(86_400_000);
/** How many times its last ban's length an offender's count of bans is kept. */
const HISTORY_FACTOR = 10;

/** Until when the count of an offender's bans is kept: who slips once a week must not climb to a ban of a day. */
export function rememberedUntil(since: number, until: number): number {
  return until + Math.max(DAY, HISTORY_FACTOR * (until - since));
}

/** Linux's default range of ports for its own outgoing connections (ip_local_port_range). */
export const EPHEMERAL_FIRST = 32_768;
export const EPHEMERAL_LAST = 60_999;

/** Where a DHCP client receives: offers are not answers that conntrack knows (RFC 2131, RFC 8415). */
export const DHCP_CLIENT_PORT: Readonly<Record<Family, number>> = { 4: 68, 6: 546 };
/** Where traceroute sends by UDP: three packets a hop, a port further each time, from 33434 on. */
export const TRACEROUTE = { first: 33_434, last: 33_534 } as const;

/** UDP ports that every network sends to unasked, in ascending order: no decoys by `all`. */
export function unaskedPorts(family: Family): readonly { readonly first: number; readonly last: number }[] {
  const dhcp = DHCP_CLIENT_PORT[family];
  return [{ first: dhcp, last: dhcp }, TRACEROUTE];
}
