import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { systemClock } from '../../clock.ts';
import { parseDuration } from '../../config/duration.ts';
import { formatFault } from '../../config/fault.ts';
import { loadConfig } from '../../config/load.ts';
import { fleetFileFaults } from '../../config/load-fleet.ts';
import { loadKeys } from '../../config/load-keys.ts';
import { sayLastWords } from '../../daemon/last-words.ts';
import { type Notifier, openNotifier } from '../../daemon/notify.ts';
import { shipped } from '../../files/shipped.ts';
import { owned } from '../../guard/guard.ts';
import { ROLL_BACK_SIGNAL, rollBackDone } from '../../rollback/end-daemon.ts';
import { sentenceOf } from '../../text/error.ts';
import { type CommonOptions, EXIT, type ExitCode } from '../exit.ts';
import { confirmFault } from '../time-argument.ts';

interface RunOptions extends CommonOptions {
  readonly install: boolean;
  readonly confirm?: string;
}

/** How long a stop may take before the process ends all the same: closed, since the rules stay. Milliseconds. */
const STOP_MAX = 10_000;
/** How long a daemon that was ended for a roll-back waits for the roll-back to be done, at most. Milliseconds. */
const ROLL_BACK_MAX = 60_000;
/** What `systemctl status` shows while the daemon serves. */
const SERVING = 'serving';
/** Why a daemon ends whose change was rolled back. */
const ROLLED_BACK = 'rolled back: the change was not confirmed in time';

/** Runs the daemon until SIGTERM or SIGINT. */
export async function command(_args: readonly string[], options: RunOptions): Promise<ExitCode> {
  // Node would open its inspector, a port to run code by.
  process.on('SIGUSR1', () => undefined);
  const fault = options.confirm === undefined ? undefined : confirmFault(options.confirm);
  if (fault !== undefined) {
    process.stderr.write(`nfknock: ${fault}\n`);
    return EXIT.usage;
  }
  const loaded = loadConfig(options.config);
  if (!loaded.ok) {
    for (const fault of loaded.faults) process.stderr.write(`${formatFault(fault)}\n`);
    return EXIT.config;
  }
  const keys = loadKeys(loaded.config);
  const faults = [...(keys.ok ? [] : keys.faults), ...fleetFileFaults(loaded.config.fleet)];
  if (faults.length > 0) {
    for (const fault of faults) process.stderr.write(`${formatFault(fault)}\n`);
    return EXIT.config;
  }
  // At once: whatever state the process is in, nothing more of it may run.
  sayLastWords(loaded.config.log, () => process.exit(EXIT.failed));
  const signals = hearSignals();
  // Before anything is started: commands that the daemon runs must not speak to systemd in its name.
  const notifier = openNotifier(process.env, process.pid);
  const { startDaemon } = await import('../../daemon/daemon.ts');
  const { version } = JSON.parse(readFileSync(shipped('package.json'), 'utf8')) as {
    version: string;
  };
  try {
    if (options.confirm !== undefined) await arm(options.config, options.confirm);
    const daemon = await startDaemon({
      config: loaded.config,
      configFile: options.config,
      version,
      install: options.install,
    });
    return await watch(daemon, signals, notifier);
  } catch (error) {
    process.stderr.write(`nfknock: ${sentenceOf(error)}\n`);
    return codeOf(error) === 'NOT_PERMITTED' ? EXIT.notPermitted : EXIT.failed;
  }
}

/** Before anything is changed: what is nfknock's is put back unless somebody confirms. */
async function arm(path: string, time: string): Promise<void> {
  const { armRollback } = await import('../../rollback/rollback.ts');
  await armRollback({ path, time: parseDuration(time) ?? 0, now: systemClock.wall() });
  process.stderr.write(
    `nfknock: nfknock's own rules are rolled back in ${time}, and this ends, unless you run: nfknock confirm\n`,
  );
}

async function watch(
  daemon: Awaited<ReturnType<typeof import('../../daemon/daemon.ts').startDaemon>>,
  signals: Signals,
  notifier: Notifier,
): Promise<ExitCode> {
  const reload = (): void => {
    notifier.reloading();
    owned(
      'reload',
      daemon.reload().finally(() => notifier.ready(SERVING)),
    );
  };
  notifier.ready(SERVING);
  notifier.watch(() => true);
  signals.onHangUp(reload);
  const why = await Promise.race([signals.stop, daemon.failed]);
  // Nothing may keep a daemon from ending that was told to.
  signals.onHangUp(() => undefined);
  notifier.stopping('stopping; every door stays shut to newcomers');
  const late = setTimeout(() => process.kill(process.pid, 'SIGKILL'), STOP_MAX);
  await daemon.stop(typeof why === 'string' ? why : why.message);
  clearTimeout(late);
  if (why === ROLLED_BACK) await rolledBack(signals);
  notifier.close();
  if (why === ROLLED_BACK) return EXIT.rolledBack;
  if (typeof why === 'string') return EXIT.done;
  process.stderr.write(`nfknock: ${why.message}\n`);
  return EXIT.failed;
}

/** Who reads this end as "rolled back" is to find it done; who is told to end while it waits ends. */
async function rolledBack(signals: Signals): Promise<void> {
  await rollBackDone(Promise.race([signals.told(), sleep(ROLL_BACK_MAX, undefined, { ref: false })]));
}

interface Signals {
  /** Resolves with the next SIGTERM or SIGINT. */
  told(): Promise<void>;
  /** Resolves with the first SIGTERM or SIGINT, or why a roll-back ends the daemon. */
  readonly stop: Promise<string>;
  /** Who is told of SIGHUP from now on, and at once where one came before. */
  onHangUp(act: () => void): void;
}

/**
 * Heard from the start: anyone who reads that the daemon is ready may send a signal in the same moment, and
 * without a listener it would end the process.
 */
function hearSignals(): Signals {
  let missed = false;
  let hangUp = (): void => {
    missed = true;
  };
  process.on('SIGHUP', () => hangUp());
  return {
    stop: new Promise((resolve) => {
      for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve(signal));
      process.on(ROLL_BACK_SIGNAL, () => resolve(ROLLED_BACK));
    }),
    told: () =>
      new Promise((resolve) => {
        for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve());
      }),
    onHangUp(act) {
      hangUp = act;
      if (missed) act();
      missed = false;
    },
  };
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}
