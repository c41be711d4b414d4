import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Daemon } from '../support/daemon.ts';
import { createNet, type Net } from '../support/net.ts';
import { example } from './lookalike.ts';
import { scratchFolder, sh } from './peers-knockd.ts';

const SSH = 22;
const BOB = ['17321:udp', '29011', '23456', '31999:udp'];
const ALICE = [
  ['2001', '3001:udp', '4001'],
  ['2002', '3002:udp', '4002'],
  ['2003', '3003:udp', '4003'],
];

describe('what the doorman does, by examples/doorman.yaml:', () => {
  let net: Net;
  let daemon: Daemon;
  let config: Record<string, unknown>;
  const sequences = join(scratchFolder(), 'alice');

  beforeAll(async () => {
    net = await createNet();
    await net.server.listen(SSH);
    writeFileSync(sequences, ALICE.map((ports) => ` ${ports.join(',')}\n`).join(''));
    config = example('doorman', { '/var/lib/nfknock/alice.sequences': sequences });
    daemon = await net.server.startDaemon(config);
  });
  afterAll(async () => {
    await daemon?.stop();
    net?.close();
  });

  const knock = (ports: readonly string[] = []): Promise<unknown> =>
    net.clientA.exec(['knock', net.clientA.server4, ...ports]);
  const reaches = (): Promise<boolean> => net.clientA.canConnect(net.clientA.server4, SSH);
  const comeFrom = (address: string): Promise<string> =>
    sh(net.clientA, `ip route replace 192.0.2.0/24 dev eth0 src ${address}`);
  const rules = async (): Promise<number> =>
    (await sh(net.server, 'iptables -S NFKNOCK-GRANT')).split('\n').filter((rule) => rule.includes('ACCEPT'))
      .length;

  it('the rule lets one connection in and is gone; that connection stays', async () => {
    const { v4 } = await net.clientA.moveToFreshSource();
    await knock(BOB);
    await daemon.waitFor({ event: 'door.opened', source: v4, door: 'bob' });
    expect(await rules()).toBe(1);
    const connection = await net.clientA.openConnection(net.clientA.server4, SSH);
    await daemon.waitFor({ event: 'door.closed', source: v4, reason: 'used' });
    expect(await rules()).toBe(0);
    expect(await reaches()).toBe(false);
    expect(await connection.echoes('still in')).toBe(true);
  });

  it('the rule follows its user to another address, and the one before is out', async () => {
    const { v4: home } = await net.clientA.moveToFreshSource();
    await knock(BOB);
    await daemon.waitFor({ event: 'door.opened', source: home, door: 'bob' });
    const { v4: train } = await net.clientA.moveToFreshSource();
    await knock(BOB);
    await daemon.waitFor({ event: 'door.opened', source: train, door: 'bob' });
    expect(await daemon.waitFor({ event: 'door.closed', source: home })).toMatchObject({ reason: 'moved' });
    expect(await rules()).toBe(1);
    await comeFrom(home);
    expect(await reaches()).toBe(false);
    await comeFrom(train);
    expect(await reaches()).toBe(true);
  });

  it("one user's coming is nothing to the other", async () => {
    const { v4 } = await net.clientA.moveToFreshSource();
    await knock(BOB);
    await daemon.waitFor({ event: 'door.opened', source: v4, door: 'bob' });
    const { v4: alice } = await net.clientA.moveToFreshSource();
    await knock(ALICE[0]);
    await daemon.waitFor({ event: 'door.opened', source: alice, door: 'alice' });
    expect(await rules()).toBe(2);
    expect(daemon.seen({ event: 'door.closed', source: v4 })).toEqual([]);
  });

  it.each(['SIGTERM', 'SIGKILL'] as const)(
    'who was let in, and what was used, survives %s',
    async (signal) => {
      const ports = ALICE[signal === 'SIGTERM' ? 1 : 2];
      const { v4 } = await net.clientA.moveToFreshSource();
      await knock(ports);
      await daemon.waitFor({ event: 'door.opened', source: v4, door: 'alice' });
      await daemon.stop(signal);
      daemon = await net.server.startDaemon(config, { folder: daemon.folder });

      // A sequence that was used does not open again, also after a restart.
      const { v4: stranger } = await net.clientA.moveToFreshSource();
      await knock(ports);
      expect(await reaches()).toBe(false);
      expect(daemon.seen({ event: 'door.opened', source: stranger })).toEqual([]);

      await comeFrom(v4);
      expect(await reaches()).toBe(true);
      // The one use that the grant had left was known too.
      await daemon.waitFor({ event: 'door.closed', source: v4, reason: 'used' });
      expect(
        readFileSync(sequences, 'utf8')
          .split('\n')
          .filter((line) => line.startsWith('#')),
      ).toHaveLength(signal === 'SIGTERM' ? 2 : 3);
    },
  );
});
