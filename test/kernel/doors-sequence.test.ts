import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sendOne } from '../support/asked.ts';
import type { Daemon, Line } from '../support/daemon.ts';
import { createNet, type Net, type Source } from '../support/net.ts';
import { answerUdp, udpAnswers } from '../support/udp.ts';

/* How a sequence is made: `knock`, `opens`, `tolerate`, `flags`, `gap`, `within`, `close`. */

const PORT = 2200;
/** Milliseconds in which a connection is made where it can be. */
const QUICK = 150;
/** Milliseconds for what a busy machine may be late with. */
const LATE = 10_000;

const CONFIG = {
  doors: {
    mixed: {
      knock: ['7100/udp', '7101/tcp', '7102/udp'],
      opens: ['2201/tcp', '2202/udp', '2210-2211/tcp'],
      for: '5m',
    },
    strict: { knock: ['7201/tcp', '7202/tcp', '7203/tcp'], opens: [PORT] },
    tolerant: { knock: ['7301/tcp', '7302/tcp', '7303/tcp'], tolerate: 2, opens: [PORT] },
    plain: { knock: ['7401/tcp', '7402/tcp'], flags: 'syn,!psh,!ack', opens: [PORT] },
    xmas: { knock: ['7451/tcp', '7452/tcp'], flags: 'fin,psh,urg,!syn', opens: [PORT] },
    paced: {
      knock: ['7501/tcp', '7502/tcp', '7503/tcp', '7504/tcp'],
      gap: { min: '200ms', max: '2700ms' },
      within: '2700ms',
      opens: [PORT],
    },
    brisk: { knock: ['7551/tcp', '7552/tcp'], gap: { max: '300ms' }, opens: [PORT] },
    shut: {
      knock: ['7601/tcp', '7602/udp'],
      close: ['7603/tcp', '7604/udp'],
      opens: ['2203/tcp'],
      for: '5m',
    },
  },
  bans: { strikes: 100, rate: { packets: 1000, per: '1s' } },
};
const FAMILIES = [
  { family: 'IPv4', server: 'server4', source: 'v4' },
  { family: 'IPv6', server: 'server6', source: 'v6' },
] as const;

let net: Net;
let daemon: Daemon;
/** When client B, which closes its door at the end, opened it. */
let opened = 0;

beforeAll(async () => {
  net = await createNet();
  for (const port of [PORT, 2201, 2203, 2210, 2211, 2212]) await net.server.listen(port);
  await answerUdp(net.server, 2202);
  daemon = await net.server.startDaemon(CONFIG);
  for (const { server, source } of FAMILIES) {
    await net.clientB.exec(['knock', net.clientB[server], '7601', '7602:udp']);
    await daemon.waitFor({ event: 'door.opened', source: net.clientB.source()[source] }, LATE);
  }
  opened = performance.now();
});
afterAll(async () => {
  await daemon?.stop();
  net?.close();
});

