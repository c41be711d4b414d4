import { readFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type Daemon, type DaemonOptions, NFKNOCK, writeConfig } from '../support/daemon.ts';
import { createNet, type Net } from '../support/net.ts';
import { asUser, ownFolder } from '../support/operation-lab.ts';
import type { Result } from '../support/process.ts';

/** The daemon as the unit file runs it: an ordinary user with CAP_NET_ADMIN alone, who sees only his own /proc. */

const SERVICE = 22;
const OTHER_SERVICE = 2200;
const OPEN_PORT = 8080;
const KNOCKS = ['7000', '8000:udp', '9000'];
/** Someone who never did anything. */
const STRANGER = '198.51.100.200';
/** CAP_NET_ADMIN alone, as /proc shows it. */
const NET_ADMIN_ALONE = '0000000000001000';
/** What is promised for noticing that someone else has changed the rules, in milliseconds. */
const NOTICED = 5_000;

const SSH = { knock: ['7000/tcp', '8000/udp', '9000/tcp'], opens: [`${SERVICE}/tcp`], for: '60s' };
const CONFIG = { doors: { ssh: SSH }, decoys: ['23/tcp', '2323/tcp', '3389/tcp'], log: { level: 'debug' } };
const SETS = { ...CONFIG, grants: 'set' };

let net: Net;
let daemons: Daemon[] = [];

beforeAll(async () => {
  net = await createNet();
  await net.clientB.addAddress(STRANGER);
  for (const port of [SERVICE, OTHER_SERVICE, OPEN_PORT]) await net.server.listen(port);
});
afterEach(async () => {
  for (const daemon of daemons) await daemon.stop('SIGKILL');
  daemons = [];
  await sh('iptables -F; ip6tables -F; iptables -X; ip6tables -X; iptables -P INPUT ACCEPT; ipset destroy');
});
afterAll(() => net?.close());

const sh = (command: string): Promise<Result> => net.server.exec(['sh', '-c', command]);
const nfknock = (...args: readonly string[]): Promise<Result> => net.server.exec([...NFKNOCK, ...args]);

/** Lays the rules as `ExecStartPre=+` does, then starts the daemon as the user. */
async function start(config: object = CONFIG, options: DaemonOptions = {}): Promise<Daemon> {
  const folder = options.folder ?? ownFolder();
  const { file } = writeConfig(config, folder);
  expect(await nfknock('rules', 'install', '-c', file)).toMatchObject({ code: 0, stderr: '' });
  return run(config, { ...options, folder });
}

async function run(config: object, options: DaemonOptions): Promise<Daemon> {
  const before = await asUser(net.server);
  const daemon = await net.server.startDaemon(config, { args: ['--no-install'], before, ...options });
  daemons.push(daemon);
  return daemon;
}

/** A fresh source of client A knocks over both families and is let in. */
async function open(daemon: Daemon, port = SERVICE, knocks = KNOCKS): Promise<{ v4: string; v6: string }> {
  const { v4, v6 } = await net.clientA.moveToFreshSource();
  for (const [server, source] of [
    [net.clientA.server4, v4],
    [net.clientA.server6, v6],
  ] as const) {
    const connection = await net.clientA.runThenConnect(['knock', server, ...knocks], server, port);
    expect(connection, `${source}: ${JSON.stringify(daemon.lines.slice(-5))}`).toBeDefined();
    await connection?.close();
    await daemon.waitFor({ event: 'door.opened', source });
  }
  return { v4, v6 };
}

/** A fresh source of client B touches decoys until it is banned. */
async function beBanned(daemon: Daemon): Promise<string> {
  const { v4 } = await net.clientB.moveToFreshSource();
  await net.clientB.exec(['knock', net.clientB.server4, '23', '2323', '3389']);
  await daemon.waitFor({ event: 'ban.added', source: v4 });
  return v4;
}

const letIn = (): Promise<boolean> => net.clientA.canConnect(net.clientA.server4, SERVICE);
const letIn6 = (): Promise<boolean> => net.clientA.canConnect(net.clientA.server6, SERVICE);
const sendFrom = (source: string): Promise<Result> =>
  net.clientB.exec(['ip', 'route', 'replace', '198.51.100.0/24', 'dev', 'eth0', 'src', source]);
const strangerAt = (port: number): Promise<boolean> => net.clientB.canConnect(net.clientB.server4, port);

/** Everything is as it should be: the owner in, the banned one out everywhere, strangers out of the service. */
async function allIsWell(): Promise<void> {
  const seen = async (): Promise<object> => {
    const banned = await strangerAt(OPEN_PORT);
    await sendFrom(STRANGER);
    const stranger = [await strangerAt(SERVICE), await strangerAt(OPEN_PORT)];
    await sendFrom(net.clientB.source().v4);
    return { owner: [await letIn(), await letIn6()], banned, stranger };
  };
  // Once more, perhaps: where someone tampers with several commands, the first look may come between them.
  await expect
    .poll(seen, { timeout: NOTICED, interval: 100 })
    .toEqual({ owner: [true, true], banned: false, stranger: [false, true] });
}

