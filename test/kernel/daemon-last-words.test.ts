import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { daemonBans, nfknock } from '../support/bans-lab.ts';
import { atEnd } from '../support/cleanup.ts';
import type { Daemon, DaemonOptions } from '../support/daemon.ts';
import { createNet, type Net } from '../support/net.ts';
import { startTestDaemon } from '../support/test-daemon.ts';

/** What ends the daemon says so, and costs nothing that it had announced; what need not end it does not. */
const SERVICE = 22;
const KNOCKS = ['7000', '8000:udp', '9000'];
const SSH = { knock: ['7000/tcp', '8000/udp', '9000/tcp'], opens: [`${SERVICE}/tcp`], for: '1h' };
const CONFIG = { doors: { ssh: SSH }, decoys: ['23/tcp'] };
/** Bans kept over a restart, and within how many milliseconds the next is ready on a machine with nothing else to do. */
const BANS = 10_000;
const READY_MS = 1_000;
/** Of that, what Node itself takes to run nothing: how busy this machine is, here and now. */
const NODE_MS = 40;
/** Addresses of this machine are looked at every 30 s. */
const LOOKED_MS = 33_000;

/** Does harm inside the daemon when it is told to: SIGWINCH does what the environment says. */
const HARM = `
process.on('SIGWINCH', () => {
  const harm = process.env.HARM;
  if (harm === 'throw') setImmediate(() => { throw new Error('harm\\u001b[31m of a test'); });
  if (harm === 'reject') void Promise.reject(new Error('harm of a test'));
  if (harm === 'abort') process.abort();
  if (harm === 'reject with nothing') void Promise.reject();
});
`;

let net: Net;
let harm: string;

beforeAll(async () => {
  const folder = mkdtempSync(join(tmpdir(), 'nfknock-harm-'));
  atEnd(() => rmSync(folder, { recursive: true, force: true }));
  harm = join(folder, 'harm.mjs');
  writeFileSync(harm, HARM);
  net = await createNet();
  await net.server.listen(SERVICE);
});
afterAll(() => net?.close());

const start = (kind: string, options: DaemonOptions = {}): Promise<Daemon> =>
  startTestDaemon(net.server, CONFIG, { ...options, env: { NODE_OPTIONS: `--import=${harm}`, HARM: kind } });

async function took(act: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await act();
  return performance.now() - began;
}

async function knock(daemon: Daemon): Promise<string> {
  const { v4 } = await net.clientA.moveToFreshSource();
  await net.clientA.exec(['knock', '-d', '20', net.clientA.server4, ...KNOCKS]);
  await daemon.waitFor({ event: 'door.opened', source: v4 }, 10_000);
  return v4;
}

describe('an exception that nobody owns', () => {
  // Against: an exception anywhere in the daemon
  // by: an owner for each timer, listener and promise; last words
  it.each([
    ['throw', /^an uncaught exception: harm.*of a test \(at /],
    ['reject', /^an unhandled rejection: harm of a test/],
    ['reject with nothing', /^an unhandled rejection: /],
  ])('ends the daemon with `daemon.stopped` and its reason: %s', async (kind, reason) => {
    const daemon = await start(kind);
    const source = await knock(daemon);
    daemon.signal('SIGWINCH');
    expect(await daemon.exited).toEqual({ code: 1, signal: null });
    const said = daemon.lines.at(-1);
    expect(said?.event).toBe('daemon.stopped');
    expect(said?.reason).toMatch(reason);
    expect(daemon.noise.join()).not.toContain('\u001b');
    // The door is shut to newcomers, and who was let in is known to the next.
    expect(await net.clientB.canConnect(net.clientB.server4, SERVICE, 100)).toBe(false);
    const next = await start(kind, { folder: daemon.folder });
    const grants = JSON.parse((await nfknock(net.server, next, 'grants', '--json')).stdout) as {
      grantee: string;
    }[];
    expect(grants.map(({ grantee }) => grantee)).toContain(source);
  });

  it.each([
    ['abort', 'SIGWINCH', 'SIGABRT'],
    ['none', 'SIGSEGV', 'SIGSEGV'],
  ] as const)(
    'of native code ends it with `daemon.stopped` and the signal: %s by %s',
    async (kind, signal, said) => {
      const before = Date.now() - 1000;
      const daemon = await start(kind);
      daemon.signal(signal);
      expect(await daemon.exited).toEqual({ code: null, signal: said });
      const last = daemon.lines.at(-1);
      expect(last).toMatchObject({ event: 'daemon.stopped', reason: `a fault in native code: ${said}` });
      const time = Date.parse(last?.time ?? '');
      expect(time).toBeGreaterThan(before);
      expect(time).toBeLessThan(Date.now() + 1000);
      expect(new Date(time).toISOString()).toBe(last?.time);
    },
  );

  it('costs no ban, however many there are, and the next daemon is ready in a second', async () => {
    const first = await start('none');
    // Who is banned in the kernel is taken in by the next daemon, and written to its state file.
    const adds = Array.from(
      { length: BANS },
      (_, i) => `add nfknock-ban4 10.9.${i >> 8}.${i & 255} timeout 3600`,
    );
    const added = await net.server.exec(['ipset', 'restore'], { input: `${adds.join('\n')}\n` });
    expect(added.stderr).toBe('');
    await first.stop('SIGKILL');
    const daemon = await start('throw', { folder: first.folder });
    await sleep(Math.random() * 200);
    daemon.signal('SIGWINCH');
    await daemon.exited;
    const node = await took(() => net.server.exec([process.execPath, '-e', '0']));
    let next = daemon;
    const ready = await took(async () => {
      next = await start('throw', { folder: daemon.folder });
    });
    const idle = (ready / node) * NODE_MS;
    console.info(
      `ready after ${ready.toFixed(0)} ms with ${BANS} bans; ${idle.toFixed(0)} were this machine idle`,
    );
    expect(idle).toBeLessThan(READY_MS);
    expect((await daemonBans(net.server, next)).length).toBe(BANS);
  });
});

// Against: no descriptor left
// by: an owner for each timer, listener and promise; what was seen last holds
it('no descriptor left ends nothing: who knocks gets in, and `status` tells of it', async () => {
  const daemon = await start('none');
  // Whatever is opened from now on is refused.
  await net.server.exec(['prlimit', '--pid', `${daemon.pid}`, '--nofile=5:4096']);
  const fault = await daemon.waitFor({ event: 'daemon.fault' }, LOOKED_MS);
  expect(fault.reason).toMatch(/^(supervisor|surroundings): /);
  await knock(daemon);
  await net.server.exec(['prlimit', '--pid', `${daemon.pid}`, '--nofile=4096:4096']);
  const { stdout } = await nfknock(net.server, daemon, 'status', '--json');
  const status = JSON.parse(stdout) as { pid: number; faults: number; problems: { what: string }[] };
  expect(status.pid).toBe(daemon.pid);
  expect(status.faults).toBeGreaterThan(0);
  expect(status.problems.map(({ what }) => what).join()).toMatch(
    /a part of nfknock failed .*(supervisor|surroundings)/,
  );
});
