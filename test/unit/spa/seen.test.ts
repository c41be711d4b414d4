import { describe, expect, it } from 'vitest';
import {
  createSeen,
  NOTHING_RESTORED,
  SEEN_MAX,
  SEEN_OF_A_KEY_MAX,
  type Seen,
  UNDATED_OF_A_KEY_MAX,
} from '../../../src/spa/seen.ts';
import type { Claim, PacketUse } from '../../../src/spa/used-once.ts';

const SKEW = 60_000;
const use = (id: string, stamp: number | null, key = 'ada'): PacketUse => ({
  use: 'packet',
  key,
  id,
  stamp,
  source: '198.51.100.7',
});
const at = (seen: Seen, id: string, stamp: number | null, wall: number): Claim['outcome'] =>
  seen.decide(use(id, stamp), { wall, skew: SKEW }).outcome;

describe('A used packet', () => {
  it('is known again, and by whom it was used is said', () => {
    const seen = createSeen();
    expect(seen.decide(use('a', 1_000), { wall: 1_000, skew: SKEW })).toEqual({
      outcome: 'won',
      changes: [{ change: 'seen', key: 'ada', id: 'a', stamp: 1_000, source: '198.51.100.7' }],
    });
    const again = { ...use('a', 1_000), source: '203.0.113.9' };
    expect(seen.decide(again, { wall: 2_000, skew: SKEW })).toEqual({ outcome: 'used', by: '198.51.100.7' });
    expect(seen.count()).toBe(1);
  });

  it.each([null, 1_000])(
    'that says %s for its moment stays used whatever its key is called by then, also after a restart',
    (stamp) => {
      const restored = { ...NOTHING_RESTORED, seen: [use('old', stamp)] };
      const seen = createSeen(restored);
      expect(at(seen, 'a', stamp, 1_000)).toBe('won');
      for (const id of ['a', 'old']) {
        const renamed = { ...use(id, stamp, 'ben'), source: '203.0.113.9' };
        expect(seen.decide(renamed, { wall: 1_000, skew: SKEW })).toEqual({
          outcome: 'used',
          by: '198.51.100.7',
        });
      }
      expect(seen.decide(use('b', stamp, 'ben'), { wall: 1_000, skew: SKEW }).outcome).toBe('won');
    },
  );

  it('of the same moment as another is told from it', () => {
    const seen = createSeen();
    expect(at(seen, 'a', 1_000, 1_000)).toBe('won');
    expect(at(seen, 'b', 1_000, 1_000)).toBe('won');
  });

  it('is let go once it would be stale, and nothing at or under it is believed again', () => {
    const seen = createSeen();
    at(seen, 'a', 100_000, 100_000);
    expect(at(seen, 'b', 100_001, 160_000)).toBe('won');
    expect(seen.count()).toBe(2);
    const third = seen.decide(use('c', 160_002, 'ada'), { wall: 160_001, skew: SKEW });
    expect(third).toEqual({
      outcome: 'won',
      changes: [
        { change: 'seen', key: 'ada', id: 'c', stamp: 160_002, source: '198.51.100.7' },
        { change: 'floor', key: 'ada', stamp: 100_000 },
      ],
    });
    expect(seen.count()).toBe(2);
    // The clock is set back: what was let go would be fresh again.
    expect(at(seen, 'a', 100_000, 100_000)).toBe('old');
    expect(at(seen, 'd', 99_999, 100_000)).toBe('old');
    expect(at(seen, 'b', 100_001, 100_000)).toBe('used');
    expect(at(seen, 'e', 100_002, 100_000)).toBe('won');
  });

  it('leaves the floor with the latest of those that are let go', () => {
    const seen = createSeen();
    at(seen, 'a', 30_000, 30_000);
    at(seen, 'b', 20_000, 30_000);
    at(seen, 'c', 500_000, 500_000);
    expect(at(seen, 'd', 30_000, 30_000)).toBe('old');
    expect(at(seen, 'e', 30_001, 30_000)).toBe('won');
  });

  it('is remembered by what the state file has of it', () => {
    const seen = createSeen({
      seen: [{ key: 'ada', id: 'a', stamp: 1_000, source: '203.0.113.9' }],
      floors: new Map([['ben', 5_000]]),
      floor: Number.NEGATIVE_INFINITY,
    });
    expect(seen.count()).toBe(1);
    expect(seen.decide(use('a', 1_000), { wall: 1_000, skew: SKEW })).toEqual({
      outcome: 'used',
      by: '203.0.113.9',
    });
    expect(seen.decide(use('b', 5_000, 'ben'), { wall: 1_000, skew: SKEW }).outcome).toBe('old');
    expect(seen.decide(use('c', 5_001, 'ben'), { wall: 1_000, skew: SKEW }).outcome).toBe('won');
  });

  it('is none that was made before the start where the state was lost', () => {
    const seen = createSeen({ seen: [], floors: new Map([['ben', 7_000]]), floor: 5_000 });
    expect(at(seen, 'a', 5_000, 5_000)).toBe('old');
    expect(at(seen, 'b', 5_001, 5_000)).toBe('won');
    expect(seen.decide(use('c', 7_000, 'ben'), { wall: 5_000, skew: SKEW }).outcome).toBe('old');
  });
});

