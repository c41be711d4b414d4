import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Change } from '../../src/firewall/firewall.ts';
import type { Config } from '../../src/policy/config.ts';
import { cidr, configOf } from '../support/configs.ts';
import { answersPing, type FirewallProxy, startFirewall } from '../support/firewall-proxy.ts';
import { createNet, type Net } from '../support/net.ts';

const SERVICE = 22;
const PUBLIC = 80;
const OTHER = 2200;
/** Milliseconds that a grant lasts where its end does not matter. */
const LATER = 60_000;
/** Milliseconds in which a connection is made where it can be: hosts are a cable apart. */
const QUICK = 120;

const CONFIG = configOf({
  doors: {
    ssh: { knock: ['7000/tcp', '8000/udp'], opens: [SERVICE] },
    web: { knock: [7100, 8100], opens: [OTHER] },
  },
  decoys: [23],
  allow: [PUBLIC],
});

const FAMILIES = [
  { family: 4, name: 'IPv4', server: 'server4', source: 'v4', iptables: 'iptables' },
  { family: 6, name: 'IPv6', server: 'server6', source: 'v6', iptables: 'ip6tables' },
] as const;

describe('packets and the rules', () => {
  let net: Net;
  let firewall: FirewallProxy;

  beforeAll(async () => {
    net = await createNet();
    for (const port of [SERVICE, PUBLIC, OTHER]) await net.server.listen(port);
    firewall = await startFirewall(net.server.namespace, CONFIG);
    await firewall.install();
  });
  afterAll(async () => {
    await firewall?.kill();
    net?.close();
  });

  const open = (who: string, ms: number = LATER, door = 'ssh'): Change => ({
    change: 'open',
    door,
    grantee: who === 'any' ? 'any' : cidr(who),
    until: Date.now() + ms,
  });
  const close = (who: string): Change => ({
    change: 'close',
    door: 'ssh',
    grantee: who === 'any' ? 'any' : cidr(who),
  });
  const ban = (who: string): Change => ({ change: 'ban', target: cidr(who), until: Date.now() + LATER });
  const unban = (who: string): Change => ({ change: 'unban', target: cidr(who) });
  const under = async (config: object, check: () => Promise<void>): Promise<void> => {
    await firewall.replace({ ...CONFIG, ...config } as Config);
    try {
      await check();
    } finally {
      await firewall.replace(CONFIG);
    }
  };

  describe.each(FAMILIES)('over $name', ({ server, source, iptables }) => {
    /** Packets that the first rule of a chain with this text in it has counted. */
    const counted = async (chain: string, text: string): Promise<number> => {
      const { stdout } = await net.server.exec([iptables, '-v', '-S', chain]);
      const rule = stdout.split('\n').find((line) => line.startsWith(`-A ${chain} `) && line.includes(text));
      return Number(/ -c (\d+) /.exec(rule ?? '')?.[1] ?? Number.NaN);
    };
    const counts = async (chain: string, text: string, send: () => Promise<unknown>): Promise<number> => {
      const before = await counted(chain, text);
      await send();
      return (await counted(chain, text)) - before;
    };

    it('keep a protected port shut, and open it to one source and on one port alone', async () => {
      const { [source]: address } = await net.clientA.moveToFreshSource();
      const target = net.clientA[server];
      expect(await net.clientA.canConnect(target, SERVICE, QUICK)).toBe(false);
      await firewall.apply([open(address)]);
      expect(await net.clientA.canConnect(target, SERVICE)).toBe(true);
      expect(await net.clientA.canConnect(target, OTHER, QUICK)).toBe(false);
      expect(await net.clientB.canConnect(net.clientB[server], SERVICE, QUICK)).toBe(false);
      await net.clientA.moveToFreshSource();
      expect(await net.clientA.canConnect(target, SERVICE, QUICK)).toBe(false);
      await firewall.apply([close(address)]);
    });

    it('let a connection live on whose grant has ended, and no new one in', async () => {
      const { [source]: address } = await net.clientA.moveToFreshSource();
      await firewall.apply([open(address)]);
      const connection = await net.clientA.openConnection(net.clientA[server], SERVICE);
      await firewall.apply([close(address)]);
      expect(await net.clientA.canConnect(net.clientA[server], SERVICE, QUICK)).toBe(false);
      expect(await connection.echoes('still here')).toBe(true);
      await connection.close();
    });

    it('let everyone in where a door is opened for everyone', async () => {
      await firewall.apply([open('any')]);
      expect(await net.clientA.canConnect(net.clientA[server], SERVICE)).toBe(true);
      expect(await net.clientB.canConnect(net.clientB[server], SERVICE)).toBe(true);
      await firewall.apply([close('any')]);
      expect(await net.clientB.canConnect(net.clientB[server], SERVICE, QUICK)).toBe(false);
    });

    it('drop every new packet of a banned source, allowed services and pings too, and none of an old one', async () => {
      const fresh = await net.clientA.moveToFreshSource();
      const target = net.clientA[server];
      const banned = source === 'v4' ? fresh.v4 : fresh.v6Network;
      const connection = await net.clientA.openConnection(target, PUBLIC);
      await firewall.apply([open(fresh[source]), ban(banned)]);
      expect(await net.clientA.canConnect(target, PUBLIC, QUICK)).toBe(false);
      expect(await net.clientA.canConnect(target, SERVICE, QUICK)).toBe(false);
      expect(await answersPing(net.clientA, target)).toBe(false);
      expect(await net.clientB.canConnect(net.clientB[server], PUBLIC)).toBe(true);
      expect(await connection.echoes('still here')).toBe(true);
      await firewall.apply([{ change: 'cut', target: cidr(banned) }]);
      expect(await connection.echoes('gone', 500)).toBe(false);
      await firewall.apply([unban(banned), close(fresh[source])]);
      expect(await net.clientA.canConnect(target, PUBLIC)).toBe(true);
      expect(await answersPing(net.clientA, target)).toBe(true);
    });

    // Against: the ban oracle, on the kernel
    // by: where the rules look at bans
    it('hide a ban from public ports where its scope is hidden', async () => {
      await under({ bans: { ...CONFIG.bans, scope: 'hidden' } }, async () => {
        const fresh = await net.clientA.moveToFreshSource();
        const banned = source === 'v4' ? fresh.v4 : fresh.v6Network;
        await firewall.apply([open(fresh[source]), ban(banned)]);
        expect(await net.clientA.canConnect(net.clientA[server], PUBLIC)).toBe(true);
        expect(await net.clientA.canConnect(net.clientA[server], SERVICE, QUICK)).toBe(false);
        const seen = await counts('NFKNOCK-QUEUE', 'NFQUEUE', () =>
          net.clientA.canConnect(net.clientA[server], 7000),
        );
        expect(seen).toBe(0);
        await firewall.apply([unban(banned), close(fresh[source])]);
      });
    });

    it('lay no ban where bans are not enforced', async () => {
      await under({ bans: { ...CONFIG.bans, enforce: false } }, async () => {
        const fresh = await net.clientA.moveToFreshSource();
        const banned = source === 'v4' ? fresh.v4 : fresh.v6Network;
        await firewall.apply([ban(banned)]);
        expect(await net.clientA.canConnect(net.clientA[server], PUBLIC)).toBe(true);
        await firewall.apply([unban(banned)]);
      });
    });

    it('hand knocks and decoys to the queue, stealth scans too, and nothing else', async () => {
      await net.clientA.moveToFreshSource();
      const target = net.clientA[server];
      const queued = (send: () => Promise<unknown>): Promise<number> =>
        counts('NFKNOCK-QUEUE', 'NFQUEUE', send);
      expect(await queued(() => net.clientA.canConnect(target, 7000, 100))).toBe(1);
      expect(await queued(() => net.clientA.canConnect(target, 23, 100))).toBe(1);
      for (const port of [SERVICE, PUBLIC, 1]) {
        expect(await queued(() => net.clientA.canConnect(target, port, 100))).toBe(0);
      }
      const six = source === 'v6' ? ['-6'] : [];
      for (const scan of ['-sN', '-sF', '-sX', '-sA']) {
        const nmap = [
          'nmap',
          ...six,
          '-n',
          '-Pn',
          scan,
          '-p',
          '7000',
          '--max-retries',
          '0',
          '--max-rtt-timeout',
          '50ms',
          target,
        ];
        expect(await queued(() => net.clientA.exec(nmap))).toBe(1);
      }
    });

    it('never hand an answer to our own packets to the queue', async () => {
      await under({ decoys: 'all' }, async () => {
        const { [source]: address } = await net.clientA.moveToFreshSource();
        const six = source === 'v6' ? ['-6'] : [];
        const answers = await counts('NFKNOCK-QUEUE', 'NFQUEUE', async () => {
          const nmap = ['nmap', ...six, '-n', '-Pn', '-sT', '-p', '1-20', address];
          expect((await net.server.exec(nmap)).stdout).toContain('20/tcp closed');
        });
        expect(answers).toBe(0);
      });
    });

    it('with decoys on all ports, queue every port that is neither open nor for DHCP clients', async () => {
      await under({ decoys: 'all' }, async () => {
        await net.clientA.moveToFreshSource();
        const target = net.clientA[server];
        const queued = (send: () => Promise<unknown>): Promise<number> =>
          counts('NFKNOCK-QUEUE', 'NFQUEUE', send);
        for (const port of [1, 7000, 65_535]) {
          expect(await queued(() => net.clientA.canConnect(target, port, 100))).toBe(1);
        }
        expect(await queued(() => net.clientA.canConnect(target, SERVICE, 100))).toBe(0);
        expect(await queued(() => net.clientA.canConnect(target, PUBLIC, 100))).toBe(0);
        const udp = (port: number): Promise<unknown> =>
          net.clientA.exec(['sh', '-c', 'echo | nc -u -w1 -q0 "$0" "$1"', target, `${port}`]);
        expect(await queued(() => udp(9))).toBe(1);
        expect(await queued(() => udp(source === 'v4' ? 68 : 546))).toBe(0);
        if (source !== 'v4') return;
        const broadcast = 'echo | socat -u - UDP4-DATAGRAM:192.0.2.255:9,broadcast';
        expect(await queued(() => net.clientA.exec(['sh', '-c', broadcast]))).toBe(0);
      });
    });

    it('show a chained knock to the daemon only with the grant that opens it', async () => {
      const chained = configOf({
        doors: {
          outer: { knock: [7000, 8000], opens: [9000] },
          inner: { knock: [9000, 9100], opens: [SERVICE] },
        },
      });
      await under(chained, async () => {
        const { [source]: address } = await net.clientA.moveToFreshSource();
        const target = net.clientA[server];
        const knock = (): Promise<unknown> => net.clientA.canConnect(target, 9000, 100);
        expect(await counts('NFKNOCK-QUEUE', 'NFQUEUE', knock)).toBe(0);
        await firewall.apply([open(address, LATER, 'outer')]);
        expect(await counts('NFKNOCK-GRANT', 'NFQUEUE', knock)).toBe(1);
      });
    });

    it('copy a knock at a live service and let it pass', async () => {
      const observed = configOf({
        doors: { ssh: { knock: [PUBLIC, 7000], opens: [SERVICE] } },
        allow: [PUBLIC],
      });
      await under(observed, async () => {
        const copied = await counts('NFKNOCK', 'NFLOG', async () => {
          expect(await net.clientA.canConnect(net.clientA[server], PUBLIC)).toBe(true);
        });
        expect(copied).toBe(1);
      });
    });

    it('let in by sets as well as by rules', async () => {
      await under({ grants: 'set' }, async () => {
        const { [source]: address } = await net.clientA.moveToFreshSource();
        expect(await net.clientA.canConnect(net.clientA[server], SERVICE, QUICK)).toBe(false);
        await firewall.apply([open(address)]);
        expect(await net.clientA.canConnect(net.clientA[server], SERVICE)).toBe(true);
        expect(await net.clientB.canConnect(net.clientB[server], SERVICE, QUICK)).toBe(false);
        await firewall.apply([close(address)]);
        expect(await net.clientA.canConnect(net.clientA[server], SERVICE, QUICK)).toBe(false);
      });
    });
  });

  it('end a grant at its time, to the second, with nobody alive to do it', async () => {
    const { v4, v6 } = await net.clientA.moveToFreshSource();
    await firewall.apply([open(v4, 1_200), open(v6, 1_200)]);
    await firewall.kill();
    expect(await net.clientA.canConnect(net.clientA.server4, SERVICE)).toBe(true);
    expect(await net.clientA.canConnect(net.clientA.server6, SERVICE)).toBe(true);
    await sleep(2_300);
    expect(await net.clientA.canConnect(net.clientA.server4, SERVICE, QUICK)).toBe(false);
    expect(await net.clientA.canConnect(net.clientA.server6, SERVICE, QUICK)).toBe(false);
    // The next one takes out what is left of it.
    firewall = await startFirewall(net.server.namespace, CONFIG);
    await firewall.install();
    const { stdout } = await net.server.exec(['iptables', '-S', 'NFKNOCK-GRANT']);
    expect(stdout).toBe('-N NFKNOCK-GRANT\n');
  });
});
