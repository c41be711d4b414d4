import { FirewallError } from '../firewall/firewall.ts';
import { sentenceOf } from '../text/error.ts';
import type { Core } from './dependencies.ts';
import { LATELY } from './recent-count.ts';
import { changesFor } from './reconcile.ts';

/** Repairs of the last minute that are each said; more are counted, and said once a minute. */
const SAID_MAX = 20;

export interface Repairs {
  /** Puts back what someone else took away: chains, jumps and sets, then grants and bans. */
  repair(what: 'rules' | 'sets'): Promise<void>;
  /** The rules were laid already, by a change that found them gone. */
  restored(): Promise<void>;
}

/** What is needed of the daemon. */
type Repaired = Pick<Core, 'firewall' | 'announcer' | 'clock' | 'health' | 'engine' | 'fail'>;

/**
 * Someone who changes the rules again and again is answered again and again, since not to answer may leave a port
 * open; the watch looks once a second at most. The log does not repeat itself: it names the fight once a minute.
 */
export function createRepairs(core: Repaired): Repairs {
  const { firewall, announcer, clock } = core;
  const announced = createAnnounced(core);
  let lastFailure = '';
  let lastFailureAt = Number.NEGATIVE_INFINITY;

  function fail(error: unknown): void {
    const reason = sentenceOf(error);
    core.health.report('firewall', reason);
    const now = clock.now();
    if (reason !== lastFailure || now - lastFailureAt >= LATELY) {
      lastFailure = reason;
      lastFailureAt = now;
      announcer.announce({ event: 'firewall.failed', at: now, reason });
    }
    // What starts the daemon may have more rights, and lays the rules before it does: then a new start fixes it.
    if (error instanceof FirewallError && error.code === 'NOT_PERMITTED') {
      core.fail(new Error(`the rules were changed and may not be restored by this user: ${reason}`));
    }
  }

  async function fill(what: 'rules' | 'sets'): Promise<void> {
    await firewall.apply(changesFor(core, { grants: [], bans: [] }));
    core.health.report('firewall', null);
    lastFailure = '';
    const reason = announced.repaired(what);
    if (reason !== null) announcer.announce({ event: 'firewall.repaired', at: clock.now(), reason });
  }

  return {
    async repair(what) {
      core.health.report('firewall', `the ${what} in the kernel are not as nfknock made them`);
      try {
        await firewall.install();
        await fill(what);
      } catch (error) {
        fail(error);
        throw error;
      }
    },
    restored: () => fill('rules').catch(fail),
  };
}

/** Counts repairs and finds the words for those that are to be said. */
function createAnnounced({ clock, health }: Pick<Core, 'clock' | 'health'>): {
  repaired(what: string): string | null;
} {
  let summed = Number.NEGATIVE_INFINITY;
  return {
    repaired(what) {
      health.count('external changes', 1);
      const times = health.snapshot().lately['external changes'];
      if (times <= SAID_MAX) return `${what} had been changed by another program`;
      if (clock.now() - summed < LATELY) return null;
      summed = clock.now();
      return `${what} had been changed by another program, ${times} times in the last minute; find out who does it, further repairs are said once a minute`;
    },
  };
}
