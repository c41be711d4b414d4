import { describe, expect, it } from 'vitest';
import { policiesNow } from '../../../src/firewall/rules/base-policy.ts';
import { fateOf, type Traffic } from '../../../src/firewall/rules/following.ts';
import { parseSaved } from '../../../src/firewall/rules/jump.ts';

/* What becomes, after our jump, of packets of open connections and of those to a port of `allow`. */

const OPEN: Traffic = { protocol: 'tcp', state: 'ESTABLISHED', ports: undefined };
const WEB: Traffic = { protocol: 'tcp', state: 'NEW', ports: { first: 80, last: 80 } };

function fate(traffic: Traffic, policy: string, ...rules: readonly string[]): string {
  const names = [...new Set(rules.map((rule) => rule.split(' ')[1] ?? ''))].filter(
    (name) => name !== 'INPUT',
  );
  const head = [`*filter`, `:INPUT ${policy} [0:0]`, ...names.map((name) => `:${name} - [0:0]`)];
  const text = [...head, ...rules, 'COMMIT', ''].join('\n');
  return fateOf(
    { chains: parseSaved(text).get('filter') ?? new Map(), policy: policiesNow(text).input },
    traffic,
  );
}

const ESTABLISHED = '-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT';
const STATE = '-A INPUT -m state --state ESTABLISHED -j ACCEPT';
const F2B = [
  '-A INPUT -p tcp -m multiport --dports 22,80 -j f2b-x',
  '-A f2b-x -s 192.0.2.9/32 -j REJECT --reject-with icmp-port-unreachable',
  '-A f2b-x -j RETURN',
];

describe('packets of open connections', () => {
  it.each<[string, string, readonly string[], string]>([
    ['the policy accepts', 'ACCEPT', [], 'accept'],
    ['the policy drops', 'DROP', [], 'drop'],
    ['a rule accepts them', 'DROP', [ESTABLISHED], 'accept'],
    ['an old-style rule accepts them', 'DROP', [STATE], 'accept'],
    [
      'our own jump says nothing',
      'DROP',
      ['-A INPUT ! -i lo -m comment --comment nfknock -j NFKNOCK'],
      'drop',
    ],
    ['NEW alone is accepted', 'DROP', ['-A INPUT -m conntrack --ctstate NEW -j ACCEPT'], 'drop'],
    ['one port alone is accepted', 'DROP', ['-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT'], 'drop'],
    ['UDP alone is accepted', 'DROP', ['-A INPUT -p udp -j ACCEPT'], 'drop'],
    ['some sources are accepted', 'DROP', ['-A INPUT -s 192.0.2.0/24 -j ACCEPT'], 'drop'],
    ['they are accepted, and then all is dropped', 'ACCEPT', [ESTABLISHED, '-A INPUT -j DROP'], 'accept'],
    ['all is dropped first', 'ACCEPT', ['-A INPUT -j DROP', ESTABLISHED], 'drop'],
    ['all is rejected', 'ACCEPT', ['-A INPUT -j REJECT --reject-with icmp-host-prohibited'], 'drop'],
    ['what is invalid is dropped', 'ACCEPT', ['-A INPUT -m conntrack --ctstate INVALID -j DROP'], 'accept'],
    ['all but them are dropped', 'ACCEPT', ['-A INPUT -m state ! --state ESTABLISHED -j DROP'], 'accept'],
    ['they alone are not dropped', 'ACCEPT', ['-A INPUT -m state --state ESTABLISHED -j DROP'], 'drop'],
    ['a ban stands before', 'ACCEPT', F2B, 'accept'],
    ['a ban stands before a rule', 'DROP', [...F2B, ESTABLISHED], 'accept'],
    ['a set of banned', 'ACCEPT', ['-A INPUT -m set --match-set crowdsec-blacklists src -j DROP'], 'accept'],
    ['all but a set', 'ACCEPT', ['-A INPUT -m set ! --match-set good src -j DROP'], 'unsure'],
    ['all but a network', 'ACCEPT', ['-A INPUT ! -s 192.0.2.0/24 -j DROP'], 'unsure'],
    ['a port is dropped', 'ACCEPT', ['-A INPUT -p tcp -m tcp --dport 22 -j DROP'], 'unsure'],
    ['an interface is dropped', 'ACCEPT', ['-A INPUT -i eth1 -j DROP'], 'unsure'],
    ['a limit', 'ACCEPT', ['-A INPUT -m limit --limit 5/sec -j ACCEPT', '-A INPUT -j DROP'], 'drop'],
    [
      'flags that nobody sends',
      'ACCEPT',
      ['-A INPUT -p tcp -m tcp --tcp-flags FIN,SYN FIN,SYN -j DROP'],
      'accept',
    ],
    [
      'no flags',
      'ACCEPT',
      ['-A INPUT -p tcp -m tcp --tcp-flags FIN,SYN,RST,PSH,ACK,URG NONE -j DROP'],
      'accept',
    ],
    ['flags that are sent', 'ACCEPT', ['-A INPUT -p tcp -m tcp --tcp-flags FIN,ACK ACK -j DROP'], 'unsure'],
    ['a queue', 'ACCEPT', ['-A INPUT -j NFQUEUE --queue-num 0'], 'unsure'],
    ['loopback', 'DROP', ['-A INPUT -i lo -j ACCEPT'], 'drop'],
    ['a comment with words', 'ACCEPT', ['-A INPUT -m comment --comment "-s a -j DROP" -j LOG'], 'accept'],
    ['an unknown match', 'ACCEPT', ['-A INPUT -m bpf --bytecode "1,6 0 0 0" -j DROP'], 'unsure'],
    ['a chain that accepts', 'DROP', ['-A INPUT -j X', `-A X ${ESTABLISHED.slice(9)}`], 'accept'],
    [
      'a chain that some leave',
      'DROP',
      ['-A INPUT -j X', '-A X -i eth1 -j RETURN', '-A X -j ACCEPT'],
      'drop',
    ],
    ['a chain that all leave', 'DROP', ['-A INPUT -j X', '-A X -j RETURN', '-A X -j ACCEPT'], 'drop'],
    [
      'a chain that some leave before a drop',
      'ACCEPT',
      ['-A INPUT -j X', '-A X -i e -j RETURN', '-A X -j DROP'],
      'unsure',
    ],
    ['a goto', 'ACCEPT', ['-A INPUT -g X', '-A INPUT -j DROP', '-A X -i lo -j ACCEPT'], 'accept'],
    ['a circle', 'ACCEPT', ['-A INPUT -j X', '-A X -j Y', '-A Y -j X'], 'unsure'],
    ...(
      [
        [
          'too many connections of one source',
          '-m connlimit --connlimit-above 20 --connlimit-mask 32 --connlimit-saddr',
          'accept',
        ],
        [
          'too many of a network',
          '-m connlimit --connlimit-above 20 --connlimit-mask 24 --connlimit-saddr',
          'accept',
        ],
        [
          'too many of all together',
          '-m connlimit --connlimit-above 20 --connlimit-mask 0 --connlimit-saddr',
          'unsure',
        ],
        [
          'too many to one address',
          '-m connlimit --connlimit-above 20 --connlimit-mask 32 --connlimit-daddr',
          'unsure',
        ],
        [
          'too much of one source',
          '-m hashlimit --hashlimit-above 50/sec --hashlimit-mode srcip --hashlimit-name web',
          'accept',
        ],
        [
          'too much to one port',
          '-m hashlimit --hashlimit-above 50/sec --hashlimit-mode dstport --hashlimit-name web',
          'unsure',
        ],
        [
          'too much from one port',
          '-m hashlimit --hashlimit-above 50/sec --hashlimit-mode srcport --hashlimit-name web',
          'unsure',
        ],
      ] as const
    ).map(
      ([name, words, expected]) =>
        [name, 'ACCEPT', [`-A INPUT -p tcp -m tcp ${words} -j REJECT --reject-with tcp-reset`], expected] as [
          string,
          string,
          readonly string[],
          string,
        ],
    ),
    [
      'a recent list',
      'ACCEPT',
      ['-A INPUT -m recent --rcheck --seconds 60 --name bad --mask 255.255.255.255 --rsource -j DROP'],
      'accept',
    ],
  ])('%s', (_name, policy, rules, expected) => {
    expect(fate(OPEN, policy, ...rules)).toBe(expected);
  });
});

