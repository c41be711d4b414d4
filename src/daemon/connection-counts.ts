import type { Connection, Connections, ConnectionWatch } from '../firewall/connections.ts';
import { guarded, owned } from '../guard/guard.ts';
import { type Address, sameAddress } from '../packet/address.ts';
import { type Cidr, contains, networkOf } from '../packet/cidr.ts';
import { inRange, type Port } from '../packet/port.ts';
import type { Door } from '../policy/config.ts';
import { sentenceOf } from '../text/error.ts';
import { stored } from './commit.ts';
import {
  createKnown,
  createOwnAddresses,
  createSpent,
  HALF_WAY_MS,
  type OwnAddresses,
} from './connection-books.ts';
import { type Core, warn } from './dependencies.ts';

/** Between two looks at the table: at least this, and three times what the last took. In milliseconds. */
const LOOK_REST_MS = 100;
/**
 * While somebody may be counted the table is looked through this often whatever the kernel says: its events may have been
 * off for less than a tick, and of a connection that began then it never tells. In milliseconds.
 */
const LOOK_EVERY_MS = 5_000;
/** And no more often than this many times what the last took, so that a full table takes no processor. */
const LOOK_SHARE = 50;

const NO_EVENTS =
  "uses: connections can't be counted: the kernel does not tell of them, and they are looked for once a second instead; switch them on: sysctl net.netfilter.nf_conntrack_events=1";

/** Everybody. */
const ANY: readonly Cidr[] = ([4, 6] as const).map((family) =>
  networkOf({ family, a: 0, b: 0, c: 0, d: 0 }, 0),
);

export interface Uses {
  /** To be called each second, and when the configuration is another. */
  tick(): void;
  close(): void;
}

/**
 * Doors with `uses`: each connection to a door's service takes one once both sides have spoken. The kernel tells of
 * them; where it does not, or lost count, its table is looked through. What comes in beyond the count is ended.
 */
