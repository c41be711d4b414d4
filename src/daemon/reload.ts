import { formatFault } from '../config/fault.ts';
import { keyWarningText } from '../config/key-warnings.ts';
import { needRestart } from '../config/restart.ts';
import { settingsOf } from '../config/settings.ts';
import type { Answer } from '../control/output.ts';
import type { FirewallError } from '../firewall/firewall.ts';
import { owned } from '../guard/guard.ts';
import type { Config } from '../policy/config.ts';
import { sentenceOf } from '../text/error.ts';
import { type Running, warn } from './dependencies.ts';
import { nextSequence, type OneTimeNews, oneTimePortsOf } from './hook-subject.ts';
import { executeLifting } from './lift-bans.ts';

/** Faults of a rejected file that one event tells of. */
const FAULTS_SAID = 5;

export interface Reloader {
  fromSignal(): Promise<void>;
  fromControl(): Promise<Answer>;
  /** To be called from now on whenever another configuration is in force. */
  onReloaded(listener: () => void): void;
}

/**
 * Takes a new configuration in: all or nothing. First the queues that are new, then the rules in one change, then
 * the engine; what fails leaves the old configuration in force.
 */
export function createReloader(core: Running): Reloader {
  let turn: Promise<unknown> = Promise.resolve();
  let reloaded: (() => void) | undefined;
  /** What holds until a restart, whatever was reloaded since. */
  const started = core.config();

  /** One at a time: two reloads at once would mix their rules. */
  function inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    const next = turn.then(work, work);
    turn = next.catch(() => undefined);
    return next;
  }

  async function reload(): Promise<Answer> {
    const loaded = core.loadConfig();
    const keys = loaded.ok ? core.loadKeys(loaded.config) : loaded;
    if (!loaded.ok || !keys.ok) {
      const found = [loaded, keys].flatMap((read) => (read.ok ? [] : read.faults));
      const faults = [...new Set(found)].map(formatFault);
      const more = faults.length > FAULTS_SAID ? `; and ${faults.length - FAULTS_SAID} more` : '';
      const reason = `${faults.slice(0, FAULTS_SAID).join('; ')}${more}`;
      rejected(reason);
      const fix = 'correct the file; the old configuration stays in force';
      return {
        ok: false,
        error: {
          code: 'config',
          message: `${faults.length === 1 ? 'a fault' : `${faults.length} faults`} in ${core.configFile}`,
          fix,
          faults,
        },
      };
    }
    const { config } = loaded;
    let left: readonly string[];
    try {
      left = await takeOver(config);
    } catch (error) {
      rejected(sentenceOf(error));
      await standAsBefore();
      return {
        ok: false,
        error: { code: 'failed', message: sentenceOf(error), fix: 'the old configuration stays in force' },
      };
    }
    // Read once more: who was revoked while the kernel was waited for is not in the file any more.
    const latest = core.loadKeys(config);
    const { file, warnings: ofKeys } = latest.ok ? latest : keys;
    const warnings = [...fixedWarnings(config, started), ...ofKeys.map(keyWarningText), ...left];
    core.life?.changed();
    core.keys.replace(file);
    reloaded?.();
    for (const text of warnings) warn(core, text);
    owned('supervisor', core.surroundings.look());
    core.health.report('config', null);
    core.announcer.announce({ event: 'daemon.reloaded', at: core.clock.now() });
    return { ok: true, data: { warnings } } as Answer;
  }

  /** Who asked for it may be a program that looks at nothing: it is seen in the status until a reload is taken. */
  function rejected(reason: string): void {
    core.announcer.announce({ event: 'config.rejected', at: core.clock.now(), reason });
    core.health.report('config', reason);
  }

  /** All that may fail comes before the rules, or is the rules. Answers what is left over, and does no harm. */
  async function takeOver(config: Config): Promise<readonly string[]> {
    const queues = await core.sources.prepare(config);
    let news: ReadonlyMap<string, OneTimeNews>;
    let left: readonly FirewallError[];
    let lifting: Promise<void>;
    try {
      left = await core.firewall.replace(config, oneTimePortsOf);
      // Not before: a line may have been used up while the kernel was waited for.
      news = new Map(config.doors.map((door) => [door.name, nextSequence(door)]));
      const settings = settingsOf(config, (door) => news.get(door.name)?.next ?? []);
      lifting = executeLifting(core, { command: 'reload', settings });
      // At the same moment: what an opening takes, and what it runs, is looked up there.
      core.configure(config);
    } catch (error) {
      await queues.rollback();
      throw error;
    }
    queues.commit();
    await lifting;
    // Where the machine has no descriptor or memory left to look, what was seen last holds.
    const exempt = await core.findExempt().catch(() => undefined);
    if (exempt !== undefined) await executeLifting(core, { command: 'exempt', ...exempt });
    for (const [name, { warning }] of news) warn(core, warning, name);
    return left.map((error) => `left over, and harmless: ${sentenceOf(error)}`);
  }

  /** The firewall has put the old rules back; where it could not, that is tried once more, and seen in the status. */
  async function standAsBefore(): Promise<void> {
    try {
      if (!(await core.firewall.intact())) await core.firewall.install();
    } catch (error) {
      core.health.report(
        'firewall',
        `the rules of the old configuration can't be restored: ${sentenceOf(error)}`,
      );
    }
  }

  return {
    fromSignal: () => inTurn(reload).then(() => undefined),
    fromControl: () => inTurn(reload),
    onReloaded(listener) {
      reloaded = listener;
    },
  };
}

function fixedWarnings(config: Config, before: Config): readonly string[] {
  return needRestart(before, config).map(
    (key) => `${key}: has changed, which takes a restart; until then the old value holds`,
  );
}
