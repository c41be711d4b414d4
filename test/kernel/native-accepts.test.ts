import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Observation } from '../../src/machine/observations.ts';
import { randomOf } from '../fuzz/random.ts';
import { SEED } from '../seed.ts';
import { configOf } from '../support/configs.ts';
import { createNet, type Net } from '../support/net.ts';
import { ROOT } from '../support/root.ts';

/* What tables of others accept, as the kernel itself lists their rules. */

const random = randomOf(SEED);
const CONFIG = configOf({
  doors: {
    ssh: { knock: ['7000/tcp', '8000/udp', '9000/tcp'], opens: ['22/tcp'], grant_mark: 0x4e46 },
    wg: { knock: ['7000/tcp', '8100/udp'], opens: ['51820-51821/udp'], grant_mark: 0x4e46 },
  },
});
const BEFORE = -1 - random(400);
const AFTER = 1 + random(400);

let net: Net;
beforeAll(async () => {
  net = await createNet();
});
afterAll(() => net?.close());

/** What is said of a chain with these rules, besides which it drops. */
async function observations(priority: number, rules: string, before = ''): Promise<readonly Observation[]> {
  const text = `flush ruleset
table inet own {
  ${before}
  chain in {
    type filter hook input priority ${priority}; policy drop;
    ${rules}
  }
}
`;
  expect((await net.server.exec(['nft', '-f', '-'], { input: text })).stderr).toBe('');
  const module = JSON.stringify(join(ROOT, 'dist/machine/native-tables.js'));
  const script = `const { findNativeTables } = await import(${module});
    console.log(JSON.stringify(await findNativeTables(JSON.parse(process.argv[1]), () => [])));`;
  const { stdout, stderr } = await net.server.exec([
    process.execPath,
    '--input-type=module',
    '-e',
    script,
    JSON.stringify(CONFIG),
  ]);
  expect(stderr).toBe('');
  return JSON.parse(stdout) as readonly Observation[];
}

describe('what becomes of a port that nobody named', () => {
  const chain = (hook: string, policy: string, rules: string): string =>
    `chain in {\ntype filter hook ${hook} priority ${AFTER}; policy ${policy};\n${rules}\n}`;
  it.each([
    ['a policy', 'inet', chain('input', 'drop', 'tcp dport 22 accept'), { 4: 'DROP', 6: 'DROP' }],
    ['the policy of one family', 'ip6', chain('input', 'drop', ''), { 4: 'ACCEPT', 6: 'DROP' }],
    ['a last rule', 'inet', chain('input', 'accept', 'counter drop'), { 4: 'DROP', 6: 'DROP' }],
    [
      'a last rule that refuses',
      'ip',
      chain('input', 'accept', 'ct state new log counter reject'),
      { 4: 'ACCEPT', 6: 'ACCEPT' },
    ],
    [
      'a last rule that refuses all',
      'ip',
      chain('input', 'accept', 'iif lo accept\ncounter reject'),
      { 4: 'REJECT', 6: 'ACCEPT' },
    ],
    ['no chain on another way', 'inet', chain('forward', 'drop', ''), { 4: 'ACCEPT', 6: 'ACCEPT' }],
  ])('is told by %s of nftables', async (_, family, rules, fates) => {
    const input = `flush ruleset\ntable ${family} own {\n${rules}\n}\n`;
    expect((await net.server.exec(['nft', '-f', '-'], { input })).stderr).toBe('');
    const [defaults, asking] = ['input-default', 'asking'].map((name) =>
      JSON.stringify(join(ROOT, `dist/machine/${name}.js`)),
    );
    const script = `const { findInputDefaults } = await import(${defaults});
      const { oneLook } = await import(${asking});
      console.log(JSON.stringify(await findInputDefaults(oneLook())));`;
    const { stdout } = await net.server.exec([process.execPath, '--input-type=module', '-e', script]);
    expect(JSON.parse(stdout)).toEqual(fates);
  });
});

