import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { randomOf } from '../fuzz/random.ts';
import { SEED } from '../seed.ts';
import { nfknock } from '../support/bans-lab.ts';
import type { Daemon } from '../support/daemon.ts';
import { createNet, type Net } from '../support/net.ts';
import { lookAgain, startTestDaemon } from '../support/test-daemon.ts';

const random = randomOf(SEED);
const CONFIG = { doors: { ssh: { knock: ['7000/tcp', '8000/udp', '9000/tcp'], opens: ['22/tcp'] } } };
/** What is promised of a table that comes later, in milliseconds. */
const NOTICED = 35_000;

let net: Net;

beforeAll(async () => {
  net = await createNet();
});
afterEach(() => nft('flush ruleset'));
afterAll(() => net?.close());

const nft = async (text: string): Promise<void> => {
  const { stderr } = await net.server.exec(['nft', '-f', '-'], { input: text });
  expect(stderr).toBe('');
};
const problems = async (daemon: Daemon): Promise<readonly [number | null, string]> => {
  const { code, stdout } = await nfknock(net.server, daemon, 'status', '--json');
  const said = JSON.parse(stdout) as { problems: readonly { what: string; fix: string }[] };
  return [code, said.problems.map(({ what, fix }) => `${what}; ${fix}`).join('\n')];
};
const table = (family: string, priority: number, rest: string): string =>
  `table ${family} owners {\nchain in_here {\ntype filter hook input priority ${priority}; ${rest}\n}\n}\n`;
const ESTABLISHED = 'ct state established,related accept; iifname "lo" accept;';

describe(`a table of nftables that drops what it does not accept (FC_SEED=${SEED})`, () => {
  it.each([
    ['inet', -1 - random(300), `policy drop; ${ESTABLISHED}`, /knocks may never arrive/],
    ['ip', 0, `policy drop; ${ESTABLISHED}`, /knocks may never arrive/],
    ['ip6', 1 + random(300), `policy drop; ${ESTABLISHED}`, /nobody gets in/],
    // As firewalld has it.
    ['inet', 10, `policy accept; ${ESTABLISHED} reject with icmpx admin-prohibited`, /nobody gets in/],
  ])(
    'in %s at priority %i, there before, is said at the start and in status',
    async (family, priority, rest, words) => {
      await nft(table(family, priority, rest));
      const daemon = await startTestDaemon(net.server, CONFIG, { timeout: 60_000 });
      const { reason } = await daemon.waitFor({ event: 'firewall.failed' }, NOTICED);
      expect(reason).toMatch(words);
      const [code, said] = await problems(daemon);
      expect(code).toBe(1);
      expect(said).toContain(`"${family} owners in_here"`);
      expect(said).toContain('22/tcp');
      await daemon.stop();
    },
  );

  // Against: a table of nftables that drops behind our back
  // by: found over netlink, said, a problem in `status`
  it('that comes later is noticed within 35 s, said once, and forgotten once it is gone', {
    timeout: 120_000,
  }, async () => {
    const daemon = await startTestDaemon(net.server, CONFIG, { timeout: 60_000 });
    expect(await problems(daemon)).toEqual([0, '']);
    await nft(table('inet', random(2) === 0 ? -5 : 5, 'policy drop;'));
    const began = performance.now();
    await daemon.waitFor({ event: 'firewall.failed' }, NOTICED);
    expect(performance.now() - began).toBeLessThan(NOTICED);
    expect((await problems(daemon))[0]).toBe(1);
    await nft('delete table inet owners');
    await lookAgain(daemon);
    await expect.poll(async () => (await problems(daemon))[0], { timeout: 10_000, interval: 300 }).toBe(0);
    expect(daemon.seen({ event: 'firewall.failed' })).toHaveLength(1);
    await daemon.stop();
  });

  it('is not one that accepts, nor iptables’ own policy', { timeout: 120_000 }, async () => {
    await nft(table('inet', 5, 'policy accept; tcp dport 23 drop'));
    for (const tool of ['iptables', 'ip6tables']) await net.server.exec([tool, '-P', 'INPUT', 'DROP']);
    const daemon = await startTestDaemon(net.server, CONFIG, { timeout: 60_000 });
    expect(await problems(daemon)).toEqual([0, '']);
    await daemon.stop();
  });
});
