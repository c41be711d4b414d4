import { randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { FirewallError } from '../firewall/firewall.ts';
import {
  familiesHere,
  type OwnPart,
  readOwnPart,
  restoreBlocks,
  restoreOwnPart,
} from '../firewall/iptables/own-part.ts';
import type { Sets } from '../firewall/netlink/ipset.ts';
import { CHAIN, isOwnSet } from '../firewall/rules/names.ts';
import { messageOf } from '../text/error.ts';
import type { Patience } from './claimer.ts';
import { endDaemon, isHeld } from './end-daemon.ts';
import { log } from './ended.ts';
import { readIfThere, rememberInstalled, remove, writeDurably } from './place.ts';
import { withSets } from './put-back.ts';
import { rollBack } from './rollback.ts';
import {
  backIn,
  beginEnding,
  type Found,
  findEnding,
  findMarker,
  forgetStoodDown,
  type Here,
  isHost,
  leftOf,
  type Marker,
  survivesReboot,
  untilWords,
  writeMarker,
} from './stood-down.ts';
import { type Later, startTimer } from './timer.ts';

/*
 * Recovery: all that is nfknock's out, and kept out, until a time or until somebody ends it. First it is written down,
 * so that a daemon that runs or is started meanwhile puts nothing back; then what brings it back is started; only then
 * anything is taken out.
 */

const PARTS = 'parts.json';
/** How long a daemon that did not answer is watched: it looks once a second at what was done to its rules. Milliseconds. */
const WATCHED = 3_000;
const LOOK_EVERY = 100;
/** Each tries for some 300 ms. */
const DROP_ATTEMPTS_MAX = 8;

/** How long: milliseconds, and how it was said. */
export interface Wanted {
  readonly length: number | null;
  readonly asked: Marker['asked'];
  /** The configuration, which tells where a daemon is asked. */
  readonly config: string;
  /** Where somebody else rolls a change back. */
  readonly patience?: Patience;
}

/** Tells a daemon that runs to look at the marker; true where it did. */
export type TellDaemon = () => Promise<boolean>;

export interface Begun {
  readonly marker: Marker;
  /** A change that waited for its confirmation was rolled back first. */
  readonly rolledBack: boolean;
  /** A reboot does not end it. */
  readonly survivesReboot: boolean;
}

/** Takes everything of ours out. Throws a FirewallError where not all of it could be. */
export async function beginStandDown(wanted: Wanted, here: Here, tell: TellDaemon): Promise<Begun> {
  const now = here.wall * 1000;
  // What is being rolled back still would put rules in again.
  const { done, by } = await rollBack({
    why: 'nfknock was stood down before anybody had confirmed it',
    now,
    ...(wanted.patience && { patience: wanted.patience }),
  });
  const rolledBack = done || by !== undefined;
  const earlier = findMarker();
  const still = earlier !== undefined && leftOf(earlier.marker, here) > 0 ? earlier : undefined;
  const parts = await Promise.all(familiesHere().map(readOwnPart));
  const base = still?.marker.base === true || hasBase(parts);
  const laid = isIn(parts) || still?.marker.laid === true;
  const marker = markerFor(wanted, here, { base, laid });
  const folder = writeMarker(marker);
  try {
    keepBack(folder, parts, still?.folder);
    if (marker.length !== null) await startTimer(timerOf(marker, marker.length, wanted.config));
  } catch (error) {
    // What nothing would bring back is not taken out.
    if (still === undefined) forgetStoodDown();
    else writeMarker(still.marker);
    throw error;
  }
  const told = await tell();
  await takeOut();
  if (!told) await keepOut();
  const until = untilWords(marker.until === null ? null : marker.until * 1000);
  await log(`stood down: every rule of nfknock is out, and every port open, ${until}`);
  return { marker, rolledBack, survivesReboot: survivesReboot(folder) };
}

type WasIn = Pick<Marker, 'base' | 'laid'>;

function markerFor({ length: ms, asked }: Wanted, here: Here, wasIn: WasIn): Marker {
  const { boot, network } = here;
  // In whole seconds, which a shell counts in: rather too early than too late.
  const length = ms === null ? null : Math.max(1, Math.floor(ms / 1000));
  const since = Math.floor(here.wall);
  return {
    id: randomBytes(8).toString('hex'),
    ...{ since, length, until: length === null ? null : since + length, asked },
    ...{ boot, uptime: here.uptime, network, host: isHost(), ...wasIn },
  };
}

function hasBase(parts: readonly OwnPart[]): boolean {
  return parts.some(({ chains }) => chains.some(({ name }) => name === CHAIN.base));
}

function isIn(parts: readonly OwnPart[]): boolean {
  return parts.some(({ jumps }) => jumps.length > 0);
}

/** What comes back even where no daemon runs and the configuration is broken; as text for deploy/boot-rules too. */
function keepBack(folder: string, parts: readonly OwnPart[], earlier: string | undefined): void {
  const back = backIn(folder);
  if (!isIn(parts)) {
    // A second call: what was there before the first is what comes back.
    if (earlier === undefined) remove(back);
    return;
  }
  remove(back);
  mkdirSync(back, { mode: 0o700 });
  for (const part of parts) {
    const text = restoreBlocks(part, new Map(), part.policies);
    const lines = text.split('\n').filter((line) => !line.includes(' -m set '));
    writeDurably(join(back, `rules.v${part.family}`), lines.join('\n'));
  }
  writeDurably(join(back, PARTS), JSON.stringify(parts));
}

/** Takes out everything that is ours by its name, whoever laid it. Each family by itself. */
async function takeOut(): Promise<void> {
  await withSets(async (sets) => {
    const none = (family: 4 | 6): OwnPart => ({
      ...{ family, chains: [], jumps: [] },
      policies: { input: 'ACCEPT', forward: 'ACCEPT' },
    });
    const results = await Promise.allSettled(
      familiesHere().map((family) => restoreOwnPart(none(family), sets)),
    );
    const failed = results.find((result) => result.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
    await dropSets(sets);
  });
}

/** A rule that is out lets go of its set only a moment later, and a busy machine takes its time. */
async function dropSets(sets: Sets): Promise<void> {
  for (let attempt = 0; attempt < DROP_ATTEMPTS_MAX; attempt += 1) {
    const there = (await sets.all()).filter(isOwnSet);
    if (there.length === 0) return;
    // In a set that somebody else's rule still names nothing of ours is in force.
    for (const { name } of there) await sets.destroy(name).catch(() => undefined);
  }
}

/** A daemon that did not answer may know nothing of all this: one that puts its rules back is ended. */
async function keepOut(): Promise<void> {
  for (let waited = 0; isHeld() && waited < WATCHED; waited += LOOK_EVERY) {
    await sleep(LOOK_EVERY);
    if (!(await areIn())) continue;
    const ended = await endDaemon();
    await takeOut();
    if (ended) return;
    throw new FirewallError(
      'end the daemon',
      'STUCK',
      'it puts its rules back: kill -9 it, then do this again',
    );
  }
}

/** True where rules of ours are reached from a chain of others. */
async function areIn(): Promise<boolean> {
  return isIn(await Promise.all(familiesHere().map(readOwnPart)));
}

export type EndedBy = 'daemon' | 'kept rules' | 'there already' | 'nothing was in' | 'nothing was kept';

/**
 * Ends it: the daemon puts its rules back, else what was kept is. With an id only that stand-down, since a later one
 * has a timer of its own; undefined: there is none to end.
 */
export async function endStandDown(tell: TellDaemon, id?: string): Promise<EndedBy | undefined> {
  const standing = findMarker();
  const ending = findEnding();
  const found = standing ?? ending;
  if (found === undefined || (id !== undefined && found.marker.id !== id)) return undefined;
  if (standing !== undefined && !beginEnding(standing.folder)) return undefined;
  const told = await tell();
  const by = await putBack(found, told);
  if (by !== 'nothing was kept') {
    forgetStoodDown();
    rememberInstalled();
    const are =
      by === 'nothing was in' ? 'no rule of nfknock was in before it' : 'the rules of nfknock are in again';
    await log(`no longer stood down: ${are}`);
  }
  return by;
}

async function putBack({ folder, marker }: Found, told: boolean): Promise<EndedBy> {
  // A daemon sees by itself, within a second, that it is over.
  for (let waited = 0; !told && isHeld() && waited < WATCHED; waited += LOOK_EVERY) {
    if (await areIn()) return 'daemon';
    await sleep(LOOK_EVERY);
  }
  if (await areIn()) return told ? 'daemon' : 'there already';
  if (!marker.laid) return 'nothing was in';
  const text = readIfThere(join(backIn(folder), PARTS));
  if (text === undefined) return 'nothing was kept';
  const parts = JSON.parse(text) as readonly OwnPart[];
  const faults: string[] = [];
  await withSets(async (sets) => {
    for (const part of parts)
      await restoreOwnPart(part, sets).catch((error: unknown) => void faults.push(messageOf(error)));
  });
  if (faults.length === 0) return 'kept rules';
  throw new FirewallError('put the rules back', 'REFUSED', `${faults.join('; ')}; then run it again`);
}

function timerOf({ id }: Marker, seconds: number, config: string): Later {
  return {
    name: 'nfknock-stand-down',
    description: 'Put the rules of nfknock back that were taken out for a time',
    seconds,
    args: ['stand-down', '--over', '--change', id, '-c', resolve(config)],
    id,
    withoutNode: ['over', id],
  };
}
