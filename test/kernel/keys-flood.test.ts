import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { buildFlood } from '../support/attacker-tools.ts';
import type { Daemon } from '../support/daemon.ts';
import { createNet, type Net } from '../support/net.ts';
import { type Child, startProcess } from '../support/process.ts';
import { temporaryFolder } from '../support/scratch.ts';

/*
 * Forged packets in the size and alphabet of fwknop's, 30,000 a second from random sources: each costs a MAC for every key
 * there is, up to the budget. Who knocks, and who has authenticated before, must not feel it.
 */

const SERVICE = 22;
const PORT = 62_201;
const LATE = 5_000;
const TIMES = 20;
const RATE = 30_000;
const SOURCES = '203.0.113.0/24';
/** What V8 takes under load before it gives some back. */
const GROWTH_BYTES_MAX = 64 * 1024 * 1024;
const STOP_MS = 2_000;
const KNOCKS = ['7000', '8000', '9000'];
const base64 = (): string => randomBytes(32).toString('base64');

let net: Net;
let flood: string;
let daemon: Daemon;
let child: Child | undefined;

beforeAll(async () => {
  flood = buildFlood();
  net = await createNet();
  await net.server.listen(SERVICE);
});
afterEach(async () => {
  child?.kill('SIGKILL');
  await daemon?.stop('SIGKILL');
});
afterAll(() => net?.close());

function rss(): number {
  const [, pages = '0'] = readFileSync(`/proc/${daemon.pid}/statm`, 'latin1').split(' ');
  return Number(pages) * 4096;
}

// Against: floods the keys' port with forged packets, 30,000 a second, of which each costs a MAC for every key
// by: a budget of MACs a second, a quarter of it kept for sources that have authenticated before; a queue of its own
it.each([1, 32])(
  'of %i keys: knocks and known keys open 20 of 20 doors each',
  { timeout: 120_000 },
  async (count) => {
    const folder = temporaryFolder();
    const keys = join(folder, 'keys.yaml');
    const [key, hmac] = [base64(), base64()];
    const entries = Array.from({ length: count }, (_, index) =>
      index === 0
        ? `  ada: { fwknop: { key: "base64:${key}", hmac: "base64:${hmac}" }, doors: [ssh] }`
        : `  other${index}: { fwknop: { key: "base64:${base64()}", hmac: "base64:${base64()}" }, doors: [ssh] }`,
    );
    writeFileSync(keys, `keys:\n${entries.join('\n')}\n`, { mode: 0o600 });
    daemon = await net.server.startDaemon({
      listen: { spa: [`${PORT}/udp`] },
      keys,
      doors: {
        ssh: { knock: 'spa', opens: [SERVICE], for: '2m' },
        web: { knock: KNOCKS.map((port) => `${port}/tcp`), opens: ['80/tcp'], for: '2m' },
      },
      bans: { strikes: 5, within: '60s', for: '60s' },
      log: { level: 'debug' },
    });
    const { server4 } = net.clientA;
    const known = (await net.clientA.moveToFreshSource()).v4;
    const authenticate = async (): Promise<void> => {
      const before = daemon.seen({ event: 'spa.accepted', key: 'ada' }).length;
      const secrets = ['--key-base64-rijndael', key, '--use-hmac', '--key-base64-hmac', hmac];
      const to = ['-D', server4, '-p', `${PORT}`, '-A', `tcp/${SERVICE}`, '-a', known];
      const plain = ['--no-rc-file', '--no-save-args'];
      const sent = await net.clientA.exec(['env', `HOME=${folder}`, 'fwknop', ...to, ...plain, ...secrets]);
      expect(sent.stderr).toBe('');
      await expect
        .poll(() => daemon.seen({ event: 'spa.accepted', key: 'ada' }).length, {
          timeout: LATE,
          interval: 10,
        })
        .toBe(before + 1);
    };
    await authenticate();
    const { clientB } = net;
    child = startProcess(clientB.namespace, [
      ...[flood, '-d', clientB.server4, '-p', `${PORT}`, '-s', SOURCES, '-u', '-l', '204'],
      ...['-b', `${'A'.charCodeAt(0)}`, '-r', `${RATE}`, '-n', `${RATE * 60}`, '-t', '60'],
    ]);
    await expect
      .poll(() => daemon.seen({ event: 'spa.unauthenticated' }).length, { timeout: LATE })
      .toBeGreaterThan(1);
    const early = rss();
    for (let time = 0; time < TIMES; time += 1) await authenticate();
    for (let time = 0; time < TIMES; time += 1) {
      const { v4 } = await net.clientA.moveToFreshSource();
      await net.clientA.exec(['knock', '-d', '20', server4, ...KNOCKS]);
      await daemon.waitFor({ event: 'door.opened', door: 'web', source: v4 }, LATE);
    }
    expect(rss() - early).toBeLessThan(GROWTH_BYTES_MAX);
    // More than the budget are not looked into, and that is said.
    if (count > 1) expect(daemon.seen({ event: 'spa.overload' }).length).toBeGreaterThan(0);
    expect(child.exitCode).toBe(null);
    const began = performance.now();
    await daemon.stop('SIGTERM');
    expect(performance.now() - began).toBeLessThan(STOP_MS);
  },
);
