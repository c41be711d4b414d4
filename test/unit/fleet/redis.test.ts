import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { accessCommands } from '../../../src/fleet/access.ts';
import type { Bus, BusAnswer, ClaimAnswer } from '../../../src/fleet/bus.ts';
import { createRedisBus } from '../../../src/fleet/redis.ts';
import { type Connection, connect, factsOf } from '../../../src/fleet/redis-connect.ts';
import { createRefusals } from '../../../src/fleet/refusals.ts';
import type { EngineAddress } from '../../../src/policy/fleet.ts';
import {
  GROUP_OF_TEST,
  isConnected,
  type Member,
  memberOn,
  REAL_TIME,
  redisBus,
  until,
} from '../../support/buses.ts';
import { MEMBER_PASSWORD, startRedis, type TestRedis } from '../../support/redis.ts';
import { ROOT } from '../../support/root.ts';
import { temporaryFolder } from '../../support/scratch.ts';

// A server of a busy machine takes its time to start.
vi.setConfig({ testTimeout: 90_000, hookTimeout: 60_000 });

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);
const ends: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

async function engine(...lines: readonly string[]): Promise<TestRedis> {
  const redis = await startRedis({ members: GROUP_OF_TEST, lines });
  ends.push(redis.kill);
  return redis;
}

function open(bus: Bus): Member {
  ends.push(() => bus.close());
  return memberOn(bus);
}

async function member(redis: TestRedis, name: string): Promise<Member> {
  const found = open(redisBus(redis, name));
  await until(() => isConnected(found), 'connected');
  return found;
}

async function raw(redis: TestRedis, name: string): Promise<Connection> {
  const login = { name, password: MEMBER_PASSWORD(name), ca: null };
  const connection = await connect(redis.address, login, null, () => undefined);
  ends.push(() => connection.close());
  return connection;
}

const claim = (of: Member, field: Uint8Array, value: string, copies = 0): Promise<BusAnswer<ClaimAnswer>> =>
  of.ask<ClaimAnswer>((bus, done) =>
    bus.claim({ mark: { of: 'used', name: 'ssh' }, field, value, copies }, done),
  );

