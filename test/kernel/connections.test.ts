import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createLab, type Lab } from '../support/native-lab.ts';
import { execute } from '../support/process.ts';
import { ROOT } from '../support/root.ts';

/* Whose connections conntrack's table is looked through for: the kernel's filter is not the same for all of them. */

const MODULE = pathToFileURL(join(ROOT, 'dist/firewall/netlink/conntrack.js')).href;
const CIDR = pathToFileURL(join(ROOT, 'dist/packet/cidr.js')).href;
const HOSTS = 12;
const NETWORK = { IPv4: '203.0.113.', IPv6: '2001:db8:5::' } as const;

let lab: Lab;
const addressOf = (family: keyof typeof NETWORK, host: number): string => `${NETWORK[family]}${host}`;

beforeAll(async () => {
  lab = createLab();
  for (const tool of ['iptables', 'ip6tables'])
    await execute(lab.namespace, [
      tool,
      '-A',
      'INPUT',
      '-m',
      'conntrack',
      '--ctstate',
      'NEW',
      '-j',
      'ACCEPT',
    ]);
  for (const family of ['IPv4', 'IPv6'] as const)
    for (let host = 1; host <= HOSTS; host += 1) {
      const to = family === 'IPv4' ? '192.0.2.1' : '2001:db8::1';
      const ends = ['-s', addressOf(family, host), '-d', to, '--sport', `${1000 + host}`, '--dport', '53'];
      await execute(lab.namespace, ['conntrack', '-I', '-p', 'udp', ...ends, '-t', '600']);
    }
});
afterAll(() => lab?.close());

/** The source ports of what is listed for each of these lists of hosts and networks. */
const listed = async (wanted: readonly (readonly string[])[]): Promise<readonly unknown[]> =>
  lab.run(`
    const { openConnections } = await import('${MODULE}');
    const { parseCidr } = await import('${CIDR}');
    const connections = openConnections();
    for (const hosts of ${JSON.stringify(wanted)}) {
      const ports = [];
      await connections.list(hosts.map(parseCidr), ({ sourcePort }) => ports.push(sourcePort));
      say([...new Set(ports)].sort((a, b) => a - b));
    }
    connections.close();
  `);

describe.each(['IPv4', 'IPv6'] as const)('the connections of %s hosts', (family) => {
  it.each([1, 2, 3, 4, 5, 8])('are theirs alone, of %i at once', async (count) => {
    const draws = Array.from({ length: 5 }, () => {
      const hosts = Array.from({ length: HOSTS }, (_, index) => index + 1);
      return hosts.sort(() => Math.random() - 0.5).slice(0, count);
    });
    const heard = await listed(draws.map((hosts) => hosts.map((host) => addressOf(family, host))));
    expect(heard).toEqual(draws.map((hosts) => hosts.map((host) => 1000 + host).sort((a, b) => a - b)));
  });

  it('are all, of their network', async () => {
    const network = family === 'IPv4' ? '203.0.113.0/24' : '2001:db8:5::/64';
    expect(await listed([[network]])).toEqual([Array.from({ length: HOSTS }, (_, index) => 1001 + index)]);
  });
});

/** More than are taken out in one turn. */
const MANY = 100 + Math.floor(Math.random() * 100);

it('are all ended but one that can not be, which is said', async () => {
  const add = `for i in $(seq ${MANY}); do conntrack -I -p udp -s 198.18.0.1 -d 192.0.2.1 --sport $((2000 + i)) --dport 53 -t 600; done`;
  await execute(lab.namespace, ['sh', '-c', add]);
  const broken = Math.floor(Math.random() * 60);
  const said = await lab.run(`
    const { openConnections } = await import('${MODULE}');
    const { parseCidr } = await import('${CIDR}');
    const connections = openConnections();
    const mine = async () => {
      const found = [];
      await connections.list([parseCidr('198.18.0.1')], (connection) => found.push(connection));
      return found;
    };
    const all = await mine();
    say(all.length);
    // The kernel refuses what names no connection.
    const spoilt = all.map((each, at) => at === ${broken} ? { ...each, entry: { ...each.entry, tuple: Buffer.alloc(4) } } : each);
    say(await connections.end(spoilt).then(() => 'no word', (error) => error.code));
    say((await mine()).length);
    connections.close();
  `);
  expect(said).toEqual([MANY, expect.stringMatching(/^ERRNO_/), 1]);
});
