import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Daemon } from '../support/daemon.ts';
import { answersPing } from '../support/firewall-proxy.ts';
import { createNet, type Net, type Source } from '../support/net.ts';
import { startTestDaemon } from '../support/test-daemon.ts';
import { example } from './lookalike.ts';

const PUBLIC = 80;
/** How nmap names each way to touch a port without a connection. */
const SCANS = ['-sS', '-sU', '-sN', '-sF', '-sX', '-sA', '-sM'] as const;
const QUICK = ['-n', '-Pn', '--send-ip', '-e', 'eth0', '--max-retries', '0', '--host-timeout', '300ms'];
const FAMILIES = [
  ['IPv4', 4],
  ['IPv6', 6],
] as const;
/** No port twice, since the same packet again is no touch. */
const PORTS = [1, 111, 1524];

describe('what portsentry does, by examples/portsentry.yaml:', () => {
  let net: Net;

  beforeAll(async () => {
    net = await createNet();
    await net.server.listen(PUBLIC);
  });
  afterAll(() => net?.close());

  const touch = async (
    how: string,
    source: Source,
    ports: readonly number[],
    family: 4 | 6,
  ): Promise<void> => {
    if (ports.length === 0) return;
    const [from, target] = family === 4 ? [source.v4, net.clientA.server4] : [source.v6, net.clientA.server6];
    const six = family === 6 ? ['-6'] : [];
    const { code } = await net.clientA.exec(
      ['nmap', how, ...six, '-r', '-p', ports.join(','), ...QUICK, '-S', from, target],
      { timeout: 20_000 },
    );
    expect(code).toBe(0);
  };

  describe.each([1, 2, 3])('set to ban at touch %i', (strikes) => {
    let daemon: Daemon;
    beforeAll(async () => {
      const config = example('portsentry');
      daemon = await net.server.startDaemon({ ...config, bans: { ...(config['bans'] as object), strikes } });
    });
    afterAll(() => daemon?.stop());

    // Which touch bans has nothing to do with the family: one number over both is enough.
    it.each(strikes === 2 ? FAMILIES : FAMILIES.slice(0, 1))(
      'that one bans and the one before does not, over TCP, UDP and each stealth scan, over %s',
      async (_, family) => {
        const offender = family === 4 ? 'v4' : 'v6Network';
        const comers: (readonly [string, Source])[] = [];
        for (const how of SCANS) comers.push([how, await net.clientA.moveToFreshSource()]);
        const before = PORTS.slice(0, strikes - 1);
        await Promise.all(comers.map(([how, source]) => touch(how, source, before, family)));
        expect(
          comers.filter(
            ([, source]) => daemon.seen({ event: 'ban.added', source: source[offender] }).length > 0,
          ),
        ).toEqual([]);
        await Promise.all(
          comers.map(([how, source]) => touch(how, source, PORTS.slice(strikes - 1, strikes), family)),
        );
        for (const [, source] of comers) {
          const ban = await daemon.waitFor({ event: 'ban.added', source: source[offender] });
          expect(ban.strikes).toBe(strikes);
        }
      },
    );
  });

  it('a whole connection counts as one touch, however often its SYN is repeated', async () => {
    const daemon = await startTestDaemon(net.server, example('portsentry', { 'strikes: 3 ': 'strikes: 2 ' }));
    const { v4 } = await net.clientA.moveToFreshSource();
    for (const port of PORTS.slice(0, 2)) {
      expect(daemon.seen({ event: 'ban.added', source: v4 })).toEqual([]);
      await net.clientA.exec(['timeout', '1.3', 'nc', '-z', net.clientA.server4, `${port}`]);
    }
    await daemon.waitFor({ event: 'ban.added', source: v4 });
    await daemon.stop();
  });

  it('every packet of who is banned is dropped, also to the services, and what was open ends', async () => {
    const daemon = await startTestDaemon(net.server, example('portsentry'));
    const { v4 } = await net.clientA.moveToFreshSource();
    const target = net.clientA.server4;
    const open = await net.clientA.openConnection(target, PUBLIC);
    expect(await answersPing(net.clientA, target)).toBe(true);
    await net.clientA.exec(['knock', target, '1', '111', '1524:udp']);
    await daemon.waitFor({ event: 'ban.added', source: v4 });
    expect(await net.clientA.canConnect(target, PUBLIC)).toBe(false);
    expect(await answersPing(net.clientA, target)).toBe(false);
    expect(await open.echoes('still here?', 1_000)).toBe(false);
    expect(await net.clientB.canConnect(net.clientB.server4, PUBLIC)).toBe(true);
    await daemon.stop();
  });

  it('a visitor of the services is not touched, however often he comes', async () => {
    const daemon = await startTestDaemon(net.server, example('portsentry'));
    const { v4 } = await net.clientA.moveToFreshSource();
    for (let time = 0; time < 10; time += 1)
      expect(await net.clientA.canConnect(net.clientA.server4, PUBLIC)).toBe(true);
    await net.clientA.exec(['knock', net.clientA.server4, '22', '25', '80', '443']);
    await net.clientA.exec(['knock', net.clientA.server4, '1']);
    const hit = await daemon.waitFor({ event: 'decoy.hit', source: v4 });
    expect(hit.strikes).toBe(1);
    await daemon.stop();
  });
});
