import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { ask } from '../support/asked.ts';
import { type Daemon, startDaemon } from '../support/daemon.ts';
import { createNet, type Net } from '../support/net.ts';
import { skewed } from '../support/skewed.ts';
import { bansInForce } from '../support/survival.ts';

/* The next boot of a machine without a clock battery: an empty kernel, and a wall clock of days ago. */

const SERVICE = 22;
const QUICK = 250;
const PATIENCE = 15_000;
/** Longer than the test takes on a busy machine. */
const LONG = 600_000;
const DAY = 86_400_000;
/** Somewhere between two days and two months. */
const BEHIND = Math.round(DAY * (2 + 58 * Math.random()));
const SSH = { knock: ['7001/tcp', '7002/tcp'], opens: [SERVICE], for: '5m' };
const CONFIG = { doors: { ssh: SSH }, decoys: ['23/tcp', '2323/tcp'], bans: { strikes: 2, for: '10m' } };

let net: Net;
let daemon: Daemon | undefined;
afterEach(async () => {
  await daemon?.stop('SIGKILL');
  net?.close();
});

describe.each(['rule', 'set'])('a clock that is behind at boot, with `grants: %s`,', (grants) => {
  // Against: a grant that had ended, brought back by a clock that was behind at boot, on the kernel, over a crash
  // by: no grant of another boot before the clock is synchronised; a step forward ends and never lengthens
  it('opens nothing until it is synchronised; what has ended then never comes back, and what has not is there', async () => {
    const { folder, env, set } = skewed();
    const config = { ...CONFIG, grants };
    const boot = async (id: string): Promise<Daemon> => {
      net?.close();
      net = await createNet();
      await net.server.listen(SERVICE);
      return startDaemon(net.server.namespace, config, { folder, env: { ...env, NFKNOCK_BOOT_ID: id } });
    };
    set(0, 0, 'synchronised');
    daemon = await boot('one');
    const owner = net.clientA.source();
    for (const [host, time] of [
      [owner.v4, LONG],
      ['203.0.113.1', 1_000],
    ] as const) {
      const answer = await ask(daemon, {
        command: 'grant',
        door: 'ssh',
        address: host,
        for: time,
      });
      expect(answer).toBeDefined();
    }
    const offender = net.clientB.source();
    await net.clientB.exec(['knock', net.clientB.server4, '23', '2323']);
    await daemon.waitFor({ event: 'ban.added', source: offender.v4 }, PATIENCE);
    await sleep(1_200);
    await daemon.stop('SIGKILL');

    set(-BEHIND, 0, 'not synchronised');
    daemon = await boot('two');
    expect(await net.clientA.canConnect(net.clientA.server4, SERVICE, QUICK)).toBe(false);
    expect(await ask(daemon, { command: 'grants' })).toEqual([]);
    const { problems } = await ask(daemon, { command: 'status' });
    expect(problems.map(({ what }) => what)).toEqual([
      expect.stringMatching(/^1 grant from before the reboot wait/),
    ]);
    // The ban has its whole length from now, and no more.
    const left = (await bansInForce(net.server)).get(offender.v4);
    expect(left).toBeGreaterThan(590);
    expect(left).toBeLessThanOrEqual(600);
    // A crash in the same boot changes nothing of it; and a knock opens as ever, also over that crash.
    const other = await net.clientA.moveToFreshSource();
    await net.clientA.exec(['knock', net.clientA.server4, '7001', '7002']);
    await daemon.waitFor({ event: 'door.opened', source: other.v4 }, PATIENCE);
    await daemon.stop('SIGKILL');
    daemon = await startDaemon(net.server.namespace, config, {
      folder,
      env: { ...env, NFKNOCK_BOOT_ID: 'two' },
    });
    expect((await ask(daemon, { command: 'grants' })).map(({ source }) => source)).toEqual([other.v4]);

    set(0, 0, 'synchronised');
    const sources = async (): Promise<readonly string[]> =>
      (await ask(daemon as Daemon, { command: 'grants' })).map(({ source }) => source).sort();
    await expect.poll(sources, { timeout: PATIENCE }).toContain(owner.v4);
    expect(await sources()).not.toContain('203.0.113.1');
    const again = (await ask(daemon, { command: 'grants' })).find(({ source }) => source === owner.v4);
    expect(Date.parse(again?.until ?? '')).toBeLessThanOrEqual(Date.now() + LONG);
  }, 60_000);
});
