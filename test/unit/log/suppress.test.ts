import { describe, expect, test } from 'vitest';
import type { EventName, NfknockEvent } from '../../../src/engine/event.ts';
import { EVENT_NAMES } from '../../../src/log/catalogue.ts';
import {
  createSuppressor,
  FIRST_LINES_PER_SECOND,
  LINES_PER_SECOND,
  type Suppressor,
} from '../../../src/log/suppress.ts';
import { type Address, ipv4, ipv6 } from '../../../src/packet/address.ts';
import { offenderOf } from '../../../src/packet/cidr.ts';
import { parsePort } from '../../../src/packet/port.ts';
import { milliseconds } from '../../../src/packet/time.ts';

const port = parsePort('23/tcp') ?? expect.unreachable();
const at = milliseconds(0);
const decoy = (source: Address): NfknockEvent => ({ event: 'decoy.hit', at, source, port });
const knock = (source: Address, step: number): NfknockEvent => ({
  event: 'knock.accepted',
  at,
  source,
  door: 'ssh',
  port,
  step,
  of: 3,
});
const host = (last: number): Address => ipv4((198 << 24) | (51 << 16) | (100 << 8) | last);

function written(suppressor: Suppressor, events: readonly NfknockEvent[], now: number): number {
  return events.filter((event) => suppressor.admit(event, milliseconds(now))).length;
}
function times<T>(count: number, make: (index: number) => T): T[] {
  return Array.from({ length: count }, (_, index) => make(index));
}

describe('a flood of events', () => {
  test('of one source is written up to the limit, the rest is counted and said once after a second', () => {
    const suppressor = createSuppressor('info');
    expect(suppressor.deadline()).toBeUndefined();
    expect(
      written(
        suppressor,
        times(1000, () => decoy(host(1))),
        100,
      ),
    ).toBe(LINES_PER_SECOND);
    expect(suppressor.deadline()).toBe(1100);
    expect(suppressor.flush(milliseconds(1099))).toEqual([]);
    expect(suppressor.flush(milliseconds(1100))).toEqual([
      { event: 'log.suppressed', at: 1100, of_event: 'decoy.hit', count: 1000 - LINES_PER_SECOND },
    ]);
    expect(suppressor.flush(milliseconds(1100))).toEqual([]);
    expect(suppressor.deadline()).toBeUndefined();
  });

  test('of one source does not hide what another source does', () => {
    const suppressor = createSuppressor('info');
    written(
      suppressor,
      times(1000, () => decoy(host(1))),
      0,
    );
    expect(suppressor.admit(decoy(host(2)), milliseconds(10))).toBe(true);
    expect(suppressor.admit(decoy(host(2)), milliseconds(20))).toBe(false);
    expect(suppressor.admit(decoy(host(1)), milliseconds(30))).toBe(false);
  });

  // Against: a flood of log lines
  // by: suppression by source and event
  test('from a thousand forged sources is written up to twice the limit', () => {
    const suppressor = createSuppressor('info');
    const flood = times(1000, (index) => decoy(ipv4(index)));
    expect(written(suppressor, flood, 0)).toBe(LINES_PER_SECOND + FIRST_LINES_PER_SECOND);
    expect(suppressor.drain(milliseconds(1))).toMatchObject([
      { count: 1000 - LINES_PER_SECOND - FIRST_LINES_PER_SECOND },
    ]);
  });

  test('from all addresses of one IPv6 /64 counts as one source', () => {
    const suppressor = createSuppressor('info');
    const flood = times(1000, (index) => decoy(ipv6(0x20010db8, 1, index, index)));
    expect(written(suppressor, flood, 0)).toBe(LINES_PER_SECOND);
    expect(suppressor.admit(decoy(ipv6(0x20010db8, 2, 0, 0)), milliseconds(1))).toBe(true);
  });

  test('does not use up the lines of another event', () => {
    const suppressor = createSuppressor('info');
    written(
      suppressor,
      times(1000, () => decoy(host(1))),
      0,
    );
    const scan: NfknockEvent = { event: 'scan.detected', at, source: host(1), port, reason: 'rate' };
    expect(suppressor.admit(scan, milliseconds(1))).toBe(true);
  });

  test('of forged first knocks does not hide the further steps of someone who knows the sequence', () => {
    const suppressor = createSuppressor('info');
    written(
      suppressor,
      times(5000, (index) => knock(ipv4(index), 1)),
      0,
    );
    expect(suppressor.admit(knock(host(7), 2), milliseconds(5))).toBe(true);
    expect(suppressor.admit(knock(host(7), 3), milliseconds(6))).toBe(true);
  });

  test('that lasts is written anew every second, and every line is written or counted', () => {
    const suppressor = createSuppressor('info');
    let lines = 0;
    let counted = 0;
    for (let now = 0; now < 10_000; now++) {
      if (suppressor.admit(decoy(host(1)), milliseconds(now))) lines++;
      for (const said of suppressor.flush(milliseconds(now))) counted += said.count;
    }
    expect(lines).toBe(10 * LINES_PER_SECOND);
    for (const said of suppressor.drain(milliseconds(10_000))) counted += said.count;
    expect(lines + counted).toBe(10_000);
  });

  test('of bans that end at once is counted too', () => {
    const suppressor = createSuppressor('info');
    const ends = times(
      300,
      (index): NfknockEvent => ({ event: 'ban.expired', at, target: offenderOf(ipv4(index)) }),
    );
    expect(written(suppressor, ends, 0)).toBe(LINES_PER_SECOND + FIRST_LINES_PER_SECOND);
  });
});

const METERED = /^(knock|decoy|scan|packet)\.|^ban\.(added|lifted|expired)$/;

describe('what is never kept from the log', () => {
  test.each(EVENT_NAMES.filter((name) => !METERED.test(name)))('%s', (name: EventName) => {
    const suppressor = createSuppressor('debug');
    const event = { event: name, at, reason: 'x' } as unknown as NfknockEvent;
    expect(
      written(
        suppressor,
        times(500, () => event),
        0,
      ),
    ).toBe(500);
    expect(suppressor.deadline()).toBeUndefined();
  });
});

describe('the level of the log', () => {
  const malformed: NfknockEvent = { event: 'packet.malformed', at, reason: 'version' };

  test('decides what is written: under it nothing is, and nothing is said to have been suppressed', () => {
    const suppressor = createSuppressor('info');
    expect(
      written(
        suppressor,
        times(100, () => malformed),
        0,
      ),
    ).toBe(0);
    expect(suppressor.drain(milliseconds(0))).toEqual([]);
  });

  test('at debug lets packets that can not be read be written, up to the limit', () => {
    const suppressor = createSuppressor('debug');
    expect(
      written(
        suppressor,
        times(100, () => malformed),
        0,
      ),
    ).toBe(LINES_PER_SECOND);
  });
});

test('a suppressed event costs well under a microsecond', () => {
  const suppressor = createSuppressor('info');
  const flood = times(1024, (index) => decoy(ipv4(index)));
  const rounds = 10;
  // Of processor time, the best of many short rounds: others on the machine take the processor and its caches away.
  const costs = times(40, () => {
    const started = process.cpuUsage();
    for (let round = 0; round < rounds; round++)
      for (const event of flood) suppressor.admit(event, milliseconds(0));
    const { user, system } = process.cpuUsage(started);
    return (user + system) / (rounds * flood.length);
  });
  const microseconds = Math.min(...costs);
  // Measured at about 0.03.
  expect(microseconds).toBeLessThan(1);
});
