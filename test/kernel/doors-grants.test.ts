import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ask } from '../support/asked.ts';
import type { Daemon } from '../support/daemon.ts';
import { type Client, createNet, type Net } from '../support/net.ts';
import { startProcess } from '../support/process.ts';

/* Whom a knock lets in, how often, and how many at once: `grant`, `uses`, `holders`, and doors behind doors. */

const LATE = 10_000;
const QUICK = 150;
const PORTS = [2201, 2202, 2203, 2204, 2205, 2206, 2207];
/** Both ends have a service on it. */
const SHARED = 2207;

const CONFIG = {
  doors: {
    twice: { knock: ['7101/tcp', '7102/tcp'], opens: ['2201/tcp'], uses: 2, for: '5m' },
    alone: { knock: ['7201/tcp', '7202/tcp'], opens: ['2202/tcp'], holders: 1, for: '5m' },
    office4: { knock: ['7301/tcp', '7302/tcp'], opens: ['2203/tcp'], grant: '198.51.100.0/28', for: '5m' },
    office6: { knock: ['7303/tcp', '7304/tcp'], opens: ['2203/tcp'], grant: '2001:db8:b::/48', for: '5m' },
    everyone: { knock: ['7401/tcp', '7402/tcp'], opens: ['2204/tcp'], grant: 'any', for: '4s' },
    hall: { knock: ['7501/tcp', '7502/udp'], opens: ['7503/tcp', '7504/udp'], for: '5m' },
    room: { knock: ['7503/tcp', '7505/tcp', '7504/udp'], opens: ['2205/tcp'], for: '5m' },
    shared: { knock: ['7601/tcp', '7602/tcp'], opens: [`${SHARED}/tcp`], grant: 'any', uses: 1, for: '5m' },
  },
  bans: { strikes: 100 },
};
const FAMILIES = [
  { family: 'IPv4', server: 'server4', source: 'v4', office: 'office4' },
  { family: 'IPv6', server: 'server6', source: 'v6', office: 'office6' },
] as const;

let net: Net;
let daemon: Daemon;

beforeAll(async () => {
  net = await createNet();
  for (const port of PORTS) await net.server.listen(port);
  startProcess(net.clientB.namespace, ['socat', `TCP6-LISTEN:${SHARED},reuseaddr,fork,ipv6only=0`, 'PIPE']);
  daemon = await net.server.startDaemon(CONFIG);
});
afterAll(async () => {
  await daemon?.stop();
  net?.close();
});

