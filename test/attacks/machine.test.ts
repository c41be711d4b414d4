import { execFileSync } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { ask } from '../support/asked.ts';
import { nfknock } from '../support/bans-lab.ts';
import type { Daemon } from '../support/daemon.ts';
import { createNet, type Net } from '../support/net.ts';
import { startProcess } from '../support/process.ts';

/* A machine that fails under the daemon: tools gone, locks held, sets full, no descriptors left. */

const SERVICE = 22;
const KNOCK = ['7000', '8000:udp', '9000'];
const LATE = 15_000;
const QUICK = 200;
const LIMIT = 16;
/** Milliseconds that another program holds the lock. */
const LOCKED = 2_000;

const CONFIG = {
  doors: {
    ssh: { knock: ['7000/tcp', '8000/udp', '9000/tcp'], opens: [SERVICE], on_open: ['/bin/true'] },
  },
  decoys: ['23/tcp'],
  bans: { strikes: 1, limit: LIMIT },
};
const TOOLS = '/usr/sbin/xtables-nft-multi';
/** The daemon has a mount namespace of its own, in which its tools can be taken away. */
const APART = ['unshare', '-m', '--propagation', 'private'];

let net: Net;
let daemon: Daemon;
const atExit: (() => void)[] = [];
beforeAll(async () => {
  net = await createNet();
  await net.server.listen(SERVICE);
});
beforeEach(async () => {
  await net.clientA.moveToFreshSource();
});
afterEach(() => daemon?.stop('SIGKILL'));
afterAll(() => {
  for (const close of [...atExit, net.close]) close();
});

const knock = (): Promise<unknown> => net.clientA.exec(['knock', net.clientA.server4, ...KNOCK]);
const reaches = (timeout = QUICK): Promise<boolean> =>
  net.clientA.canConnect(net.clientA.server4, SERVICE, timeout);
const opened = (): Promise<unknown> =>
  daemon.waitFor({ event: 'door.opened', source: net.clientA.source().v4 }, LATE);
const inMounts = (...argv: readonly string[]): void => {
  execFileSync('nsenter', ['-t', `${daemon.pid}`, '-m', ...argv], { stdio: 'pipe' });
};
/** Ends the tools that the daemon keeps running, as an upgrade of iptables or a tidy administrator would. */
const endTools = (): void => {
  for (const pid of execFileSync('pgrep', ['-P', `${daemon.pid}`], { encoding: 'utf8' }).split('\n'))
    if (pid !== '') process.kill(Number(pid), 'SIGKILL');
};

describe('iptables missing at run time', () => {
  // Against: iptables gone
  // by: the grant is refused and said
  it('opens nothing and says what to do; the daemon goes on, and opens once it is back', async () => {
    daemon = await net.server.startDaemon(CONFIG, { before: APART });
    inMounts('mount', '--bind', '/dev/null', TOOLS);
    endTools();
    await knock();
    const failed = await daemon.waitFor({ event: 'firewall.failed', door: 'ssh' }, LATE);
    expect(failed.reason).toMatch(/iptables/);
    expect(daemon.seen({ event: 'door.opened' })).toEqual([]);
    expect(await reaches()).toBe(false);
    expect(await nfknock(net.server, daemon, 'grants', '--json')).toMatchObject({ stdout: '[]\n' });

    inMounts('umount', TOOLS);
    await net.clientA.moveToFreshSource();
    await knock();
    await opened();
    expect(await reaches(LATE)).toBe(true);
  });
});