export function watchUses(core: Core): Uses {
  const { clock, engine } = core;
  let watch: ConnectionWatch | undefined;
  let connections: Connections | undefined;
  const known = createKnown();
  const spent = createSpent(clock);
  const own = createOwnAddresses(clock);
  let faultNow: string | null = null;
  let beyond: Connection[] = [];
  let looksUntil = Number.NEGATIVE_INFINITY;
  const beat = createBeat(clock);
  let looking = false;
  let again = false;

  const doors = (): readonly Door[] => core.config().doors.filter((door) => door.uses !== null);

  const doorsTo = (given: Connection): readonly Door[] =>
    doors().filter((door) => leadsThrough(door, given, own));

  function tick(): void {
    try {
      if (doors().length === 0) stop();
      else if (watch === undefined) start();
      else follow();
    } catch (error) {
      fault(`uses: connections can't be counted: ${sentenceOf(error)}`);
    }
  }

  function start(): void {
    connections ??= core.firewall.openConnections();
    watch = connections.watch(count, (lost) => {
      core.health.missed('connections', lost);
      owned('uses', look());
    });
    follow();
    // Who was connected before the count began has not come in by a grant that is counted now; who is half-way has. Of a
    // table that somebody has filled no more is kept than what leads through a door.
    owned(
      'uses',
      list(ANY, (connection) => {
        if (connection.assured && doorsTo(connection).length > 0) known.add(connection);
      }),
    );
  }

  function stop(): void {
    watch?.close();
    connections?.close();
    watch = undefined;
    connections = undefined;
    known.clear();
    spent.clear();
    fault(null);
  }

  /** The kernel's events may be switched off at any time; anyone who came in then is found by looking. */
  function follow(): void {
    const off = connections?.areHidden() === true;
    if (off) looksUntil = clock.now() + HALF_WAY_MS;
    fault(off ? NO_EVENTS : null);
    spent.forget();
    if (clock.now() < looksUntil || (beat.isDue() && counted().length > 0)) owned('uses', look());
  }

  function fault(what: string | null): void {
    if (what !== null && what !== faultNow) warn(core, what);
    faultNow = what;
    core.health.report('uses', what);
  }

  /** What is in the table and was not counted is counted now. One look at a time; one more where it was asked for. */
  async function look(): Promise<void> {
    again = true;
    if (looking) return;
    looking = true;
    while (again && connections !== undefined) {
      again = false;
      const begun = clock.now();
      try {
        await list(counted(), (connection) => {
          if (connection.assured) count(connection);
        });
      } catch (error) {
        fault(`uses: connections can't be counted: ${sentenceOf(error)}`);
      }
      const rest = Math.max(LOOK_REST_MS, 3 * beat.looked(begun));
      await new Promise((resolve) =>
        setTimeout(
          guarded('uses', () => resolve(undefined)),
          rest,
        ).unref(),
      );
    }
    looking = false;
  }

  function list(sources: readonly Cidr[], visit: (connection: Connection) => void): Promise<void> {
    return connections?.list(sources, visit) ?? Promise.resolve();
  }

  /** Who may come in, and be counted. */
  function counted(): readonly Cidr[] {
    const grantees = [...spent.grantees()];
    for (const { grantee, usesLeft } of engine.eachGrant()) if (usesLeft !== null) grantees.push(grantee);
    return grantees.includes('any') ? ANY : grantees.filter((grantee) => grantee !== 'any');
  }

  function count(connection: Connection): void {
    // It was open while our rules were out, and came in by no grant.
    if (connection.beginning === 'unseen') return;
    const mine = doorsTo(connection);
    if (mine.length === 0 || !known.add(connection)) return;
    let isBeyond = false;
    for (const { name } of mine) {
      const { source } = connection;
      const answer = core.execute({ command: 'connected', door: name, source });
      if (answer.ok) {
        keepUses(core, name, source);
        for (const grantee of answer.ended ?? []) spent.add(name, grantee);
      } else if (spent.has(name, source)) isBeyond = true;
    }
    if (isBeyond && !comesThroughAnother(connection)) cut(connection);
  }

  /** Another door may let the same source in to the same port, without a count. */
  function comesThroughAnother(connection: Connection): boolean {
    const through = core.config().doors.filter((door) => leadsThrough(door, connection, own));
    const names = through.map(({ name }) => name);
    for (const { door, grantee } of engine.eachGrant())
      if (names.includes(door) && (grantee === 'any' || contains(grantee, connection.source))) return true;
    return false;
  }

  function cut(connection: Connection): void {
    if (beyond.length === 0) setImmediate(guarded('uses', cutAll));
    beyond.push(connection);
  }

  function cutAll(): void {
    const ended = beyond;
    beyond = [];
    const refused = (error: unknown): void =>
      fault(`uses: connections beyond the count can't be cut: ${sentenceOf(error)}`);
    if (connections !== undefined) owned('uses', connections.end(ended).catch(refused));
  }

  tick();
  return { tick, close: stop };
}

/** When the table is to be looked through though nothing says so. */
function createBeat(clock: Core['clock']): { isDue(): boolean; looked(begun: number): number } {
  let last = clock.now();
  let took = 0;
  return {
    isDue: () => clock.now() - last >= Math.max(LOOK_EVERY_MS, LOOK_SHARE * took),
    /** It has been. Answers how long that took, in milliseconds. */
    looked(begun) {
      last = clock.now();
      took = last - begun;
      return took;
    },
  };
}

/**
 * Whether a connection reaches the door's service from outside. What this machine begins, or passes on to another
 * host's port of the same number, is no use of a grant to everyone.
 */
function leadsThrough(
  { opens, forward }: Door,
  { source, protocol, host, port }: Connection,
  own: OwnAddresses,
): boolean {
  if (!opens.some((range) => inRange(range, { protocol, port: port as Port }))) return false;
  if (forward !== null) return sameAddress(forward.to.address, host);
  return own.has(host) && !own.has(source);
}

function keepUses({ engine, store, clock }: Core, door: string, source: Address): void {
  const changes = [];
  for (const grant of engine.eachGrant()) {
    if (grant.door !== door || !(grant.grantee === 'any' || contains(grant.grantee, source))) continue;
    changes.push({ change: 'grant' as const, grant: stored(grant, clock) });
  }
  store.write(changes, clock.wall());
}
