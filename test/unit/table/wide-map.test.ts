import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { banKey } from '../../../src/fleet/register.ts';
import { ipv4, ipv6 } from '../../../src/packet/address.ts';
import { hostCidr } from '../../../src/packet/cidr.ts';
import { createWideMap, partOf } from '../../../src/table/wide-map.ts';

const KEYS = fc.nat(40).map((key) => `key ${key}`);
const ACTS = fc.array(fc.tuple(fc.constantFrom('set', 'delete'), KEYS, fc.nat()), { maxLength: 200 });

describe('a map that is spread over many', () => {
  it('holds what a Map would, whenever it is spread', () => {
    fc.assert(
      fc.property(ACTS, fc.nat(45), (acts, few) => {
        const [wide, plain] = [createWideMap<number>(few), new Map<string, number>()];
        for (const [act, key, value] of acts) {
          if (act === 'set') wide.set(key, value);
          else expect(wide.delete(key)).toBe(plain.has(key));
          if (act === 'set') plain.set(key, value);
          else plain.delete(key);
          expect(wide.size()).toBe(plain.size);
          expect(wide.get(key)).toBe(plain.get(key));
        }
        expect(new Map(wide.entries())).toEqual(plain);
        expect([...wide.values()].sort()).toEqual([...plain.values()].sort());
      }),
    );
  });

  it('is walked whole by whoever was on the way when it was spread', () => {
    const wide = createWideMap<number>(50);
    for (let at = 0; at < 50; at += 1) wide.set(`key ${at}`, at);
    const walking = wide.values();
    const seen = new Set(Array.from({ length: 20 }, () => walking.next().value));
    for (let at = 50; at < 3_000; at += 1) wide.set(`key ${at}`, at);
    wide.delete('key 7');
    for (const value of walking) seen.add(value);
    expect(seen.size).toBe(3_000);
    expect([...walking]).toEqual([]);
  });

  it('keeps the order in which they came while they are few', () => {
    const wide = createWideMap<number>();
    for (let at = 1_000; at > 0; at -= 1) wide.set(`${at}`, at);
    expect([...wide.values()]).toEqual(Array.from({ length: 1_000 }, (_, at) => 1_000 - at));
  });

  it.each([
    ['neighbours', (at: number) => ipv4(0x0b00_0000 + at)],
    ['one of each /24', (at: number) => ipv4(at << 8)],
    ['IPv6 networks', (at: number) => ipv6(0x2001_0db8, at, 0, 0)],
  ])('has no part that is much larger than the others: %s', (_, address) => {
    const sizes = new Int32Array(1_024);
    for (let at = 0; at < 262_144; at += 1) {
      const part = partOf(banKey(hostCidr(address(at)), 'strikes'));
      sizes[part] = (sizes[part] ?? 0) + 1;
    }
    expect(Math.max(...sizes)).toBeLessThan(2 * 256);
  });
});