describe('the rights of a member at the engine', () => {
  it('are missed by name where some are gone, until they are there again', async () => {
    const redis = await engine();
    const refusals = createRefusals(redisBus(redis, 'edge1'));
    const watched = open(refusals.bus);
    await until(() => isConnected(watched), 'connected');
    const owner = await redis.admin();
    ends.push(() => owner.close());
    const told = (): Promise<BusAnswer<string>> =>
      watched.ask<string>((bus, done) => bus.tell({ rows: [], message: bytes(1) }, done));
    const [rules = ''] = accessCommands({
      ...{ name: 'edge1', group: 'main', password: MEMBER_PASSWORD('edge1') },
    });
    await owner.send(rules.replace('+xadd ', '').split(' '));
    expect(await told()).toMatchObject({ ok: false, unsure: false });
    expect(refusals.last()).toMatch(/NOPERM.*xadd/i);
    await owner.send(rules.split(' '));
    expect(await told()).toMatchObject({ ok: true });
    expect(refusals.last()).toBeNull();
  });

  // Against: a member with stolen credentials that speaks for another, or changes what was used
  // by: the engine's access rules
  it("let it write nothing of another's, change no mark, and see no more than its group", async () => {
    const redis = await engine();
    const [hostile, honest] = [await raw(redis, 'edge2'), await raw(redis, 'edge1')];
    await honest.send(['HSET', 'nfk:main:b:edge1', 'target', 'until']);
    await honest.send(['XADD', 'nfk:main:s:edge1', '*', 'e', 'message']);
    await honest.send(['SET', 'nfk:main:who:edge1', '{}']);
    await honest.send(['HSETNX', 'nfk:main:used:ssh', 'line', 'edge1']);
    const refused = [
      'HSET nfk:main:b:edge1 target 0',
      'HDEL nfk:main:b:edge1 target',
      'HSET nfk:main:g:edge1 ssh any',
      'XADD nfk:main:s:edge1 * e forged',
      'XTRIM nfk:main:s:edge1 MAXLEN 0',
      'XDEL nfk:main:s:edge1 1-1',
      'SET nfk:main:who:edge1 {}',
      'PUBLISH nfk:main:m:edge1 forged',
      'PUBLISH nfk:main:m:edge1x forged',
      'PUBLISH nfk:other:m:edge2 forged',
      'HSET nfk:main:used:ssh line edge2',
      'HDEL nfk:main:used:ssh line',
      'DEL nfk:main:used:ssh',
      'EXPIRE nfk:main:used:ssh 1',
      'RENAME nfk:main:used:ssh x',
      'SET nfk:main:used:ssh x',
      'SADD nfk:main:members mallory',
      'HSET nfk:other:b:edge2 a b',
      'HGET nfk:other:used:ssh line',
      'HSCAN nfk:other:b:edge1 0',
      'PSUBSCRIBE *',
      'SUBSCRIBE nfk:other:m:edge1',
      'EVAL return(1) 0',
      'FUNCTION LIST',
      'CONFIG GET *',
      'ACL LIST',
      'ACL SETUSER edge2 +@all',
      'CLIENT LIST',
      'CLIENT KILL TYPE normal',
      'MONITOR',
      'KEYS *',
      'SCAN 0',
      'FLUSHALL',
      'REPLICAOF NO ONE',
      'SHUTDOWN NOSAVE',
      'SORT nfk:main:members GET nfk:other:*',
      'COPY nfk:main:who:edge2 nfk:main:who:edge1',
    ];
    for (const command of refused)
      await expect(hostile.send(command.split(' ')), command).rejects.toThrow(/^NOPERM/);
    await expect(hostile.transact([['HSET', 'nfk:main:b:edge1', 'target', '0']])).rejects.toThrow();
    expect(await hostile.send(['HSETNX', 'nfk:main:used:ssh', 'line', 'edge2'])).toBe(0);
    expect(await hostile.send(['HGET', 'nfk:main:used:ssh', 'line'])).toBe('edge1');
    const admin = await redis.admin();
    ends.push(() => admin.close());
    expect(await admin.send(['HGET', 'nfk:main:b:edge1', 'target'])).toBe('until');
    expect(await admin.send(['XLEN', 'nfk:main:s:edge1'])).toBe(1);
    expect(await admin.send(['GET', 'nfk:main:who:edge1'])).toBe('{}');
  });

  // Against: a stranger at a fleet's engine
  // by: a user with a password for each member
  it('keep out whoever has not its password, and what is said of that does not hold it', async () => {
    const redis = await engine();
    const stranger = open(
      createRedisBus({
        address: redis.address,
        group: 'main',
        login: { name: 'edge1', password: 'a wrong guess', ca: null },
        surroundings: REAL_TIME,
        guard: (work) => work(),
      }),
    );
    await until(() => stranger.events.length > 0, 'refused');
    expect(stranger.events[0]).toMatch(/^disconnected WRONGPASS/);
    expect(stranger.events.join()).not.toContain('guess');
  });
});

describe('marks', () => {
  // Against: killing the engine to have a mark forgotten
  // by: a mark counts once it is on the disk
  it('that were acknowledged are there after the engine was killed in the midst of claims, and nobody has two', async () => {
    const redis = await engine();
    const members = [await member(redis, 'edge1'), await member(redis, 'edge2')];
    for (const each of members) await each.ask((bus, done) => bus.present('{}', done));
    const acknowledged = new Map<number, string>();
    let next = 0;
    for (let round = 0; round < 3; round += 1) {
      let stop = false;
      const claimers = members.flatMap((each, at) =>
        Array.from({ length: 5 }, async () => {
          while (!stop) {
            const line = next;
            next += 1;
            const answer = await claim(each, bytes(line >> 16, line >> 8, line), `edge${at + 1} ${line}`);
            if (answer.ok && answer.value.durable) acknowledged.set(line, answer.value.value);
            else await sleep(10);
          }
        }),
      );
      await sleep(250);
      await redis.kill();
      await until(() => members.every((each) => !isConnected(each)), 'noticed');
      stop = true;
      await Promise.all(claimers);
      await redis.start();
      await until(() => members.every(isConnected), 'back');
    }
    expect(acknowledged.size).toBeGreaterThan(100);
    const admin = await redis.admin();
    ends.push(() => admin.close());
    for (const [line, owner] of acknowledged) {
      const field = Buffer.from(bytes(line >> 16, line >> 8, line));
      expect(await admin.send(['HGET', 'nfk:main:used:ssh', field])).toBe(owner);
    }
  });

  it('are not durable at an engine that keeps no log', async () => {
    const redis = await engine('appendonly no');
    const one = await member(redis, 'edge1');
    expect(await claim(one, bytes(1), 'edge1 x')).toEqual({
      ok: true,
      value: { value: 'edge1 x', durable: false },
    });
  });

  it("of keys' packets end by themselves, after the time that the first one set", async () => {
    const redis = await engine();
    const [one, two] = [await member(redis, 'edge1'), await member(redis, 'edge2')];
    const mark = (seconds: number) => ({ of: 'spa', name: '5948412', seconds }) as const;
    const wanted = { field: bytes(1), value: 'edge1 x', copies: 0 };
    await one.ask((bus, done) => bus.claim({ ...wanted, mark: mark(900) }, done));
    await two.ask((bus, done) => bus.claim({ ...wanted, field: bytes(2), mark: mark(1) }, done));
    const admin = await redis.admin();
    ends.push(() => admin.close());
    expect(Number(await admin.send(['TTL', 'nfk:main:spa:5948412']))).toBeGreaterThan(890);
  });
});

