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
    ['tnc-default', ['knock.expired gap', 'knock.wrong same mistake'], 'base'],
  ])('%s', async (capture, events, config) => {
    expect(beside(await said(capture, config)).filter((event) => !event.endsWith('guard'))).toEqual(events);
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
