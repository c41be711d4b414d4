import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { ask } from '../support/asked.ts';
import type { Connection } from '../support/client.ts';
import { type Daemon, type DaemonOptions, NFKNOCK, writeConfig } from '../support/daemon.ts';
import { createNet, type Net } from '../support/net.ts';
import { asUser, ownFolder } from '../support/operation-lab.ts';
import { type Child, type Result, startProcess } from '../support/process.ts';

/* Beside other programs: what is none of ours is decided by what follows, where that would accept it. */

const WEB = 8080;
const SSH = 22;
const QUICK = 250;
const CONFIG = {
  doors: { ssh: { knock: ['7001/tcp', '7002/tcp'], opens: [SSH], for: '5m' } },
  allow: [WEB],
};
const OPEN = '-m conntrack --ctstate ESTABLISHED';
const BOTH = 'for t in iptables ip6tables; do';

const SLOW = { timeout: 60_000 };
/** Sessions are tracked from their beginning, as where any rule asks for the state of packets. */
const TRACKED = `${BOTH} $t -A OUTPUT -m conntrack --ctstate NEW; done`;

let net: Net;
let folder: string;
let fail2ban: Child | undefined;
let daemon: Daemon | undefined;

const start = async (config: object, options: DaemonOptions): Promise<Daemon> => {
  const started = await net.server.startDaemon(config, options);
  daemon = started;
  return started;
};

const sh = async (script: string): Promise<string> => {
  const ran = await net.server.exec(['sh', '-c', script]);
  return ran.stdout;
};
const nfknock = (config: object, ...args: readonly string[]): Promise<Result> => {
  const { file } = writeConfig(config, folder);
  const env = { NFKNOCK_ROLLBACK_DIR: join(folder, 'kept') };
  return net.server.exec([...NFKNOCK, ...args, '-c', file], { env });
};
const established = async (family: '' | '6' = ''): Promise<string | undefined> =>
  / -m conntrack --ctstate ESTABLISHED -j (\w+)/.exec(await sh(`ip${family}tables -S NFKNOCK`))?.[1];
const knockIn = async (): Promise<Connection> => {
  const { server4 } = net.clientA;
  const letIn = await net.clientA.runThenConnect(['knock', server4, '7001', '7002'], server4, SSH, 3_000);
  if (letIn === undefined) throw new Error('the door did not open');
  return letIn;
};

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'nfknock-accept-'));
  net = await createNet();
  for (const port of [WEB, SSH]) await net.server.listen(port);
});
afterEach(async () => {
  fail2ban?.kill('SIGKILL');
  fail2ban = undefined;
  await daemon?.stop('SIGKILL');
  daemon = undefined;
  await sh(`${BOTH} $t -P INPUT ACCEPT; $t -P FORWARD ACCEPT; $t -F; $t -X; done; sleep 0.1; ipset destroy`);
  await net.clientA.moveToFreshSource();
});
afterAll(() => {
  net?.close();
  rmSync(folder, { recursive: true, force: true });
});

