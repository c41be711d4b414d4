import type { Family } from '../../packet/address.ts';
import { type Cidr, formatCidr } from '../../packet/cidr.ts';
import { grantKey } from '../../policy/grantee.ts';
import { entriesByDoor, type Grants, type SetChange, type SetEntry } from '../change.ts';
import type { Grantee, HeldBan, HeldGrant } from '../firewall.ts';
import type { Sets } from '../netlink/ipset.ts';
import type { Layout } from '../rules/layout.ts';
import { banSet, doorSet } from '../rules/names.ts';
import type { Tables } from './tables.ts';

/** The grants in the kernel that have not ended at `now`, each once. */
export async function readGrants(
  layout: Layout,
  tables: readonly Tables[],
  sets: Sets,
  now: number,
): Promise<readonly HeldGrant[]> {
  const grants = new Map<string, HeldGrant>();
  const found = await Promise.all(
    tables.map(async (each) => [
      ...(await each.grants()),
      ...(layout.config.grants === 'set' ? await grantsInSets(layout, each.family, sets, now) : []),
    ]),
  );
  for (const grant of found.flat()) {
    const key = grantKey(grant.door, grant.grantee);
    if (grant.until > Math.max(now, grants.get(key)?.until ?? 0)) grants.set(key, grant);
  }
  return [...grants.values()];
}

/** The bans in the kernel. Their ends are known to the second. */
export async function readBans(
  families: readonly Family[],
  sets: Sets,
  now: number,
): Promise<readonly HeldBan[]> {
  const bans: HeldBan[] = [];
  for (const family of families) {
    for (const entry of (await sets.list(banSet(family))) ?? []) bans.push(banOf(entry, now));
  }
  return bans;
}

/** How much longer than it should an entry may last, in seconds: both are rounded. */
const SLACK_SECONDS = 2;

/**
 * What the sets of doors hold beyond the grants, to be taken out: an address that somebody else has put there would be
 * let in as if it had knocked.
 */
export async function strayEntries(
  { layout, grants, families }: Expected,
  sets: Sets,
  now: number,
): Promise<readonly SetChange[]> {
  if (layout.config.grants !== 'set') return [];
  const strays: SetChange[] = [];
  for (const family of families) {
    const due = new Map<string, ReadonlyMap<string, number>>();
    for (const { set, entries } of entriesByDoor([...grants.values()], 'add', family, now))
      due.set(set, new Map(entries.map(({ target, seconds }) => [formatCidr(target), seconds])));
    for (const door of layout.doors.keys()) {
      const set = doorSet(door, family);
      const entries = ((await sets.list(set)) ?? []).filter(({ target, seconds }) => {
        const until = due.get(set)?.get(formatCidr(target));
        return until === undefined || seconds === 0 || seconds > until + SLACK_SECONDS;
      });
      if (entries.length > 0) strays.push({ set, family, action: 'del', entries });
    }
  }
  return strays;
}

/** What the kernel should hold. */
export interface Expected {
  readonly layout: Layout;
  readonly grants: Grants;
  readonly families: readonly Family[];
}

function banOf({ target, seconds }: SetEntry, now: number): HeldBan {
  return { target, until: seconds === 0 ? Number.MAX_SAFE_INTEGER : now + seconds * 1000 };
}

async function grantsInSets(
  layout: Layout,
  family: Family,
  sets: Sets,
  now: number,
): Promise<readonly HeldGrant[]> {
  const grants: HeldGrant[] = [];
  for (const door of layout.doors.keys()) {
    for (const { target, seconds } of (await sets.list(doorSet(door, family))) ?? []) {
      grants.push({ door, grantee: granteeOf(target), until: now + seconds * 1000 });
    }
  }
  return grants;
}

/** Half of all addresses stands for everyone: a set can't hold the whole as one network. */
function granteeOf(target: Cidr): Grantee {
  return target.bits === 1 ? 'any' : target;
}
