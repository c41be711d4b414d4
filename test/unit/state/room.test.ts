import { expect, it } from 'vitest';
import { ipv4 } from '../../../src/packet/address.ts';
import { hostCidr } from '../../../src/packet/cidr.ts';
import { createLedger } from '../../../src/state/ledger.ts';
import type { StateChange } from '../../../src/state/store.ts';

const BANS = 20_000;

function ban(host: number): StateChange {
  const target = hostCidr(ipv4(0x0b00_0000 + host));
  return { change: 'ban', ban: { target, since: 1_000, until: 1_000_000, count: 1, origin: 'strikes' } };
}

it('all bans and histories that there can be have room from the start: to make it later would keep packets waiting', () => {
  const { offenders, apply } = createLedger({ bans: BANS, histories: 5_000 });
  const room = offenders.capacity();
  expect(room).toBeGreaterThanOrEqual(BANS + 5_000);
  for (let at = 0; at < BANS; at += 500)
    apply(
      Array.from({ length: 500 }, (_, host) => ban(at + host)),
      2_000,
    );
  expect(offenders.size()).toBe(BANS);
  expect(offenders.capacity()).toBe(room);
});

it('room for a million takes no memory before they come', () => {
  const before = process.memoryUsage.rss();
  const { offenders } = createLedger({ bans: 1_000_000 });
  expect(offenders.capacity()).toBeGreaterThan(1_000_000);
  expect(process.memoryUsage.rss() - before).toBeLessThan(32 * 2 ** 20);
});
