import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { ask } from '../../../src/control/client.ts';
import { ControlError } from '../../../src/control/error.ts';
import { openControl } from '../../../src/control/server.ts';
import { asked, canned, dial, folder, STATUS, serve, until } from './example.ts';

describe('the socket', () => {
  it('is for its owner and its group alone', async () => {
    const { path } = await serve();
    expect(statSync(path).mode & 0o777).toBe(0o660);
  });

  it.skipIf(process.getuid?.() !== 0)(
    'belongs to the group that is named, and a missing one is said',
    async () => {
      const named = await serve({ group: 'daemon' });
      expect(statSync(named.path).gid).toBe(1);
      expect(named.server.notice).toBeNull();
      const missing = await serve({ group: 'no-such-group' });
      expect(missing.server.notice).toContain('groupadd --system no-such-group');
      expect(statSync(missing.path).mode & 0o777).toBe(0o660);
    },
  );

  it('takes the place of what a dead daemon left', async () => {
    const path = join(folder(), 'control.sock');
    const leave =
      "require('net').createServer().listen(process.argv[1], () => process.kill(process.pid, 'SIGKILL'))";
    spawnSync(process.execPath, ['-e', leave, path]);
    expect(statSync(path).isSocket()).toBe(true);
    await serve({ path });
    expect(await ask(path, { command: 'status' })).toEqual(STATUS);
  });

  it('is refused to a second daemon while the first lives', async () => {
    const { path } = await serve();
    const second = await openControl({ path, handle: canned() }).catch((error: unknown) => error);
    expect(second).toBeInstanceOf(ControlError);
    expect(second).toMatchObject({
      code: 'in use',
      message: expect.stringContaining('another nfknock listens'),
    });
    expect(await ask(path, { command: 'status' })).toEqual(STATUS);
  });

  it('is never made over a file or folder of somebody else', async () => {
    const path = join(folder(), 'precious');
    writeFileSync(path, 'precious');
    await expect(serve({ path })).rejects.toMatchObject({ code: 'bad path' });
    mkdirSync(`${path}.d`);
    await expect(serve({ path: `${path}.d` })).rejects.toMatchObject({ code: 'bad path' });
    await expect(serve({ path: `/tmp/${'x'.repeat(110)}` })).rejects.toMatchObject({ code: 'bad path' });
  });

  it('is gone once the daemon has stopped', async () => {
    const { path, server } = await serve();
    await Promise.all([server.close(), server.close()]);
    expect(statSync(path, { throwIfNoEntry: false })).toBeUndefined();
  });
});

