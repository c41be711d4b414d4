import type { Stats } from '@nfknock/nfqueue';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { createLab, type Lab } from '../support/native-lab.ts';

let lab: Lab;

beforeAll(() => {
  lab = createLab();
});
afterEach(() => lab.killAll());
afterAll(() => lab.close());

describe('a packet of the log group', () => {
  test('arrives with its bytes up to the copy range, its true length and the moment of its arrival', async () => {
    const [packets] = await lab.run(`
      const seen = [];
      const log = new NfLog({ group: 5, copyRange: 100, onError, onBatch: (batch, packets) => {
        for (let i = 0; i < packets; i++) {
          const at = batch.offsets[i];
          const port = batch.bytes[at + 22] * 256 + batch.bytes[at + 23];
          const age = Date.now() - batch.stamps[i];
          seen.push([batch.bytes[at], port, batch.lengths[i], batch.fullLengths[i], age > -5 && age < 2000]);
        }
      } });
      for (const bytes of [1, 72, 73, 60000]) await send(8001, bytes);
      await until(() => seen.length === 4);
      say(seen);
      log.close();
    `);
    expect(packets).toEqual([
      [0x45, 8001, 29, 29, true],
      [0x45, 8001, 100, 100, true],
      [0x45, 8001, 100, 101, true],
      [0x45, 8001, 100, 60_028, true],
    ]);
  });

  test('arrives over IPv6 too, with its true length', async () => {
    const [seen] = await lab.run(`
      let seen;
      const log = new NfLog({ group: 5, onError, onBatch: (batch) => {
        seen = [batch.bytes[batch.offsets[0]] >> 4, batch.lengths[0], batch.fullLengths[0]];
      } });
      await send(8000, 1000, 1, 6);
      await until(() => seen !== undefined);
      say(seen);
      log.close();
    `);
    expect(seen).toEqual([6, 256, 1048]);
  });

  test('is read at once when it comes alone, also soon after a flood', async () => {
    const [before, after] = (await lab.run(`
      let waits = [];
      let sent = 0;
      const log = new NfLog({ group: 5, onError, onBatch: (_, packets) => {
        waits.push(performance.now() - sent);
        count.packets += packets;
      } });
      const measure = async () => {
        waits = [];
        for (let i = 0; i < 15; i++) {
          await sleep(10);
          sent = performance.now();
          await send(8000);
          await until(() => waits.length === i + 1);
        }
        return waits.sort((a, b) => a - b)[3];
      };
      say(await measure());
      const flooded = await flood('-p', '8000', '-n', '100000');
      await until(() => count.packets === flooded + 15 || log.stats().kernelDropped > 0);
      await sleep(80);
      say(await measure());
      log.close();
    `)) as [number, number];
    // The quickest quarter: a machine that is busy with something else makes the others wait. With packets
    // gathered, each waits for 10 ms.
    expect(before).toBeLessThan(2);
    expect(after).toBeLessThan(2);
  });
});

describe('a log group under load', () => {
  test('accounts for every packet of a flood, with many in each datagram', async () => {
    const [sent, packets, largest, stats] = (await lab.run(`
      let largest = 0;
      let last = 0;
      const log = new NfLog({ group: 5, onError, onBatch: (batch, packets) => {
        largest = Math.max(largest, packets);
        count.packets += packets;
        for (let i = 0; i < packets; i++) {
          const at = batch.offsets[i];
          if (batch.bytes[at] !== 0x45 || batch.lengths[i] !== 40) throw new Error('not what was sent');
        }
      } });
      const sent = await flood('-p', '8000-8099', '-n', '200000', '-s', '198.51.100.0/24');
      await until(() => log.stats().packets + log.stats().kernelDropped === sent);
      say(sent); say(count.packets); say(largest); say(log.stats());
      log.close();
    `)) as [number, number, number, Stats];
    expect(sent).toBe(200_000);
    expect(stats).toMatchObject({ depth: 0, errors: 0, packets });
    expect(packets).toBeGreaterThan(100_000);
    expect(largest).toBeGreaterThan(64);
    expect(largest).toBeLessThanOrEqual(4096);
  });

  test('hands on a large backlog in several calls, losing none', async () => {
    const [packets, largest] = (await lab.run(`
      let largest = 0;
      const log = new NfLog({ group: 5, onError, onBatch: (_, packets) => {
        largest = Math.max(largest, packets);
        count.packets += packets;
      } });
      const sent = flood('-p', '8000', '-n', '20000');
      await sleep(1);
      stall(700);
      await sent;
      await until(() => count.packets === 20000);
      say(count.packets); say(largest);
      log.close();
    `)) as [number, number];
    expect(packets).toBe(20_000);
    expect(largest).toBeLessThanOrEqual(4096);
  });

  test('counts what a full socket buffer lost, and goes on', async () => {
    const [stats] = (await lab.run(`
      const log = new NfLog({ group: 5, onError, onBatch, receiveBuffer: 4096 });
      const sent = flood('-p', '8000', '-n', '3000', '-u');
      await sleep(1);
      stall(300);
      await sent;
      await sleep(20);
      // A gap shows with the packet behind it.
      await send(8000);
      await until(() => log.stats().packets + log.stats().kernelDropped === 3001);
      say(log.stats());
      log.close();
    `)) as [Stats];
    expect(stats.kernelDropped).toBeGreaterThan(1000);
    expect(stats.userDropped).toBeGreaterThan(0);
  });
});

test('a log group that another program has is refused, in words', async () => {
  const [refusal] = await lab.run(`
    const log = new NfLog({ group: 5, onError, onBatch });
    try { new NfLog({ group: 5, onError, onBatch }); } catch (error) { say([error.code, error.message]); }
    log.close();
    new NfLog({ group: 5, onError, onBatch }).close();
  `);
  expect(refusal).toEqual([
    'QUEUE_TAKEN',
    expect.stringMatching(
      /^NFLOG group 5 is taken by another program \(netlink port \d+, mostly its process id\)\. Stop it/,
    ),
  ]);
});
