import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { ask } from '../support/asked.ts';
import { type Daemon, startDaemon, writeConfig } from '../support/daemon.ts';
import { createNet, type Net } from '../support/net.ts';
import { temporaryFolder } from '../support/scratch.ts';
import { acceptRules, announced, bansInForce, expectAgreement, grantOf } from '../support/survival.ts';

/* A reboot: the state file meets an empty kernel, which is a new topology with the same addresses. */

const SERVICE = 22;
const LATE = 10_000;
const QUICK = 150;
const folderOfNotes = temporaryFolder();
const NOTES = join(folderOfNotes, 'notes');
const note = (word: string): readonly string[] => [
  '/bin/sh',
  '-c',
  'echo "$1 $2" >>"$0"',
  NOTES,
  word,
  '%IP%',
];

let net: Net;
let daemon: Daemon;
afterEach(async () => {
  await daemon?.stop('SIGKILL');
  net?.close();
});

const config = (grants: string): object => ({
  grants,
  doors: {
    ssh: { knock: ['7001/tcp', '7002/udp'], opens: [SERVICE], for: '5m' },
    brief: {
      knock: ['7101/tcp', '7102/udp'],
      opens: ['2200/tcp'],
      for: '1s',
      on_open: note('open'),
      on_close: note('close'),
    },
    counted: { knock: ['7201/tcp', '7202/udp'], opens: ['2201/tcp'], for: '5m', uses: 2 },
  },
  decoys: ['23/tcp', '2323/tcp'],
  bans: { strikes: 2, for: '5m' },
});

async function boot(grants: string, folder: string): Promise<void> {
  net = await createNet();
  for (const port of [SERVICE, 2200, 2201]) await net.server.listen(port);
  daemon = await startDaemon(net.server.namespace, config(grants), { folder });
}

describe.each(['rule', 'set'])('after a reboot, with `grants: %s`,', (grants) => {
  it('what had not ended is in force at once, and what had ended never comes back', async () => {
    const { folder } = writeConfig(config(grants));
    await boot(grants, folder);
    const owner = net.clientA.source();
    const offender = net.clientB.source();
    const both = [net.clientA.server4, net.clientA.server6];
    for (const target of both) {
      for (const first of [7001, 7101, 7201]) {
        await net.clientA.exec(['knock', target, `${first}`, `${first + 1}:udp`]);
      }
    }
    for (const target of [net.clientB.server4, net.clientB.server6]) {
      await net.clientB.exec(['knock', target, '23', '2323']);
    }
    for (const source of [owner.v4, owner.v6]) {
      for (const door of ['ssh', 'brief', 'counted']) {
        await daemon.waitFor({ event: 'door.opened', door, source }, LATE);
      }
    }
    for (const source of [offender.v4, offender.v6Network]) {
      await daemon.waitFor({ event: 'ban.added', source }, LATE);
    }
    await net.clientA.openConnection(net.clientA.server4, 2201);
    const left = async (): Promise<unknown> =>
      (await ask(daemon, { command: 'grants' })).find(
        (row) => row.door === 'counted' && row.source === owner.v4,
      )?.uses_left;
    await expect.poll(left, { timeout: LATE }).toBe(1);
    await daemon.stop('SIGKILL');
    const said = announced();
    said.take(daemon.lines);
    const ends = Math.max(...[owner.v4, owner.v6].map((who) => said.grants.get(grantOf('brief', who)) ?? 0));
    net.close();
    await sleep(Math.max(0, ends + 50 - Date.now()));

    await boot(grants, folder);
    expect(net.clientA.source()).toEqual(owner);
    const opens = [SERVICE, 2201].flatMap((port) => both.map((target) => [target, port] as const));
    for (const [target, port] of opens) expect(await net.clientA.canConnect(target, port, LATE)).toBe(true);
    for (const target of both) expect(await net.clientA.canConnect(target, 2200, QUICK)).toBe(false);
    expect([...(await bansInForce(net.server)).keys()].sort()).toEqual(
      [offender.v4, offender.v6Network].sort(),
    );
    // One use had been left over IPv4: it was that connection.
    await daemon.waitFor({ event: 'door.closed', door: 'counted', source: owner.v4, reason: 'used' }, LATE);
    if (grants === 'rule') {
      const known = new Set([owner.v4, owner.v6, offender.v4, offender.v6Network]);
      said.take(daemon.lines);
      await expectAgreement(daemon, net.server, said, known);
      for (const [key] of await acceptRules(net.server)) expect(key).not.toContain('brief');
    }
  });
});

describe('after a restart', () => {
  it('what ended meanwhile is said at the start, once, and its `on_close` run', async () => {
    const { folder } = writeConfig(config('rule'));
    writeFileSync(NOTES, '');
    await boot('rule', folder);
    const { v4, v6 } = net.clientA.source();
    for (const target of [net.clientA.server4, net.clientA.server6]) {
      await net.clientA.exec(['knock', target, '7101', '7102:udp']);
    }
    for (const source of [v4, v6]) await daemon.waitFor({ event: 'door.opened', source }, LATE);
    await vi.waitFor(() => expect([noted(v4), noted(v6)]).toEqual([['open'], ['open']]), LATE);
    await daemon.stop('SIGKILL');
    await sleep(1_100);
    for (const round of [1, 2]) {
      daemon = await startDaemon(net.server.namespace, config('rule'), { folder });
      const closed = daemon.seen({ event: 'door.closed', door: 'brief', reason: 'expired' });
      expect(closed.map((line) => line.source).sort()).toEqual(round === 1 ? [v4, v6].sort() : []);
      const once = ['open', 'close'];
      await vi.waitFor(() => expect([noted(v4), noted(v6)]).toEqual([once, once]), LATE);
      await daemon.stop('SIGKILL');
    }
  });
});

function noted(address: string): readonly string[] {
  const lines = existsSync(NOTES) ? readFileSync(NOTES, 'utf8').split('\n') : [];
  return lines.filter((line) => line.endsWith(` ${address}`)).map((line) => line.split(' ')[0] ?? '');
}
