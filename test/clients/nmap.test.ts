import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { DEMO_CONFIG } from '../../scripts/demo-config.ts';
import type { Daemon } from '../support/daemon.ts';
import { createNet, type Net } from '../support/net.ts';
import { startTestDaemon } from '../support/test-daemon.ts';

const SERVICE = 22;
const CONFIG = {
  ...DEMO_CONFIG,
  decoys: [...DEMO_CONFIG.decoys, '161-162/udp', '1900/udp', '5353/udp'],
};
const TCP_DECOYS = '23,2323,3389,5900';
const UDP_DECOYS = '161,162,1900,5353';
const QUICK = [
  '-n',
  '-Pn',
  '--max-retries',
  '0',
  '--initial-rtt-timeout',
  '50ms',
  '--max-rtt-timeout',
  '100ms',
];

const SCANS = [
  { scan: '-sS', name: 'SYN', ports: TCP_DECOYS, event: 'decoy.hit' },
  { scan: '-sT', name: 'connect', ports: TCP_DECOYS, event: 'decoy.hit' },
  { scan: '-sU', name: 'UDP', ports: UDP_DECOYS, event: 'decoy.hit' },
  { scan: '-sN', name: 'NULL', ports: TCP_DECOYS, event: 'scan.detected', reason: 'null' },
  { scan: '-sF', name: 'FIN', ports: TCP_DECOYS, event: 'scan.detected', reason: 'fin' },
  { scan: '-sX', name: 'XMAS', ports: TCP_DECOYS, event: 'scan.detected', reason: 'xmas' },
  { scan: '-sA', name: 'ACK', ports: TCP_DECOYS, event: 'scan.detected', reason: 'ack' },
] as const;

describe('an nmap scan', () => {
  let net: Net;
  /** One for each scan: the log counts what is over twenty lines of one event a second, and nmap is as quick as that. */
  let daemon: Daemon;

  beforeAll(async () => {
    net = await createNet();
    await net.server.listen(SERVICE);
  });
  beforeEach(async (context) => {
    daemon = await net.server.startDaemon(CONFIG);
    context.onTestFinished(async () => void (await daemon.stop()));
  });
  afterAll(() => net?.close());

  describe.each(SCANS)('$scan ($name) over decoys', ({ scan, ports, ...offence }) => {
    const wanted = { event: offence.event, ...('reason' in offence ? { reason: offence.reason } : {}) };

    it('ends in a ban over IPv4', async () => {
      const { v4 } = await net.clientA.moveToFreshSource();
      const result = await net.clientA.exec([
        'nmap',
        scan,
        '-p',
        ports,
        '--send-ip',
        ...QUICK,
        net.clientA.server4,
      ]);
      expect(result).toMatchObject({ code: 0 });
      expect(await daemon.waitFor({ event: 'ban.added', source: v4 })).toMatchObject({ strikes: 3 });
      expect(daemon.seen({ ...wanted, source: v4 })).toHaveLength(3);
    });

    it('ends in a ban over IPv6', async () => {
      const { v6, v6Network } = await net.clientA.moveToFreshSource();
      const result = await net.clientA.exec(['nmap', '-6', scan, '-p', ports, ...QUICK, net.clientA.server6]);
      expect(result).toMatchObject({ code: 0 });
      expect(await daemon.waitFor({ event: 'ban.added', source: v6Network })).toMatchObject({ strikes: 3 });
      expect(daemon.seen({ ...wanted, source: v6 })).toHaveLength(3);
    });
  });

  it('of every port in ascending order does not open the door, though its knocks ascend', async () => {
    const { v4 } = await net.clientB.moveToFreshSource();
    const all = ['-sS', '-p-', '-r', '--send-ip', '--min-rate', '15000', ...QUICK];
    const result = await net.clientB.exec(['nmap', ...all, net.clientB.server4]);
    expect(result).toMatchObject({ code: 0 });
    await daemon.waitFor({ event: 'ban.added', source: v4 });
    expect(daemon.seen({ event: 'door.opened', source: v4 })).toEqual([]);
    expect(daemon.seen({ event: 'knock.accepted', source: v4 })).toEqual([]);
  });
});

describe('a door with tcp knocks in ascending order', () => {
  let net: Net;

  beforeAll(async () => {
    net = await createNet();
    await net.server.listen(SERVICE);
  });
  afterAll(() => net?.close());

  it('is opened by no ascending scan where a decoy lies between its knocks', async () => {
    const door = { knock: ['7000/tcp', '8000/tcp', '9000/tcp'], opens: [`${SERVICE}/tcp`], for: '4s' };
    const daemon = await startTestDaemon(net.server, { doors: { ssh: door }, decoys: ['7500/tcp'] });
    const { v4 } = await net.clientA.moveToFreshSource();
    const range = ['-sS', '-p', '6990-9010', '-r', '--send-ip', '--min-rate', '5000', ...QUICK];
    await net.clientA.exec(['nmap', ...range, net.clientA.server4]);
    await daemon.waitFor({ event: 'decoy.hit', source: v4 });
    await daemon.waitFor({ event: 'knock.wrong', source: v4 });
    expect(daemon.seen({ event: 'door.opened' })).toEqual([]);
    expect(await net.clientA.canConnect(net.clientA.server4, SERVICE)).toBe(false);
    await daemon.stop();
  });
});
