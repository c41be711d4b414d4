import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { buildFlood } from '../support/attacker-tools.ts';
import type { Daemon } from '../support/daemon.ts';
import { createNet, type Net } from '../support/net.ts';
import { watchPort } from '../support/operation-lab.ts';
import { type Child, startProcess } from '../support/process.ts';

/** What a new configuration does to a daemon at work. */

const SERVICE = 22;
const OTHER_SERVICE = 2200;
const KNOCKS = ['7000', '8000:udp', '9000'];
const SSH = { knock: ['7000/tcp', '8000/udp', '9000/tcp'], opens: [`${SERVICE}/tcp`], for: '1h' };
const CONFIG = { doors: { ssh: SSH }, decoys: ['23/tcp', '2323/tcp', '3389/tcp'] };
const OTHER = { knock: ['7300/tcp', '7400/tcp'], opens: [`${OTHER_SERVICE}/tcp`] };
/** The same first door in rules that differ: another door, other decoys, a port open to everyone. */
const VARIANTS: readonly object[] = [
  CONFIG,
  { ...CONFIG, doors: { ...CONFIG.doors, other: OTHER } },
  { ...CONFIG, decoys: ['5900-5910/tcp'], allow: ['80/tcp'] },
  { ...CONFIG, bans: { scope: 'hidden' } },
];

/** NFKNOCK_LONG=1: the whole promise; else as much of it as a test run has time for. */
const LONG = process.env['NFKNOCK_LONG'] === '1';
const RELOADS = LONG ? 1_000 : 12;
/** Packets a second. */
const FLOOD_RATE = 200_000;
/** The longest that one flood may last, in seconds. */
const FLOOD_SECONDS = LONG ? 48 : 20;
/** How long a reload may take on a busy machine, in milliseconds. */
const RELOAD_TIMEOUT = 10_000;
const TEST_TIMEOUT = LONG ? 900_000 : 60_000;

let net: Net;
let flood: string;
let daemons: Daemon[] = [];
/** Floods, and what else is to end with the test. */
let floods: Child[] = [];

beforeAll(async () => {
  net = await createNet();
  flood = buildFlood();
  for (const port of [SERVICE, OTHER_SERVICE]) await net.server.listen(port);
});
afterEach(async () => {
  for (const child of floods) child.kill('SIGKILL');
  for (const daemon of daemons) await daemon.stop('SIGKILL');
  floods = [];
  daemons = [];
});
afterAll(() => net?.close());

async function start(config: object = CONFIG): Promise<Daemon> {
  const daemon = await net.server.startDaemon(config);
  daemons.push(daemon);
  return daemon;
}

async function reload(daemon: Daemon, config: object): Promise<void> {
  const before = daemon.seen({ event: 'daemon.reloaded' }).length;
  daemon.rewrite(config);
  daemon.signal('SIGHUP');
  await expect
    .poll(() => daemon.seen({ event: 'daemon.reloaded' }).length, { timeout: RELOAD_TIMEOUT, interval: 5 })
    .toBe(before + 1);
}

async function open(daemon: Daemon): Promise<string> {
  const { v4 } = await net.clientA.moveToFreshSource();
  const { server4 } = net.clientA;
  const connection = await net.clientA.runThenConnect(['knock', server4, ...KNOCKS], server4, SERVICE);
  expect(connection).toBeDefined();
  await connection?.close();
  await daemon.waitFor({ event: 'door.opened', source: v4 });
  return v4;
}

/** Another program that listens on a queue, until the test ends. */
async function take(queue: number): Promise<void> {
  const script = `import { NfQueue } from '@nfknock/nfqueue';
    new NfQueue({ queue: ${queue}, onBatch: () => {}, onError: () => {} });
    console.log('taken');`;
  const argv = [process.execPath, '--input-type=module', '-e', script];
  const child = startProcess(net.server.namespace, argv);
  floods.push(child);
  await once(child.stdout, 'data');
}

/** Forged sources at the protected port, again and again until the test ends. */
function keepFlooding(): void {
  const args = ['-d', net.clientB.server4, '-p', `${SERVICE}`, '-s', '203.0.113.0/24', '-r', `${FLOOD_RATE}`];
  const count = ['-n', `${FLOOD_RATE * FLOOD_SECONDS}`, '-t', `${FLOOD_SECONDS}`];
  const child = startProcess(net.clientB.namespace, [flood, ...args, ...count]);
  floods.push(child);
  if (LONG) child.on('exit', (code) => code === 0 && floods.includes(child) && keepFlooding());
}