describe('a connection', () => {
  it('on which the engine falls silent is given up, what was asked is unsure, and it comes back', async () => {
    const redis = await engine();
    const one = await member(redis, 'edge1');
    redis.freeze();
    ends.push(redis.thaw);
    const began = performance.now();
    const asked = one.ask<string>((bus, done) => bus.tell({ rows: [], message: bytes(1) }, done));
    expect(await asked).toMatchObject({ ok: false, unsure: true });
    await until(() => !isConnected(one), 'noticed');
    expect(performance.now() - began).toBeLessThan(8_000);
    redis.thaw();
    await until(() => isConnected(one), 'back', 20_000);
    expect((await one.ask<string>((bus, done) => bus.tell({ rows: [], message: bytes(2) }, done))).ok).toBe(
      true,
    );
  });

  it('is not made to a replica, which would take nothing and tell nothing', async () => {
    const redis = await engine();
    const admin = await redis.admin();
    ends.push(() => admin.close());
    await admin.send(['REPLICAOF', '127.0.0.1', '1']);
    const one = open(redisBus(redis, 'edge1'));
    await until(() => one.events.length > 0, 'refused');
    expect(one.events[0]).toBe('disconnected the engine is a replica, which takes no writes');
  });

  // Against: a member with stolen credentials, with bytes that are no messages
  // by: every answer is taken apart by its shape
  it('survives whatever another member puts into its own keys', async () => {
    const redis = await engine();
    const [one, hostile] = [await member(redis, 'edge1'), await raw(redis, 'edge2')];
    await hostile.send(['XADD', 'nfk:main:s:edge2', '1-1', 'other', 'field']);
    await hostile.send(['XADD', 'nfk:main:s:edge2', '1-2', 'e', Buffer.from([0, 255]), 'e', 'twice']);
    await hostile.send(['XADD', 'nfk:main:s:edge2', '18446744073709551615-18446744073709551614', 'e', '']);
    await hostile.send(['HSET', 'nfk:main:b:edge2', '', '']);
    await hostile.send(['SET', 'nfk:main:who:edge2', Buffer.alloc(100_000, 0xff)]);
    await hostile.send(['HSETNX', 'nfk:main:used:ssh', Buffer.from([9]), Buffer.alloc(100_000, 0xfe)]);
    const after = await one.ask((bus, done) => bus.after('edge2', '1-1', done));
    expect(after).toMatchObject({
      ok: true,
      value: { entries: [{ id: '1-2' }, { message: Buffer.alloc(0) }], next: null },
    });
    expect(await one.ask((bus, done) => bus.scan('edge2', 'bans', null, done))).toMatchObject({ ok: true });
    expect(await one.ask((bus, done) => bus.present('{}', done))).toMatchObject({ ok: true });
    const lost = await claim(one, bytes(9), 'edge1 x');
    expect(lost.ok && lost.value.value.length).toBe(4_096);
    // What is trimmed is not known any more.
    await hostile.send(['XTRIM', 'nfk:main:s:edge2', 'MAXLEN', '1']);
    expect(await one.ask((bus, done) => bus.after('edge2', '1-1', done))).toEqual({ ok: true, value: null });
    expect(isConnected(one)).toBe(true);
  });
});

