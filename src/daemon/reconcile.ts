import type { Command } from '../engine/command.ts';
import type { Change, ReadBack } from '../firewall/firewall.ts';
import { type Address, ipv4 } from '../packet/address.ts';
import { formatCidr, hostCidr } from '../packet/cidr.ts';
import { milliseconds } from '../packet/time.ts';
import { grantKey } from '../policy/grantee.ts';
import type { Spared, StateChange, Store, Stored, StoredBan, StoredGrant } from '../state/store.ts';
import type { Core } from './dependencies.ts';
import { liftedHere } from './fleet-registers.ts';
import { doorOf } from './hook-subject.ts';
import { type Lasting, planRestore, type RestorePlan } from './restore-plan.ts';
import { restoreGrants } from './restored.ts';

/** Sets tell what is left in whole seconds. Milliseconds. */
const KERNEL_ROUNDING = 2_000;
/** Nobody: the source of a grant to everyone whose knocker is not known any more. */
const UNKNOWN: Address = ipv4(0);

/**
 * Brings state file, kernel and engine into agreement at a start. What was kept and is not over is in force and
 * known; what the kernel holds beyond that is taken out, but for bans, which are taken in. Where the state file
 * was lost the kernel's grants are taken in too: their rules say whose they are and until when.
 */
export async function reconcile(core: Core, state: 'known' | 'lost'): Promise<void> {
  const { store, firewall, clock, trust } = core;
  const wall = clock.wall();
  const seen = store.seen();
  const sameBoot = store.isOf(trust.boot);
  const trusted = sameBoot || trust.synchronised() || (trust.hasRtc() && wall >= seen);
  const found = await firewall.readBack();
  const ofThisBoot = inKernel(found);
  const goesOn: Spared = (grant) => !trusted && grant.until > wall && ofThisBoot(grant);
  const ended = store.ended(wall, goesOn);
  const lifted = liftedOf(found, store);
  const kept = store.load(wall, goesOn);
  const adopted = adopt({ ...kept, lifted }, found, state, clock.wall());
  const plan = planRestore(adopted, { wall: clock.wall(), seen, trusted }, ofThisBoot);
  const timed = sameBoot ? { ...plan, bans: asInKernel(plan.bans, found, clock.wall()) } : plan;
  core.execute(restoreOrder(timed, adopted, core));
  if (!sameBoot) core.restored.remember(timed);
  store.write(adopted.changes, clock.wall());
  if (trusted || plan.waiting.length === 0) store.belongsTo(trust.boot);
  await firewall.apply([...unbansOf(found, adopted, lifted), ...changesFor(core, found)]);
  sayEnded(core, ended);
}

/**
 * Whom the kernel still bans though he was lifted, whoever did it and however: the state file hears of it first, and the
 * daemon was killed between the two. Nobody would lift him again.
 */
function liftedOf({ bans }: ReadBack, store: Pick<Store, 'isLifted' | 'fleet'>): ReadonlySet<string> {
  const lifted = new Set(liftedHere(store.fleet()));
  for (const { target } of bans) if (store.isLifted(target)) lifted.add(formatCidr(target));
  return lifted;
}

/** Of these the kernel is told now. */
function unbansOf(found: ReadBack, { bans }: Adopted, lifted: ReadonlySet<string>): readonly Change[] {
  if (lifted.size === 0) return [];
  const kept = new Set(bans.map(({ target }) => formatCidr(target)));
  return found.bans
    .filter(({ target }) => lifted.has(formatCidr(target)) && !kept.has(formatCidr(target)))
    .map(({ target }) => ({ change: 'unban', target }));
}

/** The kernel forgets at a reboot: a grant that it holds as it was kept was made in this boot. */
function inKernel({ grants }: ReadBack): (grant: StoredGrant) => boolean {
  const there = new Map(grants.map(({ door, grantee, until }) => [grantKey(door, grantee), until]));
  return ({ door, grantee, until }) =>
    Math.abs((there.get(grantKey(door, grantee)) ?? Number.NEGATIVE_INFINITY) - until) <= KERNEL_ROUNDING;
}

