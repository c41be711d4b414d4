import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ask, connectTo } from '../support/asked.ts';
import type { Daemon } from '../support/daemon.ts';
import { createNet, type Net } from '../support/net.ts';

/* `grants: set`: one rule a door, and a set with timeouts for hundreds at once. */

const SERVICE = 22;
const LATE = 10_000;
const QUICK = 150;
const HUNDREDS = 400;
const KNOCKS = ['7101', '7102:udp'];
const CONFIG = {
  grants: 'set',
  doors: {
    ssh: { knock: ['7101/tcp', '7102/udp'], opens: [SERVICE], for: '5m' },
    brief: { knock: ['7201/tcp', '7202/tcp'], opens: ['2202/tcp'], for: '3s' },
    everyone: { knock: ['7301/tcp', '7302/tcp'], opens: ['2203/tcp'], grant: 'any', for: '5m' },
  },
  bans: { strikes: 3, for: '10m' },
};
const FAMILIES = [
  { family: 'IPv4', server: 'server4', source: 'v4', tool: 'iptables', set: 'nfknock-ssh4' },
  { family: 'IPv6', server: 'server6', source: 'v6', tool: 'ip6tables', set: 'nfknock-ssh6' },
] as const;

let net: Net;
let daemon: Daemon;

beforeAll(async () => {
  net = await createNet();
  for (const port of [SERVICE, 2202, 2203]) await net.server.listen(port);
  daemon = await net.server.startDaemon(CONFIG);
});
afterAll(async () => {
  await daemon?.stop();
  net?.close();
});

const rules = async (tool: string): Promise<number> =>
  (await net.server.exec([tool, '-S'])).stdout.split('\n').length;
const members = async (set: string): Promise<readonly string[]> =>
  (await net.server.exec(['ipset', 'list', set])).stdout
    .split('\n')
    .filter((line) => /^\S+ timeout \d+$/.test(line));

describe.each(FAMILIES)('grants in a set over $family', ({ server, source, tool, set }) => {
  const reaches = (port: number, timeout = QUICK): Promise<boolean> =>
    net.clientA.canConnect(net.clientA[server], port, timeout);
  const knock = (...ports: readonly string[]): Promise<unknown> =>
    net.clientA.exec(['knock', net.clientA[server], ...ports]);

  it('let in who knocked, and nobody else, with not one rule more', async () => {
    const before = await rules(tool);
    const address = (await net.clientA.moveToFreshSource())[source];
    expect(await reaches(SERVICE)).toBe(false);
    await knock(...KNOCKS);
    await daemon.waitFor({ event: 'door.opened', source: address }, LATE);
    expect(await reaches(SERVICE, LATE)).toBe(true);
    expect(await net.clientB.canConnect(net.clientB[server], SERVICE, QUICK)).toBe(false);
    expect(await reaches(2202)).toBe(false);
    expect(await rules(tool)).toBe(before);
    expect((await members(set)).map((line) => line.split(' ')[0])).toContain(address);
  });

  it('can be to everyone, and give way to a ban', async () => {
    const fresh = await net.clientA.moveToFreshSource();
    expect(await net.clientB.canConnect(net.clientB[server], 2203, QUICK)).toBe(false);
    await knock('7301', '7302');
    await daemon.waitFor({ event: 'door.opened', door: 'everyone', source: fresh[source] }, LATE);
    expect(await net.clientB.canConnect(net.clientB[server], 2203, LATE)).toBe(true);
    await ask(daemon, { command: 'ban', address: net.clientB.source()[source] });
    expect(await net.clientB.canConnect(net.clientB[server], 2203, QUICK)).toBe(false);
    expect(await reaches(2203, LATE)).toBe(true);
    await ask(daemon, { command: 'unban', all: true });
    await ask(daemon, { command: 'revoke', address: fresh[source], door: 'everyone' });
    await expect.poll(() => reaches(2203), { timeout: LATE }).toBe(false);
  });
});

describe('hundreds of grants in sets', () => {
  const addresses = {
    v4: Array.from({ length: 250 }, (_, index) => `203.0.113.${index + 1}`),
    v6: Array.from({ length: HUNDREDS }, (_, index) => `2001:db8:c::${index.toString(16)}`),
  };
  const sizes = (): Promise<readonly number[]> =>
    Promise.all(FAMILIES.map(async ({ set }) => (await members(set)).length));

  it('are made at once, and each is taken away alone', async () => {
    const [four = 0, six = 0] = await sizes();
    const control = await connectTo(daemon);
    const all = [...addresses.v4, ...addresses.v6];
    await Promise.all(all.map((address) => control.ask({ command: 'grant', door: 'ssh', address })));
    expect(await sizes()).toEqual([four + addresses.v4.length, six + addresses.v6.length]);
    for (const own of [addresses.v4, addresses.v6]) {
      await control.ask({ command: 'revoke', address: own[7] ?? '' });
    }
    control.close();
    expect(await sizes()).toEqual([four + addresses.v4.length - 1, six + addresses.v6.length - 1]);
  });

  it('end by themselves in the kernel with the daemon dead, and the rest outlives it', async () => {
    const before = await sizes();
    const { v4, v6 } = await net.clientA.moveToFreshSource();
    const { server4, server6 } = net.clientA;
    const reaches = (target: string, timeout = QUICK): Promise<boolean> =>
      net.clientA.canConnect(target, 2202, timeout);
    for (const target of [server4, server6]) await net.clientA.exec(['knock', target, '7201', '7202']);
    for (const address of [v4, v6])
      await daemon.waitFor({ event: 'door.opened', door: 'brief', source: address }, LATE);
    await daemon.stop('SIGKILL');
    for (const target of [server4, server6]) expect(await reaches(target, LATE)).toBe(true);
    for (const target of [server4, server6]) {
      await expect.poll(() => reaches(target), { timeout: LATE }).toBe(false);
    }

    daemon = await net.server.startDaemon(CONFIG, { folder: daemon.folder });
    for (const target of [server4, server6]) expect(await reaches(target)).toBe(false);
    expect(await sizes()).toEqual(before);
    const granted = (await ask(daemon, { command: 'grants' })).map((grant) => grant.grantee);
    const held = (await Promise.all(FAMILIES.map(({ set }) => members(set)))).flat();
    expect(held.map((line) => line.split(' ')[0] ?? '').sort()).toEqual([...granted].sort());
    for (const line of held) expect(Number(line.split(' ').at(-1))).toBeLessThanOrEqual(300);
  });
});
