import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { buildFlood } from '../support/attacker-tools.ts';
import { daemonBans, kernelBans, nfknock } from '../support/bans-lab.ts';
import { atEnd } from '../support/cleanup.ts';
import type { Daemon, DaemonOptions } from '../support/daemon.ts';
import { createNet, type Net } from '../support/net.ts';
import { watchPort } from '../support/operation-lab.ts';
import { startProcess } from '../support/process.ts';
import { skewed } from '../support/skewed.ts';

/** What is kept: over a restart, a reboot, a damaged file, a full disk and a wall clock that was set. */

const SERVICE = 22;
const OPEN_PORT = 8080;
const KNOCKS = ['7000', '8000:udp', '9000'];
const SSH = { knock: ['7000/tcp', '8000/udp', '9000/tcp'], opens: [`${SERVICE}/tcp`], for: '1h' };
const CONFIG = { doors: { ssh: SSH }, decoys: ['23/tcp', '2323/tcp', '3389/tcp'] };
/** How long to wait for what comes within a second or two on an idle machine. */
const PATIENCE = 15_000;
const HOUR = 3_600_000;

let net: Net;
let daemons: Daemon[] = [];
/** What is to be undone after each test. */
let undo: (() => void)[] = [];

beforeAll(async () => {
  net = await createNet();
  for (const port of [SERVICE, OPEN_PORT]) await net.server.listen(port);
});
afterEach(async () => {
  for (const daemon of daemons) await daemon.stop('SIGKILL');
  for (const each of undo) each();
  daemons = [];
  undo = [];
  const forget =
    'for t in iptables ip6tables; do $t -F; $t -X; $t -t raw -F; $t -t security -F; done; ipset destroy';
  await net.server.exec(['sh', '-c', forget]);
});
afterAll(() => net?.close());

async function start(options: DaemonOptions & { in?: Net; config?: object } = {}): Promise<Daemon> {
  const daemon = await (options.in ?? net).server.startDaemon(options.config ?? CONFIG, options);
  daemons.push(daemon);
  return daemon;
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

async function beBanned(daemon: Daemon): Promise<string> {
  const { v4 } = await net.clientB.moveToFreshSource();
  await net.clientB.exec(['knock', net.clientB.server4, '23', '2323', '3389']);
  await daemon.waitFor({ event: 'ban.added', source: v4 });
  return v4;
}

const grantRules = async (of: Net): Promise<readonly string[]> =>
  (await of.server.exec(['iptables', '-S', 'NFKNOCK-GRANT'])).stdout
    .split('\n')
    .filter((rule) => rule.startsWith('-A'));

describe('after a reboot', () => {
  it('grants and bans that are not over are in force at once, each once; what had ended never is', async () => {
    const first = await start();
    const owner = await open(first);
    const offender = await beBanned(first);
    await nfknock(net.server, first, 'grant', 'ssh', '203.0.113.7', '--for', '1s');
    await nfknock(net.server, first, 'ban', '203.0.113.8', '--for', '1s');
    await first.stop('SIGKILL');
    await sleep(1_000);

    const rebooted = await createNet();
    undo.push(() => rebooted.close());
    for (const port of [SERVICE, OPEN_PORT]) await rebooted.server.listen(port);
    await rebooted.clientA.addAddress(owner);
    await rebooted.clientB.addAddress(offender);
    const second = await start({ in: rebooted, folder: first.folder });
    expect(await rebooted.clientA.canConnect(rebooted.clientA.server4, SERVICE)).toBe(true);
    expect(await rebooted.clientB.canConnect(rebooted.clientB.server4, OPEN_PORT)).toBe(false);
    expect(await rebooted.clientB.canConnect(rebooted.clientB.server6, SERVICE)).toBe(false);
    const rules = await grantRules(rebooted);
    expect(rules).toHaveLength(1);
    expect(rules[0]).toContain(`-s ${owner}/32`);
    expect([...(await kernelBans(rebooted.server)).keys()]).toEqual([offender]);
    expect(await daemonBans(rebooted.server, second)).toMatchObject([{ count: 1 }]);
    expect(second.seen({ event: 'door.opened' })).toEqual([]);
    expect(second.seen({ event: 'ban.added' })).toEqual([]);
  });
});

describe('while the daemon is away', () => {
  it('a protected port is closed to strangers and open to who was let in, killed or stopped, at every moment', async () => {
    const flood = buildFlood();
    let daemon = await start();
    const owner = await open(daemon);
    const { folder } = daemon;
    const port = await watchPort(net.server, SERVICE, owner);
    const send = (client: Net['clientA'], source: string): void => {
      const args = [
        '-d',
        client.server4,
        '-p',
        `${SERVICE}`,
        '-s',
        source,
        '-n',
        '40000',
        '-r',
        '2000',
        '-t',
        '20',
      ];
      const child = startProcess(client.namespace, [flood, ...args]);
      undo.push(() => child.kill('SIGKILL'));
    };
    send(net.clientA, `${owner}/32`);
    send(net.clientB, '203.0.113.0/24');
    for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
      await daemon.stop(signal);
      daemon = await start({ folder });
    }
    for (const each of undo) each();
    await sleep(200);
    const passed = await port.read();
    expect(passed.owner).toBeGreaterThan(500);
    expect(passed.strangers).toBeGreaterThan(500);
    expect(passed).toMatchObject({ leaked: 0, ownerLetIn: passed.owner });
    expect(await grantRules(net)).toHaveLength(1);
  });
});

