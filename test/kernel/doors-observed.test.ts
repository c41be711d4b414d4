import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { ask } from '../support/asked.ts';
import type { Daemon } from '../support/daemon.ts';
import { createNet, type Net } from '../support/net.ts';
import { answerUdp, udpAnswers } from '../support/udp.ts';

/* Knock ports with a live service behind them: those that are in `allow` too. */

const SERVICE = 22;
const WEB = 8080;
const SECURE = 8443;
const NAMES = 5353;
const LATE = 10_000;
const QUICK = 150;
/** More than `bans.rate` permits. */
const VISITS = 40;

const FAMILIES = [
  { family: 'IPv4', server: 'server4', source: 'v4' },
  { family: 'IPv6', server: 'server6', source: 'v6' },
] as const;

describe.each(['nfqueue', 'nflog'])('a service on a knock port, with `listen.source: %s`', (source) => {
  let net: Net;
  let daemon: Daemon;
  const config = {
    listen: { source },
    doors: {
      ssh: { knock: [`${SECURE}/tcp`, `${NAMES}/udp`, `${WEB}/tcp`], opens: [SERVICE], for: '5m' },
      // Two of its ports are dead, one is not.
      dead: { knock: ['7001/tcp', `${WEB}/tcp`, '7002/tcp'], opens: ['2200/tcp'], for: '5m' },
    },
    allow: [`${WEB}/tcp`, `${SECURE}/tcp`, `${NAMES}/udp`],
    decoys: 'all',
    bans: { strikes: 2, rate: { packets: 10, per: '1s' } },
  };

  beforeAll(async () => {
    net = await createNet();
    for (const port of [SERVICE, 2200, WEB, SECURE]) await net.server.listen(port);
    await answerUdp(net.server, NAMES);
    daemon = await net.server.startDaemon(config);
  });
  afterAll(async () => {
    await daemon?.stop();
    net?.close();
  });

  describe.each(FAMILIES)('over $family', ({ server, source: own }) => {
    const visit = (port: number): Promise<boolean> => net.clientA.canConnect(net.clientA[server], port, LATE);

    it('answers its visitors, who are never struck, in whatever order and however often they come', async () => {
      const address = (await net.clientA.moveToFreshSource())[own];
      for (let time = 0; time < VISITS; time += 1) {
        expect(await visit(time % 3 === 0 ? SECURE : WEB)).toBe(true);
      }
      expect(await udpAnswers(net.clientA, net.clientA[server], NAMES, 2)).toBe(true);
      // The kernel gathers copies before it sends them, so the last may be a moment behind their packets.
      await vi.waitFor(async () => {
        const { packets } = await ask(daemon, { command: 'explain', address });
        expect(packets.length).toBeGreaterThan(VISITS);
      }, LATE);
      const { strikes } = await ask(daemon, { command: 'explain', address });
      expect(strikes).toBe(0);
      const bad = daemon.seen({ source: address }).filter((line) => line.strikes !== undefined);
      expect(bad).toEqual([]);
      expect(await net.clientA.canConnect(net.clientA[server], SERVICE, QUICK)).toBe(false);
    });

    it('takes the knock, made with whatever client the service has', async () => {
      const address = (await net.clientA.moveToFreshSource())[own];
      const target = net.clientA[server];
      expect(await visit(SECURE)).toBe(true);
      expect(await udpAnswers(net.clientA, target, NAMES, 2)).toBe(true);
      expect(await visit(WEB)).toBe(true);
      await daemon.waitFor({ event: 'door.opened', door: 'ssh', source: address }, LATE);
      expect(await net.clientA.canConnect(target, SERVICE, LATE)).toBe(true);
      const connection = await net.clientA.openConnection(target, WEB);
      expect(await connection.echoes('served as ever')).toBe(true);
      await connection.close();
    });

    it('can stand between knocks on dead ports; whoever knocks those wrongly is struck as ever', async () => {
      const address = (await net.clientA.moveToFreshSource())[own];
      const target = net.clientA[server];
      await net.clientA.exec(['knock', target, '7001']);
      expect(await visit(WEB)).toBe(true);
      await net.clientA.exec(['knock', target, '7002']);
      await daemon.waitFor({ event: 'door.opened', door: 'dead', source: address }, LATE);
      const other = (await net.clientA.moveToFreshSource())[own];
      await net.clientA.exec(['knock', target, '7002']);
      await daemon.waitFor({ event: 'knock.wrong', source: other, strikes: 1 }, LATE);
    });
  });

  it('is served while the daemon is dead, and every door is shut', async () => {
    await daemon.stop('SIGKILL');
    await net.clientA.moveToFreshSource();
    for (const { server } of FAMILIES) {
      const target = net.clientA[server];
      for (const port of [SECURE, WEB]) expect(await net.clientA.canConnect(target, port, LATE)).toBe(true);
      expect(await udpAnswers(net.clientA, target, NAMES, 2)).toBe(true);
      expect(await net.clientA.canConnect(target, SERVICE, QUICK)).toBe(false);
    }
  });
});
