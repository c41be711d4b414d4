import { describe, expect, it } from 'vitest';
import { createAttempts, placeOf } from '../../../src/engine/attempt.ts';
import { banDuration, createBans } from '../../../src/engine/ban.ts';
import { createOffenders } from '../../../src/engine/offenders.ts';
import { createSubjects, type Subject } from '../../../src/engine/subject.ts';
import { NONE } from '../../../src/engine/table.ts';
import { formatCidr } from '../../../src/packet/cidr.ts';
import { milliseconds } from '../../../src/packet/time.ts';
import { address, settings } from './world.ts';

const subjects = createSubjects([1, 2]);
const host = (last: number): Subject => {
  subjects.ofAddress(address(`203.0.113.${last}`));
  return { ...subjects.subject };
};
const BANS = settings({ bans: { strikes: 3, within: milliseconds(1_000) } }).bans;

describe('who is remembered for offences', () => {
  it('gives room first who has no strikes, then who has fewest, and last who was banned before', () => {
    const offenders = createOffenders(4, BANS);
    const slots = [1, 2, 3, 4].map((last) => offenders.put(host(last)));
    const [first = 0, second = 0, third = 0] = slots;
    offenders.remember(first, 1, 0);
    // A strike does not put who was banned among those who were not.
    offenders.strike(first, 0);
    offenders.strike(second, 0);
    offenders.strike(second, 0);
    offenders.strike(third, 0);
    const gone = (): number[] => [1, 2, 3, 4].filter((last) => offenders.find(host(last)) === NONE);
    offenders.put(host(5));
    expect(gone()).toEqual([4]);
    offenders.strike(offenders.find(host(5)), 0);
    offenders.strike(offenders.find(host(5)), 0);
    offenders.put(host(6));
    expect(gone()).toEqual([3, 4]);
    offenders.strike(offenders.find(host(6)), 0);
    offenders.strike(offenders.find(host(6)), 0);
    offenders.strike(offenders.find(host(6)), 0);
    offenders.put(host(7));
    expect(gone()).toEqual([2, 3, 4]);
  });

  it('is remembered at a new place with nothing of who stood there before', () => {
    const offenders = createOffenders(1, BANS);
    const slot = offenders.put(host(1));
    for (let time = 0; time < 3; time += 1) offenders.strike(slot, 0);
    for (let packets = 0; packets < 5; packets += 1) offenders.exceeds(slot, 0);
    offenders.remember(slot, 9, 1e9);
    offenders.forget(slot, 77);
    expect(offenders.put(host(2))).toBe(slot);
    expect(offenders.strikes(slot, 0)).toBe(0);
    expect(offenders.bans(slot, 0)).toBe(0);
    expect(offenders.forgotten(slot)).toBe(-1);
    expect(offenders.read(slot)).toMatchObject({ moments: [], rateCount: 0, banCount: 0, forgotten: -1 });
    expect(offenders.strike(slot, 1)).toBe(1);
  });

  it('has the last strikes count, as many as lead to a ban, each for its time', () => {
    const offenders = createOffenders(2, BANS);
    offenders.put(host(1));
    const slot = offenders.put(host(2));
    for (const [now, count] of [
      [0, 1],
      [400, 2],
      [800, 3],
      [1_000, 3],
      [1_400, 3],
      [1_801, 3],
      [2_500, 2],
    ] as const) {
      expect(offenders.strike(slot, now)).toBe(count);
    }
    expect(offenders.strikes(slot, 2_801)).toBe(2);
    expect(offenders.strikes(slot, 2_802)).toBe(1);
    expect(offenders.strikes(slot, 3_501)).toBe(0);
    offenders.forgive(slot);
    expect(offenders.strikes(slot, 2_500)).toBe(0);
    expect(offenders.strike(slot, 2_500)).toBe(1);
    expect(offenders.strikes(offenders.find(host(1)), 0)).toBe(0);
  });

  it('has its packets counted in windows that begin with a packet', () => {
    const rate = { packets: 2, per: milliseconds(100) };
    const offenders = createOffenders(2, { ...BANS, rate });
    offenders.put(host(1));
    const slot = offenders.put(host(2));
    const exceeds = [50, 60, 149, 150, 151, 249, 250, 251, 252].map((now) => offenders.exceeds(slot, now));
    // The third in a window is too many and ends it; a window that has lasted 100 ms is over.
    expect(exceeds).toEqual([false, false, true, false, false, true, false, false, true]);
  });

  it('is carried into another table as it was, strikes in their order', () => {
    const from = createOffenders(2, BANS);
    const slot = from.put(host(1));
    for (const now of [0, 100, 200, 300]) from.strike(slot, now);
    from.exceeds(slot, 300);
    from.remember(slot, 4, 5_000);
    from.forget(slot, 7);
    const record = from.read(slot);
    expect(record).toEqual({
      moments: [100, 200, 300],
      rateBegun: 300,
      rateCount: 1,
      banCount: 4,
      keptUntil: 5_000,
      forgotten: 7,
    });
    from.strike(from.put(host(2)), 100);
    const to = createOffenders(3, BANS, from);
    to.put(host(9));
    // Each is moved when it is looked for.
    expect(to.read(to.find(host(1)))).toEqual(record);
    expect(from.find(host(1))).toBe(NONE);
    // A ban outweighs all strikes in the new table too, and strikes outweigh none.
    expect(to.strikes(to.put(host(2)), 100)).toBe(1);
    to.put(host(3));
    expect([9, 1, 2, 3].map((last) => to.find(host(last)) === NONE)).toEqual([true, false, false, false]);
    to.put(host(4));
    to.put(host(5));
    expect([1, 2].map((last) => to.find(host(last)) === NONE)).toEqual([false, false]);
  });

  it('has at most 65,535 bans', () => {
    const offenders = createOffenders(1, BANS);
    const slot = offenders.put(host(1));
    offenders.remember(slot, 1e9, 0);
    expect(offenders.bans(slot, 0)).toBe(65_535);
  });
});

