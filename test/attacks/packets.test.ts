import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { ask } from '../support/asked.ts';
import type { Daemon } from '../support/daemon.ts';
import { createNet, type Net } from '../support/net.ts';

/* Packets that no honest client sends, made by nmap and hping3. */

const SERVICE = 22;
const PUBLIC = 8080;
const LATE = 15_000;
const QUICK = 200;

const CONFIG = {
  doors: { ssh: { knock: ['7000/tcp', '8000/tcp', '9000/tcp'], opens: [SERVICE], for: '1m' } },
  decoys: ['23/tcp', '2323/tcp', '3389/tcp', '161/udp'],
  bans: { strikes: 3, rate: { packets: 1000, per: '1s' } },
};

let net: Net;
let daemon: Daemon;
beforeAll(async () => {
  net = await createNet();
  for (const port of [SERVICE, PUBLIC]) await net.server.listen(port);
  daemon = await net.server.startDaemon(CONFIG);
});
afterAll(async () => {
  await daemon?.stop();
  net?.close();
});

const NMAP = ['nmap', '-n', '-Pn', '-sS', '--send-ip', '--max-retries', '0', '--host-timeout', '2s'];
const scan = async (ports: string, ...more: readonly string[]): Promise<string> =>
  (await net.clientA.exec([...NMAP, ...more, '-p', ports, net.clientA.server4])).stdout;
/** The first fragment alone, with more to come; hping3 waits for an answer, and is ended. */
const firstFragment = (port: number): Promise<unknown> => {
  const hping3 = ['timeout', '0.4', 'hping3', '-q', '-c', '1', '-I', 'eth0', '-S', '-x', '-d', '16'];
  return net.clientA.exec([...hping3, '-p', `${port}`, net.clientA.server4]);
};
/** Fragments that the kernel has got so far. */
const fragments = async (): Promise<number> => {
  const { stdout } = await net.server.exec(['nstat', '-asz', 'IpReasmReqds']);
  return Number(/IpReasmReqds +(\d+)/.exec(stdout)?.[1]);
};
const reaches = (): Promise<boolean> => net.clientA.canConnect(net.clientA.server4, SERVICE, QUICK);
/** Packets that the daemon has judged, by what became of them. */
const judged = async (): Promise<Readonly<Record<string, number>>> =>
  (await ask(daemon, { command: 'status' })).packets;

describe('a scan in fragments', () => {
  // Against: bad checksums, odd TTLs, trusted source ports
  // by: the rules look at none of them
  it.each([
    ['of 8 bytes', ['-f']],
    ['of 16 bytes', ['-ff']],
    ['with bad checksums', ['--badsum']],
    ['with a time to live of 1', ['--ttl', '1']],
    ['with payload', ['--data-length', '1200']],
    ['from the source port of a name server', ['-g', '53']],
  ])('%s reaches no protected port', async (_, how) => {
    await net.clientA.moveToFreshSource();
    const found = await scan(`${SERVICE},${PUBLIC}`, ...how);
    expect(found).not.toMatch(new RegExp(`^${SERVICE}/tcp +open`, 'm'));
  });

  // Against: fragments on the wire
  // by: conntrack puts them together before our rules
  it('is put together by the kernel, and ends in the same ban as a whole one', async () => {
    const { v4 } = await net.clientA.moveToFreshSource();
    await scan('23,2323,3389', '-f');
    await daemon.waitFor({ event: 'ban.added', source: v4 }, LATE);
  });

  // Against: first fragments whose rest never comes
  // by: conntrack puts them together before our rules
  it('whose last parts never come is not seen at all, and holds nothing of ours', async () => {
    const { v4 } = await net.clientA.moveToFreshSource();
    const before = await judged();
    const got = await fragments();
    for (const port of [7000, 8000, 9000, 23]) await firstFragment(port);
    expect(await fragments()).toBe(got + 4);
    expect(await reaches()).toBe(false);
    expect(await judged()).toEqual(before);
    expect(daemon.seen({ source: v4 })).toEqual([]);
  });
});

describe('a packet with a bad checksum', () => {
  it('is a touch of a decoy like any other, for whoever sends it sends good ones too', async () => {
    const { v4 } = await net.clientA.moveToFreshSource();
    await scan('23,2323,3389', '--badsum');
    await daemon.waitFor({ event: 'ban.added', source: v4 }, LATE);
  });
});

describe('an unasked answer', () => {
  // Against: attacking others in our name
  // by: unasked answers are no offence
  it('is no offence, so that nobody has a stranger banned by attacking him in our name', async () => {
    const { v4 } = await net.clientA.moveToFreshSource();
    const backscatter = async (): Promise<number> => (await judged())['backscatter'] ?? 0;
    const before = await backscatter();
    for (const flags of ['SYNACK', 'RST', 'RSTACK']) await scan('23,7000,9000', '--scanflags', flags);
    await vi.waitFor(async () => expect(await backscatter()).toBe(before + 9), LATE);
    expect(daemon.seen({ source: v4 })).toEqual([]);
  });
});

describe('a packet over IPv6 behind other headers', () => {
  it.each([
    ['fragments', ['-f']],
    ['hop-by-hop options', ['--ip-options', '\\x00\\x04']],
  ])('%s reaches no protected port', async (_, how) => {
    await net.clientA.moveToFreshSource();
    const { stdout } = await net.clientA.exec([
      ...[...NMAP, '-6', ...how],
      ...['-p', `${SERVICE},${PUBLIC}`, net.clientA.server6],
    ]);
    expect(stdout).not.toMatch(new RegExp(`^${SERVICE}/tcp +open`, 'm'));
    expect(await net.clientA.canConnect(net.clientA.server6, SERVICE, QUICK)).toBe(false);
  });
});
