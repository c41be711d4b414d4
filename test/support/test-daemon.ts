import { onTestFinished } from 'vitest';
import type { Daemon, DaemonOptions } from './daemon.ts';
import type { Server } from './net.ts';

/**
 * Starts a daemon that ends with the test at hand, whatever becomes of that: the next test, or this one once more,
 * needs its queue.
 */
export async function startTestDaemon(
  server: Server,
  config: object,
  options?: DaemonOptions,
): Promise<Daemon> {
  const daemon = await server.startDaemon(config, options);
  onTestFinished(async () => void (await daemon.stop('SIGKILL')));
  return daemon;
}
