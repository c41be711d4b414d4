import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type Daemon, type DaemonOptions, NFKNOCK, writeConfig } from '../support/daemon.ts';
import { createNet, type Net } from '../support/net.ts';
import { startProcess } from '../support/process.ts';

const SERVICE = 22;
const OTHER_SERVICE = 2200;
const KNOCKS = ['7000', '8000:udp', '9000'];
/** Milliseconds. */
const GRANT = 5_000;
/** Milliseconds that a SYN sent too early may wait for its repetition. */
const PATIENCE = 300;

const SSH = { knock: ['7000/tcp', '8000/udp', '9000/tcp'], opens: [`${SERVICE}/tcp`], for: `${GRANT}ms` };
const CONFIG = { doors: { ssh: SSH }, decoys: ['23/tcp', '2323/tcp', '3389/tcp'] };

let net: Net;
let daemons: Daemon[] = [];

beforeAll(async () => {
  net = await createNet();
  await net.server.listen(SERVICE);
  await net.server.listen(OTHER_SERVICE);
});
afterEach(async () => {
  for (const daemon of daemons) await daemon.stop('SIGKILL');
  daemons = [];
});
afterAll(() => net?.close());

async function start(config: object = CONFIG, options?: DaemonOptions): Promise<Daemon> {
  const daemon = await net.server.startDaemon(config, options);
  daemons.push(daemon);
  return daemon;
}

/** A fresh source of client A knocks and is let in; answers with its address. */
async function open(daemon: Daemon): Promise<string> {
  const { v4 } = await net.clientA.moveToFreshSource();
  const { server4 } = net.clientA;
  const connection = await net.clientA.runThenConnect(['knock', server4, ...KNOCKS], server4, SERVICE);
  expect(connection).toBeDefined();
  await connection?.close();
  await daemon.waitFor({ event: 'door.opened', source: v4 });
  return v4;
}

const reaches = (port: number): Promise<boolean> =>
  net.clientA.canConnect(net.clientA.server4, port, PATIENCE);
const rules = async (): Promise<string> => {
  const answers = await Promise.all(['iptables', 'ip6tables'].map((tool) => net.server.exec([tool, '-S'])));
  return answers.map((answer) => answer.stdout).join('');
};

describe('a daemon that is killed with -9', () => {
  // Against: a newcomer while the daemon is dead
  // by: the DROP at the end of each service's chain
  it('leaves a grant that ends by itself at its time, and a door closed to newcomers', async () => {
    const daemon = await start();
    await open(daemon);
    await daemon.stop('SIGKILL');
    const killed = performance.now();
    expect(await reaches(SERVICE)).toBe(true);
    expect(await net.clientB.canConnect(net.clientB.server4, SERVICE)).toBe(false);
    await net.clientB.exec(['knock', net.clientB.server4, ...KNOCKS]);
    expect(await net.clientB.canConnect(net.clientB.server4, SERVICE)).toBe(false);

    // Rules end with a whole second.
    await sleep(GRANT + 1_050 - (performance.now() - killed));
    expect(await reaches(SERVICE)).toBe(false);
  });

  it('takes its grants and bans up again when it is started anew, and nothing that has ended', async () => {
    const first = await start();
    const owner = await open(first);
    const { v4: offender } = await net.clientB.moveToFreshSource();
    await net.clientB.exec(['knock', net.clientB.server4, '23', '2323', '3389']);
    await first.waitFor({ event: 'ban.added', source: offender });
    await first.stop('SIGKILL');

    const second = await start(CONFIG, { folder: first.folder });
    expect(await reaches(SERVICE)).toBe(true);
    expect(await net.clientB.canConnect(net.clientB.server4, OTHER_SERVICE)).toBe(false);
    await second.waitFor({ event: 'door.closed', source: owner, reason: 'expired' }, GRANT + 1_000);
    expect(await reaches(SERVICE)).toBe(false);
    expect(await rules()).not.toContain(owner);
    await second.stop('SIGKILL');

    const third = await start(CONFIG, { folder: first.folder });
    expect(await rules()).not.toContain(owner);
    expect(third.seen({ source: owner })).toEqual([]);
  });
});

describe('two daemons on one queue', () => {
  it('do not go together: the second says so in words and ends with 1, the first works on', async () => {
    const first = await start();
    const { file } = writeConfig(CONFIG);
    const second = await net.server.exec([...NFKNOCK, 'run', '-c', file]);
    expect(second.code).toBe(1);
    expect(second.stderr).toMatch(/^nfknock: NFQUEUE 7219 is taken by another program[^\n]*\n$/);
    await open(first);
  });
});

