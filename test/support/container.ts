import { execFileSync, spawnSync } from 'node:child_process';
import { atEnd } from './cleanup.ts';
import type { Net } from './net.ts';
import { startProcess } from './process.ts';

/*
 *   client A ─── server ─── client B
 *                  │ docker0  203.0.113.1, 2001:db8:d::1
 *               container     203.0.113.2, 2001:db8:d::2
 *
 * A container as Docker attaches it, and the chains that Docker makes for it (those of Docker 20 to 27: names,
 * rules and their order as `iptables-save` shows them after `docker run -p 8080:80`).
 */
export interface Container {
  readonly v4: string;
  readonly v6: string;
  close(): void;
}

/** A port of the host and the container's port that it leads to. */
export type Published = readonly [number, number];

/** Makes the bridge and the container, which answers on these ports. */
export function attachContainer(net: Net, ports: readonly number[]): Container {
  const host = net.server.namespace;
  const name = `${host}c`;
  const ip = (...args: readonly string[]): void => void execFileSync('ip', args);
  ip('netns', 'add', name);
  const close = atEnd(() => {
    const pids = spawnSync('ip', ['netns', 'pids', name], { encoding: 'utf8' }).stdout.split('\n');
    for (const pid of pids.filter(Boolean)) spawnSync('kill', ['-9', pid]);
    spawnSync('ip', ['netns', 'delete', name]);
  });
  ip('-n', host, 'link', 'add', 'docker0', 'type', 'bridge');
  ip('-n', host, 'address', 'add', '203.0.113.1/24', 'dev', 'docker0');
  ip('-n', host, 'address', 'add', '2001:db8:d::1/64', 'dev', 'docker0', 'nodad');
  ip('-n', host, 'link', 'add', 'vethc', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', name);
  ip('-n', host, 'link', 'set', 'vethc', 'master', 'docker0', 'up');
  ip('-n', host, 'link', 'set', 'docker0', 'up');
  ip('-n', name, 'link', 'set', 'eth0', 'up');
  ip('-n', name, 'address', 'add', '203.0.113.2/24', 'dev', 'eth0');
  ip('-n', name, 'address', 'add', '2001:db8:d::2/64', 'dev', 'eth0', 'nodad');
  ip('-n', name, 'route', 'add', 'default', 'via', '203.0.113.1');
  ip('-n', name, '-6', 'route', 'add', 'default', 'via', '2001:db8:d::1');
  for (const port of ports)
    startProcess(name, ['socat', `TCP6-LISTEN:${port},reuseaddr,fork,ipv6only=0`, 'PIPE']);
  return { v4: '203.0.113.2', v6: '2001:db8:d::2', close };
}

/** What Docker does to the tables when it starts and publishes ports; run again it is what its restart does. */
export async function startDocker(net: Net, published: readonly Published[]): Promise<void> {
  await net.server.exec(['sysctl', '-qw', 'net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1']);
  for (const tool of ['iptables', 'ip6tables']) {
    const { code, stderr } = await net.server.exec(['sh', '-ec', dockerRules(tool, published)]);
    if (code !== 0) throw new Error(`${tool}: ${stderr}`);
  }
}

function dockerRules(tool: string, published: readonly Published[]): string {
  const four = tool === 'iptables';
  const [subnet, container] = four ? ['203.0.113.0/24', '203.0.113.2'] : ['2001:db8:d::/64', '2001:db8:d::2'];
  const loopback = four ? '127.0.0.0/8' : '::1/128';
  const first = (rule: string): string =>
    `${tool} -D FORWARD ${rule} 2>&- || true; ${tool} -I FORWARD ${rule}`;
  return [
    ...['DOCKER', 'DOCKER-ISOLATION-STAGE-1', 'DOCKER-USER'].map(
      (chain) => `${tool} -N ${chain} 2>&- || true`,
    ),
    `${tool} -t nat -N DOCKER 2>&- || true`,
    `${tool} -F DOCKER; ${tool} -t nat -F DOCKER; ${tool} -P FORWARD DROP`,
    `${tool} -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER`,
    `${tool} -t nat -A OUTPUT ! -d ${loopback} -m addrtype --dst-type LOCAL -j DOCKER`,
    `${tool} -t nat -A POSTROUTING -s ${subnet} ! -o docker0 -j MASQUERADE`,
    first('-i docker0 -o docker0 -j ACCEPT'),
    first('-i docker0 ! -o docker0 -j ACCEPT'),
    first('-o docker0 -j DOCKER'),
    first('-o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT'),
    first('-j DOCKER-ISOLATION-STAGE-1'),
    first('-j DOCKER-USER'),
    `${tool} -C DOCKER-USER -j RETURN 2>&- || ${tool} -A DOCKER-USER -j RETURN`,
    // Containers are started, and their ports published, once the chains stand in their order.
    ...published.flatMap(([host, port]) => {
      const to = four ? `${container}:${port}` : `[${container}]:${port}`;
      return [
        `${tool} -t nat -A DOCKER ! -i docker0 -p tcp --dport ${host} -j DNAT --to-destination ${to}`,
        `${tool} -A DOCKER -d ${container} ! -i docker0 -o docker0 -p tcp --dport ${port} -j ACCEPT`,
      ];
    }),
  ].join('\n');
}