describe.each(FAMILIES)('over $family', ({ server, source }) => {
  const reaches = (port: number, timeout = QUICK): Promise<boolean> =>
    net.clientA.canConnect(net.clientA[server], port, timeout);
  const knock = async (...ports: readonly (string | number)[]): Promise<void> => {
    for (const port of ports) await net.clientA.exec(['knock', net.clientA[server], `${port}`]);
  };
  const fresh = async (): Promise<string> => (await net.clientA.moveToFreshSource())[source];
  const isOpen = (door: string, address: string): Promise<unknown> =>
    daemon.waitFor({ event: 'door.opened', door, source: address }, LATE);

  it('TCP and UDP can be mixed in a sequence, and in what it opens, with ranges', async () => {
    const address = await fresh();
    const target = net.clientA[server];
    expect(await reaches(2201)).toBe(false);
    expect(await udpAnswers(net.clientA, target, 2202, 0.1)).toBe(false);
    // The same port over the other protocol is no knock.
    await knock(7100, '7101:udp', '7102');
    expect(daemon.seen({ source: address, event: 'knock.accepted' })).toEqual([]);
    await knock('7100:udp', 7101, '7102:udp');
    const line = await daemon.waitFor({ event: 'door.opened', door: 'mixed', source: address }, LATE);
    expect(line.ports).toEqual(['2201/tcp', '2202/udp', '2210-2211/tcp']);
    for (const port of [2201, 2210, 2211]) expect(await reaches(port, LATE)).toBe(true);
    expect(await udpAnswers(net.clientA, target, 2202, 2)).toBe(true);
    // Beside the range nothing is protected; over the other protocol nothing is opened.
    expect(await reaches(2212, LATE)).toBe(true);
    expect(await reaches(PORT)).toBe(false);
  });

  it('`tolerate` lets so many wrong packets pass within one attempt, and not one more', async () => {
    const first = await fresh();
    await knock(7301, 7303, 7302, 7451, 7303);
    // The scan at 7451 is to another door's port: a SYN there is ignored, its flags are not that door's.
    await isOpen('tolerant', first);
    expect(daemon.seen({ source: first, reason: 'tolerated' })).toHaveLength(1);
    expect(daemon.seen({ source: first }).filter((line) => line.strikes !== undefined)).toEqual([]);

    const second = await fresh();
    await knock(7301, 7203, 7303, 7202, 7302, 7303);
    const brokenOff = { event: 'knock.wrong', door: 'tolerant', source: second, strikes: 1 };
    const broken = await daemon.waitFor(brokenOff, LATE);
    expect(broken).toMatchObject({ step: 1, reason: 'out of order' });
    expect(await reaches(PORT)).toBe(false);

    const third = await fresh();
    await knock(7201, 7203, 7202, 7203);
    await daemon.waitFor({ event: 'knock.wrong', door: 'strict', source: third, strikes: 1 }, LATE);
    expect(await reaches(PORT)).toBe(false);
  });
});

describe('the pace of the knocks', () => {
  /** Knocks at an even pace over both families; answers with what came of each last knock. */
  async function knock(
    ports: readonly number[],
    every: number,
    end: Partial<Line>,
  ): Promise<readonly unknown[]> {
    const fresh = await net.clientA.moveToFreshSource();
    const began = performance.now();
    for (const [step, port] of ports.entries()) {
      await sleep(Math.max(0, began + step * every - performance.now()));
      const { exec, server4, server6 } = net.clientA;
      await Promise.all([server4, server6].map((target) => exec(['knock', target, `${port}`])));
    }
    return comesOf(fresh, end);
  }
  const comesOf = ({ v4, v6 }: Source, end: Partial<Line>): Promise<readonly unknown[]> =>
    Promise.all([v4, v6].map((source) => daemon.waitFor({ ...end, source }, LATE)));
  const both = (line: Partial<Line>): readonly unknown[] =>
    [line, line].map((each) => expect.objectContaining(each));

  it('may not be below `gap.min`: too fast is an offence', async () => {
    const fresh = await net.clientA.moveToFreshSource();
    const { exec, server4, server6 } = net.clientA;
    // By one process: to start another for each knock may take a busy machine longer than the gap.
    await Promise.all([server4, server6].map((target) => exec(['knock', '-d', '1', target, '7501', '7502'])));
    const came = await comesOf(fresh, { event: 'knock.too_fast' });
    expect(came).toEqual(both({ door: 'paced', step: 1, of: 4, reason: 'gap', strikes: 1 }));
  });

  it('may not be above `gap.max`: then the sequence is broken off', async () => {
    const came = await knock([7551, 7552], 500, { event: 'knock.expired' });
    expect(came).toEqual(both({ door: 'brisk', step: 1, reason: 'gap' }));
  });

  it('must bring all knocks into `within`', async () => {
    const came = await knock([7501, 7502, 7503, 7504], 1_000, { event: 'knock.expired' });
    expect(came).toEqual(both({ door: 'paced', step: 3, reason: 'within' }));
    const right = await knock([7501, 7502, 7503, 7504], 500, { event: 'door.opened' });
    expect(right).toEqual(both({ door: 'paced' }));
  });
});

