import { watchWallClock } from '../clock.ts';
import type { Order } from '../engine/order.ts';
import { watchConnections } from '../firewall/conntrack.ts';
import { legacyBeside, watchRules } from '../firewall/repair.ts';
import { inRange, type Port } from '../packet/port.ts';
import { findExempt } from './exempt.ts';
import { type Parts, warn } from './parts.ts';
import { totalHealth } from './reading.ts';
import { changesFor } from './restore.ts';
import { stored, words } from './settle.ts';

/** What is looked after once a second, and what only every so many seconds. */
const TICK = 1000;
const EXEMPT_EVERY = 30;

export interface Vigil {
  close(): void;
}

/**
 * Looks after what nobody else does: the log's suppressed lines, the state file's retries, a wall clock that was
 * set, packets that the kernel lost, addresses that have come or gone, connections that use a grant up, and rules
 * that someone else has taken away.
 */
export function createVigil(parts: Parts): Vigil {
  const { clock, announcer, store } = parts;
  let seconds = 0;
  let lost = 0;
  let stateWasOk = true;
  const wallClock = watchWallClock(clock, () => void realign(parts));
  const connections = watchUses(parts);
  const rules = watchRules({
    firewall: parts.firewall,
    onDrift: (what) => repair(parts, what),
    onError(error) {
      parts.firewallFault = words(error);
    },
  });
  void warnOfLegacy(parts);

  function tick(): void {
    seconds += 1;
    wallClock.look();
    announcer.tick();
    store.write([], clock.wall());
    tellState();
    tellLost();
    if (seconds % EXEMPT_EVERY === 0) parts.order({ order: 'exempt', networks: findExempt() });
  }

  function tellState(): void {
    const { ok, reason } = store.health();
    if (ok === stateWasOk) return;
    stateWasOk = ok;
    const at = clock.now();
    announcer.announce(
      ok ? { event: 'state.recovered', at } : { event: 'state.degraded', at, reason: reason ?? '' },
    );
  }

  function tellLost(): void {
    const { kernelDropped, userDropped } = totalHealth(parts);
    const now = kernelDropped + userDropped;
    if (now > lost) {
      const reason = userDropped > 0 ? 'the socket buffer was full' : 'the queue was full';
      announcer.announce({ event: 'queue.overflow', at: clock.now(), reason, count: now - lost });
    }
    lost = now;
  }

  const timer = setInterval(tick, TICK);
  return {
    close() {
      clearInterval(timer);
      connections?.close();
      rules.close();
    },
  };
}

async function warnOfLegacy(parts: Parts): Promise<void> {
  try {
    warn(parts, (await legacyBeside()) ?? null);
  } catch (error) {
    warn(parts, `rules of iptables-legacy can't be looked for: ${words(error)}`);
  }
}

/** Puts back what someone else took away: chains and jumps, then grants and bans. */
async function repair(parts: Parts, what: 'rules' | 'sets'): Promise<void> {
  const { firewall, announcer, clock } = parts;
  parts.firewallFault = `the ${what} in the kernel are not as nfknock made them`;
  try {
    await firewall.install();
    await firewall.apply(changesFor(parts, { grants: [], bans: [] }));
    parts.firewallFault = null;
    announcer.announce({
      event: 'firewall.repaired',
      at: clock.now(),
      reason: `${what} had been changed by someone else`,
    });
  } catch (error) {
    parts.firewallFault = words(error);
    announcer.announce({ event: 'firewall.failed', at: clock.now(), reason: words(error) });
    throw error;
  }
}

/** Tells the kernel anew until when everything is: the wall clock was set, or someone has emptied our chains. */
async function realign(parts: Parts): Promise<void> {
  const { engine, clock, firewall, store, announcer } = parts;
  store.write(
    engine.grants().map((grant) => ({ change: 'grant' as const, grant: stored(grant, clock) })),
    clock.wall(),
  );
  try {
    await firewall.apply(changesFor(parts, { grants: [], bans: [] }));
  } catch (error) {
    announcer.announce({ event: 'firewall.failed', at: clock.now(), reason: words(error) });
  }
}

/** Doors with `uses`: each connection that conntrack reports takes one. */
function watchUses(parts: Parts): { close(): void } | undefined {
  try {
    return watchConnections(({ source, protocol, port }) => {
      for (const door of parts.config.doors) {
        const spec = { protocol, port: port as Port };
        if (door.uses === null || !door.opens.some((range) => inRange(range, spec))) continue;
        const order: Order = { order: 'connected', door: door.name, source };
        if (parts.order(order).ok) keepUses(parts, door.name);
      }
    });
  } catch (error) {
    const counted = parts.config.doors.some((door) => door.uses !== null);
    if (counted) warn(parts, `uses: connections can't be counted: ${words(error)}`);
    return undefined;
  }
}

function keepUses({ engine, store, clock }: Parts, door: string): void {
  const grants = engine.grants().filter((grant) => grant.door === door);
  store.write(
    grants.map((grant) => ({ change: 'grant' as const, grant: stored(grant, clock) })),
    clock.wall(),
  );
}
