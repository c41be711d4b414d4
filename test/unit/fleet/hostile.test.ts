import { describe, expect, it } from 'vitest';
import { emptyOutcome, type Outcome } from '../../../src/fleet/belief.ts';
import {
  createBucket,
  DEFAULT_LIMITS,
  type Limits,
  OFFENCES_PER_SECOND,
  TOLD_BANS_PER_SECOND,
} from '../../../src/fleet/budget.ts';
import { RECORDS_MAX } from '../../../src/fleet/message.ts';
import { AHEAD_MAX, TICKS } from '../../../src/fleet/offset.ts';
import { createOutbox } from '../../../src/fleet/outbox.ts';
import { parsePresence } from '../../../src/fleet/presence.ts';
import { covers } from '../../../src/fleet/register.ts';
import { isMemberName } from '../../../src/policy/fleet.ts';
import { createListener, type Listener, range, registersAt } from './listener.ts';

const NOW = 1_790_000_000_000;
const FOR = 30_000;
const LONGEST = 3_600_000;
const TOMBS = 86_400_000;

const { banOf, grantOf } = registersAt(NOW, FOR);
const world = (limits: Limits = DEFAULT_LIMITS): Listener =>
  createListener({
    ...{ begins: NOW, member: 'evil', limits },
    belief: {
      accepts: (member) => member !== 'stranger',
      longest: () => LONGEST,
      opensFor: (door) => (door === 'ssh' ? FOR : undefined),
      tombs: () => TOMBS,
    },
  });
const refusalsOf = (outcomes: readonly Outcome[]): number =>
  outcomes.filter(({ refused }) => refused.length > 0).length;

