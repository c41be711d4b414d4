import { setImmediate as nextTurn } from 'node:timers/promises';
import { watchWallClock } from '../clock.ts';
import type { Change } from '../firewall/firewall.ts';
import { legacyBeside, watchRules } from '../firewall/iptables/watch.ts';
import { guarded, owned } from '../guard/guard.ts';
import { milliseconds } from '../packet/time.ts';
import type { StateChange } from '../state/store.ts';
import { stored, words } from './commit.ts';
import { watchUses } from './connection-counts.ts';
import { type Parts, warn } from './dependencies.ts';
import { findExempt } from './exemptions.ts';
import { createLately } from './recent-count.ts';
import { createRepairs } from './repair.ts';
import { totalHealth } from './sample.ts';

/** What is looked after once a second, and what only every so many seconds. */
const TICK = 1000;
const EXEMPT_EVERY = 30;
const MACHINE_EVERY = 300;
/** Bans that are written to the state file at once when the wall clock was set. */
const BANS_AT_ONCE = 2_048;

export interface Vigil {
  /** A change found our rules taken away and laid them again: what else was lost is put back too. */
  mended(): void;
  /** Another configuration is in force. */
  reloaded(): void;
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
  let closed = false;
  let looking = false;
  let lost = { queue: 0, socket: 0, shed: 0 };
  const lostLately = createLately(clock);
  parts.lost = lostLately.sum;
  let stateWasOk = true;
  const wallClock = watchWallClock(
    clock,
    (by) => {
      if (by > 0) parts.restored.settle();
      owned('supervisor', realign(parts));
    },
    // An order makes the engine look at what has ended meanwhile; and the machine may have woken in another network.
    lookAround,
  );
  const uses = watchUses(parts);
  const repairs = createRepairs(parts);
  const rules = watchRules({
    firewall: parts.firewall,
    onDrift: (what) => repairs.repair(what),
    onSound() {
      parts.firewallFault = null;
    },
    onLost: (count) => parts.losses.add('rules', count),
    onError(error) {
      parts.firewallFault = words(error);
    },
  });
  owned('supervisor', warnOfLegacy(parts));
  owned('supervisor', parts.surroundings.look());

  /** Each by itself: one that fails must not keep the others from their turn. */
  const chores = [
    wallClock.look,
    announcer.tick,
    () => parts.restored.look(),
    () => store.write([], clock.wall()),
    tellState,
    tellLost,
    uses.tick,
    parts.losses.tick,
    () => {
      if (seconds % EXEMPT_EVERY === 0) lookAround();
    },
    () => {
      if (seconds % MACHINE_EVERY === 0) owned('supervisor', parts.surroundings.look());
    },
  ].map((chore) => guarded('supervisor', chore));

  function tick(): void {
    seconds += 1;
    for (const chore of chores) chore();
  }

  /** Where the machine has no descriptor or memory left to look, what was seen last holds. */
  function lookAround(): void {
    parts.surroundings.glance();
    if (looking) return;
    looking = true;
    owned('supervisor', refreshRules(parts));
    const looked = findExempt().then((exempt) => {
      if (!closed) parts.order({ order: 'exempt', ...exempt });
    });
    owned(
      'supervisor',
      looked.finally(() => {
        looking = false;
      }),
    );
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
    const socket = userDropped - lost.socket;
    const shed = parts.intake.shed() - lost.shed;
    const count = kernelDropped - lost.queue + socket + shed;
    if (count > 0) {
      lostLately.add(count);
      const queue = socket > 0 ? 'the socket buffer was full' : 'the queue was full';
      const reason = shed > 0 ? 'bans came faster than the kernel took them' : queue;
      announcer.announce({ event: 'queue.overflow', at: clock.now(), reason, count });
    }
    lost = { queue: kernelDropped, socket: userDropped, shed: parts.intake.shed() };
  }

  const timer = setInterval(guarded('supervisor', tick), TICK);
  return {
    mended: () => owned('supervisor', repairs.mended()),
    reloaded: uses.tick,
    close() {
      closed = true;
      clearInterval(timer);
      uses.close();
      rules.close();
    },
  };
}

/** Answers to our own questions may come from other networks now. */
async function refreshRules({ firewall, announcer, clock }: Parts): Promise<void> {
  try {
    await firewall.refresh();
  } catch (error) {
    // Rules that are not what they should be are seen by the watch, and laid anew.
    announcer.announce({ event: 'firewall.failed', at: clock.now(), reason: words(error) });
  }
}

async function warnOfLegacy(parts: Parts): Promise<void> {
  try {
    warn(parts, (await legacyBeside()) ?? null);
  } catch (error) {
    warn(parts, `rules of iptables-legacy can't be looked for: ${words(error)}`);
  }
}

/**
 * The wall clock was set: what the state file and the rules say in wall time is said anew. Bans in the kernel count
 * seconds, and need nothing.
 */
async function realign(parts: Parts): Promise<void> {
  const { engine, clock, firewall, store, announcer } = parts;
  const grants = engine.grants();
  store.write(
    grants.map((grant) => ({ change: 'grant' as const, grant: stored(grant, clock) })),
    clock.wall(),
  );
  const opened = grants.map(({ door, grantee, until }): Change => {
    return { change: 'open', door, grantee, until: clock.wallOf(milliseconds(until)) };
  });
  try {
    await firewall.apply(opened);
  } catch (error) {
    announcer.announce({ event: 'firewall.failed', at: clock.now(), reason: words(error) });
  }
  await keepBans(parts);
}

/** In pieces: a quarter of a million bans at once would hold up the knocks. */
async function keepBans({ engine, clock, store }: Parts): Promise<void> {
  let changes: StateChange[] = [];
  for (const { target, since, until, count } of engine.eachBan()) {
    const [from, to] = [clock.wallOf(milliseconds(since)), clock.wallOf(milliseconds(until))];
    changes.push({ change: 'ban', ban: { target, since: from, until: to, count } });
    if (changes.length < BANS_AT_ONCE) continue;
    store.write(changes, clock.wall());
    changes = [];
    await nextTurn();
  }
  store.write(changes, clock.wall());
}
