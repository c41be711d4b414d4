import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { randomOf } from '../fuzz/random.ts';
import { SEED } from '../seed.ts';
import { nfknock } from '../support/bans-lab.ts';
import { type Daemon, writeConfig } from '../support/daemon.ts';
import { createNet, type Net } from '../support/net.ts';
import { ROOT } from '../support/root.ts';
import { startTestDaemon } from '../support/test-daemon.ts';

const random = randomOf(SEED);
/** As the documentation has it. */
const MARK = 0x4e46;
const PORT = 22;
const LATE = 10_000;
/** In which a connection is made where it can be. */
const QUICK = 250;
/** Until a daemon is ready on a busy machine. */
const SLOW = { timeout: 60_000 };
const KNOCK = ['7000/tcp', '8000/udp', '9000/tcp'];
const FAMILIES = [
  ['IPv4', 'server4', 'v4'],
  ['IPv6', 'server6', 'v6'],
] as const;

/** The line of nft that docs/operations.md tells to add. */
const LINE = /^ {4}nft (insert rule inet filter input meta mark .*)$/m.exec(
  readFileSync(join(ROOT, 'docs/operations.md'), 'utf8'),
)?.[1];

let net: Net;

beforeAll(async () => {
  net = await createNet();
  await net.server.listen(PORT);
});
afterEach(async () => {
  await net.server.exec(['nft', 'flush', 'ruleset']);
});
afterAll(() => net?.close());

const nft = async (text: string): Promise<void> => {
  const { stderr } = await net.server.exec(['nft', '-f', '-'], { input: text });
  expect(stderr).toBe('');
};
const table = (priority: number, rest: string): string => `table inet filter {
  chain input {
    type filter hook input priority ${priority}; policy drop;
    ct state established,related accept
    iifname "lo" accept
    meta l4proto { icmp, ipv6-icmp } accept
    ${rest}
  }
}
`;
const config = (mark: number | null, grants: string, length: string): object => ({
  doors: { ssh: { knock: KNOCK, opens: [`${PORT}/tcp`], for: length, grant_mark: mark } },
  decoys: ['23/tcp'],
  grants,
});
const mangle = async (tool: string): Promise<string> =>
  (await net.server.exec([`${tool}-save`, '-t', 'mangle'])).stdout;
const problems = async (daemon: Daemon): Promise<string> => {
  const { stdout } = await nfknock(net.server, daemon, 'status', '--json');
  const said = JSON.parse(stdout) as { problems: readonly { what: string }[] };
  return said.problems.map(({ what }) => what).join('\n');
};
const knock = (server: string): Promise<unknown> =>
  net.clientA.exec(['knock', '-d', '20', server, ...KNOCK.map((step) => step.replace('/', ':'))]);

