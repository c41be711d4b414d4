import { describe, expect, test } from 'vitest';
import { BAR_KINDS, MARK_KINDS, type ReportData } from '../../../src/report/data.ts';
import { LANES_MAX } from '../../../src/report/rows.ts';
import { BEGIN, banned, closed, decoy, knock, manyth, opened, reportOf } from './sample.ts';

const FRIEND = '198.51.100.7';
const SCANNER = '203.0.113.9';

const standing = (data: ReportData): number => data.marks.reduce((sum, mark) => sum + mark[8], 0);

describe('what a report is drawn from', () => {
  test('a source that is let in has marks for its knocks and a bar for its grant', () => {
    const data = reportOf([
      knock(0, FRIEND, 1),
      knock(500, FRIEND, 2),
      knock(900, FRIEND, 3),
      opened(900, FRIEND),
      closed(5000, FRIEND),
    ]);
    expect(data.lanes).toEqual([
      {
        name: FRIEND,
        tally: {
          knocks: 3,
          wrong: 0,
          decoys: 0,
          scans: 0,
          opened: 1,
          accepted: 0,
          refused: 0,
          bans: 0,
          strikes: 0,
          first: BEGIN,
          last: BEGIN + 900,
        },
      },
    ]);
    expect(
      data.marks.map(([at, lane, kind, door, , step]) => [at - BEGIN, lane, MARK_KINDS[kind], door, step]),
    ).toEqual([
      [0, 0, 'knock.accepted', 0, 1],
      [500, 0, 'knock.accepted', 0, 2],
      [900, 0, 'knock.accepted', 0, 3],
    ]);
    expect(data.bars).toEqual([
      [BEGIN + 900, BEGIN + 5000, 0, BAR_KINDS.indexOf('grant'), 0, 'knock', FRIEND, ''],
    ]);
  });

  test('a bar that nothing ended lasts as long as was announced', () => {
    const { bars } = reportOf([opened(100, FRIEND)]);
    expect(bars).toEqual([[BEGIN + 100, BEGIN + 30_100, 0, 0, 0, '', FRIEND, '']]);
  });

  test('opening again ends the bar and begins another', () => {
    const { bars } = reportOf([opened(0, FRIEND), opened(10_000, FRIEND)]);
    expect(bars.map(([from, to, , , , ended]) => [from - BEGIN, to - BEGIN, ended])).toEqual([
      [0, 10_000, 'renewed'],
      [10_000, 40_000, ''],
    ]);
  });

  test('the hosts of an IPv6 /64 share a lane, which is called by the network once there are two', () => {
    const one = reportOf([decoy(0, '2001:db8:9::9')]);
    expect(one.lanes.map((lane) => lane.name)).toEqual(['2001:db8:9::9']);
    const two = reportOf([
      decoy(0, '2001:db8:9::9', 1),
      decoy(1, '2001:db8:9::a', 2),
      banned(1, '2001:db8:9::a'),
    ]);
    expect(two.lanes.map((lane) => [lane.name, lane.tally.decoys, lane.tally.bans])).toEqual([
      ['2001:db8:9::/64', 2, 1],
    ]);
  });

  test('who was let in comes first, then who was banned, then who did most', () => {
    const events = [
      decoy(0, '203.0.113.1'),
      decoy(1, '203.0.113.2'),
      decoy(2, '203.0.113.2'),
      decoy(3, SCANNER),
      banned(3, SCANNER),
      opened(4, FRIEND),
    ];
    expect(reportOf(events).lanes.map((lane) => lane.name)).toEqual([
      FRIEND,
      SCANNER,
      '203.0.113.2',
      '203.0.113.1',
    ]);
  });

  test('the totals count everything', () => {
    const { counts } = reportOf([
      knock(0, FRIEND),
      opened(0, FRIEND),
      decoy(1, SCANNER, 3),
      banned(1, SCANNER),
    ]);
    expect(counts).toEqual([
      ['packets', 12],
      ['sources', 2],
      ['knocks', 1],
      ['offences', 1],
      ['bans', 1],
      ['let in', 1],
    ]);
  });
});

describe('a report of a flood', () => {
  test('draws fewer marks than there were events, and each says for how many it stands', () => {
    function* flood(): Generator<ReturnType<typeof decoy>> {
      for (let number = 0; number < 200_000; number++) yield decoy(number / 10, manyth(number % 100));
    }
    const data = reportOf(flood());
    expect(data.marks.length).toBeLessThanOrEqual(30_000);
    expect(data.marks.length).toBeGreaterThan(1000);
    expect(standing(data)).toBe(200_000);
    expect(data.thinned.marks).toBe(200_000 - data.marks.length);
    expect(data.lanes.reduce((sum, lane) => sum + lane.tally.decoys, 0)).toBe(200_000);
  });

  test('keeps the sources that matter when there are too many', () => {
    function* flood(): Generator<ReturnType<typeof decoy>> {
      yield opened(0, FRIEND);
      yield banned(1, SCANNER);
      for (let number = 0; number < 30_000; number++) yield decoy(2 + number / 10, manyth(number));
    }
    const data = reportOf(flood());
    expect(data.lanes.length).toBeLessThanOrEqual(LANES_MAX);
    expect(data.lanes.slice(0, 2).map((lane) => lane.name)).toEqual([FRIEND, SCANNER]);
    expect(data.lanes.length + data.thinned.sources).toBe(30_002);
    for (const mark of data.marks) expect(mark[1]).toBeLessThan(data.lanes.length);
  });

  test('counts the bans that there is no room for', () => {
    function* flood(): Generator<ReturnType<typeof banned>> {
      for (let number = 0; number < 20_010; number++) yield banned(number, '203.0.113.9');
    }
    const data = reportOf(flood());
    expect(data.bars).toHaveLength(20_000);
    expect(data.thinned.bars).toBe(10);
  });
});
