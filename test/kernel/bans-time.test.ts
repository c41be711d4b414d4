import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { buildFlood } from '../support/attacker-tools.ts';
import { daemonBans, kernelBans, nfknock } from '../support/bans-lab.ts';
import type { Daemon } from '../support/daemon.ts';
import { createNet, type Net } from '../support/net.ts';
import { startTestDaemon } from '../support/test-daemon.ts';

const DECOY = 23;
const base = (bans: object): object => ({
  doors: { ssh: { knock: ['7000/tcp', '8000/udp', '9000/tcp'], opens: ['22/tcp'], for: '1m' } },
  // Several: the same one touched again within 70 s is the same offence.
  decoys: [`${DECOY}-${DECOY + 9}/tcp`],
  bans: { strikes: 1, ...bans },
});
/** Milliseconds for the kernel and the daemon to agree again. */
const SETTLE = 10_000;
/** Packets of the flood, of which each comes from a /64 of its own. */
const FORGED = 20_000;

describe('a ban', () => {
  let net: Net;
  let flood: string;

  beforeAll(async () => {
    flood = buildFlood();
    net = await createNet();
    await net.server.exec(['ip', 'route', 'add', '203.0.113.0/24', 'dev', 'toA']);
    await net.server.exec(['ip', '-6', 'route', 'add', '2001:db8::/32', 'dev', 'toA']);
  });
  afterAll(() => net?.close());

  const floodFrom = async (target: string, sources: string, ...more: readonly string[]): Promise<number> => {
    const { stdout, stderr } = await net.clientA.exec(
      [flood, '-d', target, '-s', sources, '-p', `${DECOY}`, ...more],
      { timeout: 60_000 },
    );
    expect(stderr).toBe('');
    return (JSON.parse(stdout) as { sent: number }).sent;
  };
  /** What the daemon believes is what the kernel does. */
  const agree = async (daemon: Daemon, count: (bans: number) => void): Promise<void> => {
    await vi.waitFor(async () => {
      const here = (await daemonBans(net.server, daemon)).map((ban) => ban.target.replace(/\/32$/, ''));
      count(here.length);
      expect([...(await kernelBans(net.server)).keys()].sort()).toEqual([...here].sort());
    }, SETTLE);
  };

  it('lasts longer each time, up to the most, in the kernel too; lifting it by hand does not begin anew', async () => {
    const daemon = await startTestDaemon(net.server, base({ for: '100s', escalate: 3, max: '500s' }));
    const { v4 } = await net.clientA.moveToFreshSource();
    for (const [index, seconds] of [100, 300, 500, 500].entries()) {
      await net.clientA.exec(['knock', net.clientA.server4, `${DECOY + index}`]);
      await vi.waitFor(
        () => expect(daemon.seen({ event: 'ban.added', source: v4 })).toHaveLength(index + 1),
        SETTLE,
      );
      const ban = daemon.seen({ event: 'ban.added', source: v4 })[index];
      expect(Date.parse(ban?.until ?? '') - Date.parse(ban?.time ?? '')).toBe(seconds * 1_000);
      const left = (await kernelBans(net.server)).get(v4) ?? 0;
      expect(left).toBeGreaterThan(seconds - 20);
      expect(left).toBeLessThanOrEqual(seconds);
      expect(await nfknock(net.server, daemon, 'unban', v4)).toMatchObject({ code: 0 });
      expect((await kernelBans(net.server)).has(v4)).toBe(false);
    }
    await daemon.stop();
  });

  it('needs `strikes` offences `within` so long, not more slowly', async () => {
    const daemon = await startTestDaemon(net.server, base({ strikes: 2, within: '1s' }));
    const { v4 } = await net.clientA.moveToFreshSource();
    for (let time = 1; time <= 2; time += 1) {
      await net.clientA.exec(['knock', net.clientA.server4, `${DECOY + time}`]);
      await daemon.waitFor({ event: 'decoy.hit', source: v4 });
      await sleep(1_200);
    }
    expect(daemon.seen({ event: 'ban.added', source: v4 })).toEqual([]);
    for (let time = 3; time <= 4; time += 1)
      await net.clientA.exec(['knock', net.clientA.server4, `${DECOY + time}`]);
    await daemon.waitFor({ event: 'ban.added', source: v4 });
    await daemon.stop();
  });

  it('beyond `limit` takes the place of the one that ends first, and the kernel holds the same', async () => {
    const limit = 20;
    const daemon = await startTestDaemon(net.server, base({ limit, for: '1h' }));
    await floodFrom(net.clientA.server4, '203.0.113.0/24', '-n', '500', '-r', '2000');
    await agree(daemon, (bans) => expect(bans).toBe(limit));
    expect(daemon.seen({ event: 'ban.lifted', reason: 'limit' }).length).toBeGreaterThan(0);
    expect(daemon.seen({ event: 'firewall.failed' })).toEqual([]);
    await nfknock(net.server, daemon, 'unban', '--all');
    await agree(daemon, (bans) => expect(bans).toBe(0));
    await daemon.stop();
  });

  it('that has just ended makes room for another, though the kernel counts whole seconds', async () => {
    const limit = 20;
    const daemon = await startTestDaemon(net.server, base({ limit, for: '1100ms', max: '1100ms' }));
    await floodFrom(net.clientA.server4, '203.0.113.0/27', '-n', '500');
    // Over for the daemon; the kernel, told of 2 s, keeps them for most of another one.
    await daemon.waitFor({ event: 'ban.expired' });
    await floodFrom(net.clientA.server4, '203.0.113.128/27', '-n', '500');
    await sleep(300);
    const held = [...(await kernelBans(net.server)).keys()];
    expect(held.filter((each) => Number(each.split('.')[3]) >= 128)).toHaveLength(limit);
    expect(daemon.seen({ event: 'firewall.failed' })).toEqual([]);
    await daemon.stop();
  });

  // Against: bans by the ten thousand
  // by: batches to the kernel and the disk
  it('of 20,000 forged sources is one of many that go to the kernel together, and outlives kill -9', async () => {
    const config = base({ for: '1h' });
    const daemon = await startTestDaemon(net.server, config);
    const sent = await floodFrom(net.clientA.server6, '2001:db8::/32', '-n', `${FORGED}`, '-r', '20000');
    expect(sent).toBe(FORGED);
    await agree(daemon, (bans) => expect(bans).toBeGreaterThan(FORGED * 0.95));
    // Lines do not grow with the flood; what was left out is counted.
    expect(daemon.lines.length).toBeLessThan(1_000);
    await daemon.waitFor({ event: 'log.suppressed' });
    const before = [...(await kernelBans(net.server)).keys()].sort();
    await daemon.stop('SIGKILL');

    const again = await startTestDaemon(net.server, config, { folder: daemon.folder });
    await agree(again, (bans) => expect(bans).toBe(before.length));
    expect([...(await kernelBans(net.server)).keys()].sort()).toEqual(before);
    await nfknock(net.server, again, 'unban', '--all');
    await agree(again, (bans) => expect(bans).toBe(0));
    await again.stop();
  });
});
