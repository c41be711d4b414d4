import {
  type Connection,
  type ConnectionWatch,
  endConnections,
  eventsAreOff,
  listConnections,
  watchConnections,
} from '../firewall/netlink/conntrack.ts';
import { type NetfilterSocket, openNetfilter } from '../firewall/netlink/socket.ts';
import { guarded, owned } from '../guard/guard.ts';
import { type Address, sameAddress } from '../packet/address.ts';
import { type Cidr, contains, formatCidr, networkOf } from '../packet/cidr.ts';
import { inRange, type Port } from '../packet/port.ts';
import type { Door } from '../policy/config.ts';
import { stored, words } from './commit.ts';
import { type Core, warn } from './dependencies.ts';
import { ownAddresses } from './exemptions.ts';

/** A connection that was half-way when its grant was used up completes within this or never: SYN_SENT's time-out. */
const HALF_WAY_MS = 120_000;
/** Connections that are known to be counted; the oldest go first. */
const KNOWN_MAX = 65_536;
/** Grants that were used up, and may have connections half-way. */
const SPENT_MAX = 16_384;
/** Between two looks at the table: at least this, and three times what the last took. In milliseconds. */
const LOOK_REST_MS = 100;
/** How old the list of this machine's addresses may be before an unknown one makes it be read anew. */
const OWN_MS = 50;

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
  let socket: NetfilterSocket | undefined;
  let known = new Set<string>();
  const spent = new Map<
    string,
    { readonly door: string; readonly grantee: Cidr | 'any'; readonly until: number }
  >();
  let faultNow: string | null = null;
  let beyond: Connection[] = [];
  let looksUntil = Number.NEGATIVE_INFINITY;
  let looking = false;
  let again = false;
  let own: readonly Address[] = [];
  let ownAt = Number.NEGATIVE_INFINITY;

  const doors = (): readonly Door[] => core.config().doors.filter((door) => door.uses !== null);

  function tick(): void {
    try {
      if (doors().length === 0) stop();
      else if (watch === undefined) start();
      else follow();
    } catch (error) {
      fault(`uses: connections can't be counted: ${words(error)}`);
    }
  }

  function start(): void {
    socket ??= openNetfilter();
    watch = watchConnections(count, (lost) => {
      core.health.missed('connections', lost);
      owned('uses', look());
    });
    follow();
    // Who was connected before the count began has not come in by a grant that is counted now.
    owned(
      'uses',
      list(ANY, (connection) => void remember(connection)),
    );
  }

  function stop(): void {
    watch?.close();
    socket?.close();
    watch = undefined;
    socket = undefined;
    known = new Set();
    spent.clear();
    fault(null);
  }

  /** The kernel's events may be switched off at any time; anyone who came in then is found by looking. */
  function follow(): void {
    const off = eventsAreOff();
    if (off) looksUntil = clock.now() + HALF_WAY_MS;
    fault(off ? NO_EVENTS : null);
    for (const [key, each] of spent) if (each.until <= clock.now()) spent.delete(key);
    if (clock.now() < looksUntil) owned('uses', look());
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
    while (again && socket !== undefined) {
      again = false;
      const begun = clock.now();
      try {
        await list(counted(), (connection) => {
          if (connection.assured) count(connection);
        });
      } catch (error) {
        fault(`uses: connections can't be counted: ${words(error)}`);
      }
      const rest = Math.max(LOOK_REST_MS, 3 * (clock.now() - begun));
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
    return socket === undefined ? Promise.resolve() : listConnections(socket, sources, visit);
  }

  /** Who may come in, and be counted. */
  function counted(): readonly Cidr[] {
    const grantees = [...spent.values()].map(({ grantee }) => grantee);
    for (const { grantee, usesLeft } of engine.eachGrant()) if (usesLeft !== null) grantees.push(grantee);
    return grantees.includes('any') ? ANY : grantees.filter((grantee) => grantee !== 'any');
  }

  function count(connection: Connection): void {
    const mine = doors().filter((door) => leadsThrough(door, connection));
    if (mine.length === 0 || !remember(connection)) return;
    let isBeyond = false;
    for (const { name } of mine) {
      const { source } = connection;
      const answer = core.execute({ command: 'connected', door: name, source });
      if (answer.ok) {
        keepUses(core, name, source);
        for (const grantee of answer.ended ?? []) spend(name, grantee);
      } else if (isSpent(name, source)) isBeyond = true;
    }
    if (isBeyond && !comesThroughAnother(connection)) cut(connection);
  }

  /** False where it is known already. */
  function remember(connection: Connection): boolean {
    const key = keyOf(connection);
    if (known.has(key)) return false;
    known.add(key);
    if (known.size > KNOWN_MAX) for (const oldest of known) return known.delete(oldest);
    return true;
  }

  function spend(door: string, grantee: Cidr | 'any'): void {
    const key = `${door} ${grantee === 'any' ? grantee : formatCidr(grantee)}`;
    spent.delete(key);
    spent.set(key, { door, grantee, until: clock.now() + HALF_WAY_MS });
    if (spent.size > SPENT_MAX) for (const oldest of spent.keys()) return void spent.delete(oldest);
  }

  function isSpent(name: string, source: Address): boolean {
    for (const { door, grantee, until } of spent.values())
      if (door === name && until > clock.now() && (grantee === 'any' || contains(grantee, source)))
        return true;
    return false;
  }

  /** Another door may let the same source in to the same port, without a count. */
  function comesThroughAnother(connection: Connection): boolean {
    const names = core
      .config()
      .doors.filter((door) => leadsThrough(door, connection))
      .map(({ name }) => name);
    for (const { door, grantee } of engine.eachGrant())
      if (names.includes(door) && (grantee === 'any' || contains(grantee, connection.source))) return true;
    return false;
  }

  function cut(connection: Connection): void {
    if (beyond.length === 0) setImmediate(guarded('uses', cutAll));
    beyond.push(connection);
  }

  function cutAll(): void {
    const connections = beyond;
    beyond = [];
    if (socket === undefined) return;
    endConnections(socket, connections).catch((error: unknown) =>
      fault(`uses: connections beyond the count can't be cut: ${words(error)}`),
    );
  }

  /**
   * Whether a connection reaches the door's service from outside. What this machine begins, or passes on to another
   * host's port of the same number, is no use of a grant to everyone.
   */
  function leadsThrough({ opens, forward }: Door, { source, protocol, host, port }: Connection): boolean {
    if (!opens.some((range) => inRange(range, { protocol, port: port as Port }))) return false;
    if (forward !== null) return sameAddress(forward.to.address, host);
    return isOwn(host) && !isOwn(source);
  }

  function isOwn(address: Address): boolean {
    const there = (): boolean => own.some((each) => sameAddress(each, address));
    if (there()) return true;
    if (clock.now() - ownAt < OWN_MS) return false;
    ownAt = clock.now();
    try {
      own = ownAddresses();
    } catch {
      // No descriptor is left: those that were known are still ours.
    }
    return there();
  }

  tick();
  return { tick, close: stop };
}

/** The kernel's id of an entry may come again for another; with who and what it is, it does not. */
function keyOf({ source, sourcePort, port, entry }: Connection): string {
  const { a, b, c, d } = source;
  return `${entry.id?.toString('hex')} ${a} ${b} ${c} ${d} ${sourcePort} ${port}`;
}

function keepUses({ engine, store, clock }: Core, door: string, source: Address): void {
  const changes = [];
  for (const grant of engine.eachGrant()) {
    if (grant.door !== door || !(grant.grantee === 'any' || contains(grant.grantee, source))) continue;
    changes.push({ change: 'grant' as const, grant: stored(grant, clock) });
  }
  store.write(changes, clock.wall());
}
