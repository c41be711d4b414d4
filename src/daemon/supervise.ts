import { setImmediate as nextTurn } from 'node:timers/promises';
import { watchWallClock } from '../clock.ts';
import type { Change } from '../firewall/firewall.ts';
import { guarded, owned } from '../guard/guard.ts';
import { milliseconds } from '../packet/time.ts';
import type { StateChange } from '../state/store.ts';
import { sentenceOf } from '../text/error.ts';
import { createClockDoubt } from './clock-doubt.ts';
import { stored } from './commit.ts';
import { watchUses } from './connection-counts.ts';
import { type Core, type Running, warn } from './dependencies.ts';
import { executeLifting } from './lift-bans.ts';
import { createRepairs } from './repair.ts';
import { totalHealth } from './sample.ts';

/** What is looked after once a second, and what only every this many seconds. */
const TICK = 1000;
const EXEMPT_EVERY = 30;
const MACHINE_EVERY = 300;
const CLOCK_EVERY = 60;
const LIMITS_EVERY = 5;
/** Bans that are written to the state file at once when the wall clock was set. */
const BANS_AT_ONCE = 2_048;

export interface Supervisor {
  /** Another configuration is in force. */
  reloaded(): void;
  close(): void;
}

/**
 * Looks after what nobody else does: the log's suppressed lines, the state file's retries, a wall clock that was
 * set, packets that the kernel lost, addresses that have come or gone, connections that use a grant up, and rules
 * that someone else has taken away.
 */
export function createSupervisor(core: Running): Supervisor {
  const { clock, announcer, store } = core;
  let seconds = 0;
  let closed = false;
  let looking = false;
  let lost = { queue: 0, socket: 0, shed: 0 };
  let stateWasOk = true;
  const wallClock = watchWallClock(
    clock,
    (by) => {
      if (by > 0) core.restored.settle();
      owned('supervisor', realign(core));
    },
    // An order makes the engine look at what has ended meanwhile; and the machine may have woken in another network.
    lookAround,
  );
  const uses = watchUses(core);
  const clockDoubt = createClockDoubt(core);
  const repairs = createRepairs(core);
  const rules = core.firewall.watch({
    onDrift: (what) => core.standDown.seen(() => repairs.repair(what)),
    onRestored: () => owned('supervisor', core.standDown.seen(repairs.restored)),
    onSound() {
      if (core.standDown.now() === undefined) core.health.report('firewall', null);
      // All of it stands: somebody has loaded what he had saved, or has ended it.
      else
        owned(
          'supervisor',
          core.standDown.seen(() => undefined),
        );
    },
    onLost: (count) => core.health.missed('rules', count),
    onError: (error) => core.health.report('firewall', sentenceOf(error)),
  });
  owned('supervisor', warnOfOthers(core));
  guarded('supervisor', clockDoubt.look)();
  owned('supervisor', core.surroundings.look());

  /** Each by itself: one that fails must not keep the others from their turn. */
  const chores = [
    wallClock.look,
    announcer.tick,
    () => core.restored.look(),
    () => store.write([], clock.wall()),
    core.keys.tick,
    tellState,
    tellLost,
    uses.tick,
    core.health.tick,
    () => {
      if (seconds % CLOCK_EVERY === 0) clockDoubt.look();
    },
    () => owned('supervisor', core.standDown.look()),
    () => {
      if (seconds % LIMITS_EVERY === 0) core.sources.adapt();
    },
    () => {
      if (seconds % EXEMPT_EVERY === 0) lookAround();
    },
    () => {
      if (seconds % MACHINE_EVERY === 0) owned('supervisor', core.surroundings.look());
    },
  ].map((chore) => guarded('supervisor', chore));

  function tick(): void {
    seconds += 1;
    for (const chore of chores) chore();
  }

  /** Where the machine has no descriptor or memory left to look, what was seen last holds. */
  function lookAround(): void {
    core.surroundings.glance();
    if (looking) return;
    looking = true;
    owned('supervisor', refreshRules(core));
    const looked = core.findExempt().then((exempt) => {
      return closed ? undefined : executeLifting(core, { command: 'exempt', ...exempt });
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
    const { kernelDropped, userDropped } = totalHealth(core);
    const socket = userDropped - lost.socket;
    const shed = core.intake.shed() - lost.shed;
    const count = kernelDropped - lost.queue + socket + shed;
    if (count > 0) {
      core.health.count('lost packets', count);
      const queue = socket > 0 ? 'the socket buffer was full' : 'the queue was full';
      const reason = shed > 0 ? 'bans came faster than the kernel took them' : queue;
      announcer.announce({ event: 'queue.overflow', at: clock.now(), reason, count });
    }
    lost = { queue: kernelDropped, socket: userDropped, shed: core.intake.shed() };
  }

  const timer = setInterval(guarded('supervisor', tick), TICK);
  return {
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
async function refreshRules({ firewall, announcer, clock }: Core): Promise<void> {
  try {
    await firewall.refresh();
  } catch (error) {
    // Rules that are not what they should be are seen by the watch, and laid anew.
    announcer.announce({ event: 'firewall.failed', at: clock.now(), reason: sentenceOf(error) });
  }
}

async function warnOfOthers(core: Core): Promise<void> {
  try {
    warn(core, await core.firewall.beside());
  } catch (error) {
    warn(core, `rules of iptables-legacy can't be looked for: ${sentenceOf(error)}`);
  }
}

/**
 * The wall clock was set: what the state file and the rules say in wall time is said anew. Bans in the kernel count
 * seconds, and need nothing.
 */
async function realign(core: Core): Promise<void> {
  const { engine, clock, firewall, store, announcer } = core;
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
    announcer.announce({ event: 'firewall.failed', at: clock.now(), reason: sentenceOf(error) });
  }
  await keepBans(core);
}

/** In pieces: a quarter of a million bans at once would hold up the knocks. */
async function keepBans({ engine, clock, store }: Core): Promise<void> {
  let changes: StateChange[] = [];
  for (const { since, until, ...ban } of engine.eachBan()) {
    const [from, to] = [clock.wallOf(milliseconds(since)), clock.wallOf(milliseconds(until))];
    changes.push({ change: 'ban', ban: { ...ban, since: from, until: to } });
    if (changes.length < BANS_AT_ONCE) continue;
    store.write(changes, clock.wall());
    changes = [];
    await nextTurn();
  }
  store.write(changes, clock.wall());
}
