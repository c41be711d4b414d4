import { readFileSync } from 'node:fs';
import { env } from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import type { Connection } from '../../src/fleet/redis-connect.ts';
import { rowOf } from '../../src/fleet/row.ts';
import { ipv4 } from '../../src/packet/address.ts';
import { hostCidr } from '../../src/packet/cidr.ts';
import { ask } from '../support/asked.ts';
import type { Daemon } from '../support/daemon.ts';
import { becomes, nameMembers } from '../support/fleet-lab.ts';
import { createNet, type Net } from '../support/net.ts';
import { startRedis, type TestRedis } from '../support/redis.ts';
import { measureTurns } from '../support/turns.ts';

/* A real daemon that meets a member which says many bans: packets come in between. */

const BANS = env['NFKNOCK_LONG'] === undefined ? 60_000 : 1_000_000;
/**
 * What may keep the event loop from packets at a time, in milliseconds of processor time. What is aimed at is for a machine
 * that does nothing else: by others' work code that runs for the first time takes twice as long, and more.
 */
const TURN_MAX = env['NFKNOCK_STRICT'] === undefined ? 60 : 20;
const READ_WITHIN = BANS * 10;
const FIRST = 0x0b00_0000;

vi.setConfig({ testTimeout: 120_000 + READ_WITHIN, hookTimeout: 300_000 });

let net: Net;
let redis: TestRedis;
let daemon: Daemon;
const turns = measureTurns('joining');

beforeAll(async () => {
  net = await createNet();
  redis = await startRedis({ namespace: net.server.namespace });
  const passwords = await nameMembers(redis, ['edge1', 'edge2']);
  await asOwner((owner) => owner.send(['SREM', 'nfk:main:members', 'edge2']));
  daemon = await net.server.startDaemon(
    {
      doors: { ssh: { knock: ['7000/tcp', '8000/udp', '9000/tcp'], opens: ['22/tcp'] } },
      bans: { limit: BANS + 1_000 },
      fleet: {
        ...{ name: 'edge1', engine: `unix:${redis.address.path}`, password: passwords('edge1') },
        accept: { each: { bans: BANS + 1_000 } },
      },
    },
    { env: turns.env },
  );
});
afterAll(async () => {
  await daemon?.stop('SIGKILL');
  await redis?.kill();
  turns.close();
  net?.close();
});

async function asOwner(act: (owner: Connection) => Promise<unknown>): Promise<void> {
  const owner = await redis.admin();
  await act(owner);
  owner.close();
}

/** What edge2 says of so many, as the engine keeps it. */
async function fill(owner: Connection): Promise<void> {
  const since = Date.now();
  for (let at = 0; at < BANS; at += 1_000) {
    const rows = Array.from({ length: Math.min(1_000, BANS - at) }, (_, host) => {
      const target = hostCidr(ipv4(FIRST + at + host));
      const moments = { gen: 0, since, until: since + 6 * 3_600_000, count: 1 };
      return rowOf({ kind: 'ban', target, cause: 'strikes', ...moments }, 'keep');
    });
    const words = rows.flatMap(({ field, value }) => [Buffer.from(field), Buffer.from(value ?? [])]);
    await owner.send(['HSET', 'nfk:main:b:edge2', ...words]);
  }
}

async function bansThere(): Promise<number> {
  const { bans } = await ask(daemon, { command: 'status' });
  return bans;
}

it(`a member that says ${BANS} bans is read in pieces, none of which keeps packets waiting`, async () => {
  await asOwner(fill);
  const before = daemon.seen({ event: 'ban.added' }).length;
  let took = Number.POSITIVE_INFINITY;
  const all = await turns.during(daemon, async () => {
    await asOwner((owner) => owner.send(['SADD', 'nfk:main:members', 'edge2']));
    took = await becomes(async () => {
      await sleep(500);
      return (await bansThere()) >= BANS;
    }, READ_WITHIN);
  });
  expect(took).toBeLessThan(READ_WITHIN);
  expect(before).toBe(0);
  const longest = all
    .filter(({ collected }) => !collected)
    .map(({ worked }) => worked)
    .slice(0, 8);
  console.info(
    `${BANS} bans in ${took.toFixed()} ms; longest turns ${longest.map((each) => each.toFixed(1)).join(', ')} ms of ${all.length}; with the collector ${all[0]?.worked.toFixed(1)}; ${residentOf(daemon)} MB`,
  );
  expect(Math.max(...longest)).toBeLessThan(TURN_MAX);
});

function residentOf({ pid }: Daemon): number {
  const [, kilobytes = '0'] = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Math.round(Number(kilobytes) / 1_024);
}
