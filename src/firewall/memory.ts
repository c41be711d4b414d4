import { formatCidr } from '../packet/cidr.ts';
import type { Config } from '../policy/config.ts';
import { grantKey } from '../policy/grantee.ts';
import type { Connections } from './connections.ts';
import {
  type Change,
  type Firewall,
  FirewallError,
  type HeldBan,
  type HeldGrant,
  type ReadBack,
} from './firewall.ts';

/** A firewall that only remembers: for tests. */
export interface MemoryFirewall extends Firewall {
  /** Every change given so far, in its order. */
  readonly changes: readonly Change[];
}

export interface MemoryOptions {
  readonly config: Config;
  /** Wall time, ms since 1970. */
  readonly now: () => number;
  /** Default: nobody connects. */
  readonly connections?: Connections;
}

const NO_CONNECTIONS: Connections = {
  watch: () => ({ close: () => undefined }),
  areHidden: () => false,
  list: async () => undefined,
  end: async () => 0,
  close: () => undefined,
};

export function memoryFirewall({ config, now, connections = NO_CONNECTIONS }: MemoryOptions): MemoryFirewall {
  const changes: Change[] = [];
  const grants = new Map<string, HeldGrant>();
  const bans = new Map<string, HeldBan>();
  let { doors } = config;
  let { limit } = config.bans;
  let installed = false;
  let closed = false;

  const open = async (): Promise<void> => {
    if (closed) throw new FirewallError('use the firewall', 'CLOSED', 'it is already closed');
  };
  const reap = (): void => {
    for (const [key, grant] of grants) if (grant.until <= now()) grants.delete(key);
    for (const [key, ban] of bans) if (ban.until <= now()) bans.delete(key);
  };
  const carry = (change: Change): void => {
    switch (change.change) {
      case 'open': {
        const { door, grantee, until } = change;
        if (doors.some((each) => each.name === door))
          grants.set(grantKey(door, grantee), { door, grantee, until });
        return;
      }
      case 'close':
        grants.delete(grantKey(change.door, change.grantee));
        return;
      case 'ban':
        ban(change.target, change.until);
        return;
      case 'unban':
        bans.delete(formatCidr(change.target));
        return;
      case 'cut':
        return;
      default:
        change satisfies never;
    }
  };
  const ban = (target: HeldBan['target'], until: number): void => {
    const key = formatCidr(target);
    const family = [...bans.values()].filter((each) => each.target.address.family === target.address.family);
    if (!bans.has(key) && family.length >= limit) {
      throw new FirewallError(
        'add a ban',
        'FULL',
        'the set holds as many entries as it may; raise `bans.limit`',
      );
    }
    bans.set(key, { target, until });
  };

  return {
    changes,
    async install() {
      await open();
      reap();
      installed = true;
    },
    async installBase() {
      await open();
      installed = true;
    },
    async apply(given, after) {
      await open();
      await after;
      reap();
      for (const change of given) {
        changes.push(change);
        carry(change);
      }
    },
    async readBack(): Promise<ReadBack> {
      await open();
      reap();
      return { grants: [...grants.values()], bans: [...bans.values()] };
    },
    async intact() {
      await open();
      return installed;
    },
    async replace(next) {
      await open();
      doors = next.doors;
      // As a set of the kernel's, which stays as it is while it holds more.
      if (bans.size <= next.bans.limit) limit = next.bans.limit;
      for (const [key, grant] of grants) {
        if (!doors.some((door) => door.name === grant.door)) grants.delete(key);
      }
      return [];
    },
    refresh: open,
    answersFault: () => null,
    acceptances: () => new Map(),
    openConnections: () => connections,
    beside: async () => null,
    watch: () => ({ close: () => undefined }),
    async remove() {
      await open();
      grants.clear();
      bans.clear();
      installed = false;
    },
    async close() {
      closed = true;
    },
  };
}
