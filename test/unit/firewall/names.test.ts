import { describe, expect, it } from 'vitest';
import {
  banSet,
  CHAIN,
  checkedDoor,
  checkedInterface,
  doorSet,
  swapSet,
} from '../../../src/firewall/rules/names.ts';

describe('names', () => {
  it('of chains are no longer than iptables takes', () => {
    for (const name of Object.values(CHAIN)) expect(name.length).toBeLessThanOrEqual(28);
  });

  it('of sets tell every door from every other, in at most 31 characters', () => {
    const long = 'a-door-with-a-long-nam';
    const doors = ['ssh', 'ban', 'swap', `${long}e`, `${long}-2`, 'x'.repeat(24), 'ban-00000000'];
    const names = doors.flatMap((door) => [doorSet(door, 4), doorSet(door, 6)]);
    names.push(banSet(4), banSet(6), swapSet(4), swapSet(6));
    expect(new Set(names).size).toBe(names.length);
    for (const name of names) expect(name.length).toBeLessThanOrEqual(31);
    expect(doorSet('ssh', 4)).toBe('nfknock-ssh4');
  });

  it('that could end a rule, or a comment in it, never enter one', () => {
    for (const name of ['', 'a b', 'a"b', 'a\nCOMMIT', "a'", 'a;b', 'a\\', '-a', 'A', 'x'.repeat(25)]) {
      expect(() => checkedDoor(name)).toThrow(RangeError);
    }
    for (const name of ['', 'eth0 -j ACCEPT', 'eth0\n', 'a-name-of-16-char', '!', '-x', 'a+b', '+']) {
      expect(() => checkedInterface(name)).toThrow(RangeError);
    }
    expect(checkedInterface('ppp+')).toBe('ppp+');
  });
});
