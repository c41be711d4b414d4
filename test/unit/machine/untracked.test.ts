import { describe, expect, it } from 'vitest';
import { parseConfig } from '../../../src/config/parse.ts';
import { savedRaw } from '../../../src/machine/notrack/iptables.ts';
import { nativeRaw, tablesBeforeTracking } from '../../../src/machine/notrack/nftables.ts';
import { ofUntracked, type Untracked, untrackedOf } from '../../../src/machine/notrack/untracked.ts';
import type { Config } from '../../../src/policy/config.ts';
import { NO_ONE_TIME } from '../../../src/policy/port-roles.ts';
import { randomOf } from '../../fuzz/random.ts';
import { SEED } from '../../seed.ts';

function configOf(value: object): Config {
  const parsed = parseConfig(JSON.stringify(value), 'a test');
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.faults));
  return parsed.config;
}

const CONFIG = configOf({
  listen: { interfaces: ['eth0'] },
  doors: {
    ssh: { knock: ['7000/tcp', '8000/udp'], opens: ['22/tcp'] },
    games: { knock: ['7001/tcp', '5353/udp'], opens: ['27000-27100/udp'] },
    inner: { knock: ['7002/tcp', '8002/tcp'], opens: ['3389/tcp'], forward: '10.0.0.5' },
  },
  allow: ['5353/udp'],
});

function saved(...rules: readonly string[]): string {
  const lines = rules.map((rule) => (rule.startsWith(':') ? rule : `-A ${rule}`));
  const chains = lines.filter((line) => line.startsWith(':'));
  const rest = lines.filter((line) => !line.startsWith(':'));
  return ['*raw', ':PREROUTING ACCEPT [0:0]', ':OUTPUT ACCEPT [0:0]', ...chains, ...rest, 'COMMIT', ''].join(
    '\n',
  );
}

function wordOf({ door, family, protocol, port, role }: Untracked): string {
  return `${door} ${role} ${port}/${protocol} IPv${family}`;
}

function hits(...rules: readonly string[]): readonly string[] {
  return untrackedOf(CONFIG, savedRaw(saved(...rules), 4, 'iptables'), NO_ONE_TIME).map(wordOf);
}

const SSH = 'ssh service 22/tcp IPv4';
const GAMES = 'games service 27000/udp IPv4';
const INNER = 'inner service 3389/tcp IPv4';
const KNOCK = 'games knock 5353/udp IPv4';

describe('rules of the raw table that take ports out of connection tracking', () => {
  it.each([
    ['everything', ['PREROUTING -j NOTRACK'], [SSH, GAMES, KNOCK, INNER]],
    ['as newer tools write it', ['PREROUTING -p tcp -m tcp --dport 22 -j CT --notrack'], [SSH]],
    ['a zone is none', ['PREROUTING -p tcp -m tcp --dport 22 -j CT --zone 3'], []],
    ['a list', ['PREROUTING -p tcp -m multiport --dports 20:23,80 -j NOTRACK'], [SSH]],
    ['all but', ['PREROUTING -p tcp -m tcp ! --dport 80 -j NOTRACK'], [SSH, INNER]],
    // Answers of the host behind come in here with a port of the client's.
    ['all but the services', ['PREROUTING -p tcp -m multiport ! --dports 22,3389 -j NOTRACK'], [INNER]],
    [
      'in the midst of a range',
      ['PREROUTING -p udp -m udp --dport 27050 -j NOTRACK'],
      ['games service 27050/udp IPv4'],
    ],
    [
      'other protocols',
      ['PREROUTING -p udp -m udp --dport 22 -j NOTRACK', 'PREROUTING -p icmp -j NOTRACK'],
      [],
    ],
    ['from some', ['PREROUTING -s 10.0.0.0/8 -p tcp -m tcp --dport 22 -j NOTRACK'], [SSH]],
    [
      'ours to ourselves',
      ['PREROUTING -i lo -j NOTRACK', 'OUTPUT -o lo -j NOTRACK', 'PREROUTING -d 224.0.0.0/4 -j NOTRACK'],
      [],
    ],
    ['at another interface', ['PREROUTING -i eth1 -j NOTRACK', 'PREROUTING -i wg+ -j NOTRACK'], []],
    ['at ours', ['PREROUTING -i eth+ -p tcp -j NOTRACK'], [SSH, INNER]],
    ['answers of ours', ['OUTPUT -p tcp -m tcp --sport 22 -j NOTRACK'], [SSH]],
    ['answers of a host behind', ['PREROUTING -p tcp -m tcp --sport 3389 -j NOTRACK'], [INNER]],
    ['answers to our own questions', ['PREROUTING -p udp -m udp --sport 53 -j NOTRACK'], []],
    ['from any client', ['PREROUTING -p tcp -m tcp --sport 1024:65535 --dport 22 -j NOTRACK'], [SSH]],
    ['knocks that are seen all the same', ['PREROUTING -p tcp -m tcp --dport 7000 -j NOTRACK'], []],
    ['a knock that is seen only when new', ['PREROUTING -p udp -m udp --dport 5353 -j NOTRACK'], [KNOCK]],
    [
      'exempt before',
      [
        'PREROUTING -p tcp -m tcp --dport 22 -m comment --comment "ours \\" -j" -j ACCEPT',
        'PREROUTING -p tcp -j NOTRACK',
      ],
      [INNER],
    ],
    [
      'not always exempt',
      [
        'PREROUTING -s 10.0.0.1/32 -p tcp -m tcp --dport 22 -j ACCEPT',
        'PREROUTING -p tcp -m tcp --dport 22 -j NOTRACK',
      ],
      [SSH],
    ],
    [
      'in a chain of theirs',
      [
        ':THEIRS - [0:0]',
        'THEIRS -p tcp -m tcp --dport 3389 -j RETURN',
        'THEIRS -j CT --notrack',
        'PREROUTING -p tcp -j THEIRS',
      ],
      [SSH, INNER],
    ],
    ['in a chain that nothing leads to', [':THEIRS - [0:0]', 'THEIRS -j CT --notrack'], []],
  ])('%s', (_name, rules, expected) => {
    expect(hits(...rules)).toEqual(expected);
  });

  it(`ends where its ports end (FC_SEED=${SEED})`, () => {
    const random = randomOf(SEED);
    for (let turn = 0; turn < 200; turn += 1) {
      const first = 1 + random(60_000);
      const last = first + random(3_000);
      const rule = `PREROUTING -p tcp -m tcp --dport ${first}:${last} -j NOTRACK`;
      const port = [first - 1, first, last, last + 1][random(4)] ?? 1;
      if (port === 7000 || port < 1) continue;
      const config = configOf({ doors: { d: { knock: ['7000/udp', '7001/udp'], opens: [`${port}/tcp`] } } });
      const found = untrackedOf(config, savedRaw(saved(rule), 4, 'iptables'), NO_ONE_TIME);
      expect(found.length, `${rule} and ${port}`).toBe(port >= first && port <= last ? 1 : 0);
    }
  });

  it('are named with what would fix it, and nothing that a terminal obeys', () => {
    const rule = 'PREROUTING -p tcp -m comment --comment "\u001b[2J" -m tcp --dport 22 -j NOTRACK';
    const [concern] = ofUntracked(untrackedOf(CONFIG, savedRaw(saved(rule), 4, 'iptables'), NO_ONE_TIME));
    expect(concern).toEqual({
      code: 'notrack',
      key: 'doors',
      what: '`iptables -t raw -A PREROUTING -p tcp -m comment --comment "?[2J" -m tcp --dport 22 -j NOTRACK` takes 22/tcp out of connection tracking: door ssh stays closed over IPv4',
      fix: 'take that rule away, or put before it: iptables -t raw -I PREROUTING -p tcp --dport 22 -j ACCEPT',
    });
  });
});

