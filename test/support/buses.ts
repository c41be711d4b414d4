import { setTimeout as sleep } from 'node:timers/promises';
import type { Bus, BusAnswer, Done } from '../../src/fleet/bus.ts';
import { createMemoryEngine } from '../../src/fleet/memory-bus.ts';
import { createRedisBus } from '../../src/fleet/redis.ts';
import type { RedisOptions } from '../../src/fleet/redis-life.ts';
import type { EngineAddress } from '../../src/policy/fleet.ts';
import { MEMBER_PASSWORD, startRedis } from './redis.ts';

/** What a bus said to its listener, in words, and what it is asked with. */
export interface Member {
  readonly bus: Bus;
  readonly events: string[];
  ask<T>(request: (bus: Bus, done: Done<T>) => void): Promise<BusAnswer<T>>;
}

/** One group's engine, whichever carries it. */
export interface BusWorld {
  open(member: string): Promise<Member>;
  kill(): Promise<void>;
  start(): Promise<void>;
  close(): Promise<void>;
}

export const GROUP_OF_TEST = ['edge1', 'edge2', 'edge3'] as const;

/** Time as the daemon hands it in. */
export const REAL_TIME: RedisOptions['surroundings'] = {
  after(wait, run) {
    const timer = setTimeout(run, wait);
    return () => clearTimeout(timer);
  },
  random: Math.random,
};

export function memberOn(bus: Bus): Member {
  const events: string[] = [];
  bus.listen({
    connected: (run) => events.push(`connected ${run}`),
    disconnected: (reason) => events.push(`disconnected ${reason}`),
    heard: (from, message) => events.push(`heard ${from} ${Buffer.from(message).toString('hex')}`),
  });
  return {
    bus,
    events,
    ask: (request) => new Promise((resolve) => request(bus, resolve)),
  };
}

/** Waits until something has been said that is so. */
export async function until(isSo: () => boolean, what: string, limit = 10_000): Promise<void> {
  const end = performance.now() + limit;
  while (!isSo()) {
    if (performance.now() > end) throw new Error(`still waiting: ${what}`);
    await sleep(5);
  }
}

export const isConnected = ({ events }: Member): boolean =>
  events.findLast((each) => /connected /.test(each))?.startsWith('connected ') === true;

export async function memoryWorld(): Promise<BusWorld> {
  const engine = createMemoryEngine({
    wire: { carry: (_, __, arrive) => void setImmediate(arrive) },
    now: () => performance.timeOrigin + performance.now(),
    fsync: 'always',
  });
  return {
    async open(name) {
      const member = memberOn(engine.bus(name));
      await until(() => isConnected(member), 'connected');
      return member;
    },
    kill: async () => engine.stop(),
    start: async () => engine.start('disk'),
    close: async () => undefined,
  };
}

export function redisBus(redis: { readonly address: EngineAddress }, name: string): Bus {
  return createRedisBus({
    address: redis.address,
    group: 'main',
    login: { name, password: MEMBER_PASSWORD(name), ca: null },
    surroundings: REAL_TIME,
    guard: (work) => work(),
  });
}

export async function redisWorld(): Promise<BusWorld> {
  const redis = await startRedis({ members: GROUP_OF_TEST });
  const open: Bus[] = [];
  return {
    async open(name) {
      const member = memberOn(redisBus(redis, name));
      open.push(member.bus);
      await until(() => isConnected(member), 'connected');
      return member;
    },
    kill: redis.kill,
    start: redis.start,
    async close() {
      for (const bus of open) bus.close();
      await redis.kill();
    },
  };
}