describe(`a table that drops accepts what the doors need (FC_SEED=${SEED})`, { timeout: 30_000 }, () => {
  it.each([
    ['meta mark 0x4e46 accept'],
    ['meta mark { 1, 0x4e46 } counter accept'],
    ['meta mark & 0xffff == 0x4e46 accept'],
    ['meta mark 0x4e00-0x4eff accept'],
    ['ct state new meta mark 20038 counter log prefix "in " accept'],
    [
      'ct state vmap { established : accept, related : accept, invalid : drop }\nmeta mark vmap { 7 : drop, 0x4e46 : accept }',
    ],
    // Bans and limits of some are meant to hold.
    ['ip saddr { 203.0.113.0/24, 198.51.100.7 } drop\niifname "eth9" drop\nmeta mark 0x4e46 accept'],
    ['jump mine', 'chain mine {\nmeta mark 0x4e46 accept\n}'],
    ['goto mine', 'chain mine {\nip protocol icmp return\nmeta mark 0x4e46 accept\n}'],
    ['tcp dport { 22, 7000-9000 } accept\nudp dport { 8000, 8100, 51820-51821 } accept'],
    ['tcp dport 22 accept\ntcp dport >= 7000 accept\nudp dport != 53 accept'],
    [
      'meta l4proto . th dport { tcp . 22, tcp . 7000, udp . 8000-8100, tcp . 9000, udp . 51820-51821 } accept',
    ],
    ['tcp flags syn accept\nmeta l4proto udp accept'],
    ['meta nfproto ipv4 meta mark 0x4e46 accept\nmeta nfproto ipv6 th dport 1-65535 accept'],
    [
      'ip saddr . meta mark @halves accept\nip6 nexthdr { tcp, udp } accept\nmeta protocol ip6 accept',
      halves(''),
    ],
  ])('by %s', async (rules, before = '') => {
    expect(await observations(BEFORE, rules, before)).toEqual([]);
    expect(await observations(AFTER, rules, before)).toEqual([]);
  });

  it.each([
    ['', /knocks may never arrive, or a door opens/, /22\/tcp, 51820-51821\/udp/],
    ['meta mark 0x4e47 accept', /knocks may never arrive, or a door opens/, /meta mark 0x4e46 accept/],
    ['meta mark != 0x4e46 accept', /knocks may never/, /./],
    ['meta mark 0x4e46 drop\nmeta mark 0x4e46 accept', /knocks may never/, /./],
    ['return\nmeta mark 0x4e46 accept', /knocks may never/, /./],
    ['iifname "eth9" meta mark 0x4e46 accept', /knocks may never/, /./],
    ['ip saddr 192.0.2.0/24 meta mark 0x4e46 accept', /knocks may never/, /./],
    ['limit rate 5/second meta mark 0x4e46 accept', /knocks may never/, /./],
    ['meta nfproto ipv4 meta mark 0x4e46 accept', /over IPv6: knocks may never/, /./],
    [
      'meta mark 0x4e46 tcp dport 22 accept\nudp dport 51820-51821 accept',
      /itself: knocks may never arrive$/,
      /./,
    ],
    [
      'tcp dport { 7000, 9000, 22 } accept\nudp dport { 8000, 8100, 51820 } accept',
      /nobody gets in/,
      /51820-51821\/udp/,
    ],
    [
      'ip saddr . meta mark @halves accept\nmeta protocol ip6 accept',
      /over IPv4: knocks/,
      /./,
      halves('203.0.113.0/24 . 7, ', '0.0.0.0/2'),
    ],
  ])('and not by "%s"', async (rules, what, fix, before = '') => {
    const [found, ...more] = await observations(BEFORE, rules, before);
    expect(more).toEqual([]);
    expect(found?.code).toBe('native-table');
    expect(found?.what).toMatch(what);
    expect(found?.fix).toMatch(fix);
    // Which ports are knocks is said nowhere.
    expect(`${found?.what} ${found?.fix}`).not.toMatch(/7000|8000|9000|8100/);
  });
});

/** All addresses but for what the first half lacks, with the mark, as firewalld writes it. */
function halves(more: string, first = '0.0.0.0/1'): string {
  return `set halves {\ntype ipv4_addr . mark\nflags interval\nelements = { ${more}${first} . 0x4e46, 128.0.0.0/1 . 0x4e46 }\n}`;
}