describe('a client', () => {
  it('is answered line by line in its order, however it sends', async () => {
    const { path } = await serve();
    const client = dial(path);
    const text = asked(1, 'status') + asked(2, 'nonsense') + asked(3, 'bans');
    for (const piece of text.match(/.{1,7}/gs) ?? []) client.socket.write(piece);
    expect(await client.json()).toEqual({ v: 1, id: 1, ok: true, data: STATUS });
    expect(await client.json()).toMatchObject({ v: 1, id: 2, ok: false, error: { code: 'unknown command' } });
    expect(await client.json()).toMatchObject({
      v: 1,
      id: 3,
      ok: true,
      data: [{ target: '203.0.0.0' }, {}, {}],
    });
  });

  it('that closes its side after asking, even without a newline, is answered before the connection ends', async () => {
    const { path } = await serve();
    const client = dial(path);
    client.socket.end(asked(1, 'status') + asked(2, 'bans').trimEnd());
    expect(await client.json()).toMatchObject({ id: 1, ok: true });
    expect(await client.json()).toMatchObject({ id: 2, ok: true });
    expect(await client.line()).toBeUndefined();
  });

  it('whose line is too long is told so and cut off', async () => {
    const { path, server } = await serve();
    const client = dial(path);
    client.socket.write('x'.repeat(1_048_576));
    expect(await client.json()).toMatchObject({
      id: null,
      ok: false,
      error: { code: 'syntax', message: 'the line is longer than 65536 bytes' },
    });
    await client.closed;
    await until(() => server.connections() === 0);
  });

  it('whose request makes the daemon stumble gets an error, and so does the log', async () => {
    const errors: unknown[] = [];
    const handle = (): never => {
      throw new Error('broken\nin two');
    };
    const { path } = await serve({ handle, onError: (error) => errors.push(error) });
    const client = dial(path);
    client.socket.write(asked(1, 'status') + asked(2, 'status'));
    expect(await client.json()).toMatchObject({
      id: 1,
      ok: false,
      error: { code: 'failed', message: 'broken in two' },
    });
    expect(await client.json()).toMatchObject({ id: 2, ok: false });
    expect(errors).toHaveLength(2);
  });

  it('never takes a list that broke off for the whole', async () => {
    function* broken(): Iterable<never> {
      yield* [];
      throw new Error('the table went away');
    }
    const errors: unknown[] = [];
    const { path } = await serve({
      handle: () => ({ ok: true, data: broken() }),
      onError: (error) => errors.push(error),
    });
    await expect(ask(path, { command: 'bans' })).rejects.toMatchObject({ code: 'no daemon' });
    expect(errors).toHaveLength(1);
  });

  it('gets a list of any length, in parts', async () => {
    const { path } = await serve({ handle: canned(50_000) });
    const rows = await ask(path, { command: 'bans' });
    expect(rows).toHaveLength(50_000);
    expect(rows[49_999]?.target).toBe('203.0.195.79');
  });

  it('has one request under way at a time', async () => {
    let running = 0;
    let most = 0;
    const handle = async (): Promise<{ ok: true; data: typeof STATUS }> => {
      running += 1;
      most = Math.max(most, running);
      await sleep(1);
      running -= 1;
      return { ok: true, data: STATUS };
    };
    const { path } = await serve({ handle });
    const client = dial(path);
    for (let id = 1; id <= 20; id += 1) client.socket.write(asked(id, 'status'));
    for (let id = 1; id <= 20; id += 1) expect(await client.json()).toMatchObject({ id });
    expect(most).toBe(1);
  });
});

describe('a client that means no good', () => {
  it('and says nothing is cut off, be it silent or dripping', async () => {
    const { path, server } = await serve({ limits: { idle: 200 } });
    const silent = dial(path);
    const dripping = dial(path);
    const drip = setInterval(() => dripping.socket.write('{'), 20);
    await Promise.all([silent.closed, dripping.closed]);
    clearInterval(drip);
    await until(() => server.connections() === 0);
  });

  it('and reads nothing is cut off, and the list is walked no further than it read', async () => {
    let walked = 0;
    function* endless(): Iterable<never> {
      for (;;) {
        walked += 1;
        yield { target: 'x'.repeat(200) } as never;
      }
    }
    const { path, server } = await serve({
      handle: () => ({ ok: true, data: endless() }),
      limits: { stalled: 300 },
    });
    const client = dial(path, { read: false });
    client.socket.write(asked(1, 'bans'));
    await once(client.socket, 'connect');
    await sleep(100);
    const soon = walked;
    expect(server.connections()).toBe(1);
    await sleep(150);
    expect(walked).toBe(soon);
    client.socket.resume();
    for (let waited = 0; server.connections() > 0 && waited < 100; waited += 1) {
      if (waited === 5) client.socket.pause();
      await sleep(20);
    }
    expect(server.connections()).toBe(0);
  });

  it('and gets no answer from us within time is cut off too', async () => {
    const { path, server } = await serve({ handle: () => new Promise(() => {}), limits: { stalled: 100 } });
    await expect(ask(path, { command: 'status' })).rejects.toMatchObject({ code: 'no daemon' });
    await until(() => server.connections() === 0);
  });

  // Against: a hostile client of the control socket
  // by: limits on time, lines and connections
  it('and comes in numbers keeps nobody else out: who is silent longest makes room', async () => {
    const { path, server } = await serve();
    const crowd = Array.from({ length: 100 }, () => dial(path));
    await Promise.all(crowd.map(({ socket }) => once(socket, 'connect')));
    expect(await ask(path, { command: 'status' })).toEqual(STATUS);
    expect(server.connections()).toBeLessThanOrEqual(32);
  });

  it('and keeps every connection busy leaves a clear refusal to the next', async () => {
    let busy = 0;
    const handle = (): Promise<never> => {
      busy += 1;
      return new Promise(() => {});
    };
    const { path } = await serve({ handle, limits: { connections: 2 } });
    for (let id = 0; id < 2; id += 1) dial(path).socket.write(asked(id, 'status'));
    await until(() => busy === 2);
    await expect(ask(path, { command: 'status' })).rejects.toMatchObject({
      refusal: { code: 'full', message: '2 clients are connected' },
    });
  });
});

