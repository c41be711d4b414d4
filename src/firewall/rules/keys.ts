import type { Config } from '../../policy/config.ts';
import { DOORMAN_PORT, KEYS_BYTES, keysQueue } from '../../policy/keys-queue.ts';
import { keysPorts } from '../../policy/port-roles.ts';
import { dports } from '../../policy/port-set.ts';
import { refusal } from './refusal.ts';

/** IP lengths of packets that a key may prove; others are nobody's, and do not cost the daemon anything. */
const LENGTHS = '168:512';
/** doorman's packets are shorter, and come to its own port. */
const DOORMAN_LENGTHS = '68:107';

/**
 * Packets of keys go to the daemon, and no further. These rules stand before the bans: a forger who has an owner banned
 * does not keep him out. What is not for this machine, or has another length, is left to the rules after them.
 */
export function keysRules(config: Config): readonly string[] {
  const lengths = (of: string): string => `-m length --length ${of} -m addrtype --dst-type LOCAL`;
  const matches = dports(keysPorts(config)).map((match) => `${match} ${lengths(LENGTHS)}`);
  if (config.listen.spa.some((port) => port === DOORMAN_PORT))
    matches.push(`-p udp -m multiport --dports ${DOORMAN_PORT} ${lengths(DOORMAN_LENGTHS)}`);
  return matches.flatMap((match) => targets(config).map((target) => `${match} ${target}`));
}

function targets(config: Config): readonly string[] {
  const number = keysQueue(config);
  if (config.listen.source === 'nfqueue') return [`-j NFQUEUE --queue-num ${number}`];
  return [`-j NFLOG --nflog-group ${number} --nflog-size ${KEYS_BYTES}`, refusal(config, 'input')];
}