describe('`flags`', () => {
  let port = 40_000;
  /**
   * One packet with these flags of hping3, from a port of its own: hping3 would take the same one, and the same
   * sequence number, all through a second, and a packet that has both is a retransmission.
   */
  const send = (to: number, ...flags: readonly string[]): Promise<void> => {
    const { clientA } = net;
    port += 1;
    const own = ['-q', '-I', 'eth0', '-a', clientA.source().v4, '-c', '1', '-s', `${port}`, '-p', `${to}`];
    return sendOne(daemon, clientA, ['hping3', ...own, ...flags, clientA.server4]);
  };
  const accepted = (address: string): number =>
    daemon.seen({ event: 'knock.accepted', source: address }).length;

  it('say which must be set and, with !, which must not; a packet without them is ignored', async () => {
    const { v4 } = await net.clientA.moveToFreshSource();
    await send(7401, '-S', '-P');
    await send(7401, '-S');
    await daemon.waitFor({ event: 'knock.accepted', source: v4, door: 'plain', step: 1 }, LATE);
    // With PSH it is no knock, and breaks nothing off.
    await send(7402, '-S', '-P');
    await send(7402, '-S', '-A');
    expect(accepted(v4)).toBe(1);
    await send(7402, '-S');
    await daemon.waitFor({ event: 'door.opened', source: v4, door: 'plain' }, LATE);
    expect(daemon.seen({ source: v4 }).filter((line) => line.strikes !== undefined)).toEqual([]);
  });

  it('may be those of a stealth scan, which is then no scan on these ports', async () => {
    const { v4 } = await net.clientA.moveToFreshSource();
    await send(7451, '-F', '-P', '-U');
    await send(7452, '-S');
    await send(7452, '-F', '-P', '-U');
    await daemon.waitFor({ event: 'door.opened', source: v4, door: 'xmas' }, LATE);
    await send(7401, '-F', '-P', '-U');
    expect(await daemon.waitFor({ event: 'scan.detected', source: v4 }, LATE)).toMatchObject({
      reason: 'xmas',
    });
  });

  it('are looked at over IPv6 too', async () => {
    const { v6 } = await net.clientA.moveToFreshSource();
    const { server6 } = net.clientA;
    for (const [scan, to] of [
      ['-sX', 7451],
      ['-sN', 7452],
      ['-sX', 7452],
    ] as const) {
      const argv = ['nmap', '-6', scan, '-n', '-Pn', '--max-retries', '0', '-p', `${to}`, server6];
      await sendOne(daemon, net.clientA, argv);
    }
    await daemon.waitFor({ event: 'door.opened', source: v6, door: 'xmas' }, LATE);
    // NULL is no knock there, but a scan.
    expect(daemon.seen({ event: 'scan.detected', source: v6 }).map((line) => line.reason)).toEqual(['null']);
  });

  it('look past the two bits of ECN', async () => {
    const { v4 } = await net.clientA.moveToFreshSource();
    await send(7401, '-S', '-X', '-Y');
    await send(7402, '-S', '-X', '-Y');
    await daemon.waitFor({ event: 'door.opened', source: v4, door: 'plain' }, LATE);
  });
});

describe.each(FAMILIES)('`close` over $family', ({ family, server, source }) => {
  it('the close sequence ends the grant once 5 s have passed, and no connection', async () => {
    const address = net.clientB.source()[source];
    const target = net.clientB[server];
    const connection = await net.clientB.openConnection(target, 2203);
    await sleep(Math.max(0, opened + 5_100 - performance.now()));
    await net.clientB.exec(['knock', target, '7603', '7604:udp']);
    expect(await daemon.waitFor({ event: 'door.closed', source: address }, LATE)).toMatchObject({
      door: 'shut',
      reason: 'knock',
    });
    expect(await net.clientB.canConnect(target, 2203, QUICK)).toBe(false);
    expect(await connection.echoes(`still here over ${family}`)).toBe(true);
  });
});
