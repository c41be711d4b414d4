import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type Daemon, NFKNOCK } from '../support/daemon.ts';
import { answersPing } from '../support/firewall-proxy.ts';
import { createNet, type Net } from '../support/net.ts';
import { startProcess } from '../support/process.ts';
import { example, hostBehind, moveBehindServer } from './lookalike.ts';
import { scratchFolder, sh } from './peers-knockd.ts';

/*
 *   client A ─── server, an appliance ─── client B, the camera behind it
 *      └ net of a smaller MTU behind A
 */

const SSH = 22;
const WEB = 80;
const CAMERA = 8554;
const OTHER = 2200;
const KNOCKS = ['27041', '11873:udp', '45119', '33207:udp'];
const CAMERA_KNOCKS = ['14233:udp', '50871', '8642', '39482:udp'];
const SMALL_MTU = 1_280;
const SMALL4 = '203.0.113.5';
const SMALL6 = '2001:db8:c::5';
const WAIT = 10_000;

describe('an appliance, by examples/appliance.yaml and `rules install --policy appliance`:', () => {
  let net: Net;
  let daemon: Daemon;
  const folder = scratchFolder();
  const file = join(folder, 'nfknock.yaml');
  const env = { NFKNOCK_ROLLBACK_DIR: join(folder, 'run') };

  const rules = async (...args: readonly string[]): Promise<void> => {
    const done = await net.server.exec([...NFKNOCK, 'rules', ...args, '-c', file], { env });
    expect(done).toMatchObject({ code: 0, stderr: '' });
  };
  /** Rules, chains of somebody's own, and policies other than ACCEPT. */
  const laid = (): Promise<string> =>
    sh(
      net.server,
      'for tool in iptables ip6tables; do $tool-save; done | grep -vE "^[#*C]|^:[A-Z]+ ACCEPT " || true',
    );

  beforeAll(async () => {
    net = await createNet();
    for (const port of [SSH, WEB, OTHER]) await net.server.listen(port);
    const camera = await hostBehind(net, [CAMERA, OTHER]);
    const config = example('appliance', { '[eth0]': '[toA]', '10.0.0.20': camera });
    writeFileSync(file, JSON.stringify(config));
    expect(await laid()).toBe('');
    await rules('install', '--policy', 'appliance', '--confirm', '60s');
    await rules('confirm', '--yes');
    daemon = await net.server.startDaemon(config);
  });
  afterAll(async () => {
    await daemon?.stop();
    net?.close();
  });

  it('nothing is open but what `allow` names, and nothing is forwarded', async () => {
    await moveBehindServer(net.clientA);
    for (const target of [net.clientA.server4, net.clientA.server6]) {
      expect(await net.clientA.canConnect(target, WEB)).toBe(true);
      for (const port of [SSH, OTHER]) expect(await net.clientA.canConnect(target, port)).toBe(false);
    }
    expect(await net.clientA.canConnect(net.clientB.source().v4, OTHER)).toBe(false);
    for (const tool of ['iptables', 'ip6tables'])
      expect(await sh(net.server, `${tool} -S`)).toMatch(/^-P INPUT DROP\n-P FORWARD DROP\n/);
  });

  it('a knock opens SSH, over IPv4 and IPv6', async () => {
    await moveBehindServer(net.clientA);
    for (const target of [net.clientA.server4, net.clientA.server6]) {
      const letIn = await net.clientA.runThenConnect(['knock', target, ...KNOCKS], target, SSH, 3_000);
      expect(letIn).toBeDefined();
    }
  });

  it('another knock opens the way to the camera behind, and to nothing else there', async () => {
    await moveBehindServer(net.clientA);
    const target = net.clientA.server4;
    expect(await net.clientA.canConnect(target, CAMERA)).toBe(false);
    const camera = await net.clientA.runThenConnect(
      ['knock', target, ...CAMERA_KNOCKS],
      target,
      CAMERA,
      3_000,
    );
    expect(await camera?.echoes('a picture')).toBe(true);
    expect(await net.clientA.canConnect(net.clientB.source().v4, OTHER)).toBe(false);
    expect(await net.clientA.canConnect(target, SSH)).toBe(false);
  });

  it('answers a ping, finds its neighbours anew, and talks to itself and to the world', async () => {
    await moveBehindServer(net.clientA);
    await sh(
      net.server,
      'ip neighbour flush dev toA nud permanent; ip -6 neighbour flush dev toA nud permanent',
    );
    for (const target of [net.clientA.server4, net.clientA.server6]) {
      expect(await answersPing(net.clientA, target)).toBe(true);
      expect((await net.server.exec(['nc', '-z', '-w2', target, `${OTHER}`])).code).toBe(0);
    }
    startProcess(net.clientA.namespace, ['socat', 'TCP6-LISTEN:7777,ipv6only=0,fork,reuseaddr', 'PIPE']);
    const { v4, v6 } = net.clientA.source();
    for (const address of [v4, v6]) {
      await vi.waitFor(async () => {
        expect((await net.server.exec(['nc', '-z', '-w1', address, '7777'])).code).toBe(0);
      }, WAIT);
    }
  });

  it('learns of a smaller MTU on the way, which only an ICMP error tells it', async () => {
    await sh(
      net.clientA,
      `ip link add small mtu ${SMALL_MTU} type veth peer name far && ip link set small up && ip link set far up &&
       ip address add ${SMALL4.replace(/5$/, '1')}/24 dev small && ip address add ${SMALL6.replace(/5$/, '1')}/64 dev small nodad &&
       sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1`,
    );
    const { v4, v6 } = net.clientA.source();
    await sh(net.server, `ip route add 203.0.113.0/24 via ${v4}; ip -6 route add 2001:db8:c::/64 via ${v6}`);
    for (const address of [SMALL4, SMALL6]) {
      await vi.waitFor(async () => {
        const to = address.includes(':') ? `UDP6:[${address}]:9` : `UDP4:${address}:9`;
        await net.server.exec(['socat', '-u', '-', to], { input: 'x'.repeat(1_400) });
        expect(await sh(net.server, `ip route get ${address}`)).toContain(`mtu ${SMALL_MTU}`);
      }, WAIT);
    }
  });

  it('hears offers for its DHCP clients, and no other datagram', async () => {
    await moveBehindServer(net.clientA);
    const heard = (port: number): string[] => {
      const said: string[] = [];
      const { stdout } = startProcess(net.server.namespace, ['socat', '-u', `UDP-RECV:${port}`, '-']);
      stdout.on('data', (text) => said.push(String(text)));
      return said;
    };
    const [client, other] = [heard(68), heard(5353)];
    const send = (port: number): Promise<unknown> =>
      net.clientA.exec(['socat', '-u', '-', `UDP:${net.clientA.server4}:${port},sourceport=67`], {
        input: 'offer',
      });
    await vi.waitFor(async () => {
      await send(5353);
      await send(68);
      expect(client.join('')).toContain('offer');
    }, WAIT);
    expect(other).toEqual([]);
  });

  it('keeps its guard up with the daemon dead: what is open to all stays so, nothing else opens', async () => {
    await moveBehindServer(net.clientA);
    await daemon.stop('SIGKILL');
    const target = net.clientA.server4;
    expect(await net.clientA.canConnect(target, WEB)).toBe(true);
    const letIn = await net.clientA.runThenConnect(['knock', target, ...KNOCKS], target, SSH);
    expect(letIn).toBeUndefined();
  });

  it('is laid for a trial and put back where nobody confirms', async () => {
    await rules('remove');
    expect(await laid()).toBe('');
    await rules('install', '--policy', 'appliance', '--confirm', '2s');
    expect(await net.clientA.canConnect(net.clientA.server4, OTHER)).toBe(false);
    await vi.waitFor(async () => expect(await laid()).toBe(''), WAIT);
    expect(await net.clientA.canConnect(net.clientA.server4, OTHER)).toBe(true);
  });
});
