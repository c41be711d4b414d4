import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { kernelBans, nfknock } from '../support/bans-lab.ts';
import type { Daemon } from '../support/daemon.ts';
import { answersPing } from '../support/firewall-proxy.ts';
import { createNet, type Net } from '../support/net.ts';
import { keepSending, startUnasked, type Unasked } from '../support/unasked.ts';

const SERVICE = 22;
const PUBLIC = 8080;
const UNNAMED = 2200;
/** UDP services that send unasked: a public one, and one behind a door. */
const [PUBLIC_VPN, HIDDEN_VPN] = [51_820, 1_194];
/** Enough for ten keepalives of a service that sends every 50 ms. */
const KEPT_MS = 500;
const KNOCKS = ['7000', '8000:udp', '9000'];

const configOf = (bans: object): object => ({
  doors: {
    ssh: { knock: ['7000/tcp', '8000/udp', '9000/tcp'], opens: [`${SERVICE}/tcp`], for: '1m' },
    vpn: { knock: ['7001/tcp', '8001/udp', '9001/tcp'], opens: [`${HIDDEN_VPN}/udp`], for: '1m' },
  },
  decoys: ['23/tcp'],
  allow: [`${PUBLIC}/tcp`, `${PUBLIC_VPN}/udp`],
  bans: { strikes: 1, for: '1h', ...bans },
});
const FAMILIES = [
  { family: 'IPv4', server: 'server4', offender: 'v4', source: 'v4' },
  { family: 'IPv6', server: 'server6', offender: 'v6Network', source: 'v6' },
] as const;

