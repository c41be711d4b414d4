import type { Stats } from '@nfknock/nfqueue';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { createLab, type Lab } from '../support/native-lab.ts';

let lab: Lab;

beforeAll(() => {
  lab = createLab();
});
afterEach(() => lab.killAll());
afterAll(() => lab.close());

describe('a packet of the queue', () => {
  test('arrives with its bytes up to the copy range and its true length, and is dropped', async () => {
    const [packets, reached] = await lab.run(`
      const seen = [];
      const listener = createSocket('udp4').on('message', () => { reached = true; });
      let reached = false;
      listener.bind(7001);
      const queue = new NfQueue({ queue: 7, copyRange: 100, onError, onBatch: (batch, packets) => {
        for (let i = 0; i < packets; i++) {
          const at = batch.offsets[i];
          const port = batch.bytes[at + 22] * 256 + batch.bytes[at + 23];
          seen.push([batch.bytes[at], port, batch.lengths[i], batch.fullLengths[i]]);
        }
      } });
      for (const bytes of [1, 72, 73, 1000]) await send(7001, bytes);
      await until(() => seen.length === 4);
      await sleep(20);
      say(seen); say(reached);
      queue.close(); listener.close();
    `);
    expect(packets).toEqual([
      [0x45, 7001, 29, 29],
      [0x45, 7001, 100, 100],
      [0x45, 7001, 100, 101],
      [0x45, 7001, 100, 1028],
    ]);
    expect(reached).toBe(false);
  });

  test('arrives over IPv6 too', async () => {
    const [version] = await lab.run(`
      let version = 0;
      const queue = new NfQueue({ queue: 7, onError, onBatch: (batch) => { version = batch.bytes[batch.offsets[0]] >> 4; } });
      await send(7000, 1, 1, 6);
      await until(() => version !== 0);
      say(version);
      queue.close();
    `);
    expect(version).toBe(6);
  });

  // Against: a slow or broken engine
  // by: the verdict is sent before JavaScript is called
  test('has its verdict before JavaScript sees it', async () => {
    const [deepest] = await lab.run(`
      const depths = [];
      const queue = new NfQueue({ queue: 7, onError, onBatch: (batch, packets) => {
        onBatch(batch, packets);
        depths.push(queue.stats().depth);
      } });
      for (let i = 1; i <= 5; i++) { await send(7000, 1, 10); await until(() => count.packets === i * 10); }
      say(Math.max(...depths));
      queue.close();
    `);
    expect(deepest).toBe(0);
  });

  test('carries the moment of its arrival, however late it is read', async () => {
    const [gaps, age] = (await lab.run(`
      const stamps = [];
      const queue = new NfQueue({ queue: 7, onError, onBatch: (batch, packets) => {
        for (let i = 0; i < packets; i++) stamps.push(batch.stamps[i]);
      } });
      const sent = flood('-p', '7000', '-n', '3', '-r', '20', '-u');
      await sleep(5);
      stall(400);
      const read = Date.now();
      await sent;
      await until(() => stamps.length === 3);
      say([stamps[1] - stamps[0], stamps[2] - stamps[1]]); say(read - stamps[0]);
      queue.close();
    `)) as [number[], number];
    // Sent every 50 ms, read together.
    for (const gap of gaps) expect(gap).toBeGreaterThan(35);
    for (const gap of gaps) expect(gap).toBeLessThan(90);
    expect(age).toBeGreaterThan(250);
  });

  test('is read at once when it comes alone', async () => {
    const [waits] = (await lab.run(`
      const waits = [];
      let sent = 0;
      const queue = new NfQueue({ queue: 7, onError, onBatch: () => { waits.push(performance.now() - sent); } });
      for (let i = 0; i < 15; i++) {
        await sleep(10);
        sent = performance.now();
        await send(7000);
        await until(() => waits.length === i + 1);
      }
      say(waits.sort((a, b) => a - b));
      queue.close();
    `)) as [number[]];
    // The quickest quarter: a machine that is busy with something else makes the others wait.
    expect(waits[3]).toBeLessThan(1);
  });
});

