import { once } from 'node:events';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Daemon } from '../support/daemon.ts';
import { createNet, type Net } from '../support/net.ts';
import { startProcess } from '../support/process.ts';
import { ROOT } from '../support/root.ts';
import { startSpeaker } from '../support/speaker.ts';

/* How long connections beyond `uses` live, on a machine with nothing else to do. */

/** From when the daemon can count them to their end as their own side sees it, in milliseconds. */
const LIFE_MAX = 100;
const DRAWS = 5;
const ECHO = 2201;
/** A service that speaks first, as sshd does, and goes on speaking. */
const SPEAKS = 2202;
const LATE = 10_000;
const USES = 1 + Math.floor(Math.random() * 4);
const CONFIG = {
  doors: {
    echo: { knock: ['7101/tcp', '7102/tcp'], opens: [`${ECHO}/tcp`], uses: USES, for: '5m' },
    speaks: { knock: ['7201/tcp', '7202/tcp'], opens: [`${SPEAKS}/tcp`], uses: USES, for: '5m' },
  },
  bans: { strikes: 100, rate: { packets: 100_000, per: '1s' } },
};

interface Outcome {
  readonly alive: number;
  readonly ends: readonly number[];
}

let net: Net;
let daemon: Daemon;

beforeAll(async () => {
  net = await createNet();
  // Both accept whoever comes: who waits to be accepted is cut without a word.
  const echo = `require('net').createServer((s) => s.pipe(s).on('error', () => {}))
    .listen(${ECHO}, '::', 1024, () => console.log('ready'))`;
  const started = startProcess(net.server.namespace, [process.execPath, '-e', echo]);
  await once(started.stdout, 'data');
  await startSpeaker(net.server.namespace, SPEAKS);
  daemon = await net.server.startDaemon(CONFIG);
});
afterAll(async () => {
  await daemon?.stop();
  net?.close();
});

describe.each([
  ['that waits', 'echo', ECHO],
  ['that speaks first', 'speaks', SPEAKS],
] as const)('hundreds of connections at once to a service %s', (_, door, port) => {
  it.each([
    ['IPv4', 'server4', 'v4'],
    ['IPv6', 'server6', 'v6'],
  ] as const)(
    `are cut within ${LIFE_MAX} ms beyond the count, over %s`,
    { timeout: 120_000 },
    async (__, server, family) => {
      const longest: number[] = [];
      for (let draw = 0; draw < DRAWS; draw += 1) {
        const source = (await net.clientA.moveToFreshSource())[family];
        const ports = CONFIG.doors[door].knock.map((each) => each.slice(0, 4));
        await net.clientA.exec(['knock', net.clientA[server], ...ports]);
        await daemon.waitFor({ event: 'door.opened', source, door }, LATE);
        const count = 100 + Math.floor(Math.random() * 300);
        // While it stands still everybody gets in; all of them are counted at once when it goes on.
        daemon.signal('SIGSTOP');
        const crowd = [process.execPath, join(ROOT, 'test/support/crowd.mjs'), net.clientA[server]];
        const { stdout, stderr } = await net.clientA.exec([...crowd, `${port}`, `${count}`, `${daemon.pid}`]);
        if (stdout === '') throw new Error(stderr);
        const { alive, ends } = JSON.parse(stdout) as Outcome;
        console.info(`uses ${USES}, ${count} at once: the last is cut after ${Math.max(...ends)} ms`);
        expect(alive).toBe(USES);
        expect(ends).toHaveLength(count - USES);
        longest.push(Math.max(...ends));
      }
      longest.sort((x, y) => x - y);
      // The daemon's other work, and who takes the times, want a processor too.
      expect(longest[DRAWS >> 1]).toBeLessThan(LIFE_MAX);
    },
  );
});
