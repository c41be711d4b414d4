import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { ask } from '../support/asked.ts';
import { attachContainer, type Container, type Published, startDocker } from '../support/container.ts';
import { type Daemon, NFKNOCK } from '../support/daemon.ts';
import { createNet, type Net } from '../support/net.ts';
import { startProcess } from '../support/process.ts';

/* Ports that Docker publishes: their packets go through FORWARD, past every rule in INPUT. */

const LATE = 10_000;
const QUICK = 150;
/** Milliseconds in which a change by someone else is noticed and fixed. */
const NOTICED = 5_000;
/** As `docker run -p 8080:80 -p 8081:81` publishes them; the door protects the first. */
const PUBLISHED: readonly Published[] = [
  [8080, 80],
  [8081, 81],
];
const PROXIED = 8090;
const FAMILIES = [
  { family: 'IPv4', server: 'server4', source: 'v4', door: 'web4', knocks: ['7101', '7102:udp'] },
  { family: 'IPv6', server: 'server6', source: 'v6', door: 'web6', knocks: ['7201', '7202:udp'] },
] as const;

let net: Net;
let daemon: Daemon;
let container: Container;

const config = (): object => ({
  doors: {
    // Where the container listens, and on which of its own ports: what Docker translates to.
    web4: { knock: ['7101/tcp', '7102/udp'], opens: ['80/tcp'], forward: container.v4, uses: 3, for: '5m' },
    web6: { knock: ['7201/tcp', '7202/udp'], opens: ['80/tcp'], forward: container.v6, uses: 3, for: '5m' },
    proxied: { knock: ['7301/tcp', '7302/udp'], opens: [PROXIED], for: '5m' },
  },
  decoys: ['23/tcp'],
});

beforeAll(async () => {
  net = await createNet();
  container = attachContainer(
    net,
    PUBLISHED.map(([, port]) => port),
  );
});
afterEach(() => daemon?.stop('SIGKILL'));
afterAll(() => {
  container?.close();
  net?.close();
});

describe('a port that Docker publishes', () => {
  it('is open to everyone without nfknock', async () => {
    await startDocker(net, PUBLISHED);
    for (const target of [net.clientA.server4, net.clientA.server6]) {
      expect(await net.clientA.canConnect(target, 8080, LATE)).toBe(true);
    }
  });

  it.each(FAMILIES)(
    'is reached by who knocked alone, over $family',
    async ({ server, source, door, knocks }) => {
      daemon = await net.server.startDaemon(config());
      const address = (await net.clientA.moveToFreshSource())[source];
      const target = net.clientA[server];
      expect(await net.clientA.canConnect(target, 8080, QUICK)).toBe(false);
      // What no door names stays as Docker published it.
      expect(await net.clientA.canConnect(target, 8081, LATE)).toBe(true);

      await net.clientA.exec(['knock', target, ...knocks]);
      await daemon.waitFor({ event: 'door.opened', door, source: address }, LATE);
      const connection = await net.clientA.openConnection(target, 8080);
      expect(await connection.echoes('through the bridge and back')).toBe(true);
      expect(await net.clientB.canConnect(net.clientB[server], 8080, QUICK)).toBe(false);
      // The connection is counted though Docker has translated it.
      const left = async (): Promise<unknown> =>
        (await ask(daemon, { command: 'grants' })).find((grant) => grant.door === door)?.uses_left;
      await expect.poll(left, { timeout: LATE }).toBe(2);
      await ask(daemon, { command: 'revoke', address });
      expect(await net.clientA.canConnect(target, 8080, QUICK)).toBe(false);
      expect(await connection.echoes('still here')).toBe(true);
    },
  );

  it('is protected again where Docker starts only after nfknock, and each time that it starts anew', async () => {
    await net.server.exec(['sh', '-c', forgetDocker('iptables')]);
    await net.server.exec(['sh', '-c', forgetDocker('ip6tables')]);
    daemon = await net.server.startDaemon(config());
    for (const round of [1, 2]) {
      const repaired = daemon.seen({ event: 'firewall.repaired' }).length;
      await startDocker(net, PUBLISHED);
      await expect
        .poll(() => daemon.seen({ event: 'firewall.repaired' }).length, { timeout: LATE })
        .toBeGreaterThan(repaired);
      await net.clientA.moveToFreshSource();
      for (const { server } of FAMILIES) {
        const target = net.clientA[server];
        expect(await net.clientA.canConnect(target, 8081, LATE), `round ${round}`).toBe(true);
        // Docker makes its rules one by one; the last look at them is taken a second after the first.
        await expect
          .poll(() => net.clientA.canConnect(target, 8080, QUICK), {
            timeout: NOTICED,
            message: `round ${round}`,
          })
          .toBe(false);
      }
    }
    expect((await net.server.exec(['iptables', '-S', 'DOCKER-USER'])).stdout).toContain('-j NFKNOCK-FWD');
  });

  it('is never open where DOCKER-USER was made before Docker starts', async () => {
    for (const tool of ['iptables', 'ip6tables']) {
      await net.server.exec(['sh', '-c', `${forgetDocker(tool)}; ${tool} -N DOCKER-USER`]);
    }
    daemon = await net.server.startDaemon(config());
    await net.clientA.moveToFreshSource();
    let stop = false;
    let tries = 0;
    let letIn = 0;
    const trying = (async () => {
      while (!stop) {
        if (await net.clientA.canConnect(net.clientA.server4, 8080, 40)) letIn += 1;
        tries += 1;
      }
    })();
    await startDocker(net, PUBLISHED);
    expect(await net.clientA.canConnect(net.clientA.server4, 8081, LATE)).toBe(true);
    stop = true;
    await trying;
    expect(tries).toBeGreaterThan(3);
    expect(letIn).toBe(0);
  });

  it("is this machine's own where Docker's proxy answers it, and a door without `forward` protects it", async () => {
    await net.server.exec([...NFKNOCK, 'rules', 'remove', '-c', daemon.config]);
    const proxy = `TCP:${container.v4}:80`;
    startProcess(net.server.namespace, ['socat', `TCP6-LISTEN:${PROXIED},reuseaddr,fork,ipv6only=0`, proxy]);
    await net.clientA.moveToFreshSource();
    await expect
      .poll(() => net.clientA.canConnect(net.clientA.server6, PROXIED), { timeout: LATE })
      .toBe(true);
    daemon = await net.server.startDaemon(config());
    expect(await net.clientA.canConnect(net.clientA.server6, PROXIED, QUICK)).toBe(false);
    await net.clientA.exec(['knock', net.clientA.server6, '7301', '7302:udp']);
    await daemon.waitFor({ event: 'door.opened', door: 'proxied' }, LATE);
    const connection = await net.clientA.openConnection(net.clientA.server6, PROXIED);
    expect(await connection.echoes('through the proxy')).toBe(true);
  });
});

/** Everything of Docker's is taken out of the tables; what is nfknock's stays. */
function forgetDocker(tool: string): string {
  return [
    `${tool} -t nat -F; ${tool} -F FORWARD; ${tool} -P FORWARD ACCEPT`,
    ...['DOCKER', 'DOCKER-ISOLATION-STAGE-1', 'DOCKER-USER'].flatMap((chain) => [
      `${tool} -F ${chain}`,
      `${tool} -X ${chain}`,
    ]),
    `${tool} -t nat -X DOCKER`,
  ].join('; ');
}
