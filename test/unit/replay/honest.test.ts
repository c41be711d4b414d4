import { describe, expect, test } from 'vitest';
import { configOf, replayed } from '../../golden/replay/replayed.ts';

/*
 * What honest people do, from captures; each name says what became of them once. `base` and `udp-door` are
 * configurations that several share.
 */
const HONEST = new URL('../../fixtures/honest/', import.meta.url).pathname;

async function said(capture: string, config = capture): Promise<readonly string[]> {
  const { lines } = await replayed(`${HONEST}${capture}.pcap`, configOf(`${HONEST}${config}.yaml`));
  return lines
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const { event, reason, strikes, door } = JSON.parse(line);
      const name = event === 'door.opened' || event === 'door.renewed' ? `${event} ${door}` : event;
      return [name, reason, strikes === undefined ? undefined : `#${strikes}`].filter(Boolean).join(' ');
    });
}

/** Everything but the right knocks. */
const beside = (events: readonly string[]): readonly string[] =>
  events.filter((event) => event !== 'knock.accepted');

const SKIPPED = 'knock.wrong out of order';

describe('no strike and no ban', () => {
  test.each<[string, readonly string[], string?]>([
    ['close-after-grant-ended-banned', ['door.opened ssh', 'door.closed expired']],
    ['nat-close-and-open-interleaved', ['door.opened ssh', 'door.closed knock']],
    ['second-try-after-5s', ['door.opened ssh'], 'base'],
    ['proxy-late', ['door.opened ssh'], 'base'],
    ['two-people-one-nat-two-doors-banned', ['door.opened a', 'door.opened b']],
    [
      'used-one-time-line-again-banned',
      [
        'door.opened ssh',
        'door.closed expired',
        ...Array.from({ length: 3 }, () => 'knock.ignored used already'),
      ],
    ],
    ['slow-hand-3-tries-banned', Array.from({ length: 3 }, () => 'knock.expired within')],
    ['close-3s-after-opening-silent', ['door.opened ssh', 'knock.ignored guard']],
    [
      'reopen-3s-after-close-ignored',
      ['door.opened ssh', 'door.closed knock', 'knock.ignored guard', 'door.opened ssh'],
    ],
    ['tnc-default', ['knock.expired gap', 'knock.wrong same mistake'], 'base'],
  ])('%s', async (capture, events, config) => {
    expect(beside(await said(capture, config))).toEqual(events);
  });

  test('office-nat-one-ban-a-week-escalates: one slip a week, and knocks each day, lead to no ban', async () => {
    const events = await said('office-nat-one-ban-a-week-escalates');
    expect(events.filter((event) => event.includes('#') && !event.endsWith('#1'))).toEqual([]);
    expect(events.filter((event) => event === 'door.opened ssh').length).toBeGreaterThan(90);
  });

  test('traceroute-decoys-all: what traceroute sends is nothing at all', async () => {
    expect(await said('traceroute-decoys-all')).toEqual([]);
  });

  test('keepalive-fixed-port: each complete knock after the first renews', async () => {
    const events = await said('keepalive-fixed-port', 'udp-door');
    expect(beside(events)).toEqual([
      'door.opened vpn',
      ...Array.from({ length: 7 }, () => 'door.renewed vpn'),
    ]);
  });
});

describe('one mistake is one strike', () => {
  test.each<[string, readonly string[], string?]>([
    ['browser-one-mistyped-knock-three-sockets-banned', [`${SKIPPED} #1`]],
    ['browser-one-typo-three-sockets-decoys-all', ['decoy.hit #1', 'decoy.hit', 'decoy.hit']],
    [
      'four-steps-first-knock-lost-banned-at-once',
      [`${SKIPPED} #1`, 'knock.wrong same mistake', 'knock.wrong same mistake', 'door.opened ssh'],
    ],
    [
      'gap-min-jitter-4ms-banned',
      ['knock.too_fast gap #1', 'knock.wrong same mistake', 'knock.wrong same mistake'],
    ],
    [
      'close-from-new-address-banned',
      ['door.opened ssh', `${SKIPPED} #1`, 'knock.wrong same mistake', 'knock.wrong same mistake'],
    ],
    [
      'reorder-retry',
      [
        `${SKIPPED} #1`,
        'knock.wrong same mistake',
        `${SKIPPED} #2`,
        'knock.wrong same mistake',
        'door.opened ssh',
      ],
      'base',
    ],
    ['wireguard-peer-banned-under-new-udp-rule', ['decoy.hit #1']],
    ['ipv6-neighbour-bans-64', ['decoy.hit #1', 'decoy.hit', 'decoy.hit', 'door.opened ssh']],
    // Its SYNs are one packet for 70 s; the UDP knock between them is wrong once, and then the same again.
    ['scapy-fixed-sport', [`${SKIPPED} #1`, `${SKIPPED} #2`], 'base'],
  ])('%s', async (capture, events, config) => {
    expect(beside(await said(capture, config))).toEqual(events);
  });

  test('cron-wrong-order-day: a wrong order each minute of a day bans nobody', async () => {
    const events = await said('cron-wrong-order-day');
    expect(events.filter((event) => event.startsWith('ban.'))).toEqual([]);
    expect(events.filter((event) => event.endsWith('#3'))).toEqual([]);
    expect(events.at(-1)).toBe('door.opened ssh');
  });

  test('middle-lost-thrice: a skip ahead is a strike each time, since a free skip is worth more to a guesser', async () => {
    const events = await said('middle-lost-thrice', 'base');
    expect(beside(events)).toEqual([
      `${SKIPPED} #1`,
      `${SKIPPED} #2`,
      `${SKIPPED} #3`,
      'ban.added strikes #3',
    ]);
  });
});

test('guesser-opens-every-order-of-three-under-held-strikes: he opens no more than five of the six', async () => {
  const capture = 'guesser-opens-every-order-of-three-under-held-strikes';
  const config = configOf(`${HONEST}${capture}.yaml`);
  const [a, b, c] = config.doors.flatMap(({ knock }) => ('oneTime' in knock ? [] : knock));
  if (a === undefined || b === undefined || c === undefined) throw new Error('three ports are wanted');
  const orders = [
    [a, b, c],
    [a, c, b],
    [b, a, c],
    [b, c, a],
    [c, a, b],
    [c, b, a],
  ];
  const opened = orders.map(async (knock) => {
    const doors = config.doors.map((door) => ({ ...door, knock }));
    const { lines } = await replayed(`${HONEST}${capture}.pcap`, { ...config, doors });
    return lines.includes('"event":"door.opened"');
  });
  const count = (await Promise.all(opened)).filter(Boolean).length;
  expect(count).toBeGreaterThan(0);
  expect(count).toBeLessThanOrEqual(5);
});
