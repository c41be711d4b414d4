import type { Order } from '../engine/command.ts';
import type { Change, Held } from '../firewall/firewall.ts';
import { grantKey } from '../firewall/grant.ts';
import { type Address, ipv4 } from '../packet/address.ts';
import { formatCidr, hostCidr } from '../packet/cidr.ts';
import type { StateChange, Stored, StoredGrant } from '../state/store.ts';
import type { Parts } from './dependencies.ts';
import { doorOf } from './hook-subject.ts';

/** Nobody: the source of a grant to everyone whose knocker is not known any more. */
const UNKNOWN: Address = ipv4(0);

/**
 * Brings state file, kernel and engine into agreement at a start. What was kept and is not over is in force and
 * known; what the kernel holds beyond that is taken out, but for bans, which are taken in. Where the state file
 * was lost the kernel's grants are taken in too: their rules say whose they are and until when.
 */
export async function reconcile(parts: Parts, state: 'known' | 'lost'): Promise<void> {
  const { store, firewall, clock } = parts;
  const ended = store.ended(clock.wall());
  const kept = store.load(clock.wall());
  const held = await firewall.held();
  const adopted = adopt(kept, held, state, clock.wall());
  parts.order(restoreOrder(adopted, parts));
  store.write(adopted.changes, clock.wall());
  await firewall.apply(changesFor(parts, held));
  sayEnded(parts, ended);
}

/** What ended while nobody was there is said now, and its command run: each opening has its closing. */
function sayEnded({ config, settle, clock }: Parts, ended: readonly StoredGrant[]): void {
  for (const { door: name, grantee, source } of ended) {
    const door = doorOf(config, name);
    if (door === undefined) continue;
    const about = { at: clock.now(), source: source.address, door: name, ports: door.opens, grantee };
    settle.take({ event: 'door.closed', ...about, reason: 'expired' });
  }
  settle.flush();
}

interface Adopted extends Stored {
  /** What the state file did not know. */
  readonly changes: readonly StateChange[];
}

function adopt(kept: Stored, held: Held, state: 'known' | 'lost', now: number): Adopted {
  const known = new Set(kept.bans.map((ban) => formatCidr(ban.target)));
  const bans = held.bans
    .filter((ban) => !known.has(formatCidr(ban.target)))
    .map(({ target, until }) => ({ target, since: now, until, count: 1 }));
  const found = state === 'lost' ? held.grants : [];
  const mine = new Set(kept.grants.map((grant) => grantKey(grant.door, grant.grantee)));
  const grants = found
    .filter((grant) => !mine.has(grantKey(grant.door, grant.grantee)))
    .map(({ door, grantee, until }) => {
      const source = grantee === 'any' ? hostCidr(UNKNOWN) : hostCidr(grantee.address);
      return { door, grantee, source, since: now, until, usesLeft: null, reason: null };
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

/** Wall time becomes the engine's. */
function restoreOrder(kept: Stored, { clock }: Pick<Parts, 'clock'>): Order {
  return {
    order: 'restore',
    grants: kept.grants.map((grant) => ({
      ...grant,
      source: grant.source.address,
      since: clock.atWall(grant.since),
      until: clock.atWall(grant.until),
    })),
    bans: kept.bans.map((ban) => ({
      ...ban,
      since: clock.atWall(ban.since),
      until: clock.atWall(ban.until),
    })),
    histories: kept.histories.map((history) => ({
      ...history,
      since: clock.atWall(history.since),
      until: clock.atWall(history.until),
    })),
  };
}

/** What the kernel is to be told so that it holds what the engine does. */
export function changesFor(
  { engine, clock }: Pick<Parts, 'engine' | 'clock'>,
  held: Held,
): readonly Change[] {
  const grants = engine.grants();
  const wanted = new Set(grants.map((grant) => grantKey(grant.door, grant.grantee)));
  const foreign = held.grants.filter((grant) => !wanted.has(grantKey(grant.door, grant.grantee)));
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

function wallAt(until: number, clock: Parts['clock']): number {
  return clock.wallOf(until as ReturnType<typeof clock.now>);
}
