import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { Daemon } from '../support/daemon.ts';
import { type Client, createNet, type Net } from '../support/net.ts';

const SERVICE = 22;
const PUBLIC_SERVICE = 8080;
const KNOCKS = ['7000', '8000:udp', '9000'];
/** Seconds. */
const BAN = 600;

const CONFIG = {
  doors: { ssh: { knock: ['7000/tcp', '8000/udp', '9000/tcp'], opens: [`${SERVICE}/tcp`], for: '2s' } },
  decoys: ['23/tcp', '2323/tcp', '3389/tcp', '161/udp'],
  bans: { strikes: 3, within: '60s', for: `${BAN}s`, never: ['198.51.100.200'] },
};

const FAMILIES = [
  { family: 'IPv4', server: 'server4', offender: 'v4' },
  { family: 'IPv6', server: 'server6', offender: 'v6Network' },
] as const;

describe('a ban on the kernel', () => {
  let net: Net;
  let daemon: Daemon;

  beforeAll(async () => {
    net = await createNet();
    await net.server.listen(SERVICE);
    await net.server.listen(PUBLIC_SERVICE);
    daemon = await net.server.startDaemon(CONFIG);
  });
  afterAll(async () => {
    await daemon?.stop();
    net?.close();
  });

  /** The seconds that the kernel's set still holds it; undefined where it does not. */
  const secondsLeft = async (offender: string): Promise<number | undefined> => {
    const members = (await net.server.exec(['ipset', 'list'])).stdout.split('\n');
    const member = members.find((line) => line.startsWith(`${offender} `));
    return member === undefined ? undefined : Number(/timeout (\d+)/.exec(member)?.[1]);
  };
  const wrongOrder = async (client: Client, target: string): Promise<void> => {
    for (const round of [1, 2]) {
      await client.exec(['knock', target, '9000', '8000:udp', '7000']);
      if (round === 1) expect(await client.canConnect(target, SERVICE)).toBe(false);
    }
  };

  describe.each(FAMILIES)('over $family', ({ server, offender }) => {
    it('comes at the third offence of one who knocks in another order, who is never let in', async () => {
      const source = (await net.clientA.moveToFreshSource())[offender];
      const target = net.clientA[server];
      expect(await net.clientA.canConnect(target, PUBLIC_SERVICE)).toBe(true);
      await wrongOrder(net.clientA, target);
      const ban = await daemon.waitFor({ event: 'ban.added', source });
      expect(ban.strikes).toBe(3);
      expect(Date.parse(ban.until ?? '') - Date.parse(ban.time)).toBe(BAN * 1_000);

      const left = await secondsLeft(source);
      expect(left).toBeGreaterThan(BAN - 10);
      expect(left).toBeLessThanOrEqual(BAN);
    });

    it('drops every new packet, also to services that are open to everyone, and no knock helps', async () => {
      const source = (await net.clientA.moveToFreshSource())[offender];
      const target = net.clientA[server];
      const before = await net.clientA.openConnection(target, PUBLIC_SERVICE);
      await wrongOrder(net.clientA, target);
      await daemon.waitFor({ event: 'ban.added', source });

      expect(await net.clientA.canConnect(target, PUBLIC_SERVICE)).toBe(false);
      await net.clientA.exec(['knock', target, ...KNOCKS]);
      expect(await net.clientA.canConnect(target, SERVICE)).toBe(false);
      expect(await before.echoes('an established connection is not cut')).toBe(true);
    });

    it('comes at the third decoy that a source touches', async () => {
      const client = await net.clientA.moveToFreshSource();
      const target = net.clientA[server];
      for (const port of ['23', '161:udp', '2323']) await net.clientA.exec(['knock', target, port]);
      await daemon.waitFor({ event: 'ban.added', source: client[offender] });
      expect(
        daemon.lines.filter((line) => line.event === 'decoy.hit' && line.strikes === 3).length,
      ).toBeGreaterThan(0);
    });

    it("is no other source's business", async () => {
      const target = net.clientB[server];
      await net.clientB.moveToFreshSource();
      expect(await net.clientB.runThenConnect(['knock', target, ...KNOCKS], target, SERVICE)).toBeDefined();
    });
  });

  it('over IPv6 is for the whole /64', async () => {
    const { v6, v6Network } = await net.clientA.moveToFreshSource();
    await wrongOrder(net.clientA, net.clientA.server6);
    await daemon.waitFor({ event: 'ban.added', source: v6Network });
    await net.clientA.addAddress(v6.replace(/::10$/, '::99'));
    expect(await net.clientA.canConnect(net.clientA.server6, PUBLIC_SERVICE)).toBe(false);
  });

  it('comes for more packets in a second than are permitted', async () => {
    const { v4 } = await net.clientA.moveToFreshSource();
    // 7000 again and again is no wrong knock, only too often.
    const often = ['-S', '-p', '7000', '-c', '70', '-i', 'u3000'];
    await net.clientA.exec(['hping3', '-q', '-I', 'eth0', '-a', v4, ...often, net.clientA.server4]);
    await daemon.waitFor({ event: 'scan.detected', source: v4, reason: 'rate' });
    await daemon.waitFor({ event: 'ban.added', source: v4 });
  });

  it('never comes for an address in `never`, which can still knock', async () => {
    await net.clientB.addAddress('198.51.100.200');
    const target = net.clientB.server4;
    for (let round = 1; round <= 2; round += 1) await wrongOrder(net.clientB, target);
    await vi.waitFor(() => {
      expect(daemon.seen({ event: 'knock.wrong', source: '198.51.100.200' })).toHaveLength(8);
    });
    expect(daemon.seen({ event: 'ban.added', source: '198.51.100.200' })).toEqual([]);
    expect(await secondsLeft('198.51.100.200')).toBeUndefined();
    expect(await net.clientB.runThenConnect(['knock', target, ...KNOCKS], target, SERVICE)).toBeDefined();
  });
});

describe('a ban of a few seconds', () => {
  let net: Net;
  let daemon: Daemon;

  beforeAll(async () => {
    net = await createNet();
    await net.server.listen(PUBLIC_SERVICE);
  });
  afterAll(() => net?.close());

  const touchDecoys = async (): Promise<string> => {
    const { v4 } = await net.clientA.moveToFreshSource();
    await net.clientA.exec(['knock', net.clientA.server4, '23', '2323', '3389']);
    return v4;
  };

  it('ends by itself in the kernel, even with the daemon dead', async () => {
    daemon = await net.server.startDaemon({ ...CONFIG, bans: { strikes: 3, for: '3s' } });
    const first = await touchDecoys();
    await daemon.waitFor({ event: 'ban.added', source: first });
    expect(await net.clientA.canConnect(net.clientA.server4, PUBLIC_SERVICE)).toBe(false);
    await daemon.stop('SIGKILL');
    // The SYN is repeated after 1 and 3 s: one of them is late enough.
    expect(await net.clientA.canConnect(net.clientA.server4, PUBLIC_SERVICE, 8_000)).toBe(true);
  });

  it('is only said where `enforce` is false', async () => {
    daemon = await net.server.startDaemon({ ...CONFIG, bans: { strikes: 3, for: '3s', enforce: false } });
    const source = await touchDecoys();
    expect(await daemon.waitFor({ event: 'ban.added', source })).toMatchObject({ shadow: true });
    expect(await net.clientA.canConnect(net.clientA.server4, PUBLIC_SERVICE)).toBe(true);
    await daemon.stop();
  });
});