describe('SIGTERM', () => {
  it('ends the daemon with 0 and leaves the door closed', async () => {
    const daemon = await start();
    expect(await daemon.stop()).toEqual({ code: 0, signal: null });
    expect(daemon.lines.at(-1)?.event).toBe('daemon.stopped');
    expect(await reaches(SERVICE)).toBe(false);
  });

  it('in a burst of packets ends it as cleanly, every line of its log whole, and lets nobody in', async () => {
    const daemon = await start();
    const burst = [
      'hping3',
      '-q',
      '-I',
      'eth0',
      '-S',
      '--rand-source',
      '-p',
      '7000',
      '-i',
      'u20',
      '-c',
      '100000',
    ];
    const flood = startProcess(net.clientB.namespace, [...burst, net.clientB.server4]);
    await sleep(700);
    const told = performance.now();
    expect(await daemon.stop()).toEqual({ code: 0, signal: null });
    expect(performance.now() - told).toBeLessThan(5_000);
    flood.kill('SIGKILL');

    expect(daemon.noise).toEqual([]);
    expect(daemon.lines.at(-1)?.event).toBe('daemon.stopped');
    expect(daemon.seen({ event: 'log.suppressed' }).length).toBeGreaterThan(0);
    expect(daemon.lines.length).toBeLessThan(1_000);
    expect(await reaches(SERVICE)).toBe(false);
    expect((await rules()).split('\n').filter((rule) => rule.includes('--datestop'))).toEqual([]);
  });
});

describe('SIGHUP', () => {
  it('takes in a new configuration, and keeps the grants that it still has', async () => {
    const daemon = await start();
    await open(daemon);
    const second = { knock: ['7300/tcp', '7400/tcp'], opens: [`${OTHER_SERVICE}/tcp`], for: `${GRANT}ms` };
    expect(await reaches(OTHER_SERVICE)).toBe(true);
    daemon.rewrite({ ...CONFIG, doors: { ...CONFIG.doors, second } });
    daemon.signal('SIGHUP');
    await daemon.waitFor({ event: 'daemon.reloaded' });

    expect(await reaches(SERVICE)).toBe(true);
    expect(await reaches(OTHER_SERVICE)).toBe(false);
    const { server4 } = net.clientA;
    expect(
      await net.clientA.runThenConnect(['knock', server4, '7300', '7400'], server4, OTHER_SERVICE),
    ).toBeDefined();
  });

  it('keeps the old configuration where the new one is wrong, and says so', async () => {
    const daemon = await start();
    daemon.rewrite({ ...CONFIG, dors: {} });
    daemon.signal('SIGHUP');
    expect((await daemon.waitFor({ event: 'config.rejected' })).reason).toContain('dors');
    await open(daemon);
  });
});

describe('a daemon that cannot start', () => {
  it('says every fault of its configuration, ends with 3 and has touched no rule', async () => {
    const before = await rules();
    const { file } = writeConfig({ doors: { ssh: { ...SSH, within: 'soon' } }, decoys: ['x/tcp'] });
    const { code, stderr } = await net.server.exec([...NFKNOCK, 'run', '-c', file]);
    expect(code).toBe(3);
    expect(stderr).toMatch(/nfknock\.yaml:\d+:\d+: doors\.ssh\.within: /);
    expect(stderr).toMatch(/nfknock\.yaml:\d+:\d+: decoys\[0\]: /);
    expect(await rules()).toBe(before);
  });

  it('without privilege says what it needs, in one line, and ends with 4', async () => {
    const { file } = writeConfig(CONFIG);
    const user = ['setpriv', '--bounding-set=-all', '--inh-caps=-all'];
    const { code, stderr } = await net.server.exec([...user, ...NFKNOCK, 'run', '-c', file]);
    expect({ code, stderr }).toMatchObject({ code: 4 });
    expect(stderr).toMatch(/^nfknock: .*(root|CAP_NET_ADMIN)[^\n]*\n$/);
  });
});

// Against: a debugger opened by a signal
// by: SIGUSR1 is handled
it('SIGUSR1 opens no debugger', async () => {
  const daemon = await start();
  daemon.signal('SIGUSR1');
  await open(daemon);
  expect((await net.server.exec(['ss', '-Hltnp'])).stdout).not.toMatch(/:9229\b/);
  expect(daemon.noise).toEqual([]);
});