describe('under policy DROP', () => {
  it('an open session survives the install, where no rule accepts it: nfknock goes on accepting', async () => {
    const { server4, server6 } = net.clientA;
    await sh(TRACKED);
    const sessions = await Promise.all([server4, server6].map((at) => net.clientA.openConnection(at, SSH)));
    await sh(`${BOTH} $t -P INPUT DROP; done`);
    // As an older version laid it.
    expect((await nfknock({ ...CONFIG, accept: 'own' }, 'rules', 'install')).code).toBe(0);
    for (const session of sessions) expect(await session.echoes('before')).toBe(true);
    expect((await nfknock(CONFIG, 'rules', 'install')).code).toBe(0);
    for (const session of sessions) expect(await session.echoes('after')).toBe(true);
    expect([await established(), await established('6')]).toEqual(['ACCEPT', 'ACCEPT']);
    expect(await net.clientA.canConnect(server4, WEB)).toBe(true);
    const running = await start(CONFIG, SLOW);
    for (const session of sessions) expect(await session.echoes('with the daemon')).toBe(true);
    const { warnings } = await ask(running, { command: 'status' });
    const said = warnings
      .map(({ what, fix }) => `${what}; ${fix}`)
      .filter((text) => text.includes('fail2ban'));
    expect(said).toHaveLength(2);
    expect(said[0]).toContain(`iptables -A INPUT ${OPEN} -j ACCEPT`);
    expect(said[1]).toContain(`ip6tables -A INPUT ${OPEN} -j ACCEPT`);
    // What it says is what helps.
    for (const text of said)
      await sh(/add, before any rule that drops the rest: (.*); or write/.exec(text)?.[1] ?? 'false');
    await expect.poll(established, { timeout: 10_000 }).toBe('RETURN');
    for (const session of sessions) expect(await session.echoes('by the rule')).toBe(true);
    expect(await net.clientA.canConnect(server4, WEB)).toBe(true);
    await expect
      .poll(
        async () =>
          (await ask(running, { command: 'status' })).warnings.filter(({ what }) =>
            what.includes('fail2ban'),
          ),
        { timeout: 10_000 },
      )
      .toEqual([]);
    const door = await knockIn();
    expect(await door.echoes('through the door')).toBe(true);
    // Taken away again, it is nfknock that accepts, and nobody is cut off.
    await sh(`${BOTH} for n in 3 2; do $t -D INPUT $n; done; done`);
    await expect.poll(established, { timeout: 10_000 }).toBe('ACCEPT');
    for (const session of [...sessions, door]) expect(await session.echoes('at last', 5_000)).toBe(true);
  }, 60_000);

  it('the policy of an appliance accepts what nfknock gives back', async () => {
    const { server4 } = net.clientA;
    await sh(TRACKED);
    const session = await net.clientA.openConnection(server4, SSH);
    expect((await nfknock(CONFIG, 'rules', 'install', '--policy', 'appliance')).code).toBe(0);
    expect(await established()).toBe('RETURN');
    expect(await session.echoes('still')).toBe(true);
    expect(await net.clientA.canConnect(server4, WEB)).toBe(true);
    // A ban that comes later stands before what accepts, though our jump comes back to the first place.
    await sh(`iptables -I INPUT -s ${net.clientA.source().v4} -j DROP`);
    expect((await nfknock(CONFIG, 'rules', 'install')).code).toBe(0);
    expect(await sh('iptables -S INPUT 1')).toContain('-j NFKNOCK');
    expect(await session.echoes('banned', 500)).toBe(false);
  });
});

