import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type Address,
  bytesOf,
  formatAddress,
  ipv4,
  ipv6,
  parseAddress,
  sameAddress,
  unmapped,
} from '../../../src/packet/address.ts';
import {
  type Cidr,
  contains,
  formatCidr,
  hostCidr,
  networkOf,
  offenderOf,
  parseCidr,
  unmappedCidr,
} from '../../../src/packet/cidr.ts';

const word = fc.integer();
const address = fc.oneof(
  word.map(ipv4),
  fc.tuple(word, word, word, word).map((words) => ipv6(...words)),
);

describe('an address', () => {
  it('is read as it is written', () => {
    fc.assert(
      fc.property(address, (one) => {
        expect(parseAddress(formatAddress(one))).toEqual(one);
      }),
    );
  });

  it.each([
    ['192.0.2.1', ipv4(0xc0000201)],
    ['255.255.255.255', ipv4(0xffffffff)],
    ['2001:db8::1:2', ipv6(0x20010db8, 0, 0, 0x10002)],
    ['::ffff:192.0.2.1', ipv6(0, 0, 0xffff, 0xc0000201)],
  ])('%s is these words', (text, words) => {
    expect(parseAddress(text)).toEqual(words);
  });

  it.each(['', '192.0.2', '192.0.2.256', '0300.0.2.1', '0xc0000201', '2001:db8::1%eth0', 'fe80', '1::2::3'])(
    '%s is none',
    (text) => {
      expect(parseAddress(text)).toBeUndefined();
    },
  );

  it.each([
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['::fffe:192.0.2.1', '::fffe:c000:201'],
    ['::1:ffff:192.0.2.1', '::1:ffff:c000:201'],
    ['2001:db8::ffff:192.0.2.1', '2001:db8::ffff:c000:201'],
    ['192.0.2.1', '192.0.2.1'],
  ])('%s stands for %s', (text, meant) => {
    expect(formatAddress(unmapped(parseAddress(text) as Address))).toBe(meant);
  });

  it.each([
    ['::ffff:192.0.2.0/120', '192.0.2.0/24'],
    ['::ffff:0.0.0.0/96', '0.0.0.0/0'],
    ['::fffe:0:0/95', '::fffe:0:0/95'],
  ])('the network %s stands for %s', (text, meant) => {
    expect(formatCidr(unmappedCidr(parseCidr(text) as Cidr))).toBe(meant);
  });

  it('of IPv4 is one word, and nothing in the others', () => {
    expect(parseAddress('192.0.2.129')).toEqual({ family: 4, a: 0xc0000281 | 0, b: 0, c: 0, d: 0 });
  });

  it('has its bytes in the order of the network', () => {
    expect(bytesOf(ipv4(0xc0000281))).toEqual([192, 0, 2, 129]);
    expect(bytesOf(ipv6(0x20010db8, 0x00c0ffee, 0, 0x81000001))).toEqual([
      0x20, 0x01, 0x0d, 0xb8, 0x00, 0xc0, 0xff, 0xee, 0, 0, 0, 0, 0x81, 0, 0, 1,
    ]);
  });

  it('is the same as another only if family and every word are', () => {
    const one = ipv6(1, 2, 3, 4);
    expect(sameAddress(one, ipv6(1, 2, 3, 4))).toBe(true);
    for (const other of [ipv6(9, 2, 3, 4), ipv6(1, 9, 3, 4), ipv6(1, 2, 9, 4), ipv6(1, 2, 3, 9)]) {
      expect(sameAddress(one, other)).toBe(false);
    }
    expect(sameAddress(ipv4(1), ipv6(1, 0, 0, 0))).toBe(false);
  });
});

describe('a network', () => {
  const written = (text: string): string | undefined => {
    const cidr = parseCidr(text);
    return cidr === undefined ? undefined : formatCidr(cidr);
  };

  it.each([
    '192.0.2.0/24',
    '0.0.0.0/0',
    '192.0.2.7',
    '10.0.0.0/8',
    '2001:db8::/32',
    '::/0',
    '2001:db8::7',
    '192.0.2.128/25',
  ])('%s is read and written alike', (text) => {
    expect(written(text)).toBe(text);
  });

  it.each([
    '192.0.2.1/24',
    '192.0.2.0/33',
    '2001:db8::/129',
    '192.0.2.0/',
    '192.0.2.0/024',
    '192.0.2.0/24/8',
    '/24',
    '2001:db8::1/64',
  ])('%s is none', (text) => {
    expect(written(text)).toBeUndefined();
  });

  it('a lone host may be written with its length', () => {
    expect(written('192.0.2.7/32')).toBe('192.0.2.7');
    expect(written('2001:db8::7/128')).toBe('2001:db8::7');
  });

  it('holds the addresses that begin with its bits, and no others', () => {
    const bits = (one: typeof address extends fc.Arbitrary<infer A> ? A : never): string =>
      bytesOf(one)
        .map((byte) => byte.toString(2).padStart(8, '0'))
        .join('');
    fc.assert(
      fc.property(address, fc.nat(128), fc.nat(160), (one, length, flipped) => {
        const all = bits(one);
        const most = Math.min(length, all.length);
        const network = networkOf(one, most);
        expect(bits(network.address)).toBe(all.slice(0, most).padEnd(all.length, '0'));
        const words = [one.a, one.b, one.c, one.d];
        const at = flipped >> 5;
        if (at < all.length / 32) words[at] = (words[at] ?? 0) ^ (1 << (31 - (flipped & 31)));
        const [a = 0, b = 0, c = 0, d = 0] = words;
        const other = { family: one.family, a, b, c, d };
        expect(contains(network, other)).toBe(bits(other).startsWith(all.slice(0, most)));
      }),
      { numRuns: 1000 },
    );
    expect(contains(networkOf(ipv4(0), 0), ipv6(0, 0, 0, 0))).toBe(false);
  });

  it('ends exactly at its last bit', () => {
    const one = ipv6(0, 0, 0, 0);
    for (let length = 1; length <= 128; length += 1) {
      const network = networkOf(one, length);
      const flip = (bit: number): boolean => {
        const words = [0, 1, 2, 3].map((word) => (word === bit >> 5 ? 1 << (31 - (bit & 31)) : 0));
        const [a = 0, b = 0, c = 0, d = 0] = words;
        return contains(network, ipv6(a, b, c, d));
      };
      expect(flip(length - 1)).toBe(false);
      if (length < 128) expect(flip(length)).toBe(true);
    }
  });

  it('of an offender is the host, or the /64 of an IPv6 host', () => {
    expect(formatCidr(offenderOf(ipv4(0xc0000201)))).toBe('192.0.2.1');
    expect(formatCidr(offenderOf(ipv6(0x20010db8, 1, 2, 3)))).toBe('2001:db8:0:1::/64');
    expect(hostCidr(ipv6(0x20010db8, 1, 2, 3)).bits).toBe(128);
  });
});
