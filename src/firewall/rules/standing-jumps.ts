import type { Config } from '../../policy/config.ts';
import { CHAIN, checkedInterface, JUMP_COMMENT, type Table } from './names.ts';
import type { Jump } from './rules.ts';

/** The jumps of filter and nat. */
export function jumpsOf(config: Config, forward: boolean, translated: boolean): readonly Jump[] {
  const names = config.listen.interfaces.map(checkedInterface);
  const inbound = inboundOf(config);
  // Answers of the host behind come in elsewhere and leave where the question came in.
  const answers = '-m conntrack --ctstate ESTABLISHED';
  const through =
    names.length === 0 ? [''] : names.flatMap((name) => [`-i ${name}`, `-o ${name} ${answers}`]);
  const jump = (
    table: Table,
    from: string,
    match: string,
    to: string,
    optional: 'always' | 'if there',
  ): Jump => {
    const rule = `-m comment --comment ${JUMP_COMMENT} -j ${to}`;
    return { table, from, rule: match === '' ? rule : `${match} ${rule}`, optional: optional === 'if there' };
  };
  return [
    ...inbound.map((match) => jump('filter', 'INPUT', match, CHAIN.input, 'always')),
    ...(forward ? through.map((match) => jump('filter', 'FORWARD', match, CHAIN.forward, 'always')) : []),
    // Docker puts its own rules before all others in FORWARD, and DOCKER-USER before its own.
    ...(forward
      ? through.map((match) => jump('filter', 'DOCKER-USER', match, CHAIN.forward, 'if there'))
      : []),
    ...(translated
      ? inbound.map((match) =>
          jump('nat', 'PREROUTING', `${match} -m addrtype --dst-type LOCAL`, CHAIN.translate, 'always'),
        )
      : []),
  ];
}

/** What a jump matches where packets come in. */
export function inboundOf({ listen }: Config): readonly string[] {
  const names = listen.interfaces.map(checkedInterface);
  return names.length === 0 ? ['! -i lo'] : names.map((name) => `-i ${name}`);
}
