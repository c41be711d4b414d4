import type { Config } from '../../policy/config.ts';
import { CHAIN, checkedInterface, JUMP_COMMENT } from './names.ts';
import type { Jump } from './rules.ts';

/** The jumps of filter and nat. */
export function jumpsOf(config: Config, forward: boolean, translated: boolean): readonly Jump[] {
  const names = config.listen.interfaces.map(checkedInterface);
  const inbound = inboundOf(config);
  // Answers of the host behind come in elsewhere and leave where the question came in.
  const answers = '-m conntrack --ctstate ESTABLISHED';
  const through =
    names.length === 0 ? [''] : names.flatMap((name) => [`-i ${name}`, `-o ${name} ${answers}`]);
  const toHere = inbound.map((match) => `${match} -m addrtype --dst-type LOCAL`);
  return [
    ...jumpsFrom({ table: 'filter', from: 'INPUT', optional: false }, inbound, CHAIN.input),
    ...(forward
      ? [
          ...jumpsFrom({ table: 'filter', from: 'FORWARD', optional: false }, through, CHAIN.forward),
          // Docker puts its own rules before all others in FORWARD, and DOCKER-USER before its own.
          ...jumpsFrom({ table: 'filter', from: 'DOCKER-USER', optional: true }, through, CHAIN.forward),
        ]
      : []),
    ...(translated
      ? jumpsFrom({ table: 'nat', from: 'PREROUTING', optional: false }, toHere, CHAIN.translate)
      : []),
  ];
}

function jumpsFrom(place: Omit<Jump, 'rule'>, matches: readonly string[], to: string): readonly Jump[] {
  const rule = `-m comment --comment ${JUMP_COMMENT} -j ${to}`;
  return matches.map((match) => ({ ...place, rule: match === '' ? rule : `${match} ${rule}` }));
}

/** What a jump matches where packets come in. */
export function inboundOf({ listen }: Config): readonly string[] {
  const names = listen.interfaces.map(checkedInterface);
  return names.length === 0 ? ['! -i lo'] : names.map((name) => `-i ${name}`);
}
