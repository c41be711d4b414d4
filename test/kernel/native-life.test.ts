import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { createLab, type Lab } from '../support/native-lab.ts';

let lab: Lab;

beforeAll(() => {
  lab = createLab();
});
afterEach(() => lab.killAll());
afterAll(() => lab.close());

/** Opens queue 7 and says the code and the words of what refused it, or `open`. */
const TRY_TO_OPEN = `
  try {
    const queue = new NfQueue({ queue: 7, onError, onBatch });
    say('open');
    say(queue.stats());
    queue.close();
  } catch (error) {
    say([error instanceof QueueError, error.code, error.errno, error.operation]);
    say(error.message);
  }
`;

describe('a queue that cannot be opened says why', () => {
  test('another program has it; and once that has ended, it can be had', async () => {
    const holder = lab.start(`
      const queue = new NfQueue({ queue: 7, onError, onBatch });
      say('open');
      await told();
    `);
    await holder.next();
    const [refusal, message] = await lab.run(TRY_TO_OPEN);
    expect(refusal).toEqual([true, 'QUEUE_TAKEN', 1, 'bind']);
    expect(message).toBe(
      `NFQUEUE 7 is taken by another program (netlink port ${holder.pid}, mostly its process id). Stop it, or choose another number`,
    );
    process.kill(holder.pid, 'SIGKILL');
    await holder.ended();
    expect((await lab.run(TRY_TO_OPEN))[0]).toBe('open');
  });

  test('another program has it, also where the holder cannot be looked up', async () => {
    const holder = lab.start(`new NfQueue({ queue: 7, onError, onBatch }); say('open'); await told();`);
    await holder.next();
    const [refusal, message] = await lab.run(TRY_TO_OPEN, { before: asUser('+net_admin') });
    expect(refusal).toEqual([true, 'QUEUE_TAKEN', 1, 'bind']);
    expect(message).toBe('NFQUEUE 7 is taken by another program. Stop it, or choose another number');
    process.kill(holder.pid, 'SIGKILL');
    await holder.ended();
  });

  test.each([
    ['an ordinary user', asUser('-net_admin')],
    ['root without CAP_NET_ADMIN', ['setpriv', '--bounding-set=-net_admin', '--inh-caps=-net_admin']],
    ['root of a user namespace that does not own the network', ['unshare', '--user', '--map-root-user']],
  ])('%s is not permitted', async (_, before) => {
    const [refusal, message] = await lab.run(TRY_TO_OPEN, { before });
    expect(refusal).toEqual([true, 'NOT_PERMITTED', 1, 'bind']);
    expect(message).toMatch(/^NFQUEUE 7: not permitted \(EPERM\)\. Run as root, or give .* CAP_NET_ADMIN/);
  });

  test('the kernel has no netfilter netlink', async () => {
    const [refusal, message] = await lab.run(TRY_TO_OPEN, { before: [`${lab.folder}/no_netfilter`] });
    expect(refusal).toEqual([true, 'NO_KERNEL_SUPPORT', 93, 'socket']);
    expect(message).toMatch(
      /no support for it \(socket: EPROTONOSUPPORT\)\. Load it: modprobe nfnetlink_queue/,
    );
  });
});

test('CAP_NET_ADMIN alone is enough, but for what the kernel tells root only', async () => {
  const [open, stats] = await lab.run(TRY_TO_OPEN, { before: asUser('+net_admin') });
  expect(open).toBe('open');
  expect(stats).toMatchObject({ complete: false, depth: 0, kernelDropped: 0 });
});

test('the socket is not inherited by children', async () => {
  const script = lab.start(`
    const queue = new NfQueue({ queue: 7, onError, onBatch });
    say('open');
    await told();
    queue.close();
  `);
  await script.next();
  expect(await lab.tamper(script, 'cloexec')).toBe('1');
  script.tell('go');
  await script.ended();
});

describe('closing', () => {
  test('inside the callback ends the batches there, and frees the queue at once', async () => {
    const [calls, reopened] = await lab.run(`
      let calls = 0;
      let reopened = false;
      const queue = new NfQueue({ queue: 7, onError, onBatch: () => {
        calls += 1;
        queue.close();
        queue.close();
        new NfQueue({ queue: 7, onError, onBatch }).close();
        reopened = true;
      } });
      const sent = flood('-p', '7000', '-n', '2000');
      await sleep(1);
      stall(100);
      await sent;
      await sleep(50);
      say(calls); say(reopened);
    `);
    expect(calls).toBe(1);
    expect(reopened).toBe(true);
  });

  test('twice, or by Symbol.dispose, does no harm; what is closed says so', async () => {
    const [closed, code] = await lab.run(`
      const queue = new NfQueue({ queue: 7, onError, onBatch });
      queue[Symbol.dispose]();
      queue.close();
      say(queue.closed);
      try { queue.stats(); } catch (error) { say(error.code); }
    `);
    expect(closed).toBe(true);
    expect(code).toBe('CLOSED');
  });

  test('a thousand times leaves no descriptor and no handle behind', async () => {
    const [descriptors, alive] = await lab.run(
      `
      const descriptors = () => readdirSync('/proc/self/fd').length;
      const handles = [];
      const openAndClose = () => {
        const queue = new NfQueue({ queue: 7, onError, onBatch });
        const log = new NfLog({ group: 5, onError, onBatch });
        handles.push(new WeakRef(queue), new WeakRef(log));
        queue.close();
        log.close();
      };
      openAndClose();
      const before = descriptors();
      for (let i = 0; i < 500; i++) {
        openAndClose();
        if (i % 50 === 0) { await sleep(1); gc(); }
      }
      await sleep(1);
      gc(); await sleep(5); gc();
      say(descriptors() - before);
      say(handles.filter((handle) => handle.deref() !== undefined).length);
    `,
      { node: ['--expose-gc'] },
    );
    expect(descriptors).toBe(0);
    expect(alive).toBeLessThan(3);
  });
});

