import type { Family } from '../../packet/address.ts';
import type { Cidr } from '../../packet/cidr.ts';
import type { SetEntry } from '../change.ts';
import type { Grantee, HeldBan, HeldGrant } from '../firewall.ts';
import { grantKey } from '../grant.ts';
import type { Sets } from '../netlink/ipset.ts';
import type { Layout } from '../rules/layout.ts';
import { banSet, doorSet } from '../rules/names.ts';
import type { Tables } from './tables.ts';

/** The grants in the kernel that have not ended at `now`, each once. */
export async function heldGrants(
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
export async function heldBans(
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
