import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Change } from '../../src/firewall/firewall.ts';
import { cidr, configOf } from '../support/configs.ts';
import { type FirewallProxy, startFirewall } from '../support/firewall-proxy.ts';
import { type Client, createNet, type Net, type Source } from '../support/net.ts';
import { startProcess } from '../support/process.ts';

/*
 *   client A ─── server ─── client B, which has the service that the door protects
 *
 * The server routes between the two; each of them takes the server for its gateway.
 */

const PORT = 8443;
const OPEN_PORT = 8080;
const LATER = 60_000;
/** Milliseconds in which a connection is made where it can be. */
const QUICK = 120;

const FAMILIES = [
  { family: 4, name: 'IPv4', server: 'server4', source: 'v4' },
  { family: 6, name: 'IPv6', server: 'server6', source: 'v6' },
] as const;

describe('a service behind this machine', () => {
  let net: Net;
  let firewall: FirewallProxy;
  let behind: { readonly v4: string; readonly v6: string };

  beforeAll(async () => {
    net = await createNet();
    behind = await moveBehindGateway(net.clientB);
    await moveBehindGateway(net.clientA);
    await net.server.exec(['sysctl', '-qw', 'net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1']);
    for (const port of [PORT, OPEN_PORT]) await listen(net.clientB, port);
    firewall = await startFirewall(net.server.namespace, config(false));
    await firewall.install();
  });
  afterAll(async () => {
    await firewall?.kill();
    net?.close();
  });

  function config(dnat: boolean): ReturnType<typeof configOf> {
    const door = (forward: string, knock: readonly number[]): object => ({
      knock,
      opens: [PORT],
      forward,
      dnat,
    });
    return configOf({
      doors: { four: door(behind.v4, [7000, 8000]), six: door(behind.v6, [7100, 8100]) },
      decoys: [23],
    });
  }
  const open = (door: string, who: string): Change => ({
    change: 'open',
    door,
    grantee: cidr(who),
    until: Date.now() + LATER,
  });
  const close = (door: string, who: string): Change => ({ change: 'close', door, grantee: cidr(who) });

  describe.each(FAMILIES)('over $name', ({ family, server, source }) => {
    const door = family === 4 ? 'four' : 'six';
    const tool = family === 4 ? 'iptables' : 'ip6tables';
    const sh = async (script: string): Promise<string> =>
      (await net.server.exec(['sh', '-c', script])).stdout;
    const reaches = (port: number): Promise<boolean> => net.clientA.canConnect(behind[source], port, QUICK);

    it('is reached by who has a grant, and by nobody else, on that port alone', async () => {
      await firewall.replace(config(false));
      const fresh = await moveBehindGateway(net.clientA);
      expect(await reaches(PORT)).toBe(false);
      expect(await reaches(OPEN_PORT)).toBe(true);
      await firewall.apply([open(door, fresh[source])]);
      expect(await reaches(PORT)).toBe(true);
      const connection = await net.clientA.openConnection(behind[source], PORT);
      await firewall.apply([close(door, fresh[source])]);
      expect(await reaches(PORT)).toBe(false);
      expect(await connection.echoes('still here')).toBe(true);
      await connection.close();
    });

    it('is not reached, and nothing else there is, by who is banned', async () => {
      const fresh = await moveBehindGateway(net.clientA);
      const banned = cidr(family === 4 ? fresh.v4 : fresh.v6Network);
      await firewall.apply([
        open(door, fresh[source]),
        { change: 'ban', target: banned, until: Date.now() + LATER },
      ]);
      expect(await reaches(PORT)).toBe(false);
      expect(await reaches(OPEN_PORT)).toBe(false);
      await firewall.apply([{ change: 'unban', target: banned }, close(door, fresh[source])]);
      expect(await reaches(OPEN_PORT)).toBe(true);
    });

    it('may be knocked for at its own address', async () => {
      const before = await queued();
      await net.clientA.canConnect(behind[source], family === 4 ? 7000 : 7100, 80);
      await net.clientA.canConnect(behind[source], 23, 80);
      expect(await queued()).toBe(before + 2);
    });

    it('is reached through a port of this machine where it is translated, for who has a grant alone', async () => {
      await firewall.replace(config(true));
      const fresh = await moveBehindGateway(net.clientA);
      const here = net.clientA[server];
      expect(await net.clientA.canConnect(here, PORT, QUICK)).toBe(false);
      await firewall.apply([open(door, fresh[source])]);
      expect(await net.clientA.canConnect(here, PORT, QUICK)).toBe(true);
      // Even with FORWARD gone, a stranger's packets are not translated.
      await sh(`${tool} -F FORWARD`);
      await firewall.apply([close(door, fresh[source])]);
      expect(await net.clientA.canConnect(here, PORT, QUICK)).toBe(false);
      await firewall.install();
    });

    it('is protected before Docker lets all packets pass that it translates', async () => {
      await sh(
        `${tool} -N DOCKER-USER; ${tool} -I FORWARD 1 -j DOCKER-USER; ${tool} -I FORWARD 2 -d ${behind[source]} -j ACCEPT; ${tool} -t nat -A PREROUTING -p tcp --dport 9443 -j DNAT --to-destination ${family === 4 ? behind.v4 : `[${behind.v6}]`}:${PORT}`,
      );
      await firewall.replace(config(false));
      // Docker, started anew, puts its own rules first.
      await sh(
        `${tool} -D FORWARD -j DOCKER-USER; ${tool} -D FORWARD -d ${behind[source]} -j ACCEPT; ${tool} -I FORWARD 1 -d ${behind[source]} -j ACCEPT; ${tool} -I FORWARD 1 -j DOCKER-USER`,
      );
      const fresh = await moveBehindGateway(net.clientA);
      expect(await net.clientA.canConnect(net.clientA[server], 9443, QUICK)).toBe(false);
      await firewall.apply([open(door, fresh[source])]);
      expect(await net.clientA.canConnect(net.clientA[server], 9443, QUICK)).toBe(true);
      await firewall.apply([close(door, fresh[source])]);
    });

    async function queued(): Promise<number> {
      const { stdout } = await net.server.exec([tool, '-v', '-S', 'NFKNOCK-QUEUE']);
      return Number(/ -c (\d+) \d+ -j NFQUEUE/.exec(stdout)?.[1] ?? Number.NaN);
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