/** The owner's new connections, 400 a second. */
function keepKnockingIn(owner: string): void {
  const args = [
    '-d',
    net.clientA.server4,
    '-p',
    `${SERVICE}`,
    '-s',
    `${owner}/32`,
    '-r',
    '400',
    '-e',
    `${floods.length + 2}`,
  ];
  const count = ['-n', `${400 * FLOOD_SECONDS}`, '-t', `${FLOOD_SECONDS}`];
  const child = startProcess(net.clientA.namespace, [flood, ...args, ...count]);
  floods.push(child);
  if (LONG) child.on('exit', (code) => code === 0 && floods.includes(child) && keepKnockingIn(owner));
}

describe('a reload', () => {
  it(
    `leaks no packet to a protected port and drops no grant, ${RELOADS} times under a flood`,
    async () => {
      const daemon = await start();
      const owner = await open(daemon);
      const port = await watchPort(net.server, SERVICE, owner);
      keepFlooding();
      keepKnockingIn(owner);
      const began = performance.now();
      for (let count = 1; count <= RELOADS; count += 1) {
        await reload(daemon, VARIANTS[count % VARIANTS.length] ?? CONFIG);
      }
      const seconds = (performance.now() - began) / 1000;
      const last = [...floods];
      floods = [];
      for (const child of last) child.kill('SIGKILL');
      await new Promise((resolve) => setTimeout(resolve, 300));
      const passed = await port.read();
      console.info(
        `${RELOADS} reloads in ${seconds.toFixed(1)} s, ${Math.round(passed.strangers / seconds)} packets a second: ${JSON.stringify(passed)}`,
      );
      expect(passed.strangers).toBeGreaterThan(1_000);
      expect(passed.owner).toBeGreaterThan(10);
      expect(passed.leaked).toBe(0);
      expect(passed.ownerLetIn).toBe(passed.owner);
      expect(daemon.seen({ event: 'door.closed' })).toEqual([]);
      expect(daemon.seen({ event: 'firewall.repaired' })).toEqual([]);
      expect(daemon.seen({ event: 'firewall.failed' })).toEqual([]);
    },
    TEST_TIMEOUT,
  );

  it('keeps how far everyone is with a door that did not change', async () => {
    const daemon = await start();
    const { v4 } = await net.clientA.moveToFreshSource();
    const { server4 } = net.clientA;
    await net.clientA.exec(['knock', server4, '7000', '8000:udp']);
    await daemon.waitFor({ event: 'knock.accepted', source: v4, step: 2 });
    await reload(daemon, { ...CONFIG, doors: { ...CONFIG.doors, other: OTHER }, decoys: ['5900/tcp'] });
    expect(await net.clientA.runThenConnect(['knock', server4, '9000'], server4, SERVICE)).toBeDefined();
  });

  it('takes packets from another queue, and from the log group, without a daemon in between', async () => {
    const daemon = await start();
    for (const listen of [{ queues: 7 }, { queues: '2-3' }, { source: 'nflog', group: 9 }, { queues: 0 }]) {
      await reload(daemon, { ...CONFIG, listen });
      expect(await net.clientB.canConnect(net.clientB.server4, SERVICE)).toBe(false);
      const owner = await open(daemon);
      expect(daemon.seen({ event: 'door.opened', source: owner })).toHaveLength(1);
    }
  });

  it('of a file that is wrong, or of a queue that is taken, changes nothing and says why', async () => {
    const daemon = await start();
    const rules = async (): Promise<string> =>
      (await net.server.exec(['sh', '-c', 'iptables -S; ip6tables -S; ipset list -n'])).stdout;
    const owner = await open(daemon);
    const before = await rules();
    writeFileSync(daemon.config, 'doors: { ssh: { knock: [7000/tcp], opens: [22/tcp], fro: 30s } }\n');
    daemon.signal('SIGHUP');
    expect((await daemon.waitFor({ event: 'config.rejected' })).reason).toContain('fro');
    expect(await rules()).toBe(before);

    await take(12);
    daemon.rewrite({ ...CONFIG, doors: { other: OTHER }, listen: { queues: 12 } });
    daemon.signal('SIGHUP');
    await expect
      .poll(() => daemon.seen({ event: 'config.rejected' }).at(-1)?.reason, { timeout: RELOAD_TIMEOUT })
      .toContain('NFQUEUE 12 is taken');
    expect(await rules()).toBe(before);
    expect(await net.clientA.canConnect(net.clientA.server4, SERVICE)).toBe(true);
    expect(daemon.seen({ event: 'door.closed', source: owner })).toEqual([]);
  });

  it('warns of what takes a restart, each time, until the file is as it was', async () => {
    const daemon = await start();
    const warnings = (): number =>
      daemon.seen({ event: 'config.warning' }).filter(({ reason }) => reason?.startsWith('log.level: '))
        .length;
    const changed = { ...CONFIG, log: { level: 'debug' } };
    await reload(daemon, changed);
    const once = warnings();
    expect(once).toBe(1);
    await reload(daemon, changed);
    expect(warnings()).toBe(once + 1);
    await reload(daemon, CONFIG);
    expect(warnings()).toBe(once + 1);
  });
});
