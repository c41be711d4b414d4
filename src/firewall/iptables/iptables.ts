import type { Family } from '../../packet/address.ts';
import type { Config } from '../../policy/config.ts';
import { NO_ONE_TIME, type OneTimePorts } from '../../policy/port-roles.ts';
import { type Grants, planChanges } from '../change.ts';
import {
  type Change,
  type Firewall,
  FirewallError,
  type HeldGrant,
  type ReadBack,
  type RuleListener,
} from '../firewall.ts';
import { grantKey } from '../grant.ts';
import { openSets } from '../netlink/ipset.ts';
import { openNetfilter } from '../netlink/socket.ts';
import { mayNameSets } from '../privilege.ts';
import { type Answers, NO_ANSWERS } from '../rules/answers.ts';
import { type Layout, layoutOf, withAnswers } from '../rules/layout.ts';
import { openAnswers } from './answers.ts';
import { applyQueue } from './apply-queue.ts';
import { byKind, throwFirst, twice } from './by-kind.ts';
import { openCanaries } from './canary.ts';
import { openCuts } from './cuts.ts';
import { hasIpv6 } from './families.ts';
import { readBans, readGrants, strayEntries } from './read-back.ts';
import { openRestore } from './restore-process.ts';
import { type BaseWish, type Looked, openTables, type Tables } from './tables.ts';
import { isNftables, legacyBeside, watchRules } from './watch.ts';

/** The kernel's firewall: iptables, ip6tables and sets. What it has beyond the interface is for its own watch. */
export interface IptablesFirewall extends Firewall {
  /**
   * False where someone has flushed a set: a few of what must be in it are looked for. Also where one has put into a
   * door's set what nobody has opened it for.
   */
  setsIntact(): Promise<boolean>;
  /** Process ids of the running restore children: who changes the tables in our name. */
  pids(): readonly number[];
}

export interface IptablesOptions {
  readonly config: Config;
  /** Wall time, ms since 1970. */
  readonly now: () => number;
  /** The ports in files of one-time sequences. */
  readonly oneTime?: OneTimePorts;
  /** Where answers to this machine's own questions come from now; default: nowhere. */
  readonly answers?: () => Answers;
  /** Default: both, where the kernel has IPv6. */
  readonly families?: readonly Family[];
  /** Where iptables is looked for; default /usr/sbin and /sbin. */
  readonly directories?: readonly string[];
}

/** Grants in sets, at most, that are each looked at as often as the sets are: listing a thousand takes 2 ms. */
const QUICK_MAX = 1024;

const NO_GRANTS: Grants = new Map();
/** Opens the way to the kernel; changes nothing. Throws a FirewallError where a tool or permission is missing. */
export function openFirewall(options: IptablesOptions): Promise<IptablesFirewall> {
  return Promise.resolve().then(() => firewallOf(options));
}