describe('The memory of used packets', () => {
  it('is 1,024 a key, and refuses where it is full', () => {
    const seen = createSeen();
    expect(SEEN_OF_A_KEY_MAX).toBe(1_024);
    for (let index = 0; index < SEEN_OF_A_KEY_MAX; index += 1)
      expect(at(seen, `${index}`, 1_000, 1_000)).toBe('won');
    expect(at(seen, 'more', 1_000, 1_000)).toBe('full');
    expect(seen.decide(use("ben's", 1_000, 'ben'), { wall: 1_000, skew: SKEW }).outcome).toBe('won');
    expect(at(seen, 'more', 61_001, 61_001)).toBe('won');
    expect(seen.count()).toBe(2);
  });

  it('is 65,536 in all, and what is too old makes room', () => {
    const seen = createSeen();
    const keys = SEEN_MAX / SEEN_OF_A_KEY_MAX;
    for (let key = 0; key < keys; key += 1) {
      for (let index = 0; index < SEEN_OF_A_KEY_MAX; index += 1) {
        seen.decide(use(`${key} ${index}`, key === 0 ? 0 : 1_000, `key${key}`), { wall: 1_000, skew: SKEW });
      }
    }
    expect(seen.count()).toBe(65_536);
    expect(at(seen, 'a', 1_000, 60_000)).toBe('full');
    expect(at(seen, 'a', 1_000, 60_001)).toBe('won');
    expect(seen.count()).toBe(65_536 - 1_024 + 1);
  });

  it('keeps for ever what does not say when it was made, up to 16,384 a key', () => {
    const seen = createSeen();
    expect(UNDATED_OF_A_KEY_MAX).toBe(16_384);
    expect(at(seen, 'first', null, 0)).toBe('won');
    expect(at(seen, 'first', null, 1e15)).toBe('used');
    for (let index = 1; index < UNDATED_OF_A_KEY_MAX; index += 1)
      seen.decide(use(`${index}`, null), { wall: 0, skew: SKEW });
    expect(at(seen, 'more', null, 1e15)).toBe('full');
  });
});

describe('A code of before a start that does not know what was used', () => {
  it('opens nothing; a later one does', () => {
    const seen = createSeen(NOTHING_RESTORED, () => 60_000);
    const code = (stamp: number) =>
      ({ use: 'code', key: 'ben', id: 'of ben', stamp, source: '198.51.100.7' }) as const;
    expect(seen.decide(code(60_000), { wall: 0, skew: 0 })).toEqual({ outcome: 'old' });
    expect(seen.decide(code(90_000), { wall: 0, skew: 0 }).outcome).toBe('won');
  });
});

describe('A used code', () => {
  const code = (stamp: number, key = 'ben') =>
    ({ use: 'code', key, id: `of ${key}`, stamp, source: '198.51.100.7' }) as const;
  const time = { wall: 0, skew: SKEW };

  it('uses up itself and all before it', () => {
    const seen = createSeen();
    expect(seen.decide(code(60_000), time)).toEqual({
      outcome: 'won',
      changes: [
        { change: 'floor', key: 'ben', stamp: 60_000 },
        { change: 'floor', key: 'code of ben', stamp: 60_000 },
      ],
    });
    expect(seen.decide(code(60_000), time)).toEqual({ outcome: 'used', by: null });
    expect(seen.decide(code(30_000), time).outcome).toBe('used');
    expect(seen.decide(code(30_000, 'ada'), time).outcome).toBe('won');
    expect(seen.decide(code(90_000), time).outcome).toBe('won');
  });

  it('stays used whatever its key is called by then, also after a restart', () => {
    const before = createSeen();
    const won = before.decide(code(60_000), time);
    const renamed = { ...code(60_000), key: 'bens-phone' };
    expect(before.decide(renamed, time).outcome).toBe('used');
    const changes = won.outcome === 'won' ? won.changes : [];
    const floors = new Map(changes.map((each) => [each.key, each.stamp ?? 0]));
    const after = createSeen({ ...NOTHING_RESTORED, floors });
    expect(after.decide(renamed, time).outcome).toBe('used');
    expect(after.decide({ ...renamed, stamp: 90_000 }, time).outcome).toBe('won');
  });
});
