import { describe, expect, it } from 'vitest';
import { gatewaysV4, gatewaysV6, nameServers } from '../../../src/daemon/exemptions.ts';
import { formatAddress } from '../../../src/packet/address.ts';

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