describe(`beside a table of nftables that drops (FC_SEED=${SEED})`, () => {
  // Before every rule of ours, and after; what is before sees knocks first.
  it.each([
    ['rule', -1 - random(400), 'earlier'],
    ['set', 0, 'as early'],
    [random(2) === 0 ? 'rule' : 'set', 1 + random(300), 'later'],
  ])(
    'a grant (%s) opens once that table, at priority %i (%s), accepts the mark',
    { timeout: 120_000 },
    async (grants, priority) => {
      expect(LINE).toBeDefined();
      await nft(table(priority, ''));
      const daemon = await startTestDaemon(net.server, config(null, grants, '10m'), SLOW);
      const { v4, v6 } = await net.clientA.moveToFreshSource();
      for (const address of [v4, v6]) await nfknock(net.server, daemon, 'grant', 'ssh', address);
      const reached = async (from: 'clientA' | 'clientB'): Promise<readonly boolean[]> => [
        await net[from].canConnect(net[from].server4, PORT, QUICK),
        await net[from].canConnect(net[from].server6, PORT, QUICK),
      ];
      expect(await reached('clientA'), 'without the mark').toEqual([false, false]);
      expect((await net.server.exec(['nft', ...(LINE ?? '').split(' ')])).stderr).toBe('');
      expect(await reached('clientA'), 'accepted, but not marked').toEqual([false, false]);
      expect(await problems(daemon)).toContain('inet filter input');

      // The grants live on, and are marked from the reload on.
      writeConfig(config(MARK, grants, '10m'), daemon.folder);
      expect((await nfknock(net.server, daemon, 'reload')).stderr).toBe('');
      expect(await reached('clientA'), 'marked').toEqual([true, true]);
      expect(await reached('clientB'), 'a stranger').toEqual([false, false]);
      await expect.poll(() => problems(daemon), { timeout: 40_000, interval: 1_000 }).toBe('');

      const before = await mangle('iptables');
      expect(before).toContain('NFKNOCK-MARK');
      writeConfig(config(null, grants, '10m'), daemon.folder);
      expect((await nfknock(net.server, daemon, 'reload')).stderr).toBe('');
      expect(await reached('clientA'), 'no longer marked').toEqual([false, false]);
      for (const tool of ['iptables', 'ip6tables']) expect(await mangle(tool)).not.toContain('NFKNOCK');
      await daemon.stop();
    },
  );

  it.each(FAMILIES)(
    'one who knocks over %s gets in for the time, and stays connected',
    { timeout: 120_000 },
    async (_, server, source) => {
      await nft(table(-1 - random(400), `meta mark ${MARK} accept`));
      const grants = random(2) === 0 ? 'rule' : 'set';
      const daemon = await startTestDaemon(net.server, config(MARK, grants, '4s'), SLOW);
      const address = (await net.clientA.moveToFreshSource())[source];
      const at = net.clientA[server];
      expect(await net.clientA.canConnect(at, PORT, QUICK)).toBe(false);
      await knock(at);
      await daemon.waitFor({ event: 'door.opened', source: address }, LATE);
      const connection = await net.clientA.openConnection(at, PORT);
      expect(await connection.echoes('there and back')).toBe(true);
      expect(await net.clientB.canConnect(net.clientB[server], PORT, QUICK)).toBe(false);
      await daemon.waitFor({ event: 'door.closed', source: address, reason: 'expired' }, LATE);
      expect(await net.clientA.canConnect(at, PORT, QUICK)).toBe(false);
      expect(await connection.echoes('still here')).toBe(true);
      await daemon.stop();
      await nfknock(net.server, daemon, 'rules', 'remove');
      for (const tool of ['iptables', 'ip6tables']) {
        expect((await net.server.exec([`${tool}-save`])).stdout).not.toContain('NFKNOCK');
      }
    },
  );

  it('the marks are put back when somebody takes them away', { timeout: 60_000 }, async () => {
    await nft(table(5, `meta mark ${MARK} accept`));
    const daemon = await startTestDaemon(net.server, config(MARK, 'rule', '10m'), SLOW);
    const { v4, v6 } = await net.clientA.moveToFreshSource();
    for (const address of [v4, v6]) await nfknock(net.server, daemon, 'grant', 'ssh', address);
    for (const spoil of [
      ['-F', 'NFKNOCK-MARK'],
      ['-F', 'PREROUTING'],
      ['-F', 'NFKNOCK-EARLY'],
    ]) {
      const tool = random(2) === 0 ? 'iptables' : 'ip6tables';
      const as = await mangle(tool);
      expect((await net.server.exec([tool, '-t', 'mangle', ...spoil])).stderr).toBe('');
      // Ends are known to the second.
      const plain = (text: string): string =>
        text.replaceAll(/^#.*$|\[\d+:\d+\]|--datestop \S+|until=\d+/gm, '');
      await expect.poll(async () => plain(await mangle(tool)), { timeout: LATE }).toBe(plain(as));
    }
    expect(await net.clientA.canConnect(net.clientA.server4, PORT, LATE)).toBe(true);
    expect(await net.clientA.canConnect(net.clientA.server6, PORT, LATE)).toBe(true);
    await daemon.stop();
  });

  // Against: a mark of `grant_mark` on what nobody was granted, so that a table of others lets a stranger in
  // by: new packets of grants, and knocks that our own chain drops; none to another host, none to `allow`
  it('no packet to another host is marked, nor one to a port that everybody reaches', async () => {
    const daemon = await startTestDaemon(
      net.server,
      { ...config(MARK, 'rule', '10m'), allow: ['9000/tcp'] },
      SLOW,
    );
    await nft(
      `table inet watch {\nchain early {\ntype filter hook prerouting priority 0;\nmeta mark ${MARK} counter\n}\n}\n`,
    );
    const marked = async (): Promise<number> => {
      const { stdout } = await net.server.exec(['nft', 'list', 'chain', 'inet', 'watch', 'early']);
      return Number(/counter packets (\d+)/.exec(stdout)?.[1]);
    };
    const { v4 } = await net.clientA.moveToFreshSource();
    await nfknock(net.server, daemon, 'grant', 'ssh', v4);
    const elsewhere = '198.51.100.77';
    await net.clientA.exec(['ip', 'route', 'replace', '198.51.100.0/24', 'via', net.clientA.server4]);
    for (const port of [PORT, 7000]) await net.clientA.canConnect(elsewhere, port, QUICK);
    await net.clientA.canConnect(net.clientA.server4, 9000, QUICK);
    expect(await marked()).toBe(0);
    await net.clientA.canConnect(net.clientA.server4, 7000, QUICK);
    expect(await marked()).toBe(1);
    expect(await net.clientA.canConnect(net.clientA.server4, PORT, QUICK)).toBe(true);
    expect(await marked()).toBe(2);
    await daemon.stop();
  });
});