function firewallOf(options: IptablesOptions): IptablesFirewall {
  const { directories, now } = options;
  const where = directories === undefined ? {} : { directories };
  const families = (options.families ?? [4, 6]).filter((family) => family === 4 || hasIpv6());
  const restores = families.map((family) => openRestore(family, where));
  const socket = openNetfilter();
  // Of its own: while connections are listed, which may take long, sets change.
  const connections = openNetfilter();
  const sets = openSets(socket);
  const canaries = openCanaries(sets, now);
  const privilege = mayNameSets() ? 'sets' : 'no sets';
  let asked: Promise<boolean> | undefined;
  const nftables = (): Promise<boolean> => {
    asked ??= isNftables();
    return asked;
  };
  const tables: readonly Tables[] = families.map((family, index) => {
    const restore = restores[index];
    if (restore === undefined) throw new Error('every family has its restore');
    return openTables({ family, restore, socket, sets, privilege, nftables, directories, now });
  });
  const answers = openAnswers({ families, find: options.answers ?? (() => NO_ANSWERS), directories });
  let layout = layoutOf(options.config, options.oneTime ?? NO_ONE_TIME);
  let looked = false;
  let grants = new Map<string, HeldGrant>();
  let loaded = false;
  let closed = false;
  let listener: RuleListener | undefined;
  /** A look at the rules beside the lane of the doors: nobody lays rules meanwhile. */
  let looking: Promise<unknown> = Promise.resolve();
  const stale = new Set<Family>();

  /** What the kernel holds becomes what we know, once: later we know better. */
  const load = async (): Promise<void> => {
    if (loaded) return;
    const held = await readGrants(layout, tables, sets, now());
    grants = new Map(held.map((grant) => [grantKey(grant.door, grant.grantee), grant]));
    loaded = true;
  };

  const seen = async (from: Layout): Promise<Layout> => withAnswers(from, await answers.look(from.config));

  const putIn = async (to: Layout, base: BaseWish = 'keep'): Promise<void> => {
    await load();
    const alive = new Map([...grants].filter(([, grant]) => grant.until > now() && to.doors.has(grant.door)));
    await canaries.forgetLost();
    await sets.change(await strayEntries({ layout: to, grants: alive, families }, sets, now()));
    for (const each of tables) canaries.note(await each.prepare(to, alive, sets, now()));
    // Each to its end, also where another fails: who puts the old rules back must not find one still at work.
    throwFirst(await Promise.allSettled(tables.map((each) => each.install(to, alive, now(), base))));
    grants = alive;
    stale.clear();
  };

  const dropSets = async (needed: Layout | undefined): Promise<readonly FirewallError[]> => {
    const left: FirewallError[] = [];
    for (const each of tables) {
      const dropped = await each.dropSets(needed, sets);
      canaries.forget(dropped.gone);
      left.push(...dropped.left);
    }
    return left;
  };

  const tablesIntact = async (what: Looked): Promise<boolean> => {
    await load();
    const checks = await Promise.all(tables.map((each) => each.intact(layout, grants, now(), what)));
    return checks.every(Boolean);
  };

  const setsComplete = async (): Promise<boolean> => {
    await load();
    const strays = await strayEntries({ layout, grants, families }, sets, now());
    return strays.length === 0 && (await canaries.present());
  };

  const carryDoors = async (changes: readonly Change[]): Promise<void> => {
    await load();
    const plan = planChanges(layout, grants, changes, now(), stale);
    const results = await Promise.allSettled([
      ...tables.map((each) => each.apply(plan.blocks)),
      sets.change(plan.sets.filter((each) => families.includes(each.family))),
    ]);
    const failed = results.find((result) => result.status === 'rejected');
    if (failed !== undefined) {
      for (const family of families) stale.add(family);
      throw failed.reason;
    }
    stale.clear();
    for (const [key, grant] of plan.grants) {
      if (grant === undefined) grants.delete(key);
      else grants.set(key, grant);
    }
    canaries.note(plan.sets);
  };

  const carryBans = async (changes: readonly Change[]): Promise<void> => {
    const plan = planChanges(layout, NO_GRANTS, changes, now());
    await sets.change(plan.sets.filter((each) => families.includes(each.family)));
    canaries.note(plan.sets);
  };

  const fix = async (error: FirewallError): Promise<void> => {
    try {
      await looking;
      // Of the grants some may be in force already: they are written anew.
      if (error.code !== 'NO_SET' && (await tablesIntact('without grants'))) return;
      await putIn(layout);
      listener?.onRestored();
    } catch (second) {
      // Who may not lay rules may still write the grants anew; where that fails too, it says why.
      if (!(second instanceof FirewallError)) throw second;
    }
  };
  // Doors in a lane of their own: who has knocked does not wait while a flood is being banned.
  const doors = applyQueue((changes) => twice(() => carryDoors(changes), fix));
  const bans = applyQueue((changes) =>
    twice(
      () => carryBans(changes),
      (error) => doors.exclusive(() => fix(error)),
    ),
  );
  const cuts = openCuts(connections, now);
  const prepared = async <T>(task: () => Promise<T>): Promise<T> => {
    if (!looked) layout = await seen(layout);
    looked = true;
    return await task();
  };
  const open = <T>(task: () => Promise<T>): Promise<T> => {
    if (!closed) return bans.exclusive(() => doors.exclusive(() => prepared(task)));
    return Promise.reject(new FirewallError('use the firewall', 'CLOSED', 'it was closed before'));
  };
  const allIntact = async (): Promise<boolean> =>
    stale.size === 0 && (await tablesIntact('with grants')) && (await setsComplete());
  /** While grants come and go, which must not wait for it: that something is amiss is believed only of a look alone. */
  const intactBeside = async (): Promise<boolean> => {
    if (closed || !loaded) return false;
    return bans.exclusive(() => {
      const look = prepared(allIntact);
      looking = look.catch(() => {});
      return look;
    });
  };

  const reinstall = async (next: Layout, base: BaseWish = 'keep'): Promise<void> => {
    await putIn(next, base);
    layout = next;
  };

  const self: IptablesFirewall = {
    install: () => open(async () => reinstall(await seen(layout))),
    installBase: () => open(async () => reinstall(await seen(layout), 'install')),
    async refresh() {
      // Looked at beside the lanes, so that no knock waits for it.
      if ((await seen(layout)) !== layout) await open(async () => reinstall(await seen(layout)));
    },
    answersFault: answers.fault,
    async apply(changes) {
      if (closed) return open(() => Promise.resolve());
      const [ofDoors, ofBans, ofCuts] = byKind(changes);
      const both = await Promise.allSettled([
        ...(ofDoors.length > 0 ? [doors.apply(ofDoors)] : []),
        ...(ofBans.length > 0 ? [bans.apply(ofBans)] : []),
      ]);
      // Only once the ban is in force: else what is cut would be back at once.
      if (ofCuts.length > 0) await cuts.apply(ofCuts);
      throwFirst(both);
    },
    readBack: () =>
      open(async (): Promise<ReadBack> => {
        const moment = now();
        const held = await readGrants(layout, tables, sets, moment);
        return { grants: held, bans: await readBans(families, sets, moment) };
      }),
    intact: async () => (await intactBeside()) || (await open(allIntact)),
    replace: (config, oneTime = NO_ONE_TIME) =>
      open(async () => {
        const before = layout;
        const next = await seen(layoutOf(config, oneTime));
        const kept: Grants = new Map(grants);
        try {
          await putIn(next);
          layout = next;
        } catch (error) {
          grants = new Map(kept);
          await putIn(before);
          await dropSets(before);
          throw error;
        }
        return await dropSets(next);
      }),
    remove: () =>
      open(async () => {
        for (const each of tables) await each.remove();
        grants.clear();
        canaries.clear();
        loaded = true;
        const [left] = await dropSets(undefined);
        if (left !== undefined) throw left;
      }),
    setsIntact: () => open(() => (grants.size > QUICK_MAX ? canaries.present() : setsComplete())),
    acceptances: () =>
      new Map(tables.flatMap((each) => each.acceptance().map((found) => [each.family, found]))),
    beside: async () => (await legacyBeside()) ?? null,
    watch(given) {
      listener = given;
      const watch = watchRules({ ...given, firewall: self });
      return {
        close() {
          listener = undefined;
          watch.close();
        },
      };
    },
    pids: () => restores.flatMap((restore) => restore.pid() ?? []),
    async close() {
      if (closed) return;
      closed = true;
      await bans.idle();
      await doors.idle();
      await cuts.idle();
      await Promise.all(restores.map((restore) => restore.close()));
      socket.close();
      connections.close();
    },
  };
  return self;
}
