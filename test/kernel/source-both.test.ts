import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Daemon, Line } from '../support/daemon.ts';
import { createNet, type Net, type Source } from '../support/net.ts';
import { startProcess } from '../support/process.ts';

/*
 * What is promised of a queue is promised of a log group: the same tests over both, and at the end the same
 * packets through both, whose events must be the same, one by one.
 */

const SERVICE = 22;
const PUBLIC_SERVICE = 8080;
const KNOCKS = ['7000', '8000:udp', '9000'];
const CONFIG = {
  doors: { ssh: { knock: ['7000/tcp', '8000/udp', '9000/tcp'], opens: [`${SERVICE}/tcp`], for: '1500ms' } },
  decoys: ['23/tcp', '2323/tcp', '3389/tcp', '5900/tcp', '161/udp', '1900/udp', '5353/udp'],
  bans: { strikes: 3, within: '60s', for: '10m' },
};
const TCP_DECOYS = '23,2323,3389,5900';
/** Milliseconds in which a connection is made where it can be. */
const QUICK = 200;
/** Milliseconds for an event that a busy machine may be late with. */
const LATE = 10_000;

const FAMILIES = [
  { family: 'IPv4', server: 'server4', source: 'v4', offender: 'v4', six: [] },
  { family: 'IPv6', server: 'server6', source: 'v6', offender: 'v6Network', six: ['-6'] },
] as const;
const SCANS = [
  { scan: '-sS', ports: TCP_DECOYS, event: 'decoy.hit' },
  { scan: '-sT', ports: TCP_DECOYS, event: 'decoy.hit' },
  { scan: '-sU', ports: '161,1900,5353', event: 'decoy.hit' },
  { scan: '-sN', ports: TCP_DECOYS, event: 'scan.detected', reason: 'null' },
  { scan: '-sF', ports: TCP_DECOYS, event: 'scan.detected', reason: 'fin' },
  { scan: '-sX', ports: TCP_DECOYS, event: 'scan.detected', reason: 'xmas' },
  { scan: '-sA', ports: TCP_DECOYS, event: 'scan.detected', reason: 'ack' },
  { scan: '-sM', ports: TCP_DECOYS, event: 'scan.detected', reason: 'maimon' },
] as const;
const NMAP = ['-n', '-Pn', '--send-ip', '--initial-rtt-timeout', '50ms', '--max-rtt-timeout', '100ms'];

/** What the source before this one told. */
const toldBefore: (readonly string[])[] = [];