test('an open queue that nobody holds goes on, as a server does', async () => {
  const [packets] = await lab.run(
    `
    (() => { new NfQueue({ queue: 7, onError, onBatch }); })();
    for (let i = 0; i < 5; i++) { gc(); await sleep(2); }
    await send(7000);
    await until(() => count.packets === 1);
    say(count.packets);
    process.exit();
  `,
    { node: ['--expose-gc'] },
  );
  expect(packets).toBe(1);
});

describe('what the callback throws', () => {
  test('is an uncaught exception, and the queue goes on', async () => {
    const [messages, packets] = await lab.run(`
      const messages = [];
      process.on('uncaughtException', (error) => { messages.push(error.message); });
      const queue = new NfQueue({ queue: 7, onError, onBatch: (batch, packets) => {
        onBatch(batch, packets);
        if (count.batches <= 2) throw new Error('batch ' + count.batches);
      } });
      for (let i = 1; i <= 3; i++) { await send(7000); await until(() => count.packets === i); }
      say(messages); say(count.packets);
      queue.close();
    `);
    expect(messages).toEqual(['batch 1', 'batch 2']);
    expect(packets).toBe(3);
  });

  test('ends a program that does not handle it, and frees the queue', async () => {
    const script = lab.start(`
      const queue = new NfQueue({ queue: 7, onError, onBatch: () => { throw new Error('a fault of ours'); } });
      await send(7000);
      await told();
    `);
    const { code, stderr } = await script.ended();
    expect(code).toBe(1);
    expect(stderr).toMatch(/Error: a fault of ours/);
    expect((await lab.run(TRY_TO_OPEN))[0]).toBe('open');
  });
});

test('the memory of a batch that is transferred away closes the queue, since it is no longer ours', async () => {
  const [refusal] = await lab.run(`
    const queue = new NfQueue({ queue: 7, onBatch: (batch) => {
      structuredClone(batch.bytes.buffer, { transfer: [batch.bytes.buffer] });
    }, onError: (error) => { say([error.code, queue.closed, error.message]); } });
    while (!queue.closed) { await send(7000); await sleep(5); }
  `);
  expect(refusal).toEqual([
    'SOCKET_FAILED',
    true,
    'NFQUEUE 7 is closed: the memory of its batch was transferred away; copy what must outlive the callback',
  ]);
});

describe('the end of its environment', () => {
  test.each(['process.exit(0)', 'setTimeout(() => process.exit(0), 20); await told()'])(
    'by %s, in the middle of packets, is clean',
    async (end) => {
      const [said] = await lab.run(`
        const queue = new NfQueue({ queue: 7, onError, onBatch });
        const log = new NfLog({ group: 5, onError, onBatch });
        flood('-p', '7000', '-n', '20000').catch(() => {});
        await until(() => count.packets > 0);
        say('packets came');
        ${end};
      `);
      expect(said).toBe('packets came');
    },
  );

  test('by a callback that ends the process is clean', async () => {
    const [said] = await lab.run(`
      new NfQueue({ queue: 7, onError, onBatch: () => { say('ends'); process.exit(0); } });
      await send(7000);
      await told();
    `);
    expect(said).toBe('ends');
  });

  test.each([
    ['terminated between packets', '', 'terminate'],
    ['terminated inside the callback', 'for (;;) ;', 'terminate'],
    ['ended by the callback', 'process.exit(3);', 'wait'],
    ['at its end since its queue is closed', 'queue.close(); parentPort.close();', 'wait'],
  ])('a worker thread %s frees its queue; the one of another thread goes on', async (_, last, how) => {
    const [reopened, packets] = await lab.run(`
      const { Worker } = await import('node:worker_threads');
      const worker = new Worker(\`
        import { parentPort } from 'node:worker_threads';
        const { NfQueue } = await import(process.env.PACKAGE);
        const onError = (error) => { throw error; };
        const queue = new NfQueue({ queue: 9, onError, onBatch: () => { parentPort.postMessage('batch'); ${last} } });
        parentPort.on('message', () => {});
        parentPort.postMessage('open');
      \`, { eval: true });
      await once(worker, 'message');
      const queue = new NfQueue({ queue: 7, onError, onBatch });
      const exit = once(worker, 'exit');
      await send(6999);
      if ('${how}' === 'terminate') { await once(worker, 'message'); await worker.terminate(); }
      await exit;
      new NfQueue({ queue: 9, onError, onBatch }).close();
      say('opened again');
      await send(7000);
      await until(() => count.packets === 1);
      say(count.packets);
      queue.close();
    `);
    expect(reopened).toBe('opened again');
    expect(packets).toBe(1);
  });
});

/** An ordinary user, with a change to the capabilities. */
function asUser(capability: string): readonly string[] {
  const change = capability.startsWith('+') ? [`--ambient-caps=${capability}`] : ['--bounding-set=-all'];
  const inherited = capability.startsWith('+') ? capability : '-all';
  return [
    'setpriv',
    '--reuid=65534',
    '--regid=65534',
    '--clear-groups',
    `--inh-caps=${inherited}`,
    ...change,
  ];
}