describe('who is banned', () => {
  let net: Net;
  let daemon: Daemon;

  beforeAll(async () => {
    net = await createNet();
    for (const port of [SERVICE, PUBLIC, UNNAMED]) await net.server.listen(port);
  });
  afterAll(() => net?.close());

  const touchDecoy = async (server: 'server4' | 'server6', offender: string): Promise<void> => {
    await net.clientA.exec(['knock', net.clientA[server], '23']);
    await daemon.waitFor({ event: 'ban.added', source: offender });
  };

  describe('with `scope: hidden`', () => {
    beforeAll(async () => {
      daemon = await net.server.startDaemon(configOf({ scope: 'hidden' }));
    });
    afterAll(() => daemon?.stop());

    it.each(FAMILIES)('sees no difference at public ports over $family, and opens no door', async (each) => {
      const offender = (await net.clientA.moveToFreshSource())[each.offender];
      const target = net.clientA[each.server];
      await touchDecoy(each.server, offender);
      expect((await kernelBans(net.server)).has(offender)).toBe(true);
      expect(await net.clientA.canConnect(target, PUBLIC)).toBe(true);
      expect(await net.clientA.canConnect(target, UNNAMED)).toBe(true);
      expect(await answersPing(net.clientA, target)).toBe(true);
      const letIn = await net.clientA.runThenConnect(['knock', target, ...KNOCKS], target, SERVICE);
      expect(letIn).toBeUndefined();
    });

    it('reaches no service that a grant of before had opened', async () => {
      const { v4 } = await net.clientA.moveToFreshSource();
      const target = net.clientA.server4;
      await net.clientA.exec(['knock', target, ...KNOCKS]);
      await daemon.waitFor({ event: 'door.opened', source: v4 });
      expect(await net.clientA.canConnect(target, SERVICE)).toBe(true);
      await nfknock(net.server, daemon, 'ban', v4);
      expect(await net.clientA.canConnect(target, SERVICE)).toBe(false);
      expect(await net.clientA.canConnect(target, PUBLIC)).toBe(true);
    });
  });

  describe('with `scope: all` and `cut`', () => {
    beforeAll(async () => {
      daemon = await net.server.startDaemon(configOf({ scope: 'all', cut: true }));
    });
    afterAll(() => daemon?.stop());

    it.each(FAMILIES)('loses over $family what was established, and reaches nothing more', async (each) => {
      const offender = (await net.clientA.moveToFreshSource())[each.offender];
      const target = net.clientA[each.server];
      const open = await net.clientA.openConnection(target, PUBLIC);
      const other = await net.clientB.openConnection(net.clientB[each.server], PUBLIC);
      expect(await open.echoes('before')).toBe(true);
      await touchDecoy(each.server, offender);
      expect(await open.echoes('after', 1_000)).toBe(false);
      expect(await net.clientA.canConnect(target, PUBLIC)).toBe(false);
      expect(await net.clientA.canConnect(target, UNNAMED)).toBe(false);
      expect(await answersPing(net.clientA, target)).toBe(false);
      expect(await other.echoes('a bystander is not cut off')).toBe(true);
    });
  });

  describe.each([
    { scope: 'all', name: 'public', port: PUBLIC_VPN },
    { scope: 'all', name: 'hidden', port: HIDDEN_VPN },
    { scope: 'hidden', name: 'hidden', port: HIDDEN_VPN },
  ])('with `scope: $scope` and `cut`, of a $name UDP service that sends unasked', ({ scope, port }) => {
    let service: Unasked;
    beforeAll(async () => {
      service = await startUnasked(net.server.namespace, port);
      daemon = await net.server.startDaemon(configOf({ scope, cut: true }));
    });
    afterAll(async () => {
      service?.close();
      await daemon?.stop();
    });

    // Against: a service's own keepalive, which makes conntrack take up again what a ban has cut
    // by: a banned source's answers are met before what is established is let through
    it.each(FAMILIES)('is heard no more over $family, however often it is sent to', async (each) => {
      const moved = await net.clientA.moveToFreshSource();
      const [source, bystander] = [moved[each.source], (await net.clientB.moveToFreshSource())[each.source]];
      for (const address of [source, bystander])
        expect((await nfknock(net.server, daemon, 'grant', 'vpn', address)).code).toBe(0);
      const clients = [net.clientA, net.clientB].map((client) =>
        keepSending(client.namespace, client[each.server], port),
      );
      const fewest = (): number => Math.min(service.heard(source), service.heard(bystander));
      await expect.poll(fewest, { timeout: 10_000 }).toBeGreaterThan(5);
      expect((await nfknock(net.server, daemon, 'ban', moved[each.offender])).code).toBe(0);
      // What is on its way, and the cut itself.
      await sleep(KEPT_MS);
      const before = { source: service.heard(source), bystander: service.heard(bystander) };
      const sent = service.sent();
      await sleep(KEPT_MS);
      expect(service.heard(source) - before.source).toBe(0);
      expect(service.heard(bystander)).toBeGreaterThan(before.bystander);
      expect(service.sent()).toBeGreaterThan(sent);
      for (const client of clients) client.close();
    });
  });

  describe('with `enforce: false`', () => {
    beforeAll(async () => {
      daemon = await net.server.startDaemon(configOf({ enforce: false, cut: true }));
    });
    afterAll(() => daemon?.stop());

    it('is only said to be, also by hand: nothing is dropped or cut, and no set holds anybody', async () => {
      const { v4 } = await net.clientA.moveToFreshSource();
      await nfknock(net.server, daemon, 'unban', '--all');
      const target = net.clientA.server4;
      const open = await net.clientA.openConnection(target, PUBLIC);
      await touchDecoy('server4', v4);
      expect(daemon.seen({ event: 'ban.added', source: v4 })).toMatchObject([{ shadow: true }]);
      expect((await nfknock(net.server, daemon, 'ban', '203.0.113.9')).stdout).toContain('enforce');
      const held = await kernelBans(net.server);
      expect([held.has(v4), held.has('203.0.113.9')]).toEqual([false, false]);
      expect(await open.echoes('still here')).toBe(true);
      const letIn = await net.clientA.runThenConnect(['knock', target, ...KNOCKS], target, SERVICE, 3_000);
      expect(letIn).toBeDefined();
    });
  });
});
