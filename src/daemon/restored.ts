import type { Command } from '../engine/command.ts';
import type { Change } from '../firewall/firewall.ts';
import { owned } from '../guard/guard.ts';
import { type Address, sameAddress } from '../packet/address.ts';
import { contains, formatCidr } from '../packet/cidr.ts';
import { type Milliseconds, milliseconds } from '../packet/time.ts';
import { grantKey } from '../policy/grantee.ts';
import type { StoredGrant } from '../state/store.ts';
import { sentenceOf } from '../text/error.ts';
import { stored } from './commit.ts';
import type { Core } from './dependencies.ts';
import { doorOf } from './hook-subject.ts';
import { grantLeft, type Lasting, type RestorePlan } from './restore-plan.ts';

/**
 * What an earlier boot left. The wall clock may have been behind when it was taken in, so that it ends by that clock
 * too, as soon as it is set forward; and grants wait until the clock can be believed.
 */
export interface Restored {
  /** What was taken in just now of an earlier boot's; of this boot's nothing is to be looked after. */
  remember(plan: RestorePlan): void;
  /** Once a second, before the state file forgets what has ended: has the clock been synchronised? */
  look(): void;
  /** The wall clock was set forward: what has ended by it has ended, and nothing lasts longer for it. */
  settle(): void;
  /** Grants that wait. */
  waiting(): number;
  /** Someone takes back what waits. Answers how many. */
  drop(address: Address, door?: string): number;
}

interface Promised {
  /** When it ends by the wall clock, ms. */
  readonly until: number;
  /** And by the engine's; another one shows that it was renewed or extended since. */
  at: number;
}

/** What is needed of the daemon. */
type Restoring = Pick<
  Core,
  | 'announcer'
  | 'clock'
  | 'config'
  | 'engine'
  | 'execute'
  | 'effects'
  | 'firewall'
  | 'life'
  | 'store'
  | 'trust'
>;

export function createRestored(core: Restoring): Restored {
  const { clock, engine, store, trust } = core;
  const grants = new Map<string, Promised>();
  const bans = new Map<string, Promised>();
  let waiting: readonly StoredGrant[] = [];

  function promise(taken: readonly Lasting<StoredGrant>[]): void {
    const at = clock.now();
    for (const { kept, left } of taken)
      grants.set(grantKey(kept.door, kept.grantee), { until: kept.until, at: at + left });
  }

  /** The clock is right: what has not ended is in force, durably first. */
  function release(): void {
    const wall = clock.wall();
    const open = new Set(engine.grants().map((grant) => grantKey(grant.door, grant.grantee)));
    // Who has knocked anew meanwhile has a grant of this boot.
    const mine = waiting.filter((grant) => !open.has(grantKey(grant.door, grant.grantee)));
    waiting = [];
    // Another member's people may have taken it back while it waited.
    const closed = new Set(
      mine.filter(({ door, grantee }) => core.life?.lifting.isClosed(door, grantee) === true),
    );
    for (const kept of closed) sayClosed(kept, 'fleet');
    const taken = mine
      .filter((kept) => !closed.has(kept))
      .map((kept) => ({ kept, left: grantLeft(kept, { wall, seen: store.seen() }) }));
    for (const { kept, left } of taken) if (left <= 0) sayClosed(kept, 'expired');
    const alive = taken.filter(({ left }) => left > 0);
    core.execute(restoreGrants(alive, clock.now()));
    promise(alive);
    store.belongsTo(trust.boot);
    putInForce();
  }

  function apply(changes: readonly Change[]): void {
    const refused = (error: unknown): void =>
      core.announcer.announce({ event: 'firewall.failed', at: clock.now(), reason: sentenceOf(error) });
    owned('state', core.firewall.apply(changes).catch(refused));
  }

  function putInForce(): void {
    const views = engine.grants();
    store.write(
      views.map((grant) => ({ change: 'grant' as const, grant: stored(grant, clock) })),
      clock.wall(),
    );
    const changes = views.map(({ door, grantee, until }) => {
      return { change: 'open' as const, door, grantee, until: clock.wallOf(milliseconds(until)) };
    });
    apply(changes);
  }

  function sayClosed(grant: StoredGrant, reason: 'expired' | 'revoked' | 'fleet'): void {
    const { door: name, grantee, source } = grant;
    const ports = doorOf(core.config(), name)?.opens ?? [];
    const about = { at: clock.now(), source: source.address, door: name, ports, grantee };
    core.effects.collect({ event: 'door.closed', ...about, reason });
    core.effects.carryOut('command');
  }

  function settleGrants(): void {
    for (const { door, grantee, source, since, until, usesLeft, reason, holder, from } of engine.grants()) {
      const promised = grants.get(grantKey(door, grantee));
      if (promised === undefined || promised.at !== until) continue;
      const end = clock.atWall(promised.until);
      if (end >= until) continue;
      if (end <= clock.now()) core.execute({ command: 'refuse', door, grantee, reason: 'expired' });
      else {
        const grant = {
          door,
          grantee,
          source,
          since: milliseconds(since),
          until: end,
          usesLeft,
          reason,
          holder,
          ...(from === undefined ? {} : { from }),
        };
        core.execute({ command: 'restore', grants: [grant], bans: [], histories: [] });
        promised.at = end;
      }
    }
  }

  function settleBans(): void {
    if (bans.size === 0) return;
    const shorter = engine.bans().flatMap(({ since, ...ban }) => {
      const { target, until } = ban;
      const promised = bans.get(formatCidr(target));
      if (promised === undefined || promised.at !== until) return [];
      const end = milliseconds(Math.max(clock.atWall(promised.until), clock.now()));
      if (end >= until) return [];
      promised.at = end;
      return [{ ...ban, since: milliseconds(since), until: end }];
    });
    if (shorter.length === 0) return;
    core.execute({ command: 'restore', grants: [], bans: shorter, histories: [] });
    const changes = shorter.map(({ target, until }) => {
      return { change: 'ban' as const, target, until: clock.wallOf(until) };
    });
    apply(changes);
  }

  return {
    remember(plan) {
      const now = clock.now();
      waiting = plan.waiting;
      promise(plan.grants);
      for (const { kept, left } of plan.bans)
        bans.set(formatCidr(kept.target), { until: kept.until, at: now + left });
    },
    look() {
      if (waiting.length > 0 && trust.synchronised()) release();
    },
    settle() {
      settleGrants();
      settleBans();
    },
    waiting: () => waiting.length,
    drop(address, door) {
      const mine = waiting.filter(
        ({ source, grantee, door: name }) =>
          (door === undefined || door === name) &&
          (sameAddress(source.address, address) || (grantee !== 'any' && contains(grantee, address))),
      );
      waiting = waiting.filter((grant) => !mine.includes(grant));
      for (const grant of mine) sayClosed(grant, 'revoked');
      return mine.length;
    },
  };
}

/** As the engine takes them in: none begins in the future. */
export function restoreGrants(
  taken: readonly Lasting<StoredGrant>[],
  now: Milliseconds,
): Command & { command: 'restore' } {
  return {
    command: 'restore',
    grants: taken.map(({ kept, left }) => ({
      ...kept,
      source: kept.source.address,
      since: milliseconds(now + left - (kept.until - kept.since)),
      until: milliseconds(now + left),
    })),
    bans: [],
    histories: [],
  };
}
