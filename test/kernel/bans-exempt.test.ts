import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { kernelBans, nfknock } from '../support/bans-lab.ts';
import { atEnd } from '../support/cleanup.ts';
import type { Daemon } from '../support/daemon.ts';
import { createNet, type Net } from '../support/net.ts';

const GATEWAY = '192.0.2.50';
const RESOLVER = '192.0.2.53';
/** Whom a resolver of this machine asks, by the file that tells of it. */
const ASKED: Readonly<Record<string, string>> = {
  'systemd/resolve/resolv.conf': '192.0.2.54',
  'NetworkManager/no-stub-resolv.conf': '192.0.2.55',
  'dnsmasq/resolv.conf': '192.0.2.56',
};
const NEVER = '192.0.2.60';
const GATEWAY6 = '2001:db8:a:50::1';
const RESOLVER6 = '2001:db8:a:53::1';
const NEVER6 = '2001:db8:a:60::1';
/** Another address of the server: a packet from it can only be forged. */
const OWN = '198.51.100.1';

const CONFIG = {
  doors: { ssh: { knock: ['7000/tcp', '8000/udp', '9000/tcp'], opens: ['22/tcp'], for: '1m' } },
  decoys: ['23/tcp', '2323/tcp', '3389/tcp'],
  bans: { strikes: 2, never: ['192.0.2.60/31', '2001:db8:a:60::/63'] },
};