describe('the lock of the tables held by another program', () => {
  // Against: the lock of the tables held
  // by: waiting, and announcing only what is in force
  it('delays a door by no more than that, also with iptables-legacy, and the door is announced only then', async () => {
    const legacy = [
      ...APART,
      'sh',
      '-c',
      `mount -t tmpfs none /run && mount --bind /usr/sbin/xtables-legacy-multi ${TOOLS} && exec "$@"`,
      'sh',
    ];
    // In namespaces of its own: the legacy tables stand beside those of the other tests.
    const { server, clientA, close } = await createNet();
    atExit.push(close);
    await server.listen(SERVICE);
    daemon = await server.startDaemon(CONFIG, { before: legacy });
    const holder = startProcess(server.namespace, [
      ...['nsenter', '-t', `${daemon.pid}`, '-m', 'flock', '/run/xtables.lock'],
      ...['sh', '-c', `echo held; sleep ${LOCKED / 1_000}; echo let go`],
    ]);
    const said: string[] = [];
    holder.stdout.on('data', (chunk: Buffer) => said.push(`${chunk}`.trim()));
    await vi.waitFor(() => expect(said).toEqual(['held']), LATE);
    await clientA.exec(['knock', clientA.server4, ...KNOCK]);
    await daemon.waitFor({ event: 'door.opened', source: clientA.source().v4 }, LATE);
    expect(said.at(-1)).toContain('let go');
    expect(await clientA.canConnect(clientA.server4, SERVICE, LATE)).toBe(true);
    expect(daemon.seen({ event: 'firewall.failed' })).toEqual([]);
  });
});

describe('a set of bans that is full of others', () => {
  // Against: the set of bans full
  // by: the failure is said, the engine keeps the ban
  it('lets nobody in for it: that a ban could not be laid is said, and who earned it opens nothing', async () => {
    daemon = await net.server.startDaemon(CONFIG);
    for (let host = 1; host <= LIMIT; host += 1)
      await net.server.exec(['ipset', '-exist', 'add', 'nfknock-ban4', `203.0.113.${host}`]);
    const { v4 } = net.clientA.source();
    await net.clientA.exec(['knock', net.clientA.server4, '23']);
    await daemon.waitFor({ event: 'ban.added', source: v4 }, LATE);
    await knock();
    expect(await reaches()).toBe(false);
    expect(daemon.seen({ event: 'door.opened' })).toEqual([]);
    expect(daemon.seen({ event: 'firewall.failed' })[0]?.reason).toMatch(/nfknock-ban4.*FULL.*raise/);
    await net.clientA.moveToFreshSource();
    await knock();
    await opened();
  });
});

describe('no file descriptor left', () => {
  // Against: no file descriptor left
  // by: running tools are kept, failures are said
  it('opens doors as long as its tools run, says what could not be run, and answers again afterwards', async () => {
    daemon = await net.server.startDaemon(CONFIG);
    const { v4 } = net.clientA.source();
    // The tool that lays the rules runs once a first door has opened.
    await knock();
    await opened();
    // Those that it has stay; it gets no new one.
    const limit = (descriptors: number): void => {
      execFileSync('prlimit', ['--pid', `${daemon.pid}`, `--nofile=${descriptors}:`]);
    };
    limit(3);
    await net.clientA.moveToFreshSource();
    await knock();
    await opened();
    expect(await reaches(LATE)).toBe(true);
    // The door's command needs descriptors of its own.
    await daemon.waitFor({ event: 'command.failed', door: 'ssh' }, LATE);
    // Not even the tool that lays the rules can be started anew: then nobody is let in, and that is said.
    endTools();
    await net.clientA.moveToFreshSource();
    await knock();
    const { v4: refused } = net.clientA.source();
    const { reason } = await daemon.waitFor({ event: 'firewall.failed', source: refused }, LATE);
    expect(reason).toMatch(/EMFILE.*free/);
    expect(await reaches()).toBe(false);
    // Nor can the rules be looked at when another program changes some.
    await net.server.exec(['iptables', '-N', 'OTHER']);
    await sleep(1_500);
    limit(1_024);
    await expect
      .poll(async () => (await ask(daemon, { command: 'status' })).firewall, { timeout: LATE })
      .toEqual({ ok: true, reason: null });
    await ask(daemon, { command: 'revoke', address: v4 });
    await daemon.waitFor({ event: 'door.closed', source: v4 }, LATE);
    await net.clientA.moveToFreshSource();
    await knock();
    await opened();
    expect(await reaches(LATE)).toBe(true);
  });
});
