import { existsSync, mkdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { ask } from '../support/asked.ts';
import { nfknock } from '../support/bans-lab.ts';
import type { Daemon } from '../support/daemon.ts';
import { createNet, type Net } from '../support/net.ts';
import { temporaryFolder } from '../support/scratch.ts';

/* A log file that the daemon can't write: root may write any, so it is a name that nobody can write. */

let net: Net;
let daemon: Daemon | undefined;
beforeAll(async () => {
  net = await createNet();
});
afterEach(() => daemon?.stop('SIGKILL'));
afterAll(() => net?.close());

const DOORS = { ssh: { knock: ['7000/tcp', '8000/udp', '9000/tcp'], opens: ['22/tcp'] } };

describe('a log that can not be written', { timeout: 60_000 }, () => {
  // Against: a full disk, or a name that can't be written, for the log
  // by: events go to standard output meanwhile, and the status says so
  it.each([
    ['its name is a folder', (file: string) => mkdirSync(file), (file: string) => rmdirSync(file)],
    [
      'its folder is a file',
      (file: string) => writeFileSync(join(file, '..'), ''),
      (file: string) => rmSync(join(file, '..')),
    ],
  ])('is told by status, goes to standard output, and is whole later: %s', async (_, spoil, fix) => {
    const file = join(temporaryFolder(), 'logs', 'events.log');
    if (_ === 'its name is a folder') mkdirSync(join(file, '..'));
    spoil(file);
    // That it is ready is read from standard output: nowhere else is it.
    daemon = await net.server.startDaemon({ doors: DOORS, log: { file } });
    const { problems } = await ask(daemon, { command: 'status' });
    expect(problems).toEqual([
      { what: expect.stringContaining(`${file} can't be written`), fix: expect.stringContaining('root') },
    ]);
    await ask(daemon, { command: 'ban', address: '203.0.113.9' });
    await daemon.waitFor({ event: 'ban.added' });
    fix(file);
    await ask(daemon, { command: 'unban', address: '203.0.113.9' });
    await expect
      .poll(() => (existsSync(file) ? readFileSync(file, 'utf8') : ''), { timeout: 5_000 })
      .toContain('ban.lifted');
    // Everything, once, in its order, as if nothing had been.
    const events = readFileSync(file, 'utf8')
      .trim()
      .split('\n')
      .map((line) => (JSON.parse(line) as { event: string }).event)
      .filter((event) => event !== 'config.warning');
    expect(events).toEqual(['daemon.ready', 'ban.added', 'ban.lifted']);
    expect((await ask(daemon, { command: 'status' })).problems).toEqual([]);
    expect((await nfknock(net.server, daemon, 'status')).stdout).toContain('All is well.');
  });

  it('does not hold up the end', async () => {
    const file = temporaryFolder();
    daemon = await net.server.startDaemon({ doors: DOORS, log: { file } });
    const began = performance.now();
    expect(await daemon.stop('SIGTERM')).toEqual({ code: 0, signal: null });
    expect(performance.now() - began).toBeLessThan(1_000);
    expect(daemon.seen({ event: 'daemon.stopped' })).toHaveLength(1);
  });
});
