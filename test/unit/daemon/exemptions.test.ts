import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { findExempt, gatewaysV4, gatewaysV6, nameServers } from '../../../src/daemon/exemptions.ts';
import { formatAddress } from '../../../src/packet/address.ts';
import { formatCidr } from '../../../src/packet/cidr.ts';

// As the kernel and people write them.
const ROUTES = `Iface	Destination	Gateway 	Flags	RefCnt	Use	Metric	Mask		MTU	Window	IRTT
eth0	00000000	010200C0	0003	0	0	0	00000000	0	0	0
wlan0	00000000	FE6433C6	0003	0	0	600	00000000	0	0	0
eth0	000200C0	00000000	0001	0	0	0	00FFFFFF	0	0	0
eth0	0000A8C0	010200C0	0003	0	0	0	0000FFFF	0	0	0
tun0	00000000	00000000	0001	0	0	0	00000000	0	0	0
`;
const NONE = '0'.repeat(32);
const ROUTES_6 = [
  `${NONE} 00 ${NONE} 00 fe80000000000000025056fffe000001 00000400 00000001 00000000 00000003 eth0`,
  `20010db8000000000000000000000000 40 ${NONE} 00 ${NONE} 00000100 00000001 00000000 00000001 eth0`,
  `${NONE} 00 ${NONE} 00 ${NONE} ffffffff 00000001 00000000 00200200 lo`,
].join('\n');

describe('never banned by themselves are', () => {
  it('the gateways of default routes, and of no other route', () => {
    expect(gatewaysV4(ROUTES).map(formatAddress)).toEqual(['192.0.2.1', '198.51.100.254']);
    expect(gatewaysV6(ROUTES_6).map(formatAddress)).toEqual(['fe80::250:56ff:fe00:1']);
  });

  it('the name servers, also one that is IPv4 written as IPv6', () => {
    const text = `# nameserver 192.0.2.99\nsearch example.net\nnameserver 192.0.2.53\n nameserver\t2001:db8::53\nnameserver fe80::1%eth0\nnameserver ::ffff:198.51.100.53\nnameserver\nnameserver x\noptions edns0\n`;
    expect(nameServers(text).map(formatAddress)).toEqual([
      '192.0.2.53',
      '2001:db8::53',
      'fe80::1',
      '198.51.100.53',
    ]);
  });

  it.each(['', 'eth0', '00000000 00 00', 'eth0 00000000 zz 0 0 0 0 00000000'])(
    'nobody on account of "%s"',
    (text) => {
      expect([...gatewaysV4(text), ...gatewaysV6(text), ...nameServers(text)]).toEqual([]);
    },
  );
});

describe('what the machine tells', () => {
  const folder = mkdtempSync(join(tmpdir(), 'nfknock-exempt-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  const file = (name: string, text: string): string => {
    const path = join(folder, name);
    writeFileSync(path, text);
    return path;
  };

  // Against: banning a name server behind a resolver of this machine (systemd-resolved, dnsmasq)
  // by: its servers are exempt too
  it('of name servers is taken from systemd-resolved too, and of a missing file nothing', async () => {
    const found = await findExempt({
      routes4: join(folder, 'none'),
      routes6: join(folder, 'none'),
      resolvers: [
        file('stub', 'nameserver 127.0.0.53\n'),
        file('resolved', '# by systemd\nnameserver 192.0.2.53\nnameserver 2001:db8::53'),
        join(folder, 'none'),
      ],
    });
    expect(found.everybody.map(formatCidr)).toEqual(
      expect.arrayContaining(['127.0.0.53', '192.0.2.53', '2001:db8::53']),
    );
  });

  // Against: hundreds of thousands of routes
  // by: read in pieces
  it('in hundreds of thousands of routes keeps nothing waiting, and the gateways are found wherever they stand', async () => {
    const count = 200_000 + Math.floor(Math.random() * 50_000);
    const at = Math.floor(Math.random() * count);
    const four = Array.from({ length: count }, (_, index) =>
      index === at
        ? 'eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0'
        : `eth0\t${(0x0a00_0000 + index).toString(16).toUpperCase().padStart(8, '0')}\t010200C0\t0003\t0\t0\t0\t00FFFFFF\t0\t0\t0`,
    );
    const six = Array.from({ length: count }, (_, index) => {
      const destination = index === at ? `${NONE} 00` : `20010db8${index.toString(16).padStart(24, '0')} 40`;
      const hop = index === at ? 'fe80000000000000025056fffe000001' : NONE;
      return `${destination} ${NONE} 00 ${hop} 00000400 00000001 00000000 00000003     eth0`;
    });
    const places = {
      routes4: file('route', `Iface\tDestination\n${four.join('\n')}\n`),
      routes6: file('ipv6_route', `${six.join('\n')}\n`),
      resolvers: [],
    };
    let longest = Number.POSITIVE_INFINITY;
    for (let attempt = 0; attempt < 5 && longest >= 20; attempt += 1) {
      const { found, turn } = await longestTurn(() => findExempt(places));
      expect(found.everybody.map(formatCidr)).toEqual(
        expect.arrayContaining(['192.0.2.1', 'fe80::250:56ff:fe00:1']),
      );
      longest = Math.min(longest, turn);
    }
    expect(longest).toBeLessThan(20);
  });
});

/** The longest turn of the event loop meanwhile, by the lesser of wall time and processor time, in milliseconds. */
async function longestTurn<Found>(work: () => Promise<Found>): Promise<{ found: Found; turn: number }> {
  let done = false;
  let turn = 0;
  let wall = performance.now();
  let used = process.cpuUsage();
  const look = (): void => {
    const [then, spent] = [wall, process.cpuUsage(used)];
    wall = performance.now();
    used = process.cpuUsage();
    turn = Math.max(turn, Math.min(wall - then, (spent.user + spent.system) / 1000));
    if (!done) setImmediate(look);
  };
  setImmediate(look);
  const found = await work();
  done = true;
  return { found, turn };
}