async function repaired(daemon: Daemon, tampering: string): Promise<void> {
  const before = daemon.seen({ event: 'firewall.repaired' }).length;
  const began = performance.now();
  expect((await sh(tampering)).stderr).toBe('');
  await expect
    .poll(() => daemon.seen({ event: 'firewall.repaired' }).length, { timeout: 2 * NOTICED, interval: 50 })
    .toBeGreaterThan(before);
  expect(performance.now() - began, tampering).toBeLessThan(NOTICED);
}

describe('with CAP_NET_ADMIN alone and the rules laid before', () => {
  it('the daemon opens and bans over both families, answers, and holds no other privilege', async () => {
    const daemon = await start();
    await open(daemon);
    await beBanned(daemon);
    await allIsWell();
    const status = readFileSync(`/proc/${daemon.pid}/status`, 'utf8');
    for (const set of ['CapPrm', 'CapEff', 'CapBnd', 'CapAmb'])
      expect(status).toContain(`${set}:\t${NET_ADMIN_ALONE}`);
    daemon.signal('SIGUSR1');
    expect((await nfknock('status', '-c', daemon.config)).stdout).toContain('All is well.');
    expect((await sh('ss -Hltnp')).stdout).not.toMatch(/node/);
    expect(daemon.noise).toEqual([]);
    expect(daemon.seen({ event: 'firewall.repaired' })).toEqual([]);
  });

  it('what only root may read is said to be unknown, not to be none', async () => {
    const daemon = await start();
    const { stdout } = await nfknock('status', '-c', daemon.config);
    expect(stdout).toMatch(/waiting unknown/);
    const json = await nfknock('status', '--json', '-c', daemon.config);
    expect(JSON.parse(json.stdout)).toMatchObject({ queue: { depth: null, kernel_dropped: null } });
  });

  it('a new configuration is taken in whole: rules, grants and bans', async () => {
    const daemon = await start();
    await open(daemon);
    await beBanned(daemon);
    const second = { knock: ['7300/tcp', '7400/tcp'], opens: [`${OTHER_SERVICE}/tcp`] };
    daemon.rewrite({ ...CONFIG, doors: { ...CONFIG.doors, second } });
    daemon.signal('SIGHUP');
    await daemon.waitFor({ event: 'daemon.reloaded' });
    expect(daemon.seen({ event: 'config.rejected' })).toEqual([]);
    await allIsWell();
    expect(await strangerAt(OTHER_SERVICE)).toBe(false);
    await open(daemon, OTHER_SERVICE, ['7300', '7400']);
    expect(await nfknock('reload', '-c', daemon.config)).toMatchObject({ code: 0 });
  });

  it('rules and sets that someone else takes away are back within 5 s, and so are grants and bans', async () => {
    const daemon = await start();
    await open(daemon);
    await beBanned(daemon);
    for (const tampering of [
      'iptables -F && ip6tables -F',
      'iptables -F && iptables -X && ip6tables -F && ip6tables -X && ipset destroy',
      'iptables -I INPUT 1 -j ACCEPT',
      'iptables -F NFKNOCK-BAN',
      'ipset flush nfknock-ban4',
    ]) {
      await repaired(daemon, tampering);
      await allIsWell();
    }
    await sh('iptables -D INPUT -j ACCEPT');
  });

  it('another program that has rules with sets of its own is no hindrance', async () => {
    const daemon = await start();
    await open(daemon);
    await beBanned(daemon);
    await sh('ipset create theirs hash:ip');
    await repaired(daemon, 'iptables -I INPUT 1 -m set --match-set theirs src -j ACCEPT');
    await allIsWell();
    expect((await sh('iptables -S INPUT')).stdout).toContain('--match-set theirs src -j ACCEPT');
    daemon.signal('SIGHUP');
    await daemon.waitFor({ event: 'daemon.reloaded' });
    await allIsWell();
    await sh('iptables -D INPUT -m set --match-set theirs src -j ACCEPT');
  });

  it('a daemon that is killed and started anew finds all as it left it', async () => {
    const first = await start();
    await open(first);
    await beBanned(first);
    await first.stop('SIGKILL');
    await start(CONFIG, { folder: first.folder });
    await allIsWell();
  });

  it('rules that are missing at the start are laid, and that is said', async () => {
    const daemon = await run(CONFIG, { folder: ownFolder() });
    await daemon.waitFor({ event: 'firewall.repaired' });
    expect(await strangerAt(SERVICE)).toBe(false);
    await open(daemon);
    await beBanned(daemon);
    await allIsWell();
  });

  it('rules of another configuration do not leave it deaf', async () => {
    const folder = ownFolder();
    const { file } = writeConfig({ ...CONFIG, listen: { queues: 5 } }, folder);
    expect((await nfknock('rules', 'install', '-c', file)).code).toBe(0);
    const daemon = await run(CONFIG, { folder });
    await open(daemon);
  });

  it('grants in sets are laid, reloaded and repaired as well', async () => {
    const daemon = await start(SETS);
    await open(daemon);
    await beBanned(daemon);
    await allIsWell();
    const { stdout: laid } = await sh('iptables-save -t filter | grep -- -j');
    await repaired(daemon, 'iptables -F && ip6tables -F && ipset flush');
    await allIsWell();
    expect((await sh('iptables-save -t filter | grep -- -j')).stdout).toBe(laid);
    daemon.signal('SIGHUP');
    await daemon.waitFor({ event: 'daemon.reloaded' });
    await allIsWell();
  });
});
