import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ipv4, ipv6 } from '../../../src/packet/address.ts';
import { networkOf } from '../../../src/packet/cidr.ts';
import { cidrOf, keyOf } from '../../../src/state/row-key.ts';
import { cidr } from './example.ts';

describe("a network's key", () => {
  it('is hexadecimal of fixed length', () => {
    expect(keyOf(cidr('203.0.113.9'))).toBe('4:cb007109/32');
    expect(keyOf(cidr('2001:db8:0:1::/64'))).toBe('6:20010db8000000010000000000000000/64');
  });

  it('gives the network back, whatever it is', () => {
    const word = fc.integer();
    fc.assert(
      fc.property(word, word, word, word, fc.boolean(), fc.nat(128), (a, b, c, d, old, bits) => {
        const network = old ? networkOf(ipv4(a), bits % 33) : networkOf(ipv6(a, b, c, d), bits);
        expect(cidrOf(keyOf(network))).toEqual(network);
      }),
    );
  });

  it.each([
    '',
    '4:cb007109',
    '4:cb007109/33',
    '4:CB007109/32',
    '6:cb007109/32',
    '6:20010db8000000010000000000000000/129',
    '4:cb007109/32\n',
  ])('is not any text: %j', (text) => expect(cidrOf(text)).toBeUndefined());
});
