import { describe, expect, it } from 'vitest';
import { milliseconds } from '../../../src/packet/time.ts';
import { createBucket } from '../../../src/spa/bucket.ts';
import {
  type Budget,
  createBudget,
  KNOWN_SOURCE_A_SECOND,
  KNOWN_SOURCES_MAX,
  MACS_A_SECOND,
  PROOFS_A_SECOND,
  PROOFS_OF_A_KEY_A_SECOND,
} from '../../../src/spa/budget.ts';
import { address } from './spa-world.ts';

const STRANGER = address('203.0.113.9');
const OWNER = address('198.51.100.7');
const at = milliseconds;

/** How many of so many packets get what they cost. */
function granted(count: number, ask: (index: number) => boolean): number {
  let sum = 0;
  for (let index = 0; index < count; index += 1) if (ask(index)) sum += 1;
  return sum;
}

/** A budget of which strangers have spent what there is for everybody. */
function spent(known: readonly string[] = []): Budget {
  const budget = createBudget(['ada', 'ben']);
  for (const text of known) budget.remember(address(text));
  while (budget.macs(STRANGER, 100, at(0)));
  budget.overload();
  return budget;
}

describe('A bucket', () => {
  it("holds a second's worth, and fills by the time that passes", () => {
    const bucket = createBucket(10);
    expect(granted(12, () => bucket.take(1, 0))).toBe(10);
    expect(bucket.take(1, 99)).toBe(false);
    expect(bucket.take(1, 100)).toBe(true);
    expect(bucket.take(3, 399)).toBe(false);
    expect(bucket.take(3, 400)).toBe(true);
    expect(granted(20, () => bucket.take(1, 60_000))).toBe(10);
    expect(bucket.take(11, 120_000)).toBe(false);
  });

  it('is not filled by times that go to and fro', () => {
    const bucket = createBucket(10);
    expect(granted(10, () => bucket.take(1, 1_000))).toBe(10);
    for (let turn = 0; turn < 100; turn += 1) {
      expect(bucket.take(1, 950)).toBe(false);
      expect(bucket.take(1, 1_000)).toBe(false);
    }
    expect(bucket.take(1, 1_100)).toBe(true);
  });
});

describe('The budget of MACs', () => {
  it('is 40,000 a second, of which strangers get three quarters', () => {
    const budget = createBudget([]);
    expect(MACS_A_SECOND).toBe(40_000);
    expect(granted(1_000, () => budget.macs(STRANGER, 40, at(0)))).toBe(750);
    expect(granted(1_000, () => budget.macs(STRANGER, 40, at(500)))).toBe(375);
    expect(budget.overload()).toBe(250 + 625);
    expect(budget.overload()).toBe(0);
  });

  it('keeps a quarter for sources that have opened before', () => {
    const budget = spent(['198.51.100.7']);
    expect(budget.macs(STRANGER, 32, at(0))).toBe(false);
    expect(budget.macs(OWNER, 32, at(0))).toBe(true);
    expect(budget.overload()).toBe(1);
  });

  it('lets one such source have 20 packets a second of it, since its address can be forged', () => {
    const budget = spent(['198.51.100.7', '198.51.100.8']);
    expect(KNOWN_SOURCE_A_SECOND).toBe(20);
    expect(granted(40, () => budget.macs(OWNER, 32, at(0)))).toBe(20);
    expect(budget.macs(address('198.51.100.8'), 32, at(0))).toBe(true);
    expect(granted(40, () => budget.macs(OWNER, 1, at(1)))).toBe(20 + 10);
  });

  it('is not spent from what is kept as long as there is enough for everybody', () => {
    const budget = createBudget([]);
    budget.remember(OWNER);
    expect(granted(100, () => budget.macs(OWNER, 32, at(0)))).toBe(100);
  });

  it('ends for known sources too', () => {
    const budget = spent(Array.from({ length: 250 }, (_, index) => `198.51.100.${index}`));
    const ask = (index: number): boolean => budget.macs(address(`198.51.100.${index % 250}`), 100, at(0));
    expect(granted(1_000, ask)).toBe(100);
  });

  it('knows an IPv6 host by its /64, and an IPv4 one by itself', () => {
    const budget = spent(['2001:db8:0:1::7', '198.51.100.7']);
    expect(budget.macs(address('2001:db8:0:1:ffff::9'), 1, at(0))).toBe(true);
    expect(budget.macs(address('2001:db8:0:2::7'), 1, at(0))).toBe(false);
    expect(budget.macs(address('198.51.100.6'), 1, at(0))).toBe(false);
  });

  it('forgets the source that has not opened for longest, beyond 4,096', () => {
    const name = (index: number): string => `10.0.${index >> 8}.${index & 255}`;
    const budget = spent(Array.from({ length: KNOWN_SOURCES_MAX }, (_, index) => name(index)));
    budget.remember(address(name(0)));
    budget.remember(OWNER);
    expect(KNOWN_SOURCES_MAX).toBe(4_096);
    expect(budget.macs(address(name(0)), 1, at(0))).toBe(true);
    expect(budget.macs(address(name(1)), 1, at(0))).toBe(false);
    expect(budget.macs(address(name(2)), 1, at(0))).toBe(true);
    expect(budget.macs(OWNER, 1, at(0))).toBe(true);
  });

  it('gives a source that opens again no second share', () => {
    const budget = spent(['198.51.100.7']);
    expect(granted(30, () => budget.macs(OWNER, 1, at(0)))).toBe(20);
    budget.remember(OWNER);
    expect(budget.macs(OWNER, 1, at(0))).toBe(false);
  });
});

describe('The budget of proofs', () => {
  it('is 20 a second for each key, of which strangers get 15', () => {
    const budget = createBudget(['ada', 'ben']);
    expect(PROOFS_OF_A_KEY_A_SECOND).toBe(20);
    expect(granted(40, () => budget.proof(STRANGER, 'ada', at(0)))).toBe(15);
    expect(granted(40, () => budget.proof(STRANGER, 'ben', at(0)))).toBe(15);
    expect(budget.overload()).toBe(50);
    budget.remember(OWNER);
    expect(granted(40, () => budget.proof(OWNER, 'ada', at(0)))).toBe(5);
    expect(granted(40, () => budget.proof(STRANGER, 'ada', at(1_000)))).toBe(15);
  });

  it('is 1,000 a second in all', () => {
    const names = Array.from({ length: 100 }, (_, index) => `key${index}`);
    const budget = createBudget(names);
    budget.remember(OWNER);
    expect(PROOFS_A_SECOND).toBe(1_000);
    expect(granted(1_500, (index) => budget.proof(STRANGER, names[index % 100] ?? '', at(0)))).toBe(750);
    expect(granted(100, (index) => budget.proof(OWNER, names[index % 100] ?? '', at(0)))).toBe(20);
    expect(granted(300, (index) => budget.proof(address('192.0.2.1'), names[index] ?? '', at(0)))).toBe(0);
    for (let host = 0; host < 50; host += 1) budget.remember(address(`192.0.2.${host}`));
    const more = (index: number): boolean =>
      budget.proof(address(`192.0.2.${index % 50}`), names[index % 100] ?? '', at(0));
    expect(granted(1_000, more)).toBe(230);
  });

  it('has nothing for a key that is not there', () => {
    expect(createBudget(['ada']).proof(STRANGER, 'ben', at(0))).toBe(false);
  });
});