describe('a state file', () => {
  // Of a newer one the same is shown of the file alone, in test/unit/state/sqlite.test.ts.
  it('that is damaged is set aside and said, and the daemon works on with what the kernel holds', async () => {
    const first = await start();
    await open(first);
    const offender = await beBanned(first);
    await first.stop('SIGKILL');
    const file = join(first.folder, 'state.db');
    for (const name of readdirSync(first.folder))
      if (/-(wal|shm)$/.test(name)) rmSync(join(first.folder, name));
    writeFileSync(file, 'this is no state file, but it is long enough to be taken for one'.repeat(100));
    const second = await start({ folder: first.folder });
    await expect
      .poll(() => JSON.stringify(second.seen({ event: 'config.warning' })), { timeout: PATIENCE })
      .toContain(`set aside as ${file}.damaged-`);
    expect(await net.clientA.canConnect(net.clientA.server4, SERVICE)).toBe(true);
    expect((await daemonBans(net.server, second)).map((ban) => ban.target)).toEqual([offender]);
    await open(second);
    await second.stop('SIGKILL');
    const third = await start({ folder: first.folder });
    expect(third.seen({ event: 'config.warning' }).filter(({ reason }) => reason?.includes('aside'))).toEqual(
      [],
    );
    expect(await grantRules(net)).toHaveLength(2);
  });

  it('on a full disk is said to be degraded, and holds everything again once there is room', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'nfknock-small-'));
    atEnd(() => rmSync(folder, { recursive: true, force: true }));
    const disk = join(folder, 'disk');
    mkdirSync(disk);
    const holder = startProcess(net.server.namespace, [
      'sh',
      '-c',
      `mount -t tmpfs -o size=512k tmpfs ${disk} && echo there && exec sleep 300`,
    ]);
    undo.push(() => holder.kill('SIGKILL'));
    await new Promise((resolve) => holder.stdout.once('data', resolve));
    const before = ['nsenter', `--target=${holder.pid}`, '--mount'];
    const config = { ...CONFIG, state: join(disk, 'state.db') };
    const first = await start({ folder, before, config });
    const early = await open(first);
    const filler = `/proc/${first.pid}/root${disk}/filler`;
    const fill = (): void => {
      for (const bytes of [600_000, 4_096, 4_096]) {
        try {
          writeFileSync(filler, Buffer.alloc(bytes), { flag: 'a' });
        } catch {
          // That is what was wanted: not a byte is left.
        }
      }
    };
    fill();
    const owners = [early];
    for (let count = 0; count < 40 && first.seen({ event: 'state.degraded' }).length === 0; count += 1) {
      const address = `203.0.113.${100 + count}`;
      owners.push(address);
      expect((await nfknock(net.server, first, 'grant', 'ssh', address)).code).toBe(0);
      await sleep(100);
    }
    const degraded = await first.waitFor({ event: 'state.degraded' }, PATIENCE);
    expect(degraded.reason).toContain('no space');
    // What it closes makes a little room, and it tries again: the disk must be kept full.
    const status = async (): Promise<string> => {
      fill();
      return (await nfknock(net.server, first, 'status')).stdout;
    };
    await expect
      .poll(status, { timeout: PATIENCE })
      .toMatch(/wrong: {2}the state is kept in memory only: no space/);
    owners.push(await open(first));
    rmSync(filler);
    await expect
      .poll(async () => (await nfknock(net.server, first, 'status')).stdout, { timeout: PATIENCE })
      .toContain('All is well.');
    expect(first.seen({ event: 'state.recovered' }).length).toBe(
      first.seen({ event: 'state.degraded' }).length,
    );
    await first.stop('SIGKILL');

    await net.server.exec(['iptables', '-F', 'NFKNOCK-GRANT']);
    await start({ folder, before, config });
    const rules = (await grantRules(net)).join('\n');
    expect(owners.filter((owner) => !rules.includes(`-s ${owner}/32`))).toEqual([]);
  });
});

