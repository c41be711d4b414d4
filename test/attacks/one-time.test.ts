import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ask } from '../support/asked.ts';
import type { Daemon } from '../support/daemon.ts';
import { createNet, type Net } from '../support/net.ts';
import { temporaryFolder } from '../support/scratch.ts';

/* A recorded one-time knock, replayed at the moments that could bring its line back. */

const SERVICE = 22;
const LATE = 15_000;
const QUICK = 200;
const FIRST = '7001:tcp,7002:udp,7003:tcp';
const SECOND = '7101:tcp,7102:udp,7103:tcp';
const THIRD = '7201:tcp,7202:udp,7203:tcp';

let net: Net;
let daemon: Daemon;
let file: string;
beforeAll(async () => {
  net = await createNet();
  await net.server.listen(SERVICE);
});
beforeEach(async () => {
  file = join(temporaryFolder(), 'sequences');
  await net.clientA.moveToFreshSource();
});
afterEach(() => daemon?.stop('SIGKILL'));
afterAll(() => net?.close());

const config = (): object => ({
  doors: { once: { one_time: file, opens: [SERVICE], for: '1m' } },
  bans: { strikes: 50 },
});
const knock = (sequence: string): Promise<unknown> =>
  net.clientA.exec(['knock', net.clientA.server4, ...sequence.replaceAll(':tcp', '').split(',')]);
const opens = async (sequence: string): Promise<boolean> => {
  await net.clientA.moveToFreshSource();
  await knock(sequence);
  return net.clientA.canConnect(net.clientA.server4, SERVICE, QUICK);
};
const opened = (): Promise<unknown> =>
  daemon.waitFor({ event: 'door.opened', source: net.clientA.source().v4 }, LATE);

describe('a one-time knock that was recorded', () => {
  // Against: replaying a one-time sequence after an edit, a reload, a kill
  // by: the line that was knocked is marked, durably, before the door opens
  it('opens nothing again after an owner has put lines before its own, a reload and a kill -9', async () => {
    writeFileSync(file, `${FIRST}\n${SECOND}\n`);
    daemon = await net.server.startDaemon(config());
    writeFileSync(file, `${THIRD}\n${FIRST}\n${SECOND}\n`);
    await knock(FIRST);
    await opened();
    expect(readFileSync(file, 'utf8')).toBe(`${THIRD}\n#${FIRST}\n${SECOND}\n`);
    await ask(daemon, { command: 'reload' });
    expect(await opens(FIRST)).toBe(false);
    await net.clientA.moveToFreshSource();
    await knock(THIRD);
    await opened();
    expect(await opens(THIRD)).toBe(false);
    const { folder } = daemon;
    await daemon.stop('SIGKILL');
    daemon = await net.server.startDaemon(config(), { folder });
    expect(await opens(FIRST)).toBe(false);
    expect(await opens(THIRD)).toBe(false);
    await net.clientA.moveToFreshSource();
    await knock(SECOND);
    await opened();
  });

  it('opens nothing again where its line stands twice', async () => {
    writeFileSync(file, `${FIRST}\n${FIRST}\n${SECOND}\n`);
    daemon = await net.server.startDaemon(config());
    await knock(FIRST);
    await opened();
    expect(readFileSync(file, 'utf8')).toBe(`#${FIRST}\n#${FIRST}\n${SECOND}\n`);
    expect(await opens(FIRST)).toBe(false);
  });

  it('opens nothing where its owner took the line out, and that is said', async () => {
    writeFileSync(file, `${FIRST}\n${SECOND}\n`);
    daemon = await net.server.startDaemon(config());
    writeFileSync(file, `${SECOND}\n`);
    expect(await opens(FIRST)).toBe(false);
    const { reason } = await daemon
      .waitFor({ event: 'config.warning', door: 'once' }, LATE)
      .then(() => daemon.seen({ event: 'config.warning', door: 'once' }).at(-1) ?? { reason: '' });
    expect(reason).toContain('not there any more');
    await ask(daemon, { command: 'reload' });
    await net.clientA.moveToFreshSource();
    await knock(SECOND);
    await opened();
  });
});