describe('how long a ban lasts', () => {
  const of = (count: number): number =>
    banDuration({ ...BANS, for: milliseconds(10), escalate: 3, max: milliseconds(100) }, count);

  it('grows by the factor each time, up to the most, however often', () => {
    expect([1, 2, 3, 4, 65_535].map(of)).toEqual([10, 30, 90, 100, 100]);
  });
});

describe('the table of bans', () => {
  it('keeps who, since when, until when and which one, and ends the first one first', () => {
    const bans = createBans(2);
    bans.put(host(1), 5, 50, 1e9);
    expect(bans.full(2)).toBe(false);
    subjects.ofAddress(address('2001:db8:0:1:2:3:4:5'));
    bans.put(subjects.subject, 6, 40, 2);
    expect(bans.full(2)).toBe(true);
    expect(bans.deadline()).toBe(40);
    const { target, ...first } = bans.at(bans.first());
    expect(formatCidr(target)).toBe('2001:db8:0:1::/64');
    expect(first).toEqual({ since: 6, until: 40, count: 2, origin: 'strikes' });
    bans.remove(bans.first());
    const { target: other, ...second } = bans.at(bans.first());
    expect(formatCidr(other)).toBe('203.0.113.1');
    expect(second).toEqual({ since: 5, until: 50, count: 65_535, origin: 'strikes' });
    bans.put(host(1), 7, 70, 3);
    expect(bans.size()).toBe(1);
    expect(bans.deadline()).toBe(70);
  });
});

