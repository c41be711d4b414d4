import type { Config } from '../../policy/config.ts';
import { refusal, type Way } from './refusal.ts';

/** Bytes of a packet that NFLOG copies: the longest headers that the decoder reads, kernel.md's copy range. */
const NFLOG_BYTES = 256;

/**
 * The targets that hand a packet to the daemon and let it go no further. Never `--queue-bypass`: a queue that
 * nobody reads drops.
 */
export function toDaemon(config: Config, way: Way): readonly string[] {
  const { source, queues } = config.listen;
  if (source === 'nflog') return [copy(config), refusal(config, way)];
  const { first, last } = queues;
  return [first === last ? `-j NFQUEUE --queue-num ${first}` : `-j NFQUEUE --queue-balance ${first}:${last}`];
}

/**
 * The target that gives the daemon a copy; the packet goes on to the next rule. Without `--nflog-threshold`: the
 * kernel takes the smaller of the rule's and the group's, and the group's follows the load (1 while it is idle).
 */
export function copy(config: Config): string {
  return `-j NFLOG --nflog-group ${config.listen.group} --nflog-size ${NFLOG_BYTES}`;
}
