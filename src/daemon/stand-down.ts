import { FirewallError } from '../firewall/firewall.ts';
import type { StoodDown } from '../rollback/stood-down.ts';
import { sentenceOf } from '../text/error.ts';
import type { Core } from './dependencies.ts';
import { changesFor } from './reconcile.ts';

/** Whether this machine's owner has taken all rules out, and what comes of that here. */
export interface StandDown {
  /** Looks, and acts on what has changed. Resolves once that is done. */
  look(): Promise<void>;
  /** What holds as far as the daemon knows. */
  now(): StoodDown | undefined;
  /** What the watch over the rules has seen: where they are to be out, they are taken out, whoever put them in. */
  seen(otherwise: () => Promise<void> | void): Promise<void>;
}

type Given = Pick<Core, 'firewall' | 'findStoodDown' | 'announcer' | 'clock' | 'health' | 'engine' | 'fail'>;

export function createStandDown(core: Given): StandDown {
  const { firewall, announcer, clock, health } = core;
  let now: StoodDown | undefined;
  let turn: Promise<void> = Promise.resolve();

  async function look(): Promise<void> {
    const found = core.findStoodDown();
    if (found === undefined && now === undefined) return;
    if (found !== undefined && found.id === now?.id) now = found;
    else if (found === undefined) await resume();
    else await suspend(found);
  }

  async function suspend(found: StoodDown): Promise<void> {
    const before = now;
    now = found;
    const until = found.until === null ? {} : { until: clock.atWall(found.until) };
    announcer.announce({ event: 'firewall.stood_down', at: clock.now(), ...until });
    if (before !== undefined) return;
    try {
      await firewall.suspend();
      health.report('firewall', null);
    } catch (error) {
      // A set that a rule still held a moment ago goes as soon as the watch looks. And who stands down takes out all
      // that he can himself, too.
      if (!(error instanceof FirewallError && error.code === 'IN_USE')) report(error);
    }
  }

  async function resume(): Promise<void> {
    try {
      await firewall.resume(now?.base === true ? 'with its base policy' : 'as it was');
      now = undefined;
      await firewall.apply(changesFor(core, { grants: [], bans: [] }));
      health.report('firewall', null);
      announcer.announce({ event: 'firewall.resumed', at: clock.now() });
    } catch (error) {
      now = undefined;
      report(error);
      // What starts the daemon may have more rights, and lays the rules before it does.
      if (error instanceof FirewallError && error.code === 'NOT_PERMITTED')
        core.fail(new Error(`the rules may not be put back by this user: ${sentenceOf(error)}`));
    }
  }

  function report(error: unknown): void {
    const reason = sentenceOf(error);
    health.report('firewall', reason);
    announcer.announce({ event: 'firewall.failed', at: clock.now(), reason });
  }

  return {
    look() {
      // One at a time: the second would not see what the first is about to do.
      turn = turn.then(look, look);
      return turn;
    },
    now: () => now,
    async seen(otherwise) {
      const before = now;
      // Whoever has just put them in may have ended it.
      await this.look();
      if (now !== undefined) await firewall.remove();
      else if (before === undefined) await otherwise();
    },
  };
}