describe('who is part-way through a sequence', () => {
  const at = (attempts: ReturnType<typeof createAttempts>, last: number, sequence = 0): number => {
    const { hostHash, family, a, b, c, d } = host(last);
    return attempts.table.find(hostHash, family, a, b, c, d, sequence);
  };

  it('gives room first who has made fewest knocks, and last who has completed a sequence', () => {
    const attempts = createAttempts(3);
    const done = attempts.put(host(1), 0, 1, 1, 0);
    attempts.complete(done, 0);
    attempts.put(host(1), 0, 0, 1, 0);
    attempts.put(host(2), 0, 2, 1, 0);
    attempts.put(host(3), 0, 1, 1, 0);
    attempts.put(host(4), 0, 1, 1, 0);
    expect([1, 2, 3, 4].map((last) => at(attempts, last) === NONE)).toEqual([false, false, true, false]);
    // Knocks that can not be repeats any more hold no place.
    attempts.put(host(5), 0, 2, 1, 70_001);
    expect([1, 2, 4, 5].map((last) => at(attempts, last) === NONE)).toEqual([true, false, false, false]);
  });

  it('keeps a place for 70 s after completing, and then stands where its new steps are', () => {
    const attempts = createAttempts(2);
    attempts.complete(attempts.put(host(1), 0, 1, 1, 0), 0);
    attempts.put(host(1), 0, 1, 1, 0);
    attempts.put(host(2), 0, 1, 1, 0);
    attempts.put(host(3), 0, 1, 1, 70_000);
    expect([1, 2].map((last) => at(attempts, last) === NONE)).toEqual([false, true]);
    // It has made one knock since, as the newcomer has, but stands among such for a shorter time.
    attempts.put(host(4), 0, 1, 1, 70_001);
    expect([1, 3, 4].map((last) => at(attempts, last) === NONE)).toEqual([false, true, false]);
    attempts.put(host(5), 0, 1, 1, 70_002);
    expect([1, 4, 5].map((last) => at(attempts, last) === NONE)).toEqual([true, false, false]);
  });

  it('has its places by ascending sequence, whatever the order in which they were begun', () => {
    const attempts = createAttempts(8);
    for (const sequence of [3, 0, 5, 2]) attempts.put(host(1), placeOf(sequence, 0), 1, 1, 0);
    attempts.put(host(1), placeOf(3, 1), 1, 1, 0);
    attempts.put(host(2), placeOf(1, 0), 1, 1, 0);
    const slots = new Int32Array(8);
    const count = attempts.collect(host(1), slots);
    expect(Array.from(slots.subarray(0, count), attempts.sequence)).toEqual([0, 2, 3, 3, 5]);
    expect(Array.from(slots.subarray(0, count), attempts.place)).toEqual([0, 0, 0, 1, 0]);
    expect(attempts.collect(host(1), new Int32Array(2))).toBe(2);
  });

  it('keeps its times and what was tolerated there, and what is known of mistakes when it ends', () => {
    const attempts = createAttempts(2);
    attempts.put(host(9), 0, 1, 1, 0);
    const slot = attempts.put(host(1), 0, 1, 5, 100);
    attempts.put(host(1), 0, 2, 6, 200);
    attempts.set(slot, 100, 200, 2);
    expect([attempts.begun(slot), attempts.advanced(slot), attempts.tolerated(slot)]).toEqual([100, 200, 2]);
    expect([attempts.step(slot), attempts.changed(slot), attempts.completed(slot)]).toEqual([
      2,
      6,
      Number.NEGATIVE_INFINITY,
    ]);
    const other = createAttempts(3);
    other.put(host(8), 0, 1, 1, 0);
    const there = other.put(host(1), 0, 2, 6, 200);
    attempts.complete(slot, 150);
    other.copy(there, attempts, slot);
    expect([
      other.begun(there),
      other.advanced(there),
      other.completed(there),
      other.tolerated(there),
    ]).toEqual([100, 200, 150, 2]);
    attempts.setTail(slot, 4, 1, 300);
    attempts.setLast(slot, 7000);
    expect([attempts.tail(slot), attempts.mistake(slot), attempts.tailAt(slot)]).toEqual([4, 1, 300]);
    expect(attempts.last(slot)).toBe(7000);
    attempts.end(slot);
    expect([attempts.step(slot), attempts.tail(slot), attempts.last(slot)]).toEqual([0, 4, 7000]);
  });

  it('ends: an entry stays as long as it knows of a completion', () => {
    const attempts = createAttempts(2);
    expect(attempts.end(attempts.put(host(1), 0, 1, 1, 0))).toBe(false);
    expect(at(attempts, 1)).toBe(NONE);
    const slot = attempts.put(host(1), 0, 1, 1, 0);
    attempts.complete(slot, 0);
    expect(attempts.end(slot)).toBe(true);
    expect(attempts.step(slot)).toBe(0);
    expect(attempts.put(host(1), 0, 1, 1, 70_000)).toBe(slot);
    expect(attempts.completed(slot)).toBe(0);
    attempts.put(host(1), 0, 1, 1, 70_001);
    expect(attempts.completed(slot)).toBe(Number.NEGATIVE_INFINITY);
  });
});