describe('under policy ACCEPT', () => {
  const chain = async (where: '-I' | '-A'): Promise<void> => {
    await sh(
      `iptables -N f2b-web; iptables -A f2b-web -s ${net.clientA.source().v4} -j REJECT; iptables -A f2b-web -j RETURN; iptables ${where} INPUT -p tcp -m multiport --dports ${WEB},${SSH} -j f2b-web`,
    );
  };

  it.each(['-I', '-A'] as const)('a ban of another program (%s) cuts its client off', async (where) => {
    const { server4 } = net.clientA;
    const running = await start(CONFIG, SLOW);
    expect(await established()).toBe('RETURN');
    const session = await net.clientA.openConnection(server4, WEB);
    const door = await knockIn();
    await chain(where);
    if (where === '-I') await running.waitFor({ event: 'firewall.repaired' });
    expect(await sh('iptables -S INPUT 1')).toContain('-j NFKNOCK');
    expect(await established()).toBe('RETURN');
    expect(await session.echoes('still there', 500)).toBe(false);
    expect(await door.echoes('still there', 500)).toBe(false);
    expect(await net.clientA.canConnect(server4, WEB, QUICK)).toBe(false);
    expect(await net.clientB.canConnect(net.clientB.server4, WEB)).toBe(true);
  });

  it('goes on where the configuration says that nfknock decides', async () => {
    const { server4 } = net.clientA;
    await start({ ...CONFIG, accept: 'own' }, SLOW);
    const session = await net.clientA.openConnection(server4, WEB);
    await chain('-A');
    expect(await session.echoes('still there')).toBe(true);
    expect(await net.clientA.canConnect(server4, WEB)).toBe(true);
  });

  it('a daemon with CAP_NET_ADMIN alone decides alike, also beside sets that it may not print', async () => {
    await sh('ipset create crowdsec hash:ip; ip6tables -P INPUT DROP');
    await sh('iptables -A INPUT -m set --match-set crowdsec src -j DROP; iptables -A INPUT -j LOG');
    expect((await nfknock(CONFIG, 'rules', 'install')).code).toBe(0);
    const { before, folder: own } = { before: await asUser(net.server), folder: ownFolder() };
    const running = await start(CONFIG, { ...SLOW, folder: own, before });
    expect([await established(), await established('6')]).toEqual(['RETURN', 'ACCEPT']);
    const session = await net.clientA.openConnection(net.clientA.server4, WEB);
    await sh(`ipset add crowdsec ${net.clientA.source().v4}`);
    expect(await session.echoes('still there', 500)).toBe(false);
    // All but a set: nobody knows who is in it.
    await sh('iptables -A INPUT -m set ! --match-set crowdsec src -j DROP');
    await expect.poll(established, { timeout: 10_000 }).toBe('ACCEPT');
    const { warnings } = await ask(running, { command: 'status' });
    expect(warnings.some(({ what }) => what.includes('fail2ban') && what.includes('IPv6'))).toBe(true);
  });

  it('a port that the owner drops to everyone after ours goes on working through its door', async () => {
    await sh(`iptables -A INPUT -p tcp --dport ${SSH} -j DROP`);
    await start(CONFIG, SLOW);
    expect(await established()).toBe('ACCEPT');
    expect(await (await knockIn()).echoes('through the door')).toBe(true);
  });

  it('fail2ban itself bans a client of a public port', async () => {
    const { server4 } = net.clientA;
    const etc = join(folder, 'fail2ban');
    cpSync('/etc/fail2ban', etc, { recursive: true });
    const log = join(folder, 'web.log');
    writeFileSync(log, '');
    writeFileSync(join(etc, 'filter.d/web.conf'), '[Definition]\nfailregex = ^refused <HOST>$\n');
    writeFileSync(
      join(etc, 'jail.conf'),
      `[web]\nenabled = true\nbackend = polling\nfilter = web\nlogpath = ${log}\nmaxretry = 3\nbantime = 600\nfindtime = 600\nport = ${WEB}\nprotocol = tcp\nchain = INPUT\nbanaction = iptables-multiport\naction = iptables-multiport[name=web, port="${WEB}", protocol=tcp]\n`,
    );
    for (const drop of ['jail.d', 'jail.local']) rmSync(join(etc, drop), { recursive: true, force: true });
    await start(CONFIG, SLOW);
    const session = await net.clientA.openConnection(server4, WEB);
    const socket = join(folder, 'fail2ban.sock');
    const paths = ['-c', etc, '-s', socket, '-p', join(folder, 'fail2ban.pid')];
    fail2ban = startProcess(net.server.namespace, [
      'fail2ban-server',
      ...paths,
      '--logtarget',
      join(folder, 'fail2ban.log'),
      '-f',
      'start',
    ]);
    const client = async (...args: readonly string[]): Promise<Result> =>
      net.server.exec(['fail2ban-client', ...paths, ...args]);
    await expect.poll(async () => (await client('status', 'web')).code, { timeout: 20_000 }).toBe(0);
    expect((await client('set', 'web', 'banip', net.clientA.source().v4)).code).toBe(0);
    await expect.poll(() => sh('iptables -S'), { timeout: 10_000 }).toMatch(/-A f2b-web -s .* -j REJECT/);
    await expect.poll(() => sh('iptables -S INPUT 1'), { timeout: 10_000 }).toContain('-j NFKNOCK');
    expect(await session.echoes('still there', 500)).toBe(false);
    expect(await net.clientA.canConnect(server4, WEB, QUICK)).toBe(false);
    expect((await client('set', 'web', 'unbanip', net.clientA.source().v4)).code).toBe(0);
    expect(await net.clientA.canConnect(server4, WEB, 2_000)).toBe(true);
  }, 60_000);
});
