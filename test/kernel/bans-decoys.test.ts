import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { Daemon } from '../support/daemon.ts';
import { createNet, type Net } from '../support/net.ts';
import { startProcess } from '../support/process.ts';
import { startTestDaemon } from '../support/test-daemon.ts';

const SERVICE = 22;
const PUBLIC = 8080;
/** Strikes that nobody here comes to. */
const UNSEEN = 200;
/** Milliseconds, for a server that has just been started. */
const WAIT = 10_000;

const CONFIG = {
  doors: { ssh: { knock: ['7000/tcp', '8000/udp', '9000/tcp'], opens: [`${SERVICE}/tcp`], for: '1m' } },
  decoys: 'all',
  allow: [`${PUBLIC}/tcp`, '53/udp'],
  bans: { strikes: UNSEEN },
};
const FAMILIES = [
  { family: 'IPv4', server: 'server4', source: 'v4', dhcp: '68:udp' },
  { family: 'IPv6', server: 'server6', source: 'v6', dhcp: '546:udp' },
] as const;

describe('with `decoys: all`', () => {
  let net: Net;
  let daemon: Daemon;

  beforeAll(async () => {
    net = await createNet();
    for (const port of [SERVICE, PUBLIC]) await net.server.listen(port);
    daemon = await net.server.startDaemon(CONFIG);
  });
  afterAll(async () => {
    await daemon?.stop();
    net?.close();
  });

  const decoysOf = (source: string): readonly (string | undefined)[] =>
    daemon.seen({ event: 'decoy.hit', source }).map((line) => line.port);
  /** A last decoy, so that what came before it has been judged too. */
  const touchedAll = async (source: string, target: string): Promise<readonly (string | undefined)[]> => {
    await net.clientA.exec(['knock', target, '4444']);
    await daemon.waitFor({ event: 'decoy.hit', source, port: '4444/tcp' });
    return decoysOf(source).slice(0, -1);
  };

  describe.each(FAMILIES)('over $family', ({ server, source, dhcp }) => {
    it('every other port of TCP and UDP is one', async () => {
      const address = (await net.clientA.moveToFreshSource())[source];
      const target = net.clientA[server];
      const ports = ['1', '21', '6999', '65535', '1:udp', '22:udp', '5353:udp', '65535:udp'];
      await net.clientA.exec(['knock', target, ...ports]);
      const expected = ports.map((port) => (port.includes(':') ? port.replace(':', '/') : `${port}/tcp`));
      expect(await touchedAll(address, target)).toEqual(expected);
    });

    it('no service, no allowed port, no knock and no DHCP client is one', async () => {
      const address = (await net.clientA.moveToFreshSource())[source];
      const target = net.clientA[server];
      const spared = [`${SERVICE}`, `${PUBLIC}`, '53:udp', '7000', dhcp];
      await net.clientA.exec(['knock', target, ...spared]);
      expect(await touchedAll(address, target)).toEqual([]);
      expect(await net.clientA.canConnect(target, PUBLIC)).toBe(true);
    });

    it('what this machine asks for itself is answered, and the answer is none', async () => {
      const address = (await net.clientA.moveToFreshSource())[source];
      const target = net.clientA[server];
      const far = startProcess(net.clientA.namespace, [
        'socat',
        'UDP6-RECVFROM:5300,ipv6only=0,fork',
        'PIPE',
      ]);
      const host = address.includes(':') ? `[${address}]` : address;
      await vi.waitFor(async () => {
        const ask = ['socat', '-t0.3', '-', `UDP:${host}:5300`];
        const { stdout } = await net.server.exec(ask, { input: 'who?' });
        expect(stdout).toBe('who?');
      }, WAIT);
      far.kill();
      expect(await touchedAll(address, target)).toEqual([]);
    });
  });

  it('an offer for a DHCP client still reaches it', async () => {
    await net.clientA.moveToFreshSource();
    const client = startProcess(net.server.namespace, ['socat', '-u', 'UDP-RECV:68', '-']);
    const heard: string[] = [];
    client.stdout.on('data', (text) => heard.push(String(text)));
    await vi.waitFor(async () => {
      await net.clientA.exec(['socat', '-u', '-', `UDP:${net.clientA.server4}:68,sourceport=67`], {
        input: 'offer',
      });
      expect(heard.join('')).toContain('offer');
    }, WAIT);
    client.kill();
  });

  it("a neighbour's broadcast is no offence", async () => {
    const { v4 } = await net.clientA.moveToFreshSource();
    await net.clientA.exec(['socat', '-u', '-', 'UDP:192.0.2.255:137,broadcast'], { input: 'hello?' });
    expect(await touchedAll(v4, net.clientA.server4)).toEqual([]);
  });

  it('who holds a grant is not struck, since such packets can be forged in its name', async () => {
    const { v4 } = await net.clientA.moveToFreshSource();
    await net.clientA.exec(['knock', net.clientA.server4, '7000', '8000:udp', '9000']);
    await daemon.waitFor({ event: 'door.opened', source: v4 });
    await net.clientA.exec(['knock', net.clientA.server4, '23']);
    const hit = await daemon.waitFor({ event: 'decoy.hit', source: v4 });
    expect(hit.strikes).toBeUndefined();
  });
});

describe('a protected service that is touched without a grant', () => {
  let net: Net;

  beforeAll(async () => {
    net = await createNet();
    await net.server.listen(SERVICE);
  });
  afterAll(() => net?.close());

  const touch = async (target: string): Promise<void> => {
    for (let time = 0; time < 3; time += 1) await net.clientA.exec(['knock', target, `${SERVICE}`]);
  };

  it('is an offence with `strike_on_service`, and none for who was let in', async () => {
    // The same port touched again within 70 s is the same offence.
    const bans = { strikes: 1, strike_on_service: true };
    const daemon = await startTestDaemon(net.server, { ...CONFIG, decoys: ['23/tcp'], bans });
    for (const [server, offender, source] of [
      ['server4', 'v4', 'v4'],
      ['server6', 'v6Network', 'v6'],
    ] as const) {
      const stranger = await net.clientA.moveToFreshSource();
      await touch(net.clientA[server]);
      const hit = await daemon.waitFor({ event: 'decoy.hit', source: stranger[source] });
      expect(hit).toMatchObject({ reason: 'service', port: `${SERVICE}/tcp` });
      await daemon.waitFor({ event: 'ban.added', source: stranger[offender] });
    }
    const guest = await net.clientA.moveToFreshSource();
    const knocks = ['knock', net.clientA.server4, '7000', '8000:udp', '9000'];
    expect(await net.clientA.runThenConnect(knocks, net.clientA.server4, SERVICE, 3_000)).toBeDefined();
    await touch(net.clientA.server4);
    expect(daemon.seen({ event: 'decoy.hit', source: guest.v4 })).toEqual([]);
    await daemon.stop();
  });

  it('is none without: people forget to knock', async () => {
    const daemon = await startTestDaemon(net.server, { ...CONFIG, decoys: ['23/tcp'], bans: { strikes: 1 } });
    const { v4 } = await net.clientA.moveToFreshSource();
    await touch(net.clientA.server4);
    await net.clientA.exec(['knock', net.clientA.server4, '23']);
    await daemon.waitFor({ event: 'ban.added', source: v4 });
    expect(daemon.seen({ event: 'decoy.hit', source: v4 }).map((line) => line.port)).toEqual(['23/tcp']);
    await daemon.stop();
  });
});
