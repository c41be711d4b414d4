import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { kernelBans, nfknock } from '../support/bans-lab.ts';
import type { Daemon } from '../support/daemon.ts';
import { answersPing } from '../support/firewall-proxy.ts';
import { createNet, type Net } from '../support/net.ts';

const SERVICE = 22;
const PUBLIC = 8080;
const UNNAMED = 2200;
const KNOCKS = ['7000', '8000:udp', '9000'];

const configOf = (bans: object): object => ({
  doors: { ssh: { knock: ['7000/tcp', '8000/udp', '9000/tcp'], opens: [`${SERVICE}/tcp`], for: '1m' } },
  decoys: ['23/tcp'],
  allow: [`${PUBLIC}/tcp`],
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