describe('a queue under load', () => {
  // Against: packets larger than the buffer
  // by: truncated messages get their verdict and are counted
  test('is not jammed by packets far larger than the copy range', async () => {
    const [lengths, stats] = await lab.run(`
      const lengths = new Set();
      const queue = new NfQueue({ queue: 7, onError, onBatch: (batch, packets) => {
        for (let i = 0; i < packets; i++) lengths.add(batch.fullLengths[i]);
        count.packets += packets;
      } });
      for (let i = 0; i < 10; i++) await send(7000, 60000, 10);
      await send(7000, 1);
      await until(() => count.packets === 101);
      say([...lengths]); say(queue.stats());
      queue.close();
    `);
    expect(lengths).toEqual([60_028, 29]);
    expect(stats).toMatchObject({ packets: 101, depth: 0, errors: 0, kernelDropped: 0, userDropped: 0 });
  });

  test('counts a message that did not fit, gives it its verdict, and goes on', async () => {
    const script = lab.start(`
      const queue = new NfQueue({ queue: 7, onError, onBatch });
      say('open');
      await told();
      for (let i = 0; i < 7; i++) await send(7000, 60000, 10);
      await until(() => queue.stats().errors === 70 && queue.stats().depth === 0);
      await send(7000, 1);
      await until(() => count.packets === 1);
      say(queue.stats());
      queue.close();
    `);
    await script.next();
    await lab.tamper(script, 'copyrange', '7', '65535');
    script.tell('go');
    expect(await script.next()).toMatchObject({ packets: 1, depth: 0, errors: 70 });
  });

  test('accounts for every packet of a flood', async () => {
    const [sent, stats, packets] = (await lab.run(`
      const queue = new NfQueue({ queue: 7, onError, onBatch });
      const sent = await flood('-p', '7000-7099', '-n', '100000', '-s', '198.51.100.0/24');
      const total = (stats) => stats.packets + stats.kernelDropped + stats.userDropped;
      await until(() => total(queue.stats()) === sent);
      say(sent); say(queue.stats()); say(count.packets);
      queue.close();
    `)) as [number, Stats, number];
    expect(sent).toBe(100_000);
    expect(stats).toMatchObject({ depth: 0, errors: 0, packets });
    expect(stats.batches).toBeLessThan(packets / 4);
  });

  test.each([
    ['reports of it switched off', ''],
    ['reports of it switched on', 'enobufs'],
  ])('survives a full socket buffer, with %s', async (_, tampering) => {
    const script = lab.start(`
      const queue = new NfQueue({ queue: 7, onError, onBatch, receiveBuffer: 4096 });
      say('open');
      await told();
      const sent = flood('-p', '7000', '-n', '3000', '-u');
      await sleep(1);
      stall(300);
      await sent;
      await until(() => queue.stats().packets + queue.stats().userDropped === 3000);
      const { userDropped, overruns, depth } = queue.stats();
      const before = count.packets;
      await send(7000);
      await until(() => count.packets === before + 1);
      say([userDropped > 0, overruns > 0, depth]);
      queue.close();
    `);
    await script.next();
    if (tampering !== '') await lab.tamper(script, tampering);
    script.tell('go');
    expect(await script.next()).toEqual([true, tampering !== '', 0]);
    expect((await script.ended()).code).toBe(0);
  });

  test('drops what its length has no room for, and says how many', async () => {
    const [stats] = (await lab.run(`
      const queue = new NfQueue({ queue: 7, onError, onBatch, maxLength: 10 });
      const sent = flood('-p', '7000', '-n', '500', '-u');
      await sleep(1);
      stall(300);
      await sent;
      await until(() => queue.stats().packets + queue.stats().kernelDropped === 500);
      say(queue.stats());
      queue.close();
    `)) as [Stats];
    expect(stats.kernelDropped).toBeGreaterThan(300);
    expect(stats.userDropped).toBe(0);
  });

  // Against: the owner making conntrack's table smaller while queues are open
  // by: the queues are told their new length within 5 s
  test('takes another length while it is open, both ways, and no impossible one', async () => {
    const found = (
      await lab.run(`
      const queue = new NfQueue({ queue: 7, onError, onBatch, maxLength: 10 });
      const dropped = [];
      for (const length of [400, 10]) {
        dropped.push(queue.setLength(length));
        const before = queue.stats();
        const sent = flood('-p', '7000', '-n', '300', '-u');
        await sleep(1);
        stall(300);
        await sent;
        const all = () => queue.stats().packets + queue.stats().kernelDropped;
        await until(() => all() === before.packets + before.kernelDropped + 300);
        dropped.push(queue.stats().kernelDropped - before.kernelDropped);
      }
      for (const length of [0, 65536, '5']) {
        try { queue.setLength(length); } catch (error) { dropped.push(error.name); }
      }
      queue.close();
      dropped.push(queue.setLength(5) > 0);
      say(dropped);
    `)
    )[0] as [number, number, number, number, ...unknown[]];
    const [first, long, second, short, ...rest] = found;
    expect([first, long, second]).toEqual([0, 0, 0]);
    expect(short).toBeGreaterThan(150);
    expect(rest).toEqual(['RangeError', 'RangeError', 'TypeError', true]);
  });
});

describe('a queue in bad company', () => {
  // Against: forged kernel messages
  // by: the sender of each is looked at
  test('counts what another process sends to its socket, and leaves it', async () => {
    const script = lab.start(`
      const queue = new NfQueue({ queue: 7, onError, onBatch });
      say(Number(readFileSync('/proc/net/netfilter/nfnetlink_queue', 'utf8').trim().split(/\\s+/)[1]));
      await until(() => queue.stats().errors === 1);
      await send(7000);
      await until(() => count.packets === 1);
      say(queue.stats());
      queue.close();
    `);
    await lab.tamper(script, 'forge', `${await script.next()}`);
    expect(await script.next()).toMatchObject({ packets: 1, errors: 1 });
  });

  test('tells once that the kernel took it away, and is closed then', async () => {
    const script = lab.start(`
      const queue = new NfQueue({ queue: 7, onBatch, onError: (error) => {
        say([error instanceof QueueError, error.code, queue.closed, error.message]);
      } });
      say('open');
      await until(() => queue.closed);
      queue.close();
    `);
    await script.next();
    await lab.tamper(script, 'unbind', '7');
    expect(await script.next()).toEqual([
      true,
      'SOCKET_FAILED',
      true,
      'NFQUEUE 7 is closed: the kernel no longer answers (ENODEV); open it again',
    ]);
    expect((await script.ended()).code).toBe(0);
  });
});
