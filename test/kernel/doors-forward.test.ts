import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ask } from '../support/asked.ts';
import type { Daemon } from '../support/daemon.ts';
import { type Client, createNet, type Net, type Source } from '../support/net.ts';
import { startProcess } from '../support/process.ts';

/*
 *   client A ─── server ─── client B, which has the services that the doors protect
 *
 * The server routes between the two; each of them takes the server for its gateway.
 */

const LATE = 10_000;
const QUICK = 150;
/** Ports of client B: behind doors, and open to all. */
const ROUTED = 8443;
const TRANSLATED = 8444;
const OPEN = 8080;

const FAMILIES = [
  { family: 'IPv4', server: 'server4', source: 'v4', digit: 4 },
  { family: 'IPv6', server: 'server6', source: 'v6', digit: 6 },
] as const;

let net: Net;
let daemon: Daemon;
let behind: Source;

function config(): object {
  const doors = FAMILIES.flatMap(({ source, digit }) => {
    const forward = behind[source];
    const knock = (first: number): readonly string[] => [`${first}${digit}/tcp`, `${first + 1}${digit}/udp`];
    return [
      [`routed${digit}`, { knock: knock(710), opens: [ROUTED], forward, for: '4s' }],
      [
        `translated${digit}`,
        { knock: knock(720), opens: [TRANSLATED], forward, dnat: true, uses: 2, for: '5m' },
      ],
    ] as const;
  });
  return { doors: Object.fromEntries(doors), decoys: ['23/tcp'], bans: { strikes: 3 } };
}

beforeAll(async () => {
  net = await createNet();
  behind = await moveBehindGateway(net.clientB);
  await net.server.exec(['sysctl', '-qw', 'net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1']);
  for (const port of [ROUTED, TRANSLATED, OPEN]) await listen(net.clientB, port);
  daemon = await net.server.startDaemon(config());
});
afterAll(async () => {
  await daemon?.stop();
  net?.close();
});

describe.each(FAMILIES)('a service behind this machine over $family', ({ server, source, digit }) => {
  const reaches = (target: string, port: number, timeout = QUICK): Promise<boolean> =>
    net.clientA.canConnect(target, port, timeout);
  const knock = async (at: string, first: number): Promise<void> => {
    await net.clientA.exec(['knock', at, `${first}${digit}`, `${first + 1}${digit}:udp`]);
  };
  const fresh = async (): Promise<string> => (await moveBehindGateway(net.clientA))[source];

  it('is reached at its own address by who knocked at this machine, for the time, and stays connected', async () => {
    const address = await fresh();
    expect(await reaches(behind[source], ROUTED)).toBe(false);
    expect(await reaches(behind[source], OPEN, LATE)).toBe(true);
    await knock(net.clientA[server], 710);
    await daemon.waitFor({ event: 'door.opened', door: `routed${digit}`, source: address }, LATE);
    const connection = await net.clientA.openConnection(behind[source], ROUTED);
    expect(await connection.echoes('there and back')).toBe(true);
    await daemon.waitFor({ event: 'door.closed', door: `routed${digit}`, source: address }, LATE);
    expect(await reaches(behind[source], ROUTED)).toBe(false);
    expect(await connection.echoes('still here')).toBe(true);
  });

  it('may be knocked for at its own address, where scans are seen too', async () => {
    const address = await fresh();
    await knock(behind[source], 710);
    await daemon.waitFor({ event: 'door.opened', door: `routed${digit}`, source: address }, LATE);
    expect(await reaches(behind[source], ROUTED, LATE)).toBe(true);

    const scanner = await fresh();
    await net.clientA.exec(['knock', behind[source], '23']);
    await daemon.waitFor({ event: 'decoy.hit', source: scanner, port: '23/tcp' }, LATE);
  });

  it('with `dnat` is reached on a port of this machine, for `uses` connections', async () => {
    const address = await fresh();
    const here = net.clientA[server];
    expect(await reaches(here, TRANSLATED)).toBe(false);
    await knock(here, 720);
    await daemon.waitFor({ event: 'door.opened', door: `translated${digit}`, source: address }, LATE);
    const first = await net.clientA.openConnection(here, TRANSLATED);
    const left = async (): Promise<unknown> =>
      (await ask(daemon, { command: 'grants' })).find((grant) => grant.source === address)?.uses_left;
    await expect.poll(left, { timeout: LATE }).toBe(1);
    const second = await net.clientA.openConnection(here, TRANSLATED);
    await daemon.waitFor({ event: 'door.closed', source: address, reason: 'used' }, LATE);
    expect(await reaches(here, TRANSLATED)).toBe(false);
    for (const connection of [first, second]) expect(await connection.echoes('still here')).toBe(true);
    // Nothing of it in either table.
    for (const table of ['filter', 'nat']) {
      const tool = digit === 4 ? 'iptables' : 'ip6tables';
      const { stdout } = await net.server.exec([tool, '-t', table, '-S']);
      expect(stdout).not.toContain(`${address}/`);
    }
  });
});

/** A fresh source that goes to the other side through the server. */
async function moveBehindGateway(client: Client): Promise<Source> {
  const fresh = await client.moveToFreshSource();
  await client.exec(['ip', 'route', 'replace', 'default', 'via', client.server4, 'src', fresh.v4]);
  await client.exec(['ip', '-6', 'route', 'replace', 'default', 'via', client.server6, 'src', fresh.v6]);
  return fresh;
}

async function listen(client: Client, port: number): Promise<void> {
  startProcess(client.namespace, ['socat', `TCP6-LISTEN:${port},reuseaddr,fork,ipv6only=0`, 'PIPE']);
  for (let look = 0; look < 100; look += 1) {
    if ((await client.exec(['ss', '-Hltn', 'sport', '=', `:${port}`])).stdout !== '') return;
  }
  throw new Error(`nothing listens on port ${port}`);
}
