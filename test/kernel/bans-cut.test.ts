import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Change } from '../../src/firewall/firewall.ts';
import { cidr, configOf } from '../support/configs.ts';
import { fillConntrack } from '../support/conntrack.ts';
import { startFirewall } from '../support/firewall-proxy.ts';
import { createNet, type Net } from '../support/net.ts';

/* `bans.cut` beside a table of conntrack that others have filled. */

const PUBLIC = 80;
/** On both sides of the 114,000 that once kept every answer waiting for 40 s. */
const ENTRIES = 100_000 + Math.floor(Math.random() * 30_000);
/** A flood's bans, each with its cut. */
const BANS = 2_000 + Math.floor(Math.random() * 1_000);
/** How long any other question may wait meanwhile, in milliseconds. */
const ANSWER_MAX = 1_000;

let net: Net;

beforeAll(async () => {
  net = await createNet();
  await net.server.listen(PUBLIC);
  await net.server.exec(['iptables', '-A', 'INPUT', '-m', 'conntrack', '--ctstate', 'NEW', '-j', 'ACCEPT']);
  await fillConntrack(net.server, ENTRIES);
}, 180_000);
afterAll(() => net?.close());

// Against: conntrack's table filled, and bans that cut
// by: the table is read in pieces, once for all that wait, beside the bans
it('thousands of bans at once end what their sources began, and keep nobody waiting, beside a full table', async () => {
  const firewall = await startFirewall(
    net.server.namespace,
    configOf({ doors: { ssh: { knock: [7000, 8000], opens: [22] } }, allow: [PUBLIC] }),
  );
  try {
    await firewall.install();
    const { v4, v6Network } = await net.clientA.moveToFreshSource();
    const connection = await net.clientA.openConnection(net.clientA.server4, PUBLIC);
    const connection6 = await net.clientA.openConnection(net.clientA.server6, PUBLIC);
    const other = await net.clientB.openConnection(net.clientB.server4, PUBLIC);
    const changes = (address: string): readonly Change[] => {
      const target = cidr(address);
      return [
        { change: 'ban', target, until: Date.now() + 600_000 },
        { change: 'cut', target },
      ];
    };
    const calls = Array.from({ length: BANS }, (_, index) => changes(`203.0.${index >> 8}.${index & 255}`));
    let over = false;
    let longest = 0;
    const flood = firewall.applyAll([...calls, changes(v4), changes(v6Network)]).finally(() => {
      over = true;
    });
    // Answered once the whole flood has been read in, which takes its time by itself.
    await firewall.pids();
    while (!over) {
      const begun = performance.now();
      await firewall.pids();
      longest = Math.max(longest, performance.now() - begun);
      await sleep(5);
    }
    expect(new Set(await flood)).toEqual(new Set(['done']));
    process.stdout.write(`${ENTRIES} entries, ${BANS} cuts: the longest wait ${Math.round(longest)} ms\n`);
    expect(longest).toBeLessThan(ANSWER_MAX);
    expect(await connection.echoes('gone', 500)).toBe(false);
    expect(await connection6.echoes('gone', 500)).toBe(false);
    expect(await other.echoes('a bystander is not cut off')).toBe(true);
    const { stdout } = await net.server.exec(['conntrack', '-C']);
    expect(Number(stdout)).toBeLessThanOrEqual(ENTRIES - BANS + 50);
  } finally {
    await firewall.close();
  }
}, 120_000);