describe('a subscriber', () => {
  it('is told every event from then on, and others are not', async () => {
    const { path, server } = await serve();
    const watching = dial(path);
    const other = dial(path);
    watching.socket.write(asked(5, 'subscribe'));
    expect(await watching.json()).toEqual({ v: 1, id: 5, ok: true, data: {} });
    server.publish({ event: 'decoy.hit', source: '203.0.113.9' });
    expect(await watching.json()).toEqual({
      v: 1,
      id: 5,
      event: { event: 'decoy.hit', source: '203.0.113.9' },
    });
    other.socket.write(asked(1, 'status'));
    expect(await other.json()).toMatchObject({ id: 1 });
    expect(server.subscribers()).toBe(1);
  });

  it('that does not read loses events, is told how many, and holds no more than its share of memory', async () => {
    const { path, server } = await serve();
    const client = dial(path, { read: false });
    client.socket.write(asked(1, 'subscribe'));
    while (server.subscribers() === 0) await sleep(5);
    const event = { event: 'decoy.hit', source: '203.0.113.9', reason: 'x'.repeat(100) };
    const sent = 20_000;
    for (let index = 0; index < sent; index += 1) server.publish(event);
    let text = '';
    client.socket.setEncoding('utf8').on('data', (piece: string) => {
      text += piece;
    });
    await sleep(100);
    server.publish({ event: 'daemon.stopped' });
    while (!text.includes('daemon.stopped')) await sleep(5);
    const lines = text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { lost?: number });
    const lost = lines.reduce((sum, line) => sum + Number(line.lost ?? 0), 0);
    expect(lost).toBeGreaterThan(10_000);
    expect(lines.filter((line) => 'event' in line).length + lost).toBe(sent + 1);
  });

  it('is not cut off for its silence, and there are only so many of them', async () => {
    const { path, server } = await serve({ limits: { idle: 100, subscribers: 1 } });
    const client = dial(path);
    client.socket.write(asked(1, 'subscribe'));
    await client.json();
    const second = dial(path);
    second.socket.write(asked(1, 'subscribe'));
    expect(await second.json()).toMatchObject({ ok: false, error: { code: 'full' } });
    await second.closed;
    expect(server.subscribers()).toBe(1);
    server.publish({ event: 'daemon.reloaded' });
    expect(await client.json()).toMatchObject({ event: { event: 'daemon.reloaded' } });
  });
});

describe('the client side', () => {
  it('says in words that no daemon is there', async () => {
    const path = join(folder(), 'control.sock');
    await expect(ask(path, { command: 'status' })).rejects.toMatchObject({
      code: 'no daemon',
      message: expect.stringContaining('systemctl start nfknock'),
    });
  });

  it('waits no longer than it was told', async () => {
    const { path } = await serve({ handle: () => new Promise(() => {}) });
    await expect(ask(path, { command: 'status' }, 50)).rejects.toMatchObject({
      code: 'no daemon',
      message: expect.stringContaining('within 0.05 s'),
    });
  });

  it.each([
    'garbage',
    '{"v":2,"id":1,"ok":true,"data":{}}',
    '{"v":1,"id":9,"ok":true,"data":{}}',
    '{"v":1,"id":1,"ok":true,"data":{"version":7}}',
    '{"v":1,"id":1,"ok":true}',
    '{"v":1,"id":1,"ok":false,"error":"no"}',
    'x'.repeat(3_000_000),
  ])('trusts no answer that it does not understand: %.30j', async (answer) => {
    const path = join(folder(), 'fake.sock');
    const fake = createServer((socket) => {
      socket.on('error', () => {});
      socket.once('data', () => socket.write(`${answer}\n`));
    }).listen(path);
    await once(fake, 'listening');
    await expect(ask(path, { command: 'status' }, 2000)).rejects.toMatchObject({ code: 'protocol' });
    fake.close();
  });
});