/** Where the clock was set back while nobody was there, the kernel's own timers know how much of a ban is left. */
function asInKernel(
  bans: readonly Lasting<StoredBan>[],
  found: ReadBack,
  wall: number,
): readonly Lasting<StoredBan>[] {
  if (bans.every(({ kept }) => kept.since <= wall)) return bans;
  const there = new Map(found.bans.map(({ target, until }) => [formatCidr(target), until - wall]));
  return bans.map(({ kept, left }) => {
    const timer = kept.since > wall ? there.get(formatCidr(kept.target)) : undefined;
    return { kept, left: Math.min(left, timer ?? left) };
  });
}

/** What ended while nobody was there is said now, and its command run: each opening has its closing. */
function sayEnded(
  { config, effects, clock }: Pick<Core, 'config' | 'effects' | 'clock'>,
  ended: readonly StoredGrant[],
): void {
  for (const { door: name, grantee, source } of ended) {
    const door = doorOf(config(), name);
    if (door === undefined) continue;
    const about = { at: clock.now(), source: source.address, door: name, ports: door.opens, grantee };
    effects.collect({ event: 'door.closed', ...about, reason: 'expired' });
  }
  effects.carryOut('command');
}

interface KeptState extends Stored {
  /** Who was banned, and is not any more. */
  readonly lifted: ReadonlySet<string>;
}

interface Adopted extends Stored {
  /** What the state file did not know. */
  readonly changes: readonly StateChange[];
}

function adopt(kept: KeptState, there: ReadBack, state: 'known' | 'lost', now: number): Adopted {
  const known = new Set(kept.bans.map((ban) => formatCidr(ban.target)));
  const bans = there.bans
    .filter(({ target }) => !known.has(formatCidr(target)) && !kept.lifted.has(formatCidr(target)))
    .map(({ target, until }) => ({ target, since: now, until, count: 1, origin: 'strikes' as const }));
  const found = state === 'lost' ? there.grants : [];
  const mine = new Set(kept.grants.map((grant) => grantKey(grant.door, grant.grantee)));
  const grants = found
    .filter((grant) => !mine.has(grantKey(grant.door, grant.grantee)))
    .map(({ door, grantee, until }) => {
      const source = grantee === 'any' ? hostCidr(UNKNOWN) : hostCidr(grantee.address);
      return { door, grantee, source, since: now, until, usesLeft: null, reason: null, holder: null };
    });
  return {
    grants: [...kept.grants, ...grants],
    bans: [...kept.bans, ...bans],
    histories: kept.histories,
    changes: [
      ...grants.map((grant) => ({ change: 'grant' as const, grant })),
      ...bans.map((ban) => ({ change: 'ban' as const, ban })),
    ],
  };
}

/** What is left becomes moments of the engine's clock: nothing begins in the future. */
function restoreOrder(plan: RestorePlan, kept: Stored, { clock }: Pick<Core, 'clock'>): Command {
  const now = clock.now();
  const bans = plan.bans.map(({ kept: ban, left }) => ({
    ...ban,
    since: milliseconds(now + left - (ban.until - ban.since)),
    until: milliseconds(now + left),
  }));
  return {
    ...restoreGrants(plan.grants, now),
    bans,
    histories: kept.histories.map((history) => {
      // A ban that is over, or was lifted, is over now at the latest.
      const until = Math.min(clock.atWall(history.until), now);
      const since = until - (history.until - history.since);
      return { ...history, since: milliseconds(since), until: milliseconds(until) };
    }),
  };
}

/** What the kernel is to be told so that it holds what the engine does. */
export function changesFor(
  { engine, clock }: Pick<Core, 'engine' | 'clock'>,
  found: ReadBack,
): readonly Change[] {
  const grants = engine.grants();
  const wanted = new Set(grants.map((grant) => grantKey(grant.door, grant.grantee)));
  const foreign = found.grants.filter((grant) => !wanted.has(grantKey(grant.door, grant.grantee)));
  return [
    ...foreign.map(({ door, grantee }): Change => ({ change: 'close', door, grantee })),
    ...grants.map(
      ({ door, grantee, until }): Change => ({ change: 'open', door, grantee, until: wallAt(until, clock) }),
    ),
    ...engine
      .bans()
      .map(({ target, until }): Change => ({ change: 'ban', target, until: wallAt(until, clock) })),
  ];
}

function wallAt(until: number, clock: Core['clock']): number {
  return clock.wallOf(until as ReturnType<typeof clock.now>);
}
