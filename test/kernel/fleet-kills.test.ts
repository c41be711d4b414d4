import { randomInt } from 'node:crypto';
import { env } from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ask } from '../support/asked.ts';
import {
  bansOf,
  becomes,
  type FleetLab,
  fleetLab,
  grantsOf,
  LATE,
  type LabMember,
  rests,
  within,
} from '../support/fleet-lab.ts';

/* A member of a fleet, or its engine, is killed each second; what was announced holds everywhere afterwards. */

const KILLS = env['NFKNOCK_LONG'] === undefined ? 12 : 60;
const BETWEEN = 1_000;
const REST = 2_000;
/** Each kind at most so often a second, so that nobody's limits are met. */
const PAUSE = 15;

let fleet: FleetLab;
beforeAll(async () => {
  fleet = await fleetLab({ sequences: ['20000/tcp,20001/tcp'], keys: [], never: {} });
}, 300_000);
afterAll(() => fleet?.close());

/** What was acknowledged, by address: whether it must be so; undefined: whoever was asked died before the answer. */
type Announced = Map<string, boolean | undefined>;
const banned: Announced = new Map();
const granted: Announced = new Map();
const down = new Set<LabMember | 'engine'>();
let taken = 0;
let isOver = false;

function fresh(network: number): string {
  taken += 1;
  return `10.${network}.${Math.floor(taken / 250)}.${1 + (taken % 250)}`;
}

const anyMember = (): LabMember | undefined => {
  const up = fleet.members.filter((member) => !down.has(member));
  return up[randomInt(Math.max(1, up.length))];
};

/** Answers whether it was acknowledged. */
async function isDone(request: Parameters<typeof ask>[1], member = anyMember()): Promise<boolean> {
  if (member === undefined) return false;
  return ask(member.daemon, request).then(
    () => true,
    () => false,
  );
}

async function banAndUnban(): Promise<void> {
  while (!isOver) {
    const address = fresh(1);
    if (anyMember() !== undefined)
      banned.set(address, (await isDone({ command: 'ban', address })) ? true : undefined);
    // At a member that may not have heard of it, or has just come back.
    if (randomInt(3) === 0) {
      const isLifted = await isDone({ command: 'unban', address });
      banned.set(address, isLifted ? false : undefined);
    }
    await sleep(PAUSE);
  }
}

async function grantAndRevoke(): Promise<void> {
  while (!isOver) {
    const member = anyMember();
    const address = fresh(2);
    if (member !== undefined) {
      const isGranted = await isDone({ command: 'grant', door: 'web', address }, member);
      granted.set(address, isGranted ? true : undefined);
      if (randomInt(3) === 0) {
        const isRevoked = await isDone({ command: 'revoke', address }, member);
        granted.set(address, isRevoked ? false : undefined);
      }
    }
    await sleep(10 * PAUSE);
  }
}

async function killOne(): Promise<void> {
  const up = [...fleet.members, 'engine' as const].filter((each) => !down.has(each));
  const victim = up[randomInt(Math.max(1, up.length))];
  if (victim === undefined) return;
  down.add(victim);
  if (victim === 'engine') {
    await fleet.redis.kill();
    await sleep(randomInt(500));
    await fleet.redis.start();
  } else {
    await victim.daemon.stop('SIGKILL');
    await sleep(randomInt(500));
    await victim.restart();
  }
  down.delete(victim);
}

/** What is not as it was announced, or not the same at all members. */
async function differences(): Promise<readonly string[]> {
  const found: string[] = [];
  for (const [what, wanted, of] of [
    ['ban', banned, async (member: LabMember) => (await bansOf(member)).map(({ target }) => target)],
    ['grant', granted, async (member: LabMember) => (await grantsOf(member)).map(({ grantee }) => grantee)],
  ] as const) {
    const sets = await Promise.all(fleet.members.map(async (member) => new Set(await of(member))));
    for (const [address, should] of wanted) {
      const there = sets.map((set) => set.has(address));
      if (there.every((is) => is === (should ?? there[0]))) continue;
      const said = fleet.members.map(
        ({ name, daemon }, at) =>
          `${name} ${there[at]}: ${daemon
            .seen({ source: address })
            .map(({ time, event, origin, reason }) => `${time} ${event} ${origin ?? ''} ${reason ?? ''}`)
            .join('; ')}`,
      );
      found.push(`${what} ${address} should be ${should}: ${said.join(' | ')}`);
    }
  }
  return found;
}

it(
  `what was announced holds everywhere two seconds after rest, though a member or the engine is killed each second, ${KILLS} times`,
  async () => {
    const work = [banAndUnban(), banAndUnban(), grantAndRevoke()];
    const kills: Promise<void>[] = [];
    for (let count = 0; count < KILLS; count += 1) {
      kills.push(killOne());
      await sleep(BETWEEN);
    }
    isOver = true;
    await Promise.all([...work, ...kills]);
    expect(await rests(fleet)).toBeLessThan(LATE);
    const settled = await becomes(async () => (await differences()).length === 0, LATE);
    const left = await differences();
    const sums = [banned, granted].map(
      (each) => `${each.size} (${[...each.values()].filter((is) => is !== undefined).length} acknowledged)`,
    );
    console.info(`bans ${sums[0]}, grants ${sums[1]}: the same everywhere after ${settled.toFixed()} ms`);
    expect(left).toEqual([]);
    expect(settled).toBeLessThan(within(REST));
    expect([...banned.values(), ...granted.values()].filter((is) => is !== undefined).length).toBeGreaterThan(
      KILLS,
    );
  },
  KILLS * 20_000,
);
