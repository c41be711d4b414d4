import type { Acceptance } from '../firewall/rules/acceptance.ts';
import type { Family } from '../packet/address.ts';
import type { Config } from '../policy/config.ts';
import { dports, hasPorts } from '../policy/port-set.ts';
import type { Observation } from './observations.ts';

/** What nfknock goes on accepting before the bans of other programs, since nothing after it would. */
export function ofAcceptance(
  { accept }: Pick<Config, 'accept'>,
  acceptances: ReadonlyMap<Family, Acceptance>,
): readonly Observation[] {
  if (accept !== 'auto') return [];
  return [...acceptances].flatMap(([family, { established, allow, by }]): readonly Observation[] => {
    if (established === 'return' && !hasPorts(allow)) return [];
    const iptables = family === 4 ? 'iptables' : 'ip6tables';
    const matches = [
      ...(established === 'accept' ? ['-m conntrack --ctstate ESTABLISHED'] : []),
      ...dports(allow).map((match) => `${match} -m conntrack --ctstate NEW`),
    ];
    const about = [
      ...(established === 'accept' ? ['open connections'] : []),
      ...(hasPorts(allow) ? ['ports of "allow"'] : []),
    ].join(' and ');
    const so = 'so nfknock accepts them before the bans of other programs (fail2ban, CrowdSec) are asked';
    const key = 'accept';
    if (by === 'unread') {
      const what = `the rules that follow in INPUT can't be read over IPv${family}, ${so}`;
      const fix =
        'where they accept open connections and "allow", write "accept: return"; else "accept: own"';
      return [{ code: 'accept', key, what, fix }];
    }
    const what = `the rules that follow in INPUT may not accept ${about} over IPv${family}, ${so}`;
    const add = matches.map((match) => `${iptables} -A INPUT ${match} -j ACCEPT`).join('; ');
    const fix = `add, before any rule that drops the rest: ${add}; or write "accept: own"`;
    return [{ code: 'accept', key, what, fix }];
  });
}
