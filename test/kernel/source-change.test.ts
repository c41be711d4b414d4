import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Daemon } from '../support/daemon.ts';
import { createNet, type Net } from '../support/net.ts';

/* `listen` changed while the daemon runs: other queues, a group, and interfaces. */

const SERVICE = 22;
const LATE = 10_000;
const QUICK = 150;
/** Sources that knock at several queues: enough that every queue has some. */
const SOURCES = 6;

describe('a reload with another `listen`', () => {
  let net: Net;
  let daemon: Daemon;
  const config = (listen: object): object => ({
    listen,
    doors: { ssh: { knock: ['7001/tcp', '7002/udp', '7003/tcp'], opens: [SERVICE], for: '5m' } },
    decoys: ['23/tcp'],
  });

  beforeAll(async () => {
    net = await createNet();
    await net.server.listen(SERVICE);
    daemon = await net.server.startDaemon(config({ source: 'nfqueue', queues: '3-4' }));
  });
  afterAll(async () => {
    await daemon?.stop();
    net?.close();
  });

  const targets = async (): Promise<readonly string[]> => {
    const { stdout } = await net.server.exec(['iptables', '-S', 'NFKNOCK-QUEUE']);
    return [...stdout.matchAll(/-j (NF\w+ .*)$/gm)].map(([, target = '']) => target);
  };
  const change = async (listen: object): Promise<void> => {
    const before = daemon.seen({ event: 'daemon.reloaded' }).length;
    daemon.rewrite(config(listen));
    daemon.signal('SIGHUP');
    await expect
      .poll(() => daemon.seen({ event: 'daemon.reloaded' }).length, { timeout: LATE })
      .toBe(before + 1);
  };
  const expectKnocksCount = async (): Promise<void> => {
    const { v4, v6 } = await net.clientA.moveToFreshSource();
    for (const [target, source] of [
      [net.clientA.server4, v4],
      [net.clientA.server6, v6],
    ] as const) {
      await net.clientA.exec(['knock', target, '7001', '7002:udp', '7003']);
      await daemon.waitFor({ event: 'door.opened', source }, LATE);
      expect(await net.clientA.canConnect(target, SERVICE, LATE)).toBe(true);
    }
  };

  it('begins with two queues, which judge each source in order', async () => {
    expect((await targets())[0]).toMatch(/^NFQUEUE .*--queue-balance 3:4/);
    for (let time = 0; time < SOURCES; time += 1) await expectKnocksCount();
    expect(daemon.lines.filter((line) => line.strikes !== undefined)).toEqual([]);
  });

  it('goes over to the log group, and keeps every grant', async () => {
    const before = net.clientA.source();
    await change({ source: 'nflog', group: 7 });
    expect((await targets())[0]).toMatch(/^NFLOG .*--nflog-group 7/);
    expect(await net.clientA.canConnect(net.clientA.server4, SERVICE, LATE)).toBe(true);
    await expectKnocksCount();
    expect(daemon.seen({ event: 'door.closed', source: before.v4 })).toEqual([]);
  });

  it('goes back to a queue', async () => {
    await change({ source: 'nfqueue', queues: 5 });
    expect((await targets())[0]).toMatch(/^NFQUEUE .*--queue-num 5/);
    await expectKnocksCount();
    // What it does not read any more, another may.
    const { stdout } = await net.server.exec(['cat', '/proc/net/netfilter/nfnetlink_queue']);
    // 65535 is the sign that a daemon serves here; no rule leads to it.
    const others = stdout
      .trim()
      .split('\n')
      .filter((line) => !line.startsWith('65535 '));
    expect(others).toEqual([expect.stringMatching(/^\s*5\s/)]);
  });

  it('guards the interfaces that are named, and no other', async () => {
    await change({ source: 'nfqueue', queues: 5, interfaces: ['toA'] });
    await net.clientA.moveToFreshSource();
    await net.clientB.moveToFreshSource();
    expect(await net.clientA.canConnect(net.clientA.server4, SERVICE, QUICK)).toBe(false);
    expect(await net.clientB.canConnect(net.clientB.server4, SERVICE, LATE)).toBe(true);
    await expectKnocksCount();
  });
});