describe.each(['nfqueue', 'nflog'])('with `listen.source: %s`', (source) => {
  let net: Net;
  let daemon: Daemon;
  const config = { ...CONFIG, listen: { source } };

  beforeAll(async () => {
    net = await createNet();
    for (const port of [SERVICE, PUBLIC_SERVICE]) await net.server.listen(port);
    daemon = await net.server.startDaemon(config);
  });
  afterAll(async () => {
    await daemon?.stop();
    net?.close();
  });

  describe.each(FAMILIES)('over $family', ({ server, source: own, offender, six }) => {
    it('a knock opens the door for who knocked, for its time, and for nobody else', async () => {
      const address = (await net.clientA.moveToFreshSource())[own];
      const target = net.clientA[server];
      expect(await net.clientA.canConnect(target, SERVICE, QUICK)).toBe(false);
      const letIn = await net.clientA.runThenConnect(['knock', target, ...KNOCKS], target, SERVICE, LATE);
      expect(letIn).toBeDefined();
      expect(await net.clientB.canConnect(net.clientB[server], SERVICE, QUICK)).toBe(false);
      await daemon.waitFor({ event: 'door.closed', source: address, reason: 'expired' }, LATE);
      expect(await net.clientA.canConnect(target, SERVICE, QUICK)).toBe(false);
      expect(await letIn?.echoes('still here')).toBe(true);
    });

    it('who knocks in another order is banned at the third offence, and let in nowhere', async () => {
      const address = (await net.clientA.moveToFreshSource())[offender];
      const target = net.clientA[server];
      expect(await net.clientA.canConnect(target, PUBLIC_SERVICE, LATE)).toBe(true);
      for (const port of ['9000', '8000:udp', '7000', '9000'])
        await net.clientA.exec(['knock', target, port]);
      await daemon.waitFor({ event: 'ban.added', source: address, strikes: 3 }, LATE);
      await net.clientA.exec(['knock', target, ...KNOCKS]);
      for (const port of [SERVICE, PUBLIC_SERVICE]) {
        expect(await net.clientA.canConnect(target, port, QUICK)).toBe(false);
      }
    });

    // Against: nmap's scans
    // by: decoys, stealth scans known by their flags
    it.each(SCANS)('nmap $scan over decoys is known for what it is, and ends in a ban', async (each) => {
      const fresh = await net.clientA.moveToFreshSource();
      const argv = ['nmap', each.scan, '-p', each.ports, ...NMAP, ...six, net.clientA[server]];
      const nmap = startProcess(net.clientA.namespace, argv);
      const { event } = each;
      const offence = 'reason' in each ? { event, reason: each.reason } : { event };
      await daemon.waitFor({ ...offence, source: fresh[own], strikes: 3 }, LATE);
      await daemon.waitFor({ event: 'ban.added', source: fresh[offender] }, LATE);
      nmap.kill('SIGKILL');
    });
  });

  it('a client that repeats its dropped SYN makes one knock', async () => {
    const { v4, v6 } = await net.clientB.moveToFreshSource();
    const { server4, server6 } = net.clientB;
    await Promise.all(
      [server4, server6].map((target) => net.clientB.exec(['timeout', '1.4', 'nc', '-z', target, '7000'])),
    );
    for (const [target, address] of [
      [server4, v4],
      [server6, v6],
    ] as const) {
      expect(tellStory(daemon.seen({ source: address }))).toEqual(['knock.accepted ssh 7000/tcp 1']);
      await net.clientB.exec(['knock', target, '8000:udp', '9000']);
      await daemon.waitFor({ event: 'door.opened', source: address }, LATE);
    }
  });

  it('a daemon that is dead lets no newcomer in, and the next one takes up where it was', async () => {
    await net.clientA.moveToFreshSource();
    const { server4 } = net.clientA;
    await daemon.stop('SIGKILL');
    await net.clientA.exec(['knock', server4, ...KNOCKS]);
    expect(await net.clientA.canConnect(server4, SERVICE, QUICK)).toBe(false);
    daemon = await net.server.startDaemon(config, { folder: daemon.folder });
    expect(
      await net.clientA.runThenConnect(['knock', server4, ...KNOCKS], server4, SERVICE, LATE),
    ).toBeDefined();
  });

  it('tells of the same packets with the same events', async () => {
    const fresh = await net.clientA.moveToFreshSource();
    const stories = await Promise.all(FAMILIES.map((family) => misbehave(family, fresh)));
    const told = stories.flatMap(tellStory);
    expect(told.length).toBeGreaterThan(20);
    const [other = told] = toldBefore;
    expect(told).toEqual(other);
    toldBefore.push(told);
  });

  /** A bit of everything, from one source; answers with all that was said of it. */
  async function misbehave(
    { server, source: own, offender }: (typeof FAMILIES)[number],
    fresh: Source,
  ): Promise<readonly Line[]> {
    const knock = async (...ports: readonly string[]): Promise<void> => {
      for (const port of ports) await net.clientA.exec(['knock', net.clientA[server], port]);
    };
    await knock('7000', '9000', '23', ...KNOCKS);
    // What changes the kernel is said once it has: until then the next knock waits.
    await daemon.waitFor({ event: 'door.opened', source: fresh[own] }, LATE);
    await knock(...KNOCKS);
    await daemon.waitFor({ event: 'door.renewed', source: fresh[own] }, LATE);
    await knock('7000', '8000:udp', '2323');
    await daemon.waitFor({ event: 'door.closed', source: fresh[own], reason: 'expired' }, LATE);
    // Other decoys than before: the same one touched again within 70 s is the same offence.
    await knock('5900', '161:udp', '3389', '7000');
    await daemon.waitFor({ event: 'ban.added', source: fresh[offender] }, LATE);
    return daemon.lines.filter((line) => line.source === fresh[own] || line.source === fresh[offender]);
  }
});

function tellStory(lines: readonly Line[]): readonly string[] {
  return lines.map(({ event, door, port, step, strikes, reason }) =>
    [event, door, port, step, strikes === undefined ? undefined : `strike ${strikes}`, reason]
      .filter((word) => word !== undefined)
      .join(' '),
  );
}