describe('packets to a port of `allow`', () => {
  it.each<[string, string, readonly string[], string]>([
    ['the port is accepted', 'DROP', ['-A INPUT -p tcp -m tcp --dport 80 -j ACCEPT'], 'accept'],
    [
      'among others',
      'DROP',
      ['-A INPUT -p tcp -m multiport --dports 22,79:81 -m state --state NEW -j ACCEPT'],
      'accept',
    ],
    ['another is accepted', 'DROP', ['-A INPUT -p tcp -m tcp --dport 81 -j ACCEPT'], 'drop'],
    ['another is dropped', 'ACCEPT', ['-A INPUT -p tcp -m tcp --dport 81 -j DROP'], 'accept'],
    ['over UDP', 'DROP', ['-A INPUT -p udp -m udp --dport 80 -j ACCEPT'], 'drop'],
    ['only what is open', 'DROP', [ESTABLISHED], 'drop'],
    [
      'ufw: what is not for this machine is dropped',
      'DROP',
      [
        '-A INPUT -j ufw',
        '-A ufw -m addrtype --dst-type LOCAL -j RETURN',
        '-A ufw -m addrtype --dst-type MULTICAST -j RETURN',
        '-A ufw -j DROP',
        '-A INPUT -p tcp -m tcp --dport 80 -j ACCEPT',
      ],
      'accept',
    ],
    [
      'ufw over IPv6: what has a forbidden routing header is dropped',
      'DROP',
      ['-A INPUT -m rt --rt-type 0 -j DROP', '-A INPUT -p tcp -m tcp --dport 80 -j ACCEPT'],
      'accept',
    ],
    [
      'what has a routing header of another type is dropped',
      'DROP',
      ['-A INPUT -m rt --rt-type 2 -j DROP', '-A INPUT -p tcp -m tcp --dport 80 -j ACCEPT'],
      'unsure',
    ],
    ['a ban', 'ACCEPT', F2B, 'accept'],
  ])('%s', (_name, policy, rules, expected) => {
    expect(fate(WEB, policy, ...rules)).toBe(expected);
  });

  it('are not sure of a range of which a part is dropped', () => {
    const range: Traffic = { ...WEB, ports: { first: 80, last: 90 } };
    expect(fate(range, 'ACCEPT', '-A INPUT -p tcp -m tcp --dport 85 -j DROP')).toBe('unsure');
    expect(fate(range, 'DROP', '-A INPUT -p tcp -m tcp --dport 85 -j ACCEPT')).toBe('drop');
    expect(fate(range, 'DROP', '-A INPUT -p tcp -m tcp --dport 80:90 -j ACCEPT')).toBe('accept');
  });
});
