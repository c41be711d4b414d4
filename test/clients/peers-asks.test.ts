import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { type Daemon, NFKNOCK } from '../support/daemon.ts';
import { createNet, type Net } from '../support/net.ts';
import { startProcess } from '../support/process.ts';
import { clearRules, sh } from './peers-knockd.ts';

/* What the users of other systems ask for, as far as no other test shows it. docs/peers.md has them all. */

const SSH = 22;
const KNOCKS = ['7000', '8000/udp', '9000'];
const CONFIG = {
  doors: { ssh: { knock: ['7000/tcp', '8000/udp', '9000/tcp'], opens: [`${SSH}/tcp`], for: '10s' } },
};

describe('who asks for', () => {
  let net: Net;
  let daemon: Daemon;

  beforeAll(async () => {
    net = await createNet();
    const banner = [
      'socat',
      `TCP6-LISTEN:${SSH},reuseaddr,fork,ipv6only=0`,
      'SYSTEM:echo SSH-2.0-behind_a_door',
    ];
    startProcess(net.server.namespace, banner);
  });
  afterEach(async () => {
    await daemon?.stop();
    await clearRules(net.server);
  });
  afterAll(() => net?.close());

  const reaches = (): Promise<boolean> => net.clientA.canConnect(net.clientA.server4, SSH);

  it('a knock before each SSH connection has it with a line in ssh_config', async () => {
    daemon = await net.server.startDaemon(CONFIG);
    await net.clientA.moveToFreshSource();
    const proxy = [...NFKNOCK, 'knock', '%h', ...KNOCKS, '--proxy', '%p'].join(' ');
    const options = ['-v', '-F', 'none', '-o', 'BatchMode=yes', '-o', 'StrictHostKeyChecking=no'];
    // The banner is all that this server says; it comes from behind the door. A busy machine may need a second call.
    let said = '';
    for (let call = 0; call < 5 && !said.includes('behind_a_door'); call += 1) {
      const ssh = startProcess(net.clientA.namespace, [
        'ssh',
        ...options,
        '-o',
        `ProxyCommand=${proxy}`,
        net.clientA.server4,
      ]);
      ssh.stderr.on('data', (text) => {
        said += String(text);
      });
      await vi.waitFor(() => expect(said).toContain('behind_a_door'), 5_000).catch(() => undefined);
      ssh.kill();
    }
    expect(said).toContain('behind_a_door');
  }, 60_000);

  it('rules that nftables shows: they are there, and an accept elsewhere does not pass by them', async () => {
    daemon = await net.server.startDaemon(CONFIG);
    await net.clientA.moveToFreshSource();
    expect(await sh(net.server, 'nft list ruleset')).toMatch(/chain NFKNOCK-SERVICE/);
    await sh(
      net.server,
      `nft add table inet mine
       nft 'add chain inet mine input { type filter hook input priority -10; policy accept; }'
       nft add rule inet mine input tcp dport ${SSH} accept`,
    );
    expect(await reaches()).toBe(false);
    await sh(net.server, 'nft delete table inet mine');
  });

  it('a service that is open whenever the daemon is not there takes the rules out after it', async () => {
    daemon = await net.server.startDaemon(CONFIG);
    expect(await reaches()).toBe(false);
    await daemon.stop();
    expect(await reaches()).toBe(false);
    expect(await net.server.exec([...NFKNOCK, 'rules', 'remove', '-c', daemon.config])).toMatchObject({
      code: 0,
    });
    expect(await reaches()).toBe(true);
  });

  it('a start before there is a network has it: the interface may come later', async () => {
    daemon = await net.server.startDaemon({ ...CONFIG, listen: { interfaces: ['later0'] } });
    await sh(net.server, 'ip link set toB down && ip link set toB name later0 && ip link set later0 up');
    const { server4, source } = net.clientB;
    for (const address of [source().v4, server4])
      await sh(
        net.server,
        `ip neighbour replace ${address} lladdr 02:00:00:00:00:02 dev later0 nud permanent`,
      );
    expect(await net.clientB.canConnect(server4, SSH)).toBe(false);
    const knock = [...NFKNOCK, 'knock', server4, ...KNOCKS];
    expect(await net.clientB.runThenConnect(knock, server4, SSH, 5_000)).toBeDefined();
  });
});
