import { readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { buildFlood } from '../support/attacker-tools.ts';
import { atEnd } from '../support/cleanup.ts';
import type { Daemon } from '../support/daemon.ts';
import { createNet, type Net } from '../support/net.ts';

/*
 * How many packets wait in a queue whose reader stands still, as conntrack's table grows and shrinks. The table's size
 * belongs to the whole machine: this file runs alone, and gives it back.
 */
const TABLE = '/proc/sys/net/netfilter/nf_conntrack_max';
const QUEUE = 7219;
const QUEUES = 4;
const CONFIG = { doors: { ssh: { knock: [7000, 8000, 9000], opens: [22] } } };
/** Milliseconds within which an open queue follows, and some more. */
const FOLLOWS = 7_000;
const before = readFileSync(TABLE, 'latin1').trim();
const restore = (): void => writeFileSync(TABLE, before);

let net: Net;
let daemon: Daemon;
let flood: string;

beforeAll(async () => {
  atEnd(restore);
  flood = buildFlood();
  net = await createNet();
  writeFileSync(TABLE, `${4 * (3_000 + Math.floor(Math.random() * 1_000))}`);
  daemon = await net.server.startDaemon(CONFIG);
});
afterAll(async () => {
  restore();
  await daemon?.stop('SIGKILL');
  net?.close();
});

/** In all of our queues. */
async function waiting(): Promise<number> {
  const { stdout } = await net.server.exec(['cat', '/proc/net/netfilter/nfnetlink_queue']);
  const rows = stdout.split('\n').map((line) => line.trim().split(/\s+/).map(Number));
  const ours = rows.filter(([number = 0]) => number >= QUEUE && number < QUEUE + QUEUES);
  return ours.reduce((sum, [, , count = 0]) => sum + count, 0);
}

/** How many of 20,000 packets, each of a connection of its own, wait while the daemon stands still. */
async function waitWhileItStands(): Promise<number> {
  daemon.signal('SIGSTOP');
  try {
    await net.clientB.exec([
      ...[flood, '-d', net.clientB.server4, '-p', '7000', '-n', '20000'],
      ...['-s', '198.51.100.0/24'],
    ]);
    await sleep(500);
    return await waiting();
  } finally {
    daemon.signal('SIGCONT');
  }
}

test('a queue holds a quarter of the conntrack table at most, and follows its size while it is open', async () => {
  for (const quarter of [0, 5_000 + Math.floor(Math.random() * 5_000), 1_200]) {
    if (quarter > 0) {
      writeFileSync(TABLE, `${4 * quarter}`);
      await sleep(FOLLOWS);
    }
    const bound = Math.floor(Number(readFileSync(TABLE, 'latin1')) / 4);
    const waited = await waitWhileItStands();
    expect(waited).toBeLessThanOrEqual(bound);
    expect(waited).toBeGreaterThan(bound / 2);
    await expect.poll(waiting, { timeout: 10_000 }).toBe(0);
  }
});

test('several queues hold a quarter of a small table together', async () => {
  await daemon.stop('SIGKILL');
  const table = 2_000 + Math.floor(Math.random() * 4_000);
  writeFileSync(TABLE, `${table}`);
  daemon = await net.server.startDaemon({ ...CONFIG, listen: { queues: `${QUEUE}-${QUEUE + QUEUES - 1}` } });
  const waited = await waitWhileItStands();
  expect(waited).toBeLessThanOrEqual(table / 4);
  expect(waited).toBeGreaterThan(table / 8);
  await expect.poll(waiting, { timeout: 10_000 }).toBe(0);
});
