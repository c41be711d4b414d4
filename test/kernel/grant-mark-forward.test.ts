import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { randomOf } from '../fuzz/random.ts';
import { SEED } from '../seed.ts';
import { nfknock } from '../support/bans-lab.ts';
import type { Daemon } from '../support/daemon.ts';
import { type Client, createNet, type Net, type Source } from '../support/net.ts';
import { startProcess } from '../support/process.ts';

/*
 *   client A ─── server ─── client B, which has the services that the doors protect
 *
 * On the server stands a table of nftables that drops in INPUT and FORWARD what has no mark.
 */

const MARK = 0x4e46;
const LATE = 10_000;
const QUICK = 200;
const ROUTED = 8443;
const TRANSLATED = 8444;
const SLOW = { timeout: 60_000 };
const random = randomOf(SEED);
/** Before our rules or after them. */
const PRIORITY = random(2) === 0 ? -1 - random(90) : 1 + random(300);

const TABLE = `table inet theirs {
  chain input {
    type filter hook input priority ${PRIORITY}; policy drop;
    ct state established,related accept
    iifname "lo" accept
    meta l4proto { icmp, ipv6-icmp } accept
    meta mark ${MARK} accept
  }
  chain forward {
    type filter hook forward priority ${PRIORITY}; policy drop;
    ct state established,related accept
    meta l4proto { icmp, ipv6-icmp } accept
    meta mark ${MARK} accept
  }
}
`;

let net: Net;
let daemon: Daemon;
let behind: Source;

const FAMILIES = [
  { family: 'IPv4', server: 'server4', source: 'v4', digit: 4 },
  { family: 'IPv6', server: 'server6', source: 'v6', digit: 6 },
] as const;

beforeAll(async () => {
  net = await createNet();
  behind = await moveBehindGateway(net.clientB);
  await net.server.exec(['sysctl', '-qw', 'net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1']);
  for (const port of [ROUTED, TRANSLATED]) await listen(net.clientB, port);
  const { stderr } = await net.server.exec(['nft', '-f', '-'], { input: TABLE });
  expect(stderr).toBe('');
});
afterAll(async () => {
  await daemon?.stop('SIGKILL');
  net?.close();
});

function config(mark: number | null, grants: string): object {
  const doors = FAMILIES.flatMap(({ source, digit }) => {
    const door = (first: number, more: object): object => ({
      ...{ knock: [`${first}${digit}/tcp`, `${first + 1}${digit}/udp`], forward: behind[source] },
      ...{ grant_mark: mark, for: '6s', ...more },
    });
    return [
      [`routed${digit}`, door(710, { opens: [ROUTED] })],
      [`translated${digit}`, door(720, { opens: [TRANSLATED], dnat: true })],
    ];
  });
  return { doors: Object.fromEntries(doors), decoys: ['23/tcp'], grants };
}

describe(`services behind this machine, beside a table at priority ${PRIORITY} that drops (FC_SEED=${SEED})`, () => {
  it('are reached by nobody without a mark', { timeout: 120_000 }, async () => {
    daemon = await net.server.startDaemon(config(null, 'rule'), SLOW);
    const fresh = await moveBehindGateway(net.clientA);
    for (const { source, digit, server } of FAMILIES) {
      for (const door of [`routed${digit}`, `translated${digit}`])
        expect((await nfknock(net.server, daemon, 'grant', door, fresh[source])).code).toBe(0);
      expect(await net.clientA.canConnect(behind[source], ROUTED, QUICK)).toBe(false);
      expect(await net.clientA.canConnect(net.clientA[server], TRANSLATED, QUICK)).toBe(false);
    }
    await daemon.stop();
  });

  it.each(FAMILIES.map((family) => ({ ...family, grants: random(2) === 0 ? 'rule' : 'set' })))(
    'are reached over $family by who knocked, marked and for the time (grants: $grants)',
    { timeout: 120_000 },
    async ({ server, source, digit, grants }) => {
      daemon = await net.server.startDaemon(config(MARK, grants), SLOW);
      const here = net.clientA[server];
      for (const [first, target, port, name] of [
        [710, behind[source], ROUTED, 'routed'],
        [720, here, TRANSLATED, 'translated'],
      ] as const) {
        const address = (await moveBehindGateway(net.clientA))[source];
        expect(await net.clientA.canConnect(target, port, QUICK), name).toBe(false);
        await net.clientA.exec(['knock', here, `${first}${digit}`, `${first + 1}${digit}:udp`]);
        await daemon.waitFor({ event: 'door.opened', door: `${name}${digit}`, source: address }, LATE);
        const connection = await net.clientA.openConnection(target, port);
        expect(await connection.echoes('there and back')).toBe(true);
        await daemon.waitFor({ event: 'door.closed', door: `${name}${digit}`, source: address }, LATE);
        expect(await net.clientA.canConnect(target, port, QUICK), name).toBe(false);
        expect(await connection.echoes('still here')).toBe(true);
        await moveBehindGateway(net.clientA);
        expect(await net.clientA.canConnect(target, port, QUICK), 'a stranger').toBe(false);
      }
      await daemon.stop();
    },
  );
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
