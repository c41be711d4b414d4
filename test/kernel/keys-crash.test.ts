import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { ask } from '../support/asked.ts';
import type { Daemon } from '../support/daemon.ts';
import { died, killAt, killBeforeRule, killOnceInForce, stopTools } from '../support/keys-crash-lab.ts';
import { type KeysLab, keysLab } from '../support/keys-lab.ts';
import { createNet, type Net } from '../support/net.ts';

/*
 * Killed with -9 at each step on the way of a packet of a key: proven, written, synced, in force, announced. What was on
 * the disk opens nothing again, and what it opened is there; what was not has opened nothing.
 */

const SERVICE = 22;
const LATE = 15_000;
const QUICK = 150;
/** Milliseconds until a daemon must be ready on a machine that is busy with other things. */
const READY_WITHIN = 40_000;

vi.setConfig({ testTimeout: 120_000, hookTimeout: 60_000 });

let net: Net;
let lab: KeysLab;
let daemon: Daemon;

beforeAll(async () => {
  net = await createNet();
  await net.server.listen(SERVICE);
});
afterAll(() => net?.close());
beforeEach(async () => {
  await net.clientA.moveToFreshSource();
  lab = keysLab();
  daemon = await net.server.startDaemon(config(), { timeout: READY_WITHIN });
});
afterEach(() => daemon?.stop('SIGKILL'));

const config = (): object => ({
  listen: { spa: ['62201/udp'] },
  keys: lab.file,
  doors: { ssh: { knock: 'spa', opens: [SERVICE], for: '2m' } },
});
const again = async (): Promise<void> => {
  daemon = await net.server.startDaemon(config(), { folder: daemon.folder, timeout: READY_WITHIN });
};
const me = (): string => net.clientA.source().v4;
const reaches = (timeout = QUICK): Promise<boolean> =>
  net.clientA.canConnect(net.clientA.server4, SERVICE, timeout);
const opened = (): number => daemon.seen({ event: 'door.opened' }).length;
const grants = async (): Promise<number> =>
  ((await ask(daemon, { command: 'grants' })) as readonly unknown[]).length;

/** The same packet again, of the daemon that came after: it opens nothing. */
async function isRefused(packet: Buffer): Promise<void> {
  await lab.send(net.clientA, packet);
  await daemon.waitFor({ event: 'spa.rejected', reason: 'replayed', key: 'ben' }, LATE);
  expect(opened()).toBe(0);
}

/** A new packet opens, or makes longer what is open. */
async function isAnswered(): Promise<void> {
  await lab.send(net.clientA, lab.own(me()));
  await daemon.waitFor({ event: 'spa.accepted', key: 'ben' }, LATE);
  expect(await reaches(LATE)).toBe(true);
}

describe('a daemon killed with -9', () => {
  it('before what a packet uses up is written has opened nothing, and the packet opens once', async () => {
    const packet = lab.own(me());
    await killAt(daemon, 'pwrite64');
    await lab.send(net.clientA, packet);
    await died(daemon);
    expect(opened()).toBe(0);
    expect(await reaches()).toBe(false);
    await again();
    expect(await grants()).toBe(0);
    await lab.send(net.clientA, packet);
    await daemon.waitFor({ event: 'door.opened', key: 'ben' }, LATE);
    await lab.send(net.clientA, packet);
    await daemon.waitFor({ event: 'spa.rejected', reason: 'replayed' }, LATE);
    expect(opened()).toBe(1);
  });

  // Against: pulls the plug, or kills the daemon, at any step on the way of a key's packet
  // by: what was used up is written with the grant and synced before the rule: after each step either both are there,
  // or neither
  it('after it was written and before it was synced has announced nothing; grant and use are both there', async () => {
    const packet = lab.own(me());
    await killAt(daemon, 'fdatasync,fsync');
    await lab.send(net.clientA, packet);
    await died(daemon);
    expect(opened()).toBe(0);
    expect(await reaches()).toBe(false);
    await again();
    expect(await grants()).toBe(1);
    await isRefused(packet);
    await isAnswered();
  });

  it('after it was synced and before the rule has announced nothing; grant and use are both there', async () => {
    const packet = lab.own(me());
    const stopped = await stopTools(daemon);
    await lab.send(net.clientA, packet);
    await stopped.isTold();
    expect(await reaches()).toBe(false);
    killBeforeRule(daemon, stopped);
    await died(daemon);
    expect(opened()).toBe(0);
    await again();
    expect(await grants()).toBe(1);
    await isRefused(packet);
    await isAnswered();
  });

  it('after the rule was in force and before that was announced keeps both', async () => {
    const packet = lab.own(me());
    const stopped = await stopTools(daemon);
    await lab.send(net.clientA, packet);
    await stopped.isTold();
    await killOnceInForce(daemon, stopped, () => reaches());
    await died(daemon);
    expect(opened()).toBe(0);
    await again();
    expect(await grants()).toBe(1);
    await isRefused(packet);
    expect(await reaches(LATE)).toBe(true);
  });

  it('after it was announced loses nothing of it', async () => {
    const packet = lab.own(me());
    await lab.send(net.clientA, packet);
    await daemon.waitFor({ event: 'door.opened', key: 'ben' }, LATE);
    await daemon.stop('SIGKILL');
    expect(await reaches(LATE)).toBe(true);
    await again();
    expect(await grants()).toBe(1);
    await isRefused(packet);
  });
});

describe('a daemon whose state file was taken away', () => {
  // Against: takes the state file away, and sends what was used
  // by: nothing made before the start is believed where rules stood already
  it.each(['SIGKILL', 'SIGTERM'] as const)(
    '(%s) believes no packet made before its start, and every later one',
    async (how) => {
      const used = lab.own(me());
      const unused = lab.own(me());
      await lab.send(net.clientA, used);
      await daemon.waitFor({ event: 'door.opened', key: 'ben' }, LATE);
      await daemon.stop(how);
      for (const end of ['', '-wal', '-shm']) rmSync(join(daemon.folder, `state.db${end}`), { force: true });
      await again();
      for (const packet of [used, unused]) await lab.send(net.clientA, packet);
      await expect
        .poll(() => daemon.seen({ event: 'spa.rejected', reason: 'stale', key: 'ben' }).length, {
          timeout: LATE,
        })
        .toBe(2);
      expect(opened()).toBe(0);
      await sleep(1_100);
      await isAnswered();
    },
  );
});
