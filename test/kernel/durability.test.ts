import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ask } from '../support/asked.ts';
import type { Daemon } from '../support/daemon.ts';
import { createNet, type Net } from '../support/net.ts';

/* What a power cut must not undo is on the disk before anybody hears of it; the rest is there within a second. */

const CONFIG = {
  doors: {
    ssh: { knock: ['7001/tcp', '7002/tcp'], opens: [22], close: ['7003/tcp', '7004/tcp'], for: '5m' },
  },
};
const PATIENCE = 15_000;

describe('what the disk is asked for', () => {
  let net: Net;
  let daemon: Daemon;
  let stop = async (): Promise<void> => undefined;
  /** The calls of the daemon so far, in their order: when, and `sync` or what was written. */
  let calls = (): readonly (readonly [at: number, call: string])[] => [];

  beforeAll(async () => {
    net = await createNet();
    daemon = await net.server.startDaemon(CONFIG);
    const trace = join(daemon.folder, 'trace');
    const asked = ['-f', '-ttt', '-s', '160', '-e', 'trace=fsync,fdatasync,write', '-o', trace];
    const strace = spawn('strace', [...asked, '-p', `${daemon.pid}`], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    await once(strace.stderr, 'data');
    stop = async () => {
      strace.kill('SIGINT');
      await once(strace, 'exit');
    };
    calls = () =>
      [
        ...readFileSync(trace, 'utf8').matchAll(
          /^\d+ +(\d+\.\d+) (?:(fsync|fdatasync)\(|write\(\d+, "(.*))/gm,
        ),
      ].map(
        ([, at = '', sync, text = '']) => [Number(at) * 1_000, sync === undefined ? text : 'sync'] as const,
      );
  }, 30_000);
  afterAll(async () => {
    await stop();
    await daemon?.stop('SIGKILL');
    net?.close();
  });

  const knock = (...ports: readonly string[]): Promise<unknown> =>
    net.clientA.exec(['knock', net.clientA.server4, ...ports]);
  /** Whether something was synced after this many calls and before the event was said. */
  const syncedBefore = async (had: number, event: string): Promise<boolean> => {
    await expect
      .poll(
        () =>
          calls()
            .slice(had)
            .some(([, call]) => call.includes(`"${event}\\"`)),
        { timeout: PATIENCE },
      )
      .toBe(true);
    const since = calls().slice(had);
    const said = since.findIndex(([, call]) => call.includes(`"${event}\\"`));
    return since.slice(0, said).some(([, call]) => call === 'sync');
  };
  /** Until nothing is left to be synced, so that what comes next is its own. */
  const settled = async (): Promise<number> => {
    await sleep(2_500);
    return calls().length;
  };

  // Against: cutting the power to undo a revocation or an unban
  // by: synced to the disk before it is announced
  it('a ban by hand, an unban, a revocation and a closed door are on the disk before they are said', async () => {
    let had = await settled();
    await ask(daemon, { command: 'ban', address: '203.0.113.9' });
    expect(await syncedBefore(had, 'ban.added')).toBe(true);
    had = await settled();
    await ask(daemon, { command: 'unban', address: '203.0.113.9' });
    expect(await syncedBefore(had, 'ban.lifted')).toBe(true);
    had = await settled();
    await ask(daemon, { command: 'grant', door: 'ssh', address: '203.0.113.8' });
    had = await settled();
    await ask(daemon, { command: 'revoke', address: '203.0.113.8' });
    expect(await syncedBefore(had, 'door.closed')).toBe(true);
  }, 60_000);

  it('a door that opens does not wait for it, and is there within a second', async () => {
    const had = await settled();
    await knock('7001', '7002');
    expect(await syncedBefore(had, 'door.opened')).toBe(false);
    await expect
      .poll(
        () =>
          calls()
            .slice(had)
            .some(([, call]) => call === 'sync'),
        { timeout: PATIENCE },
      )
      .toBe(true);
    const since = calls().slice(had);
    const opened = since.find(([, call]) => call.includes('"door.opened\\"'))?.[0] ?? 0;
    const synced = since.find(([, call]) => call === 'sync')?.[0] ?? 0;
    // The tick is once a second; a busy machine may be late with it.
    expect(synced - opened).toBeLessThan(2_000);
  }, 60_000);
});