describe.each(FAMILIES)('over $family', ({ server, source, office }) => {
  const reaches = (client: Client, port: number, timeout = QUICK): Promise<boolean> =>
    client.canConnect(client[server], port, timeout);
  const open = async (client: Client, door: string, ...knocks: readonly string[]): Promise<string> => {
    const address = client.source()[source];
    const before = daemon.seen({ event: 'door.opened', door }).length;
    await client.exec(['knock', client[server], ...knocks]);
    await expect
      .poll(() => daemon.seen({ event: 'door.opened', door }).length, { timeout: LATE })
      .toBe(before + 1);
    return address;
  };
  const usesLeft = async (address: string): Promise<readonly (number | null)[]> =>
    (await ask(daemon, { command: 'grants' }))
      .filter((grant) => grant.source === address && grant.door === 'twice')
      .map((grant) => grant.uses_left);

  it('`uses` ends the grant after so many connections, and none of these', async () => {
    await net.clientA.moveToFreshSource();
    const address = await open(net.clientA, 'twice', '7101', '7102');
    const first = await net.clientA.openConnection(net.clientA[server], 2201);
    await expect.poll(() => usesLeft(address), { timeout: LATE }).toEqual([1]);
    const second = await net.clientA.openConnection(net.clientA[server], 2201);
    const closed = await daemon.waitFor({ event: 'door.closed', source: address, door: 'twice' }, LATE);
    expect(closed.reason).toBe('used');
    expect(await reaches(net.clientA, 2201)).toBe(false);
    for (const connection of [first, second]) expect(await connection.echoes('still here')).toBe(true);
  });

  it('`uses` is given back whole by a new knock, and outlives kill -9 as it was', async () => {
    await net.clientA.moveToFreshSource();
    const address = await open(net.clientA, 'twice', '7101', '7102');
    await net.clientA.openConnection(net.clientA[server], 2201);
    await expect.poll(() => usesLeft(address), { timeout: LATE }).toEqual([1]);
    await net.clientA.exec(['knock', net.clientA[server], '7101', '7102']);
    await expect.poll(() => usesLeft(address), { timeout: LATE }).toEqual([2]);
    await net.clientA.openConnection(net.clientA[server], 2201);
    await expect.poll(() => usesLeft(address), { timeout: LATE }).toEqual([1]);

    await daemon.stop('SIGKILL');
    daemon = await net.server.startDaemon(CONFIG, { folder: daemon.folder });
    expect(await usesLeft(address)).toEqual([1]);
    await net.clientA.openConnection(net.clientA[server], 2201);
    await daemon.waitFor({ event: 'door.closed', source: address, reason: 'used' }, LATE);
    expect(await reaches(net.clientA, 2201)).toBe(false);
  });

  it('`holders: 1` moves the grant to where its owner knocks now', async () => {
    await net.clientA.moveToFreshSource();
    const before = await open(net.clientA, 'alone', '7201', '7202');
    const connection = await net.clientA.openConnection(net.clientA[server], 2202);
    await net.clientB.moveToFreshSource();
    const after = await open(net.clientB, 'alone', '7201', '7202');
    expect(after).not.toBe(before);
    await daemon.waitFor({ event: 'door.closed', door: 'alone', source: before, reason: 'moved' }, LATE);
    expect(await reaches(net.clientB, 2202, LATE)).toBe(true);
    expect(await reaches(net.clientA, 2202)).toBe(false);
    expect(await connection.echoes('still here')).toBe(true);
  });

  it('`grant: NETWORK` lets in another than the one who knocked', async () => {
    await net.clientA.moveToFreshSource();
    const knocks = office === 'office4' ? ['7301', '7302'] : ['7303', '7304'];
    // B's first addresses are in that network.
    expect(await reaches(net.clientB, 2203)).toBe(false);
    await open(net.clientA, office, ...knocks);
    expect(await reaches(net.clientB, 2203, LATE)).toBe(true);
    expect(await reaches(net.clientA, 2203)).toBe(false);
    if (office === 'office6') return;
    await net.clientB.addAddress('198.51.100.77');
    expect(await reaches(net.clientB, 2203)).toBe(false);
  });

  it('`grant: any` lets everyone in, over both families, for its time', async () => {
    await net.clientA.moveToFreshSource();
    const ends = (): readonly unknown[] => daemon.seen({ event: 'door.closed', door: 'everyone' });
    const before = ends().length;
    await open(net.clientA, 'everyone', '7401', '7402');
    const { clientB } = net;
    for (const target of [clientB.server4, clientB.server6]) {
      expect(await clientB.canConnect(target, 2204, LATE)).toBe(true);
    }
    await expect.poll(() => ends().length, { timeout: LATE }).toBe(before + 1);
    expect(await reaches(clientB, 2204)).toBe(false);
  });

  it('a door that opens the knocks of the next is a door before the door', async () => {
    const { v4, v6 } = await net.clientA.moveToFreshSource();
    const own = source === 'v4' ? v4 : v6;
    const room = ['7503', '7505', '7504:udp'];
    await net.clientA.exec(['knock', net.clientA[server], ...room]);
    expect(daemon.seen({ event: 'knock.accepted', source: own })).toEqual([]);
    expect(await reaches(net.clientA, 2205)).toBe(false);
    await open(net.clientA, 'hall', '7501', '7502:udp');
    await open(net.clientA, 'room', ...room);
    expect(await reaches(net.clientA, 2205, LATE)).toBe(true);
    // What the hall opens are knocks, not services, also for who is in it.
    expect(await reaches(net.clientA, 7503)).toBe(false);
  });

  it('`uses` counts who comes in, and not where this machine connects to', async () => {
    await net.clientA.moveToFreshSource();
    await open(net.clientA, 'shared', '7601', '7602');
    const out = await net.server.exec(['nc', '-z', '-w', '5', net.clientB.source()[source], `${SHARED}`]);
    expect(out.code).toBe(0);
    expect(await reaches(net.clientB, SHARED, LATE)).toBe(true);
    await expect
      .poll(() => daemon.seen({ event: 'door.closed', door: 'shared', reason: 'used' }).length, {
        timeout: LATE,
      })
      .toBeGreaterThan(0);
    expect(await reaches(net.clientB, SHARED)).toBe(false);
  });
});

it('`uses` that cannot be counted is said at the start', async () => {
  await daemon.stop();
  const events = 'net.netfilter.nf_conntrack_events';
  await net.server.exec(['sysctl', '-qw', `${events}=0`]);
  daemon = await net.server.startDaemon(CONFIG, { folder: daemon.folder });
  const said = daemon.seen({ event: 'config.warning' }).map((line) => line.reason);
  expect(said).toContainEqual(expect.stringMatching(/^uses: connections can't be counted: .*sysctl .*=1/));
});
