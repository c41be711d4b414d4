import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { daemonBans, kernelBans, nfknock } from '../support/bans-lab.ts';
import type { Daemon } from '../support/daemon.ts';
import { createNet, type Net } from '../support/net.ts';

const PUBLIC = 8080;
const CONFIG = {
  doors: { ssh: { knock: ['7000/tcp', '8000/udp', '9000/tcp'], opens: ['22/tcp'] } },
  decoys: ['23/tcp'],
  bans: { strikes: 1, for: '10m', escalate: 2 },
};

describe('by hand', () => {
  let net: Net;
  let daemon: Daemon;

  beforeAll(async () => {
    net = await createNet();
    await net.server.listen(PUBLIC);
    daemon = await net.server.startDaemon(CONFIG);
  });
  afterAll(async () => {
    await daemon?.stop();
    net?.close();
  });

  const run = (...args: readonly string[]): ReturnType<typeof nfknock> =>
    nfknock(net.server, daemon, ...args);
  /** Seconds that the kernel still holds it. */
  const left = async (target: string): Promise<number | undefined> =>
    (await kernelBans(net.server)).get(target);
  const near = (seconds: number | undefined, wanted: number): void => {
    expect(seconds).toBeGreaterThan(wanted - 20);
    expect(seconds).toBeLessThanOrEqual(wanted);
  };

  it('an address is banned at once, and let go at once', async () => {
    const { v4 } = await net.clientA.moveToFreshSource();
    const target = net.clientA.server4;
    expect(await net.clientA.canConnect(target, PUBLIC)).toBe(true);
    expect(await run('ban', v4)).toMatchObject({ code: 0, stderr: '' });
    expect(await net.clientA.canConnect(target, PUBLIC)).toBe(false);
    near(await left(v4), 600);
    expect(await run('unban', v4)).toMatchObject({ code: 0, stderr: '' });
    expect(await left(v4)).toBeUndefined();
    expect(await net.clientA.canConnect(target, PUBLIC)).toBe(true);
  });

  it('an IPv6 address is banned with its /64, whichever address of it is named', async () => {
    const { v6, v6Network } = await net.clientA.moveToFreshSource();
    const target = net.clientA.server6;
    await run('ban', v6.replace(/::10$/, '::77'), '--for', '2h');
    near(await left(v6Network), 7_200);
    expect(await net.clientA.canConnect(target, PUBLIC)).toBe(false);
    expect(await run('unban', v6Network)).toMatchObject({ code: 0 });
    expect(await net.clientA.canConnect(target, PUBLIC)).toBe(true);
  });

  it('a ban is made longer or shorter by banning again', async () => {
    await run('ban', '203.0.113.7', '--for', '1h');
    near(await left('203.0.113.7'), 3_600);
    await run('ban', '203.0.113.7', '--for', '5m');
    near(await left('203.0.113.7'), 300);
    expect(daemon.seen({ event: 'ban.extended', source: '203.0.113.7' })).toHaveLength(1);
    await run('unban', '203.0.113.7');
  });

  it('a ban that the daemon made is lifted too', async () => {
    const { v4 } = await net.clientA.moveToFreshSource();
    await net.clientA.exec(['knock', net.clientA.server4, '23']);
    await daemon.waitFor({ event: 'ban.added', source: v4 });
    await run('unban', v4);
    expect(await left(v4)).toBeUndefined();
    expect(daemon.seen({ event: 'ban.lifted', source: v4 })).toMatchObject([{ reason: 'unban' }]);
  });

  it('all are lifted together, and the list, the set and a restart agree', async () => {
    for (const address of ['203.0.113.1', '203.0.113.2', '2001:db8:b:9::1']) await run('ban', address);
    const expected = ['2001:db8:b:9::/64', '203.0.113.1', '203.0.113.2'];
    const listed = async (): Promise<readonly string[]> =>
      (await daemonBans(net.server, daemon)).map((ban) => ban.target.replace(/\/32$/, '')).sort();
    expect(await listed()).toEqual(expected);
    expect([...(await kernelBans(net.server)).keys()].sort()).toEqual(expected);

    await daemon.stop();
    await net.server.exec(['ipset', 'flush', 'nfknock-ban4']);
    daemon = await net.server.startDaemon(CONFIG, { folder: daemon.folder });
    expect(await listed()).toEqual(expected);
    expect([...(await kernelBans(net.server)).keys()].sort()).toEqual(expected);

    const { code, stdout } = await run('unban', '--all');
    expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringContaining('3 bans') });
    expect(await listed()).toEqual([]);
    expect((await kernelBans(net.server)).size).toBe(0);
  });

  it('what somebody else takes out of the set is put back', async () => {
    await run('ban', '203.0.113.20');
    await net.server.exec(['ipset', 'flush', 'nfknock-ban4']);
    await daemon.waitFor({ event: 'firewall.repaired' }, 30_000);
    await vi.waitFor(async () => expect(await left('203.0.113.20')).toBeDefined(), 5_000);
    await run('unban', '--all');
  });

  it('a wrong address and one that was not banned are said', async () => {
    expect(await run('ban', 'example.org')).toMatchObject({ code: 2 });
    expect(await run('unban')).toMatchObject({ code: 2 });
    expect((await run('unban', '203.0.113.99')).stdout).toContain('was not banned');
  });
});
