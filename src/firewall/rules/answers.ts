import type { Family } from '../../packet/address.ts';
import { type Cidr, formatCidr } from '../../packet/cidr.ts';
import type { Span } from '../../policy/port-set.ts';

/** From where and to where this machine's own questions to a whole network are answered. */
export interface Answers {
  /** Directly connected networks, each once and in a fixed order. */
  readonly networks: readonly Cidr[];
  /** The ports that the kernel gives to sockets which ask for none. */
  readonly ports: Span;
}

export const NO_ANSWERS: Answers = { networks: [], ports: { first: 0, last: 0 } };

/**
 * A question to a multicast group (SSDP, mDNS, WS-Discovery) is answered by each device from its own address and
 * any port: conntrack knows no such connection. A socket that is bound there and waits is what tells an answer from a
 * touch; `--nowildcard` takes in those that are bound to every address.
 */
export function answerRules({ networks, ports }: Answers, family: Family): readonly string[] {
  return networks
    .filter(({ address }) => address.family === family)
    .map(
      (network) =>
        `-s ${formatCidr(network)} -p udp -m udp --dport ${ports.first}:${ports.last} -m socket --nowildcard -j RETURN`,
    );
}

export function sameAnswers(some: Answers, others: Answers): boolean {
  return textOf(some) === textOf(others);
}

function textOf({ networks, ports }: Answers): string {
  return `${ports.first}:${ports.last} ${networks.map(formatCidr).join(' ')}`;
}
