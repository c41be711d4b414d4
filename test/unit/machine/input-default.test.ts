import { describe, expect, it } from 'vitest';
import { nativeDefault, savedDefault } from '../../../src/machine/input-default.ts';

const saved = (policy: string, ...rules: readonly string[]): string =>
  [
    '*nat',
    ':PREROUTING ACCEPT [0:0]',
    'COMMIT',
    '*filter',
    `:INPUT ${policy} [0:0]`,
    ':X - [0:0]',
    ...rules,
    'COMMIT',
    '',
  ].join('\n');

describe('What becomes of a port that nobody named', () => {
  it.each([
    ['by the policy', saved('DROP'), 'DROP'],
    ['by the policy', saved('ACCEPT', '-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT'), 'ACCEPT'],
    [
      'by a last rule',
      saved('ACCEPT', '-A INPUT -i lo -j ACCEPT', '-A INPUT -j REJECT --reject-with icmp-host-prohibited'),
      'REJECT',
    ],
    [
      'by a rule with a comment',
      saved('ACCEPT', '-A INPUT -m comment --comment "the \\" rest" -j DROP'),
      'DROP',
    ],
    [
      'by a chain that all goes to',
      saved('ACCEPT', '-A INPUT -j X', '-A X -i lo -j RETURN', '-A X -j DROP'),
      'DROP',
    ],
    ['by what accepts all before it', saved('DROP', '-A INPUT -j ACCEPT'), 'ACCEPT'],
    [
      'not by a chain that gives back',
      saved('ACCEPT', '-A INPUT -j X', '-A X -j RETURN', '-A X -j DROP'),
      'ACCEPT',
    ],
    ['not by chains in a circle', saved('ACCEPT', '-A INPUT -j X', '-A X -j X'), 'ACCEPT'],
    [
      'not by our own jump',
      saved('ACCEPT', '-A INPUT ! -i lo -m comment --comment nfknock -j X', '-A X -j DROP'),
      'ACCEPT',
    ],
    ['by no table at all', '', 'ACCEPT'],
  ])('is told %s', (_, text, fate) => {
    expect(savedDefault(text)).toBe(fate);
  });

  it.each([
    ['-A INPUT -i ppp0 -j DROP', 'DROP'],
    ['-A INPUT -i ppp+ -j DROP', 'DROP'],
    ['-A INPUT -i eth1 -j DROP', 'ACCEPT'],
    ['-A INPUT ! -i lo -j REJECT --reject-with icmp-port-unreachable', 'REJECT'],
    ['-A INPUT -m conntrack --ctstate NEW -j DROP', 'DROP'],
    ['-A INPUT -m state --state INVALID,NEW -j DROP', 'DROP'],
    ['-A INPUT -m conntrack --ctstate INVALID -j DROP', 'ACCEPT'],
    ['-A INPUT -i ppp0 -m conntrack --ctstate NEW -m comment --comment out -j DROP', 'DROP'],
    ['-A INPUT -i ppp0 -p tcp -m tcp --dport 22 -j DROP', 'ACCEPT'],
    ['-A INPUT -i ppp0 -j X\n-A X -j DROP', 'DROP'],
    ['-A INPUT ! -i lo -j X\n-A X -j DROP', 'ACCEPT'],
    ['-A INPUT -i eth1 -j ACCEPT\n-A INPUT -i ppp0 -j DROP', 'DROP'],
  ])('is told, for who comes in by the way out, by %s', (rules, fate) => {
    expect(savedDefault(saved('ACCEPT', rules), ['ppp0'])).toBe(fate);
  });

  it.each([
    ['that drops', [{ family: 'inet', rest: 'drop' }], { 4: 'DROP', 6: 'DROP' }],
    ['of one family', [{ family: 'ip6', rest: 'drop' }], { 4: 'ACCEPT', 6: 'DROP' }],
    ['that refuses', [{ family: 'inet', rest: 'reject' }], { 4: 'REJECT', 6: 'REJECT' }],
    ['that accepts', [{ family: 'ip', rest: 'accept' }], { 4: 'ACCEPT', 6: 'ACCEPT' }],
    [
      'of each family by itself',
      [
        { family: 'ip', rest: 'reject' },
        { family: 'ip6', rest: 'accept' },
      ],
      { 4: 'REJECT', 6: 'ACCEPT' },
    ],
  ] as const)('is told by a chain %s of native nftables', (_, chains, fates) => {
    expect(nativeDefault(chains)).toEqual(fates);
  });
});
