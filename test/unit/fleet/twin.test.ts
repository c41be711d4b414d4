import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, it, vi } from 'vitest';
import { createEngine } from '../../../src/engine/engine.ts';
import { DEFAULT_LIMITS } from '../../../src/fleet/budget.ts';
import type { FleetNews } from '../../../src/fleet/host.ts';
import { createMember, type Member } from '../../../src/fleet/member.ts';
import { REAL_TIME, redisBus, until } from '../../support/buses.ts';
import { startRedis, type TestRedis } from '../../support/redis.ts';
import { settings } from '../engine/world.ts';

/* Two machines of one name, as a cloned image makes them, with Debian's own redis-server. */

// A server of a busy machine takes its time to start.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 60_000 });

const ends: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

interface Machine {
  readonly member: Member;
  readonly news: FleetNews['news'][];
}

function start(redis: TestRedis, name: string): Machine {
  const news: FleetNews['news'][] = [];
  const member = createMember({
    ...{ name, version: '0', bus: redisBus(redis, name), limits: DEFAULT_LIMITS },
    host: {
      ...{ apply() {}, told() {}, keep() {}, drop() {}, shed() {}, refused() {}, used() {} },
      ...{ oneTimeDoors: () => [], marks: () => [], doors: () => ({}) },
      report: (each) => void news.push(each.news),
    },
    surroundings: {
      ...REAL_TIME,
      now: () => performance.now(),
      wallOffset: () => performance.timeOrigin,
    },
    belief: { accepts: () => true, longest: () => 1e9, opensFor: () => undefined, tombs: () => 1e9 },
    knocks: {
      ...{ isOn: () => false, accepts: () => false, wait: () => 300, emit() {}, carryOut() {} },
      excused: () => ({ times: 3, within: 60_000 }),
      engine: createEngine(settings(), [1, 2]),
    },
  });
  ends.push(() => member.stop());
  member.start({ own: [], untold: [], early: [], known: [] });
  return { member, news };
}

const claim = (of: Machine): Promise<unknown> =>
  new Promise((resolve) => {
    const once = { mark: { of: 'used', name: 'ssh' }, field: Uint8Array.of(Math.random() * 256) } as const;
    of.member.claim({ ...once, copies: 0, isKept: true, source: '198.51.100.7' }, resolve);
  });

it('two machines of one name are told of each other within seconds, and no more once one has stopped', async () => {
  const redis = await startRedis({ members: ['edge1', 'edge2'] });
  ends.push(redis.kill);
  const [one, two, other] = [start(redis, 'edge1'), start(redis, 'edge1'), start(redis, 'edge2')];
  const both = [one, two];
  const began = performance.now();
  await until(() => both.every(({ member }) => member.status().hasTwin), 'both know', 20_000);
  expect(performance.now() - began).toBeLessThan(10_000);
  for (const { news } of both) expect(news.filter((each) => each === 'twin')).toHaveLength(1);
  expect([other.member.status().hasTwin, other.news.includes('twin')]).toEqual([false, false]);
  two.member.stop();
  await until(() => !one.member.status().hasTwin, 'it is over', 20_000);
  await sleep(3_000);
  expect(one.member.status().hasTwin).toBe(false);
  expect(one.member.status().up).toBe(true);
});

it('a machine that is alone by its name is told of nobody, whatever becomes of the engine, and of itself', async () => {
  const redis = await startRedis({ members: ['edge1'] });
  ends.push(redis.kill);
  const first = start(redis, 'edge1');
  await until(() => first.member.hasJoined(), 'joined', 20_000);
  first.member.stop();
  // Started again at once, three times: what it said before still stands there.
  const lives = [first];
  for (let life = 0; life < 3; life += 1) {
    const next = start(redis, 'edge1');
    lives.push(next);
    await until(() => next.member.hasJoined(), 'joined again', 20_000);
    await sleep(1_200);
    if (life < 2) next.member.stop();
  }
  const last = lives.at(-1) ?? first;
  for (let round = 0; round < 2; round += 1) {
    // Claims say its presence too; so does an engine that stood still, late.
    await Promise.all([claim(last), claim(last), claim(last)]);
    redis.freeze();
    await sleep(round === 0 ? 1_500 : 4_500);
    redis.thaw();
    await sleep(1_500);
    await redis.kill();
    await redis.start();
    await until(() => last.member.status().up, 'up again', 20_000);
    await sleep(1_500);
  }
  for (const { news } of lives) expect(news).not.toContain('twin');
  expect(last.member.status().hasTwin).toBe(false);
});