describe('tables of nftables’ own', () => {
  const chain = (name: string, more: object = {}): object => ({
    chain: { family: 'inet', table: 'own', name, handle: 1, ...more },
  });
  const RAW = { type: 'filter', hook: 'prerouting', prio: -300, policy: 'accept' };
  const match = (left: object, right: unknown, op = '=='): object => ({ match: { op, left, right } });
  const dport = (protocol: string, right: unknown, op = '=='): object =>
    match({ payload: { protocol, field: 'dport' } }, right, op);
  const rule = (name: string, ...expr: readonly object[]): object => ({
    rule: { family: 'inet', table: 'own', chain: name, handle: 7, expr },
  });
  const found = (...list: readonly object[]): readonly string[] =>
    untrackedOf(CONFIG, nativeRaw(JSON.stringify({ nftables: list })), NO_ONE_TIME).map(wordOf);
  const NOTRACK = { notrack: null };
  const BOTH = [SSH, 'ssh service 22/tcp IPv6'];

  it.each([
    ['a set', [rule('p', dport('tcp', { set: [22, { range: [80, 90] }] }), NOTRACK)], BOTH],
    ['any but', [rule('p', dport('tcp', { set: [22, 3389] }, '!='), NOTRACK)], [INNER]],
    [
      'a named set, which may hold it',
      [rule('p', dport('tcp', '@ports'), { counter: null }, NOTRACK)],
      [BOTH[0], INNER, BOTH[1]],
    ],
    ['loopback', [rule('p', match({ meta: { key: 'iifname' } }, 'lo'), NOTRACK)], []],
    [
      'a jump',
      [chain('u'), rule('u', NOTRACK), rule('p', dport('tcp', 22), { jump: { target: 'u' } })],
      BOTH,
    ],
    [
      'exempt before',
      [
        rule('p', dport('tcp', 22), { accept: null }),
        rule('p', match({ meta: { key: 'l4proto' } }, 'tcp'), NOTRACK),
      ],
      [INNER],
    ],
    [
      'a map of verdicts',
      [
        chain('u'),
        rule('u', NOTRACK),
        rule('p', { vmap: { key: {}, data: { set: [[22, { jump: { target: 'u' } }]] } } }),
      ],
      [
        SSH,
        GAMES,
        KNOCK,
        INNER,
        'ssh service 22/tcp IPv6',
        'games service 27000/udp IPv6',
        'games knock 5353/udp IPv6',
      ],
    ],
  ])('%s', (_name, rules, expected) => {
    expect(found(chain('p', RAW), ...rules)).toEqual(expected);
  });

  it('are asked for only where they come before tracking', () => {
    const list = [
      chain('late', { ...RAW, prio: -150 }),
      { chain: { family: 'ip', table: 'raw', name: 'PREROUTING', ...RAW } },
      { chain: { family: 'inet', table: 'early', name: 'p', ...RAW } },
      { chain: { family: 'bridge', table: 'b', name: 'p', ...RAW } },
    ];
    expect(tablesBeforeTracking(JSON.stringify({ nftables: list }))).toEqual([['inet', 'early']]);
  });
});
