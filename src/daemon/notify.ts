import { sendDatagram } from '@nfknock/nfqueue';
import { guarded } from '../guard/guard.ts';
import { oneLine } from '../text/plain.ts';

/**
 * What systemd is told of the daemon (sd_notify(3), Type=notify). Where the process was not started by systemd
 * everything here does nothing.
 */
export interface Notifier {
  /** The daemon serves; `status` is what `systemctl status` shows. Also the end of a reload. */
  ready(status: string): void;
  reloading(): void;
  stopping(status: string): void;
  status(status: string): void;
  /**
   * Tells the watchdog at half its time that the daemon is alive, as long as `isAlive` says so. That the event
   * loop turns is told by the telling itself.
   */
  watch(isAlive: () => boolean): void;
  close(): void;
}

/** A status of more characters is cut. */
const STATUS_LENGTH_MAX = 200;
/** systemd's receiver is rarely full, and not for long. */
const RETRIES_MAX = 20;
const RETRY_MS = 50;

/**
 * Takes NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID out of `env`, so that commands run by the daemon can't
 * speak in its name.
 */
export function openNotifier(env: NodeJS.ProcessEnv, pid: number): Notifier {
  const { NOTIFY_SOCKET: socket, WATCHDOG_USEC: microseconds, WATCHDOG_PID: watched } = env;
  for (const name of ['NOTIFY_SOCKET', 'WATCHDOG_USEC', 'WATCHDOG_PID']) delete env[name];
  const isForUs = watched === undefined || watched === String(pid);
  const watchdog = isForUs ? watchdogMs(microseconds) : undefined;
  let timer: NodeJS.Timeout | undefined;

  function tell(fields: Readonly<Record<string, string>>, retries: number): void {
    if (socket === undefined || socket === '') return;
    const text = Object.entries(fields).map(([name, value]) => `${name}=${value}\n`);
    const code = sendDatagram(socket, Buffer.from(text.join('')));
    // Any other error lasts: systemd's own timeouts then tell what is wrong.
    if (code === 'EAGAIN' && retries > 0)
      setTimeout(
        guarded('systemd', () => tell(fields, retries - 1)),
        RETRY_MS,
      ).unref();
  }

  const say = (fields: Readonly<Record<string, string>>): void => tell(fields, RETRIES_MAX);

  return {
    ready: (status) => say({ READY: '1', STATUS: inOneField(status) }),
    reloading: () => say({ RELOADING: '1', MONOTONIC_USEC: String(process.hrtime.bigint() / 1000n) }),
    stopping: (status) => say({ STOPPING: '1', STATUS: inOneField(status) }),
    status: (status) => say({ STATUS: inOneField(status) }),
    watch(isAlive) {
      if (watchdog === undefined || timer !== undefined) return;
      const ping = (): void => {
        // One that is late is followed by the next; it is not sent again.
        if (isAlive()) tell({ WATCHDOG: '1' }, 0);
      };
      ping();
      timer = setInterval(guarded('systemd', ping), watchdog / 2).unref();
    },
    close: () => clearInterval(timer),
  };
}

function watchdogMs(microseconds: string | undefined): number | undefined {
  if (microseconds === undefined || !/^[1-9]\d{0,15}$/.test(microseconds)) return undefined;
  return Number(microseconds) / 1000;
}

/** A newline would begin another field. */
function inOneField(status: string): string {
  return oneLine(status).slice(0, STATUS_LENGTH_MAX);
}