describe('a member whose credentials somebody else has', () => {
  it('has at most as many bans believed at once as it may, whichever way it says them', () => {
    const w = world({ ...DEFAULT_LIMITS, bans: 100 });
    const said = range(300).map((host) => w.hear(banOf(host), host % 2 === 0 ? 'live' : 'read'));
    expect(refusalsOf(said)).toBe(200);
    expect(w.view.size()).toBe(100);
    // What is there already may still change.
    expect(w.hear(banOf(1, { until: NOW + 70_000 })).refused).toEqual([]);
  });

  it('is counted for lifts too, and for the ends of grants that nobody had', () => {
    const w = world({ ...DEFAULT_LIMITS, bans: 10 });
    const lifts = range(20).map((host) => w.hear(banOf(host, { until: 0, gen: NOW * TICKS })));
    const closes = range(20).map((host) => w.hear(grantOf(host, { until: 0, gen: NOW * TICKS })));
    expect(refusalsOf([...lifts, ...closes])).toBe(30);
    expect(w.view.size()).toBe(10);
  });

  it('has its room back when what it said is over', () => {
    const w = world({ ...DEFAULT_LIMITS, bans: 2 });
    for (const host of range(3)) w.hear(banOf(host));
    w.at = 30 * 86_400_000;
    w.view.sweep(10);
    expect([w.view.size(), w.budget.bansOf('evil')]).toEqual([0, 0]);
    expect(w.hear(banOf(9, { since: NOW + w.at, until: NOW + w.at + 1 })).refused).toEqual([]);
  });

  it('has at most so many changes of bans believed in a second', () => {
    const w = world({ ...DEFAULT_LIMITS, bansPerSecond: 50 });
    const said = range(120).map((host) => w.hear(banOf(host)));
    expect(refusalsOf(said)).toBe(70);
    w.at = 1_000;
    expect(refusalsOf(range(60).map((host) => w.hear(banOf(200 + host))))).toBe(10);
  });

  it('lets in at most so many in a minute, of a million that it names', () => {
    const w = world();
    const said = range(10_000).map((host) => w.hear(grantOf(host), host % 2 === 0 ? 'live' : 'read'));
    expect(said.length - refusalsOf(said)).toBe(DEFAULT_LIMITS.grantsPerMinute);
  });

  it('lets in no more by saying that it was earlier: what is over by then is nothing', () => {
    const w = world();
    const said = range(10_000).map((host) =>
      w.hear(grantOf(host, { opened: NOW - host * 1_000, until: NOW + 1e9 })),
    );
    const grants = said.reduce((sum, outcome) => sum + w.view.settle(outcome).grants.length, 0);
    // Two minutes at most have a part in the time that the door is open for.
    expect(grants).toBeLessThanOrEqual(2 * DEFAULT_LIMITS.grantsPerMinute);
  });

  it('opens doors for no longer than they are open here, and bans for no longer than is accepted', () => {
    const w = world();
    const [grant] = w.view.settle(w.hear(grantOf(1, { until: NOW + 1e9 }))).grants;
    expect(grant?.until).toBe(NOW + FOR);
    const [ban] = w.view.settle(w.hear(banOf(1, { until: NOW + 1e10 }))).bans;
    expect(ban?.until).toBe(NOW + LONGEST);
  });

  it.each([
    ['a ban from', banOf(1, { since: NOW + AHEAD_MAX + 1, until: NOW + 9e4 })],
    ['a grant from', grantOf(1, { opened: NOW + AHEAD_MAX + 1 })],
    ['a lift stamped', banOf(1, { until: 0, gen: (NOW + AHEAD_MAX) * TICKS + 1 })],
  ])('is not believed in %s more than 5 s ahead', (_, register) => {
    expect(world().hear(register).refused).toEqual(['time']);
  });

  it('opens no door that is none here, and says nothing where it is not accepted', () => {
    const w = world();
    expect(w.hear(grantOf(1, { door: 'other' })).refused).toEqual(['unknown door']);
    const outcome = emptyOutcome();
    w.view.hear('stranger', banOf(1), 'live', outcome);
    expect(outcome.refused).toEqual(['not accepted']);
    expect(w.view.size()).toBe(0);
  });

  it('cannot take from what another member has left', () => {
    const w = world({ ...DEFAULT_LIMITS, bans: 5 });
    for (const host of range(50)) w.hear(banOf(host));
    const outcome = emptyOutcome();
    w.view.hear('good', banOf(1_000), 'live', outcome);
    expect(outcome.refused).toEqual([]);
  });

  it('has so many of its offences and knocks handled in a second', () => {
    const { budget } = world();
    expect(range(1_000).filter(() => budget.offence('evil', 0)).length).toBe(OFFENCES_PER_SECOND);
    expect(range(5_000).filter(() => budget.knock('evil', 0)).length).toBe(2_000);
    budget.forget('evil');
    expect(budget.bansOf('evil')).toBe(0);
  });

  it('says of itself what a member says, or nothing', () => {
    const said = {
      version: '1',
      started: 1,
      now: 2,
      number: 3,
      offset: 0,
      bans: 1,
      grants: 1,
      doors: { ssh: 'x' },
    };
    expect(parsePresence(JSON.stringify(said))).toEqual(said);
    expect(parsePresence(JSON.stringify({ ...said, uncertainty: 0.4 }))).toEqual({
      ...said,
      uncertainty: 0.4,
    });
    for (const wrong of [
      { ...said, uncertainty: -1 },
      { ...said, uncertainty: '9' },
      { ...said, now: 'x' },
      { ...said, doors: { '../x': 'y' } },
      { ...said, doors: { ssh: 'y'.repeat(65) } },
      { ...said, doors: Object.fromEntries(range(1_025).map((at) => [`d${at}`, 'x'])) },
      { ...said, version: 'v'.repeat(65) },
      [],
      null,
    ])
      expect(parsePresence(JSON.stringify(wrong))).toBeUndefined();
    expect(parsePresence(`${' '.repeat(70_000)}${JSON.stringify(said)}`)).toBeUndefined();
    expect(parsePresence('{')).toBeUndefined();
    expect(['edge1', 'a', '1-x'].every(isMemberName)).toBe(true);
    expect(['', '-a', 'Edge', 'a'.repeat(25), 'a:b', 'a\n'].some(isMemberName)).toBe(false);
  });
});