describe('by TLS', () => {
  async function encrypted(): Promise<{ port: number; ca: string; other: string }> {
    const folder = temporaryFolder();
    const file = (name: string): string => join(folder, name);
    const openssl = (...args: readonly string[]): void => {
      execFileSync('openssl', args, { stdio: 'ignore' });
    };
    for (const name of ['ca', 'other'])
      openssl(
        'req',
        '-x509',
        '-newkey',
        'rsa:2048',
        '-nodes',
        '-days',
        '2',
        '-subj',
        `/CN=${name}`,
        '-keyout',
        file(`${name}.key`),
        '-out',
        file(`${name}.pem`),
      );
    openssl(
      'req',
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-subj',
      '/CN=bus',
      '-addext',
      'subjectAltName=IP:127.0.0.1',
      '-keyout',
      file('bus.key'),
      '-out',
      file('bus.csr'),
    );
    openssl(
      'x509',
      '-req',
      '-in',
      file('bus.csr'),
      '-CA',
      file('ca.pem'),
      '-CAkey',
      file('ca.key'),
      '-CAcreateserial',
      '-days',
      '2',
      '-copy_extensions',
      'copy',
      '-out',
      file('bus.pem'),
    );
    const port = await freePort();
    // As it is shipped, but for where things lie in this test.
    const places: Readonly<Record<string, string>> = {
      'tls-port': `${port}`,
      bind: '127.0.0.1',
      'tls-cert-file': file('bus.pem'),
      'tls-key-file': file('bus.key'),
      'tls-ca-cert-file': file('ca.pem'),
    };
    const shipped = readFileSync(join(ROOT, 'deploy/fleet/redis.conf'), 'utf8').split('\n');
    const lines = shipped.filter((line) => /^[a-z]/.test(line) && !/^(unixsocket|aclfile)/.test(line));
    expect(lines.length).toBeGreaterThan(10);
    await engine(
      ...lines.map((line) => {
        const [name = ''] = line.split(' ');
        return places[name] === undefined ? line : `${name} ${places[name]}`;
      }),
    );
    return { port, ca: readFileSync(file('ca.pem'), 'utf8'), other: readFileSync(file('other.pem'), 'utf8') };
  }

  const over = (address: EngineAddress, ca: string | null): Member =>
    open(
      createRedisBus({
        address,
        group: 'main',
        login: { name: 'edge1', password: MEMBER_PASSWORD('edge1'), ca },
        surroundings: REAL_TIME,
        guard: (work) => work(),
      }),
    );

  // Against: a changer or reader between a member and the engine
  // by: TLS, with the authorities of `ca`
  it('an engine whose certificate is signed by `ca` for its name is taken, and no other', async () => {
    const { port, ca, other } = await encrypted();
    const address = { kind: 'server', tls: true, host: '127.0.0.1', port } as const;
    const good = over(address, ca);
    await until(() => isConnected(good), 'connected');
    expect(await good.ask((bus, done) => bus.present('{}', done))).toMatchObject({ ok: true });
    const wrong = [
      over(address, other),
      over(address, null),
      over({ ...address, host: '127.0.0.2' }, ca),
      over({ ...address, tls: false }, null),
    ];
    await until(() => wrong.every(({ events }) => events.length > 0), 'refused');
    for (const { events } of wrong)
      expect(events.every((each) => each.startsWith('disconnected'))).toBe(true);
  });
});

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === 'object' ? (address?.port ?? 0) : 0;
}

it('Valkey is known by its own version, and asked to wait for its disk by that of Redis which it equals', () => {
  const info =
    '# Server\r\nredis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:8.1.1\r\nrun_id:abc\r\nrole:master\r\naof_enabled:1\r\nmaster_replid:def\r\n';
  expect(factsOf(info)).toEqual({
    run: 'abc/def',
    version: '8.1.1',
    isValkey: true,
    waitsForDisk: true,
    appendOnly: true,
    isPrimary: true,
    replicas: 0,
  });
  expect(factsOf(info.replace('7.2.4', '7.0.15')).waitsForDisk).toBe(false);
});
