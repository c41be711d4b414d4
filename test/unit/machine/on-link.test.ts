import type { NetworkInterfaceInfo } from 'node:os';
import { describe, expect, it } from 'vitest';
import { onLink, portRange } from '../../../src/machine/on-link.ts';
import { formatCidr } from '../../../src/packet/cidr.ts';

const at = (cidr: string, internal = false): NetworkInterfaceInfo => {
  const address = cidr.split('/')[0] ?? '';
  const more = { address, netmask: '', mac: '', internal, cidr };
  return cidr.includes(':') ? { ...more, family: 'IPv6', scopeid: 0 } : { ...more, family: 'IPv4' };
};

describe('The networks that this machine is in', () => {
  it('are those of its addresses, each once, whatever the order', () => {
    const interfaces = {
      lo: [at('127.0.0.1/8', true), at('::1/128', true)],
      eth0: [at('192.0.2.7/24'), at('2001:db8::7/64'), at('fe80::7/64')],
      eth1: [at('198.51.100.130/26'), at('fe80::8/64')],
    };
    const names = onLink(interfaces).map(formatCidr);
    expect(names).toEqual(['192.0.2.0/24', '198.51.100.128/26', '2001:db8::/64', 'fe80::/64']);
    const turned = Object.fromEntries(Object.entries(interfaces).reverse());
    expect(onLink(turned).map(formatCidr)).toEqual(names);
  });

  it('leave out hosts alone, everybody, and what lies in another', () => {
    const interfaces = {
      ppp0: [at('203.0.113.4/32'), at('2001:db8::9/128')],
      odd0: [at('198.51.100.1/0'), { ...at('198.51.100.1/24'), cidr: null }],
      eth0: [at('10.1.2.3/8'), at('10.9.0.1/16')],
    };
    expect(onLink(interfaces).map(formatCidr)).toEqual(['10.0.0.0/8']);
  });
});

describe('The ports of own questions', () => {
  it.each([
    ['32768\t60999\n', 32_768, 60_999],
    ['1024 65535', 1024, 65_535],
    ['', 32_768, 60_999],
    ['60000 100', 32_768, 60_999],
    ['1 70000', 32_768, 60_999],
    ['many', 32_768, 60_999],
  ])('are in %j from %i to %i', (text, first, last) => {
    expect(portRange(text)).toEqual({ first, last });
  });
});
