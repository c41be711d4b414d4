import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Daemon } from '../support/daemon.ts';
import { createNet, type Net } from '../support/net.ts';
import { example } from './lookalike.ts';
import { scratchFolder } from './peers-knockd.ts';

const WALLET = 9111;
const SSH = 22;
const WEB = [80, 443];
const KNOCKS = ['53:udp', '443', '123:udp', '80'];

describe('what the Decred guide builds, by examples/decred.yaml:', () => {
  let net: Net;
  let daemon: Daemon;

  beforeAll(async () => {
    net = await createNet();
    for (const port of [...WEB, WALLET, SSH]) await net.server.listen(port);
    const sequences = join(scratchFolder(), 'admin');
    writeFileSync(sequences, ' 123:udp,80,53:udp,443\n 80,53:udp,443,123:udp\n');
    daemon = await net.server.startDaemon(
      example('decred', { '/var/lib/nfknock/admin.sequences': sequences }),
    );
  });
  afterAll(async () => {
    await daemon?.stop();
    net?.close();
  });

  const knock = (...ports: readonly string[]): Promise<unknown> =>
    net.clientA.exec(['knock', net.clientA.server4, ...ports]);
  const reaches = (port: number): Promise<boolean> => net.clientA.canConnect(net.clientA.server4, port);

  it('knocks on common ports, with mixed protocols, open for another address than the knocker has', async () => {
    const { v4 } = await net.clientA.moveToFreshSource();
    await net.clientB.addAddress('198.51.100.17');
    const office = (): Promise<boolean> => net.clientB.canConnect(net.clientB.server4, WALLET);
    expect(await office()).toBe(false);
    await knock(...KNOCKS);
    const opened = await daemon.waitFor({ event: 'door.opened', source: v4, door: 'wallet' });
    expect(opened).toMatchObject({ grantee: '198.51.100.16/28' });
    expect(await office()).toBe(true);
    expect(await reaches(WALLET)).toBe(false);
    await net.clientB.moveToFreshSource();
    expect(await office()).toBe(false);
  });

  it('the web server on two of the knock ports answers everyone, at every moment', async () => {
    const { v4 } = await net.clientA.moveToFreshSource();
    for (const port of WEB) {
      for (let time = 0; time < 8; time += 1) expect(await reaches(port)).toBe(true);
    }
    expect(daemon.seen({ event: 'ban.added', source: v4 })).toEqual([]);
  });

  it('whole connections to the web server are knocks too', async () => {
    const { v4 } = await net.clientA.moveToFreshSource();
    await knock('53:udp');
    expect(await reaches(443)).toBe(true);
    await knock('123:udp');
    expect(await reaches(80)).toBe(true);
    await daemon.waitFor({ event: 'knock.accepted', source: v4, step: 4 });
  });

  it('a sequence of the file opens once, and then the next one does', async () => {
    for (const ports of [
      ['123:udp', '80', '53:udp', '443'],
      ['80', '53:udp', '443', '123:udp'],
    ]) {
      const { v4 } = await net.clientA.moveToFreshSource();
      await knock(...ports);
      await daemon.waitFor({ event: 'door.opened', source: v4, door: 'admin' });
      expect(await reaches(SSH)).toBe(true);
      const { v4: second } = await net.clientA.moveToFreshSource();
      await knock(...ports);
      expect(await reaches(SSH)).toBe(false);
      expect(daemon.seen({ event: 'door.opened', source: second, door: 'admin' })).toEqual([]);
    }
  });

  it('who sends more than ten packets a second is banned, though each is a knock; the web server stays', async () => {
    const { v4 } = await net.clientA.moveToFreshSource();
    const often = ['-q', '-I', 'eth0', '-a', v4, '--udp', '-p', '53', '-c', '30', '-i', 'u3000'];
    await net.clientA.exec(['timeout', '2', 'hping3', ...often, net.clientA.server4]);
    await daemon.waitFor({ event: 'scan.detected', source: v4, reason: 'rate' });
    await daemon.waitFor({ event: 'ban.added', source: v4 });
    for (const port of WEB) expect(await reaches(port)).toBe(true);
    await knock(...KNOCKS);
    expect(daemon.seen({ event: 'door.opened', source: v4 })).toEqual([]);
  });

  it('who sends SYNs to other ports is banned at the second', async () => {
    const { v4 } = await net.clientA.moveToFreshSource();
    await knock('81', '8443');
    expect(await daemon.waitFor({ event: 'ban.added', source: v4 })).toMatchObject({ strikes: 2 });
  });
});