describe('nobody bans', () => {
  let net: Net;
  let daemon: Daemon;
  let strangers = 0;

  beforeAll(async () => {
    net = await createNet();
    await net.server.listen(22);
    const { namespace, exec } = net.server;
    await exec(['ip', 'route', 'add', 'default', 'via', GATEWAY, 'dev', 'toA']);
    await exec(['ip', '-6', 'route', 'add', 'default', 'via', GATEWAY6, 'dev', 'toA', 'onlink']);
    // `ip netns exec` shows its own /etc/resolv.conf to whatever it starts.
    const folder = join('/etc/netns', namespace);
    mkdirSync(folder, { recursive: true });
    atEnd(() => rmSync(folder, { recursive: true, force: true }));
    writeFileSync(join(folder, 'resolv.conf'), `nameserver ${RESOLVER}\nnameserver ${RESOLVER6}\n`);
    for (const where of ['all', 'toA'])
      for (const setting of ['accept_local=1', 'rp_filter=0'])
        await exec(['sysctl', '-qw', `net.ipv4.conf.${where}.${setting}`]);
    const told = Object.entries(ASKED).map(
      ([file, address]) => `mkdir -p /run/${dirname(file)} && echo nameserver ${address} >/run/${file}`,
    );
    const prepare = ['set -e', 'mount -t tmpfs tmpfs /run', ...told, 'exec "$@"'].join('; ');
    daemon = await net.server.startDaemon(CONFIG, { before: ['unshare', '-m', 'sh', '-c', prepare, 'sh'] });
    for (const address of [GATEWAY, RESOLVER, ...Object.values(ASKED), NEVER, GATEWAY6, RESOLVER6, NEVER6])
      await net.clientA.addAddress(address);
  });
  afterAll(async () => {
    await daemon?.stop();
    net?.close();
  });

  /** Three decoys, from whatever address is wanted. */
  const send = async (source: string): Promise<void> => {
    const { server4, server6, exec } = net.clientA;
    const nmap = ['nmap', '-6', '-sS', '-n', '-Pn', '--send-ip', '-e', 'eth0', '-S', source];
    const brief = ['--max-retries', '0', '--host-timeout', '300ms'];
    const hping3 = ['timeout', '0.5', 'hping3', '-q', '-S', '-I', 'eth0', '-a', source, '-c', '1', '-p'];
    await (source.includes(':')
      ? exec([...nmap, ...brief, '-p', '23,2323,3389', server6])
      : Promise.all(['23', '2323', '3389'].map((port) => exec([...hping3, port, server4]))));
  };
  const offend = async (source: string): Promise<void> => {
    await send(source);
    await vi.waitFor(() => expect(daemon.seen({ event: 'decoy.hit', source })).toHaveLength(3), 5_000);
  };
  /** Who has done nothing yet. */
  const stranger = async (six: boolean): Promise<string> => {
    strangers += 1;
    const address = six ? `2001:db8:a:70${strangers}::1` : `192.0.2.${200 + strangers}`;
    await net.clientA.addAddress(address);
    return address;
  };
  /** Somebody else does the same, and is banned: by then whoever did it before would be. */
  const isBannedOtherwise = async (like: string): Promise<void> => {
    const other = await stranger(like.includes(':'));
    const target = like.includes(':') ? other.replace(/1$/, '/64') : other;
    await send(other);
    await daemon.waitFor({ event: 'ban.added', source: target });
    await nfknock(net.server, daemon, 'unban', target);
  };
  const stands = async (source: string): Promise<void> => {
    expect(daemon.seen({ event: 'ban.added', source })).toEqual([]);
    const members = [...(await kernelBans(net.server)).keys()];
    expect(members.filter((member) => source.startsWith(member.replace(/::\/64$/, ':')))).toEqual([]);
  };

  // Against: banning the gateway, a name server, this machine
  // by: automatic exemptions
  it.each<readonly [string, string]>([
    ['its default gateway', GATEWAY],
    ['its default gateway over IPv6', GATEWAY6],
    ['its name server', RESOLVER],
    ['its name server over IPv6', RESOLVER6],
    ...Object.entries(ASKED).map(
      ([file, address]) => [`whom its resolver asks by ${file}`, address] as const,
    ),
    ['a network in `never`', NEVER],
    ['a network in `never` over IPv6', NEVER6],
    ['an address of its own, which somebody forges', OWN],
  ])('%s, whatever comes from there', async (_, source) => {
    await offend(source);
    await isBannedOtherwise(source);
    await stands(source);
  });

  it('by hand either: the command says why, and the set stays as it is', async () => {
    for (const address of [GATEWAY, RESOLVER6, NEVER, OWN, '127.0.0.1']) {
      const { code, stderr } = await nfknock(net.server, daemon, 'ban', address);
      expect(code).toBe(1);
      expect(stderr).toContain('never');
    }
    expect((await kernelBans(net.server)).size).toBe(0);
  });

  it('a gateway for what a neighbour in its /64 does, who is banned alone; the /64 beside it is banned whole', async () => {
    await net.clientA.addAddress('2001:db8:a:50::99');
    const { server6, exec } = net.clientA;
    const nmap = ['nmap', '-6', '-sS', '-n', '-Pn', '--send-ip', '-e', 'eth0', '-S', '2001:db8:a:50::99'];
    await exec([...nmap, '--max-retries', '0', '--host-timeout', '300ms', '-p', '23,2323,3389', server6]);
    await daemon.waitFor({ event: 'ban.added', source: '2001:db8:a:50::99' });
    expect([...(await kernelBans(net.server)).keys()]).toEqual(['2001:db8:a:50::99']);
    await stands(GATEWAY6);
    await net.clientA.addAddress('2001:db8:a:51::1');
    await net.clientA.exec(['knock', net.clientA.server6, '23', '2323']);
    await daemon.waitFor({ event: 'ban.added', source: '2001:db8:a:51::/64' });
    expect((await kernelBans(net.server)).has('2001:db8:a:51::/64')).toBe(true);
  });

  it('its own /64 for what a neighbour there does, who is banned alone, and `explain` says of each why', async () => {
    const { server6, exec } = net.clientA;
    const neighbour = `${server6.replace(/1$/, '')}${(2 + Math.floor(Math.random() * 60_000)).toString(16)}`;
    const explain = async (address: string): Promise<string> =>
      (await nfknock(net.server, daemon, 'explain', address)).stdout;
    await net.clientA.addAddress(neighbour);
    const nmap = ['nmap', '-6', '-sS', '-n', '-Pn', '--send-ip', '-e', 'eth0', '-S', neighbour];
    await exec([...nmap, '--max-retries', '0', '--host-timeout', '300ms', '-p', '23,2323,3389', server6]);
    await daemon.waitFor({ event: 'ban.added', source: neighbour });
    expect(await explain(neighbour)).toMatch(/banned/);
    // Who was struck as often above, and is never banned, is told why.
    expect(await explain(GATEWAY6)).toMatch(/never banned: \S+/);
    await nfknock(net.server, daemon, 'unban', neighbour);
  });

  it('who is in `never`, who can still knock', async () => {
    await net.clientA.exec(['ip', 'route', 'replace', '192.0.2.0/24', 'dev', 'eth0', 'src', NEVER]);
    const target = net.clientA.server4;
    const knock = ['knock', target, '7000', '8000:udp', '9000'];
    expect(await net.clientA.runThenConnect(knock, target, 22, 3_000)).toBeDefined();
  });
});
