import { setTimeout as sleep } from 'node:timers/promises';
import { type Random, randomOf } from '../../fuzz/random.ts';
import { giveRoom } from '../../support/attacker-tools.ts';
import type { Aftermath, Attack } from './attack.ts';
import { ATTACKS } from './attacks.ts';
import { createKnocker, type Knocker } from './knocker.ts';
import { createWorld, footprint, keepTrying, ROOM_ENOUGH, statusOf, type World } from './world.ts';

/*
 * Every attack, in a random order that a seed repeats and several at a time, while owners knock and strangers try. After
 * each the next knock opens in time; at the end it is the same daemon, well, and no larger.
 */

export interface ChaosOptions {
  readonly seconds: number;
  readonly seed: number;
  /** Sizes of the attacks, as a share of the largest. */
  readonly scale: number;
  /** A part of the name of those that are wanted; empty: all. */
  readonly only: string;
  readonly say: (text: string) => void;
}

export interface ChaosReport {
  /** What was attacked with, in order. */
  readonly order: readonly string[];
  /** What was not as it should be; empty: all was well. */
  readonly wrong: readonly string[];
  /** Honest knocks that opened, and the longest time that one took from its end, or the attack's, in milliseconds. */
  readonly knocks: number;
  readonly slowest: number;
  /** SYNs of strangers to the protected port that arrived. */
  readonly strangers: number;
  /** Resident bytes and descriptors after each round. */
  readonly footprints: readonly { readonly rss: number; readonly files: number }[];
}

/** `status` tells of losses for a minute. */
const CLEAN_WITHIN = 90_000;
/** What it can't look at meanwhile is said, and is no fault of its own: that a leak is none of it, the footprint shows. */
const NO_DESCRIPTOR = /\bEMFILE\b/;
/** At most so many at once. */
const AT_ONCE = 3;

export async function chaos({ seconds, seed, scale, only, say }: ChaosOptions): Promise<ChaosReport> {
  const random = randomOf(seed);
  const world = await createWorld(scale);
  const all = Object.keys(ATTACKS).filter((name) => name.includes(only));
  const order: string[] = [];
  const wrong: string[] = [];
  const footprints: { rss: number; files: number }[] = [];
  const stopStrangers = keepTrying(world);
  const knocker = createKnocker(world);
  try {
    const began = performance.now();
    let deck: string[] = [];
    // Each has its turn, however slow the machine.
    let undealt = all.length;
    await knocker.next();
    for (let round = 1; undealt > 0 || performance.now() - began < seconds * 1000; round += 1) {
      if (deck.length === 0) deck = shuffled(all, random);
      const names = draw(deck, 1 + random(AT_ONCE));
      undealt -= names.length;
      const at = `${((performance.now() - began) / 1000).toFixed(1)} s: ${names.join(' + ')}`;
      order.push(at);
      say(at);
      const attacks = names.map((name) => ATTACKS[name]).filter((each) => each !== undefined);
      const faults = await attackWith(world, attacks, randomOf(seed + round), knocker.excuse);
      faults.push(...(await knocker.next()), ...(await lookAround(world)));
      wrong.push(...faults.map((what) => `${at}: ${what}`));
      footprints.push(footprint(world));
      if (wrong.length > 10) break;
    }
    wrong.push(...(await settle(world)));
    wrong.push(...(await knocker.next()));
    const { knocks, slowest } = await knocker.stop();
    footprints.push(footprint(world));
    const { strangers } = await world.port.read();
    return { order, wrong, knocks, slowest, strangers, footprints };
  } finally {
    await knocker.stop();
    stopStrangers();
    await world.daemon.stop('SIGKILL');
    world.net.close();
  }
}

/** Runs them side by side; answers with what they found wrong. */
async function attackWith(
  world: World,
  attacks: readonly Attack[],
  random: Random,
  excuse: Knocker['excuse'],
): Promise<string[]> {
  const running = attacks.map((attack) => attack.run(world, randomOf(random(2 ** 31))));
  // Each for its own time: another of the round may wait for an owner who gets in.
  for (const [index, { kind }] of attacks.entries()) {
    const ended = Promise.allSettled([running[index]]);
    if (kind === 'stops') excuse(ended, 'late');
    if (kind === 'changes') excuse(ended, 'lost');
  }
  const ends = await Promise.allSettled(running);
  const looks: Exclude<Aftermath, undefined>[] = ends.flatMap((end) =>
    end.status === 'fulfilled' && end.value !== undefined ? [end.value] : [],
  );
  const all = [...ends, ...(await Promise.allSettled(looks.map((look) => look())))];
  return all.flatMap((end) => (end.status === 'rejected' ? [String(end.reason)] : []));
}

/** The same daemon, started once; nobody is in who may not be. */
async function lookAround(world: World): Promise<string[]> {
  const { daemon } = world;
  const wrong: string[] = [];
  const { leaked } = await world.port.read();
  if (leaked !== world.excused) {
    wrong.push(`${leaked - world.excused} SYNs of strangers got past the rules`);
    world.excused = leaked;
  }
  const { status } = (await statusOf(world)) ?? {};
  if (status?.pid !== daemon.pid) wrong.push(`status is answered by ${status?.pid}, not by ${daemon.pid}`);
  const starts = daemon.seen({ event: 'daemon.ready' }).length;
  if (starts !== 1) wrong.push(`the daemon was ready ${starts} times`);
  for (const event of ['daemon.stopped', 'daemon.fault'])
    for (const { reason = '' } of daemon.seen({ event }))
      if (event !== 'daemon.fault' || !NO_DESCRIPTOR.test(reason)) wrong.push(`${event}: ${reason}`);
  return wrong;
}

/** Waits until `status` says that all is well. */
async function settle(world: World): Promise<string[]> {
  // Grants that end together change many rules at once.
  giveRoom(world.daemon.pid, ROOM_ENOUGH, 'events');
  const end = performance.now() + CLEAN_WITHIN;
  let last = 'nobody answers';
  while (performance.now() < end) {
    const answer = await statusOf(world);
    if (answer?.code === 0 && answer.status.problems.length === 0) return [];
    last = answer?.status.problems.map(({ what }) => what).join('; ') ?? 'nobody answers';
    await sleep(1_000);
  }
  return [`after ${CLEAN_WITHIN} ms status still tells of: ${last}`];
}

/** Takes some from the deck that go together: who stands still answers nobody, and rules that are gone can't be relied on. */
function draw(deck: string[], most: number): string[] {
  const names: string[] = [];
  for (const name of [...deck].reverse()) {
    if (names.length === most) break;
    const kinds = [...names, name].map((each) => ATTACKS[each]?.kind);
    if (
      names.length > 0 &&
      kinds.filter((kind) => kind !== 'outside').length > 1 &&
      !kinds.every((kind) => kind === 'asks' || kind === 'outside')
    )
      continue;
    names.push(name);
    deck.splice(deck.indexOf(name), 1);
  }
  return names;
}

function shuffled(names: readonly string[], random: Random): string[] {
  return names
    .map((name) => [random(2 ** 30), name] as const)
    .sort(([x], [y]) => x - y)
    .map(([, name]) => name);
}
