import { describe, expect, it } from 'vitest';
import { createParking, type Parked, type Parking } from '../../../src/fleet/parking.ts';
import { packetOf } from '../engine/world.ts';

const packet = packetOf('7000', {});
const parked = (id: number, more: Partial<Parked> = {}): Parked => ({
  ...{ id, packet, source: 'a', came: id, origin: null, kind: 'wrong', since: 0, until: 300, isLast: false },
  ...more,
});
const ids = (parking: Parking, source: string): number[] => parking.of(source).map(({ id }) => id);

describe('packets that stand aside', () => {
  it('are found by their source as they came, and by what they are known by', () => {
    const parking = createParking();
    for (const each of [parked(2), parked(1), parked(3, { source: 'b' })])
      expect(parking.add(each)).toBe(true);
    expect(ids(parking, 'a')).toEqual([1, 2]);
    expect(ids(parking, 'c')).toEqual([]);
    expect(parking.byId(3)?.source).toBe('b');
    // Sent twice, by whomever.
    expect(parking.add(parked(2))).toBe(false);
    expect(parking.add(parked(3, { origin: 'edge2' }))).toBe(false);
    const [first] = parking.of('a');
    if (first !== undefined) parking.remove(first);
    expect(ids(parking, 'a')).toEqual([2]);
    expect(parking.size()).toBe(2);
  });

  it('come out when their time is over, whoever told of them', () => {
    const parking = createParking();
    parking.add(parked(1, { until: 300 }));
    parking.add(parked(2, { until: 350, origin: 'edge2' }));
    parking.add(parked(3, { until: 400 }));
    expect(parking.deadline()).toBe(300);
    expect(parking.takeDue(299)).toBeUndefined();
    expect([350, 350, 350].map((now) => parking.takeDue(now)?.id)).toEqual([1, 2, undefined]);
    expect(parking.deadline()).toBe(400);
    expect(parking.takeDue(1_000)?.id).toBe(3);
    expect(parking.deadline()).toBe(Number.POSITIVE_INFINITY);
  });

  it('are 64 of one source, 4,096 that came here and 32,768 that others told of: none takes the room of another', () => {
    const parking = createParking();
    const fill = (from: number, more: Partial<Parked>): number => {
      let taken = 0;
      for (let id = from; id < from + 40_000; id += 1)
        taken += Number(parking.add(parked(id, { source: `${Math.floor(id / 60)}`, ...more })));
      return taken;
    };
    expect(fill(0, { origin: 'edge2' })).toBe(32_768);
    // What nobody was asked about leaves room to what others were.
    expect(fill(50_000, { kind: 'excused' })).toBe(2_048);
    expect(fill(100_000, {})).toBe(2_048);
    const other = createParking();
    let taken = 0;
    for (let id = 0; id < 100; id += 1) taken += Number(other.add(parked(id)));
    expect(taken).toBe(64);
  });

  it('are useless but for those that went on with an attempt somewhere', () => {
    const parking = createParking();
    const kinds = ['wrong', 'rest', 'explained', 'excused', 'known'] as const;
    kinds.forEach((kind, id) => void parking.add(parked(id, { kind })));
    expect(parking.useless('a')).toBe(3);
  });
});
