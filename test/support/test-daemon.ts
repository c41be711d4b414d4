import { expect, onTestFinished } from 'vitest';
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

/**
 * Has it look at the machine now, as it does by itself every 30 s: it does after each reload. What it finds is there a
 * moment later.
 */
export async function lookAgain(daemon: Daemon): Promise<void> {
  const reloads = (): number => daemon.seen({ event: 'daemon.reloaded' }).length;
  const before = reloads();
  daemon.signal('SIGHUP');
  await expect.poll(reloads, { timeout: 10_000 }).toBe(before + 1);
}
