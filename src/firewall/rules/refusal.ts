import type { Family } from '../../packet/address.ts';
import type { Config } from '../../policy/config.ts';
import type { Ports } from '../../policy/port-set.ts';
import { banSet, CHAIN } from './names.ts';
import type { Chain } from './rules.ts';

/** Where a packet is refused: on its way to this machine, or through it. */
export type Way = 'input' | 'forward';

/** Of a TCP connection that is there, and that nobody tracks. */
export const UNTRACKED_SESSION = '-m tcp --tcp-flags ACK ACK -m conntrack --ctstate UNTRACKED';

/**
 * Where somebody's rule takes a service out of connection tracking nobody can be let in, but sessions that are open are
 * not to be cut. What has ACK opens none.
 */
export function openSessions({ tcp }: Ports): readonly string[] {
  return tcp.length === 0 ? [] : [`-p tcp ${UNTRACKED_SESSION} -j RETURN`];
}

/** The target that a packet meets which is not let in. */
export function refusal({ answer }: Config, way: Way): string {
  if (answer === 'drop') return '-j DROP';
  return `-j ${way === 'input' ? CHAIN.closed : CHAIN.forwardClosed}`;
}

/**
 * `answer: closed`: what the kernel says of a port that nothing listens on. TCP gets a reset and UDP an ICMP error,
 * by the same code of the kernel, or to the letter like it.
 *
 * A packet with ACK may be part of a connection that conntrack has lost, or does not know yet: to reset it would cut
 * what was open before the rules came. Here `socket` tells: what belongs to a connection is dropped as before, and
 * comes again once the answer has made it known. For hosts behind this machine nobody can tell, so nothing with ACK
 * is reset there.
 */
export function refusalChain({ answer }: Config, family: Family, way: Way): readonly Chain[] {
  if (answer === 'drop') return [];
  const unreachable = family === 4 ? 'icmp-port-unreachable' : 'icmp6-port-unreachable';
  return [
    {
      table: 'filter',
      name: way === 'input' ? CHAIN.closed : CHAIN.forwardClosed,
      rules: [
        `-p tcp -m tcp --tcp-flags ACK ACK ${way === 'input' ? '-m socket ' : ''}-j DROP`,
        '-p tcp -j REJECT --reject-with tcp-reset',
        `-p udp -j REJECT --reject-with ${unreachable}`,
        '-j DROP',
      ],
    },
  ];
}

/**
 * A chain of its own: with CAP_NET_ADMIN alone iptables can't write rules beside one that names a set without
 * taking it out, and bans would pause at each reload.
 */
export function banChains(config: Config, family: Family, way: Way): readonly Chain[] {
  if (!config.bans.enforce) return [];
  const rules = [`-m set --match-set ${banSet(family)} src ${refusal(config, way)}`];
  return [{ table: 'filter', name: way === 'input' ? CHAIN.ban : CHAIN.forwardBan, rules }];
}

export function toBans(config: Config, way: Way): readonly string[] {
  if (!config.bans.enforce) return [];
  return [`-j ${way === 'input' ? CHAIN.ban : forwardName(config, CHAIN.ban, CHAIN.forwardBan)}`];
}

/** Where packets pass through, what answers them is another chain, and so are those that lead to it. */
export function forwardName({ answer }: Config, shared: string, own: string): string {
  return answer === 'closed' ? own : shared;
}