describe('a wall clock that is set while the daemon runs', () => {
  it.each([
    ['forward', HOUR],
    ['back', -HOUR],
  ])('by an hour %s opens, closes and bans nothing', async (_direction, by) => {
    const { folder, env, set } = skewed();
    const config = { ...CONFIG, doors: { ssh: { ...SSH, for: '5s' } }, bans: { for: '6s' } };
    const daemon = await start({ folder, config, env });
    const owner = await open(daemon);
    const opened = performance.now();
    const offender = await beBanned(daemon);
    const lines = (): readonly string[] =>
      daemon.lines
        .filter((line) => /^(door|ban|firewall)\./.test(line.event))
        .map((line) => `${line.event} ${line.source}`);
    const before = lines();
    set(by, 0);
    await sleep(2_000);
    expect(Math.abs(Date.parse((await nextLine(daemon)).time) - Date.now() - by)).toBeLessThan(60_000);
    expect(lines()).toEqual(before);
    // Who knocks now is judged as ever; a rule that is over by the kernel's own clock lets nobody in.
    const other = await net.clientA.moveToFreshSource();
    await net.clientA.exec(['knock', net.clientA.server4, ...KNOCKS]);
    await daemon.waitFor({ event: 'door.opened', source: other.v4 });
    expect((await kernelBans(net.server)).get(offender)).toBeGreaterThan(0);

    await daemon.waitFor({ event: 'door.closed', source: owner, reason: 'expired' }, PATIENCE);
    expect(performance.now() - opened).toBeGreaterThan(4_500);
    await daemon.waitFor({ event: 'ban.expired', source: offender }, PATIENCE);
    expect(await grantRules(net)).not.toContainEqual(expect.stringContaining(`-s ${owner}/32`));
  });
});

describe('a machine that sleeps while the daemon runs', () => {
  // Against: a grant that outlives the time for which the machine slept
  // by: sleep is counted where wall clock and CLOCK_BOOTTIME agree on it
  it('has the grants ended by which the time has gone, as the kernel has, and keeps those of which it has not', async () => {
    const { folder, env, set } = skewed();
    const config = { ...CONFIG, doors: { ssh: { ...SSH, for: '30m' } } };
    const daemon = await start({ folder, config, env });
    const owner = await open(daemon);
    set(HOUR / 4, HOUR / 4);
    await sleep(2_500);
    expect(daemon.seen({ event: 'door.closed' })).toEqual([]);
    expect(await grantRules(net)).toContainEqual(expect.stringContaining(`-s ${owner}/32`));

    set(HOUR, HOUR);
    await daemon.waitFor({ event: 'door.closed', source: owner, reason: 'expired' }, PATIENCE);
    expect(await grantRules(net)).not.toContainEqual(expect.stringContaining(`-s ${owner}/32`));
    // And whoever knocks after the night is let in as ever.
    const other = await open(daemon);
    expect(await grantRules(net)).toContainEqual(expect.stringContaining(`-s ${other}/32`));
  });
});

/** A line that is written from now on. */
async function nextLine(daemon: Daemon): Promise<{ readonly time: string }> {
  const had = daemon.lines.length;
  await net.clientB.exec(['knock', net.clientB.server6, '7000']);
  await expect.poll(() => daemon.lines.length, { timeout: PATIENCE }).toBeGreaterThan(had);
  return daemon.lines[had] ?? { time: '' };
}