describe('a lift', () => {
  it('is said again by whoever hears what did not know of it, once', () => {
    const w = world();
    const lift = banOf(1, { until: 0, gen: NOW * TICKS });
    w.hear(lift);
    expect(w.hear(banOf(1)).repairs).toEqual([lift]);
    expect(w.hear(banOf(1)).repairs).toEqual([]);
  });

  it('ends what was in force, and leaves what is left of the other cause', () => {
    const w = world();
    w.hear(banOf(1));
    w.hear(banOf(1, { cause: 'order', until: NOW + 90_000 }));
    const heard = w.view.settle(w.hear(banOf(1, { until: 0, gen: NOW * TICKS })));
    expect(heard.lifts.length).toBe(1);
    expect(heard.bans).toMatchObject([{ cause: 'order', until: NOW + 90_000 }]);
  });

  it('of all bans leaves those that were made knowing it', () => {
    const w = world();
    const gen = NOW * TICKS;
    w.hear(banOf(1));
    w.hear(banOf(2, { gen }));
    const outcome = emptyOutcome();
    w.view.hear('evil', { kind: 'amnesty', gen }, 'live', outcome);
    const heard = w.view.settle(outcome);
    expect(heard.lifts).toEqual([{ kind: 'amnesty', gen }]);
    expect(heard.bans).toEqual([banOf(2, { gen })]);
    // Nothing is lifted by a message that only carries the end of rows.
    const nothing = emptyOutcome();
    world().view.hear('evil', { kind: 'amnesty', gen: 0 }, 'live', nothing);
    expect(nothing.amnesty).toBeNull();
  });

  it('is remembered for as long as something that did not know of it could last', () => {
    const w = world();
    w.hear(banOf(1, { until: 0, gen: NOW * TICKS }));
    w.at = TOMBS - 1;
    w.view.sweep(10);
    expect(w.view.size()).toBe(1);
    w.at = TOMBS + 1;
    w.view.sweep(10);
    w.view.sweep(10);
    expect(w.view.size()).toBe(0);
  });
});

describe('the outbox', () => {
  it('tells at most so many automatic bans in a second, who was banned before first, and people at once', () => {
    const outbox = createOutbox();
    for (const host of range(3_000)) outbox.put(banOf(host));
    outbox.put(banOf(9_001, { count: 2 }));
    outbox.put(banOf(9_002, { cause: 'order' }));
    let told = 0;
    let first: readonly unknown[] = [];
    for (let parcel = outbox.take(0); parcel !== undefined; parcel = outbox.take(0)) {
      if (told === 0) first = parcel.registers.slice(0, 2);
      expect(parcel.registers.length).toBeLessThanOrEqual(RECORDS_MAX);
      told += parcel.registers.length;
      outbox.told(parcel);
    }
    expect(first).toMatchObject([{ cause: 'order' }, { count: 2 }]);
    expect(told).toBe(TOLD_BANS_PER_SECOND / 2 + 1);
    expect(outbox.take(500)?.registers.length).toBe(RECORDS_MAX);
  });

  it('holds so many, and lets the oldest automatic bans go for more', () => {
    const outbox = createOutbox(3);
    outbox.put(banOf(1, { cause: 'order' }));
    outbox.put(banOf(2, { count: 5 }));
    outbox.put(banOf(3));
    expect(outbox.put(banOf(4))).toEqual([banOf(3)]);
    expect(outbox.put(banOf(5, { until: 0, gen: 1 }))).toEqual([banOf(4)]);
    expect(outbox.put(banOf(6, { cause: 'order' }))).toEqual([banOf(2, { count: 5 })]);
    expect(outbox.size()).toBe(3);
  });

  it('keeps what has changed while it was on its way', () => {
    const outbox = createOutbox();
    outbox.put(banOf(1));
    const parcel = outbox.take(0);
    outbox.put(banOf(1, { until: NOW + 70_000 }));
    expect(parcel && outbox.told(parcel)).toEqual([]);
    expect(outbox.size()).toBe(1);
    expect(covers(banOf(1, { until: NOW + 70_000 }), banOf(1))).toBe(true);
    expect(covers(banOf(1), banOf(1, { until: NOW + 70_000 }))).toBe(false);
  });
});

describe('a bucket', () => {
  it('gives so many at once, and fills evenly; a clock that goes back fills nothing', () => {
    const bucket = createBucket(10);
    expect(range(20).filter(() => bucket.take(0)).length).toBe(10);
    expect(range(20).filter(() => bucket.take(-5_000)).length).toBe(0);
    expect(range(20).filter(() => bucket.take(500)).length).toBe(5);
    expect(bucket.left(1_000)).toBe(5);
  });
});
