import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { buildFlood } from '../support/attacker-tools.ts';
import type { Daemon } from '../support/daemon.ts';
import { createNet, type Net } from '../support/net.ts';
import { example, hostBehind, moveBehindServer } from './lookalike.ts';

const SSH = 22;
const BEHIND = 8022;
const QUICK = ['-n', '-Pn', '--send-ip', '--max-retries', '0', '--max-rtt-timeout', '100ms'];

describe("what rules with iptables' `recent` do, by examples/recent.yaml:", () => {
  let net: Net;
  let daemon: Daemon;

  beforeAll(async () => {
    net = await createNet();
    await net.server.listen(SSH);
    const host = await hostBehind(net, [BEHIND]);
    await net.server.exec(['ip', 'route', 'add', '203.0.113.0/24', 'dev', 'toA']);
    daemon = await net.server.startDaemon(example('recent', { '10.0.0.5': host }));
  });
  afterEach(async () => {
    await moveBehindServer(net.clientA);
  });
  afterAll(async () => {
    await daemon?.stop();
    net?.close();
  });

  const knock = (...ports: readonly string[]): Promise<unknown> =>
    net.clientA.exec(['knock', net.clientA.server4, ...ports]);
  const scan = (...how: readonly string[]): Promise<unknown> =>
    net.clientA.exec([
      'nmap',
      '-sS',
      '-r',
      '--initial-rtt-timeout',
      '50ms',
      ...how,
      ...QUICK,
      net.clientA.server4,
    ]);
  const reaches = (port: number): Promise<boolean> => net.clientA.canConnect(net.clientA.server4, port);

  it('one port opens, another closes', async () => {
    const { v4 } = net.clientA.source();
    expect(await reaches(SSH)).toBe(false);
    await knock('1600');
    await daemon.waitFor({ event: 'door.opened', source: v4 });
    expect(await reaches(SSH)).toBe(true);
    await sleep(5_100);
    await knock('1603');
    await daemon.waitFor({ event: 'door.closed', source: v4, reason: 'knock' });
    expect(await reaches(SSH)).toBe(false);
  });

  it.each([
    ['upwards', ['-p', '1500-1700']],
    ['downwards', ['-p', '1610,1609,1608,1607,1606,1605,1604,1603,1602,1601,1600,1599']],
    ['over the knock and its neighbours alone', ['-p', '1599,1600,1601']],
    ['upwards, at the first knock of the staircase', ['-p', '2590-2720']],
  ])('the traps beside the knock stop a scan %s', async (_, ports) => {
    const { v4 } = net.clientA.source();
    await scan(...ports);
    await daemon.waitFor({ event: 'ban.added', source: v4 });
    for (const port of [SSH, BEHIND]) expect(await reaches(port)).toBe(false);
    expect(daemon.seen({ event: 'door.opened', source: v4, door: 'ssh' })).toEqual([]);
    expect(daemon.seen({ event: 'door.opened', source: v4, door: 'step3' })).toEqual([]);
  });

  it('each knock opens the port of the next, and the last leads to a host behind', async () => {
    const { v4 } = net.clientA.source();
    for (const [port, door] of [
      ['2600', 'step1'],
      ['2710', 'step2'],
      ['2650', 'step3'],
    ] as const) {
      expect(await reaches(BEHIND)).toBe(false);
      await knock(port);
      await daemon.waitFor({ event: 'door.opened', source: v4, door });
    }
    expect(await reaches(BEHIND)).toBe(true);
    expect(await reaches(SSH)).toBe(false);
  });

  it('a later step is dead to whoever has not made the one before', async () => {
    const { v4 } = net.clientA.source();
    await knock('2650', '2710');
    await knock('2600');
    await daemon.waitFor({ event: 'door.opened', source: v4, door: 'step1' });
    // The third step while only the first is made.
    await knock('2650');
    await knock('1600');
    await daemon.waitFor({ event: 'door.opened', source: v4, door: 'ssh' });
    expect(daemon.seen({ event: 'door.opened', source: v4 }).map((line) => line.door)).toEqual([
      'step1',
      'ssh',
    ]);
    expect(await reaches(BEHIND)).toBe(false);
  });

  it('who has knocked is not forgotten in a flood of forged knocks, as in its list of 100 addresses', async () => {
    const { v4 } = net.clientA.source();
    const flood = buildFlood();
    const forged = async (port: number): Promise<void> => {
      const from = ['-s', '203.0.113.0/24', '-n', '1000', '-r', '5000'];
      await net.clientA.exec([flood, '-d', net.clientA.server4, '-p', `${port}`, ...from]);
    };
    // Beside ours, as every guide has it: port 5600 lets in at 5022 for an hour.
    await net.server.listen(5022);
    const recent = ['-m', 'recent', '--name', 'knocked'];
    for (const rule of [
      ['-p', 'tcp', '--dport', '5600', ...recent, '--set', '-j', 'DROP'],
      ['-p', 'tcp', '--dport', '5022', '--syn', ...recent, '--rcheck', '--seconds', '3600', '-j', 'ACCEPT'],
      ['-p', 'tcp', '--dport', '5022', '--syn', '-j', 'DROP'],
    ])
      await net.server.exec(['iptables', '-A', 'INPUT', ...rule]);
    await knock('5600', '1600');
    await daemon.waitFor({ event: 'door.opened', source: v4, door: 'ssh' });
    expect([await reaches(5022), await reaches(SSH)]).toEqual([true, true]);
    await Promise.all([forged(5600), forged(1600)]);
    expect([await reaches(5022), await reaches(SSH)]).toEqual([false, true]);
  });
});
