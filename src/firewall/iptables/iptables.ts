import type { Family } from '../../packet/address.ts';
import type { Config } from '../../policy/config.ts';
import { NO_ONE_TIME, type OneTimePorts } from '../../policy/port-roles.ts';
import { type Firewall, FirewallError, type ReadBack, type RuleListener } from '../firewall.ts';
import { adoptSessions } from '../netlink/adopt-sessions.ts';
import { openConnections } from '../netlink/conntrack.ts';
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
import { openHolding } from './holding.ts';
import { readBans, readGrants } from './read-back.ts';
import { openRestore } from './restore-process.ts';
import { type BaseWish, openTables, type Tables } from './tables.ts';
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
    if (restore === undefined) throw new Error('no iptables-restore process for this family');
    const onFirst = (): Promise<void> => adoptSessions(socket);
    return openTables({ family, restore, socket, sets, privilege, nftables, directories, now, onFirst });
  });
  const answers = openAnswers({ families, find: options.answers ?? (() => NO_ANSWERS), directories });
  const first = layoutOf(options.config, options.oneTime ?? NO_ONE_TIME);
  const holding = openHolding({ layout: first, families, tables, sets, canaries, now });
  let looked = false;
  let closed = false;
  let listener: RuleListener | undefined;
  /** A look at the rules beside the lane of the doors: nobody lays rules meanwhile. */
  let looking: Promise<unknown> = Promise.resolve();

  const seen = async (from: Layout): Promise<Layout> => withAnswers(from, await answers.look(from.config));

  const fix = async (error: FirewallError): Promise<void> => {
    try {
      await looking;
      // Of the grants some may be in force already: they are written anew.
      if (error.code !== 'NO_SET' && (await holding.tablesIntact('without grants'))) return;
      await holding.putIn(holding.layout());
      listener?.onRestored();
    } catch (second) {
      // Who may not lay rules may still write the grants anew; where that fails too, it says why.
      if (!(second instanceof FirewallError)) throw second;
    }
  };
  // Doors in a lane of their own: who has knocked does not wait while a flood is being banned.
  const doors = applyQueue((changes, after) => twice(() => holding.carryDoors(changes, after), fix));
  const bans = applyQueue((changes, after) =>
    twice(
      () => holding.carryBans(changes, after),
      (error) => doors.exclusive(() => fix(error)),
    ),
  );
  const cuts = openCuts(connections, now);
  const prepared = async <T>(task: () => Promise<T>): Promise<T> => {
    if (!looked) holding.follow(await seen(holding.layout()));
    looked = true;
    return await task();
  };
  const open = <T>(task: () => Promise<T>): Promise<T> => {
    if (!closed) return bans.exclusive(() => doors.exclusive(() => prepared(task)));
    return Promise.reject(new FirewallError('use the firewall', 'CLOSED', 'it is already closed'));
  };
  /** While grants come and go, which must not wait for it: that something is amiss is believed only of a look alone. */
  const intactBeside = async (): Promise<boolean> => {
    if (closed || !holding.isLoaded()) return false;
    return bans.exclusive(() => {
      const look = prepared(holding.allIntact);
      looking = look.catch(() => {});
      return look;
    });
  };

  const reinstall = async (next: Layout, base: BaseWish = 'keep'): Promise<void> => {
    await holding.putIn(next, base);
    holding.follow(next);
  };

  const self: IptablesFirewall = {
    install: () => open(async () => reinstall(await seen(holding.layout()))),
    installBase: () => open(async () => reinstall(await seen(holding.layout()), 'install')),
    async refresh() {
      // Looked at beside the lanes, so that no knock waits for it.
      if ((await seen(holding.layout())) !== holding.layout())
        await open(async () => reinstall(await seen(holding.layout())));
    },
    answersFault: answers.fault,
    async apply(changes, after) {
      if (closed) return open(() => Promise.resolve());
      const [ofDoors, ofBans, ofCuts] = byKind(changes);
      const both = await Promise.allSettled([
        ...(ofDoors.length > 0 ? [doors.apply(ofDoors, after)] : []),
        ...(ofBans.length > 0 ? [bans.apply(ofBans, after)] : []),
      ]);
      await after;
      // Only once the ban is in force: else what is cut would be back at once.
      if (ofCuts.length > 0) await cuts.apply(ofCuts);
      throwFirst(both);
    },
    readBack: () =>
      open(async (): Promise<ReadBack> => {
        const moment = now();
        const grants = await readGrants(holding.layout(), tables, sets, moment);
        return { grants, bans: await readBans(families, sets, moment) };
      }),
    intact: async () => (await intactBeside()) || (await open(holding.allIntact)),
    replace: (config, oneTime = NO_ONE_TIME) =>
      open(async () => {
        const next = await seen(layoutOf(config, oneTime));
        await holding.replace(next);
        return await holding.dropSets(next);
      }),
    remove: () =>
      open(async () => {
        for (const each of tables) await each.remove();
        holding.forget();
        const [left] = await holding.dropSets(undefined);
        if (left !== undefined) throw left;
      }),
    setsIntact: () => open(holding.setsIntact),
    acceptances: () =>
      new Map(tables.flatMap((each) => each.acceptance().map((found) => [each.family, found]))),
    openConnections,
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
