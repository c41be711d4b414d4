import { describe, expect, it } from 'vitest';
import type { Outcome } from '../../../src/fleet/belief.ts';
import {
  createBucket,
  DEFAULT_LIMITS,
  KNOCKS_PER_SECOND,
  type Limits,
  OFFENCES_PER_SECOND,
  TOLD_BANS_PER_SECOND,
} from '../../../src/fleet/budget.ts';
import { TICKS } from '../../../src/fleet/offset.ts';
import { createOutbox } from '../../../src/fleet/outbox.ts';
import { createListener, type Listener, range, registersAt } from './listener.ts';

/* How much is taken of one member, and that what a flood fills keeps nothing out that people have said. */

// The beginning of a minute.
const NOW = 1_790_000_040_000;
const FOR = 3_600_000;
const DAY = 86_400_000;
const TOMBS = 8 * DAY;

const { banOf, grantOf } = registersAt(NOW, FOR);
const world = (limits: Partial<Limits> = {}): Listener =>
  createListener({
    ...{ begins: NOW, member: 'edge2', limits: { ...DEFAULT_LIMITS, ...limits } },
    belief: { accepts: () => true, longest: () => DAY, opensFor: () => FOR, tombs: () => TOMBS },
  });
const taken = (outcomes: readonly Outcome[]): number =>
  outcomes.filter(({ refused }) => refused.length === 0).length;

describe('the room that a member has', () => {
  it('is a little more for bans by hand and the lift of all where automatic bans have filled it', () => {
    const w = world({ bans: 160 });
    const orders = (from: number): number =>
      taken(range(20).map((host) => w.hear(banOf(from + host, { cause: 'order' }))));
    expect(taken(range(200).map((host) => w.hear(banOf(host))))).toBe(160);
    expect([orders(1_000), orders(2_000), w.view.size()]).toEqual([10, 0, 170]);
    const all = w.hear({ kind: 'amnesty', gen: NOW * TICKS });
    expect(all).toMatchObject({ refused: [], amnesty: { gen: NOW * TICKS } });
    // Who says nothing but those has no more than anybody.
    const other = world({ bans: 160 });
    const by = range(300).map((host) => other.hear(banOf(host, { cause: 'order' })));
    expect(taken(by)).toBe(160);
  });

  it('is there again soon after what filled it is over, and what was left out is read then', () => {
    const w = world({ bans: 100 });
    for (const host of range(200)) w.hear(banOf(host));
    expect(w.budget.roomy()).toEqual([]);
    w.at = 61_000;
    w.view.sweep(1_000);
    w.view.sweep(1_000);
    // How often somebody was banned is kept while there is room for it: not for half of it.
    expect(w.budget.bansOf('edge2')).toBeLessThan(50);
    expect(w.budget.roomy()).toEqual(['edge2']);
    expect(w.budget.roomy()).toEqual([]);
    // Its rows are read again: those that are over take no room, and those that hold do.
    const over = range(200).map((host) => w.hear(banOf(host), 'read'));
    expect(taken(over)).toBe(200);
    expect(w.budget.bansOf('edge2')).toBeLessThanOrEqual(50);
    const later = { since: NOW + w.at, until: NOW + w.at + 60_000 };
    expect(taken(range(40).map((host) => w.hear(banOf(5_000 + host, later), 'read')))).toBe(40);
  });

  it('keeps the history of whom it banned where there is room', () => {
    const w = world({ bans: 100 });
    for (const host of range(10)) w.hear(banOf(host));
    w.at = 61_000;
    w.view.sweep(1_000);
    expect(w.view.size()).toBe(10);
  });

  it('is taken by grants that are over and know of a lift: a member can say any number of them', () => {
    const w = world({ bans: 50 });
    const gen = (NOW - 1_000) * TICKS;
    const said = range(500).map((host) =>
      w.hear(grantOf(host, { gen, opened: NOW - host * 60_000 - FOR, until: 1 }), 'read'),
    );
    expect([taken(said), w.view.size()]).toEqual([50, 50]);
  });
});

describe('what is over what a member may say', () => {
  it('of grants in a minute is taken in the minutes that follow', () => {
    const w = world({ grantsPerMinute: 20 });
    const grants = range(50).map((host) => grantOf(host));
    const read = (): readonly Outcome[] => grants.map((grant) => w.hear(grant, 'read'));
    const first = read();
    expect(taken(first)).toBe(20);
    const froms = new Set(first.filter(({ refused }) => refused.length > 0).map((each) => each.believable));
    expect([...froms]).toEqual([NOW + 60_000]);
    w.at = 60_000;
    expect(taken(read())).toBe(40);
    w.at = 120_000;
    expect(taken(read())).toBe(50);
  });

  it('of bans in a second keeps no lift waiting', () => {
    const w = world({ bansPerSecond: 10 });
    expect(taken(range(30).map((host) => w.hear(banOf(host))))).toBe(10);
    const gen = NOW * TICKS;
    expect(w.hear(banOf(3, { until: 0, gen })).refused).toEqual([]);
    expect(w.hear({ kind: 'amnesty', gen: gen + 1 }).refused).toEqual([]);
    expect(taken(range(30).map((host) => w.hear(banOf(host, { until: 0, gen: gen + 2 }))))).toBe(8);
  });

  it('is not got around by what is kept in the engine, and read', () => {
    const w = world({ bans: 2_000, bansPerSecond: 100 });
    const change = (by: number): number =>
      taken(range(2_000).map((host) => w.hear(banOf(host, { until: NOW + 60_000 + by }), 'read')));
    // Who joins has all at once.
    expect(change(0)).toBe(2_000);
    expect(change(1)).toBe(0);
    w.at = 1_000;
    expect(change(2)).toBe(100);
    // Nothing new costs nothing.
    expect(change(0)).toBe(2_000);
  });

  it('of offences is not charged to lines that were used up, nor firsts to answers', () => {
    const { budget } = world();
    for (const _ of range(5_000)) {
      budget.offence('edge2', 0);
      budget.first('edge2', 0);
    }
    expect([budget.used('edge2', 0), budget.answer('edge2', 0)]).toEqual([true, true]);
    // One member may hold the attempts that all the others tell the knocks of.
    expect(range(20_000).filter(() => budget.answer('edge2', 0))).toHaveLength(20_000);
    expect(range(9).filter(() => budget.bytes('edge2', 131_072, 0))).toHaveLength(8);
  });
});

it('what a member tells at its most is never too much for who hears it late', () => {
  const outbox = createOutbox();
  const heard = createBucket(DEFAULT_LIMITS.bansPerSecond);
  let next = 0;
  const fill = (): void => {
    for (; outbox.size() < 4_000; next += 1) outbox.put(banOf(next));
  };
  let refused = 0;
  const late: { at: number; count: number }[] = [];
  for (let now = 0; now < 20_000; now += 20) {
    fill();
    for (let parcel = outbox.take(now); parcel !== undefined; parcel = outbox.take(now)) {
      // The first come 300 ms late, as by a busy machine; the rest at once.
      late.push({ at: now < 1_000 ? Math.max(now, 300) : now, count: parcel.registers.length });
      outbox.told(parcel);
    }
    for (const { at, count } of late.splice(0)) {
      if (at > now) late.push({ at, count });
      else refused += range(count).filter(() => !heard.take(now)).length;
    }
  }
  expect(refused).toBe(0);
  expect(next).toBeGreaterThan(19 * TOLD_BANS_PER_SECOND);
  expect([KNOCKS_PER_SECOND, OFFENCES_PER_SECOND]).toEqual([2_000, 500]);
});
