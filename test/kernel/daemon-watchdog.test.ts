import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { connectControl } from '../../src/control/client.ts';
import { buildFlood, giveRoom, startPublicService } from '../support/attacker-tools.ts';
import { nfknock } from '../support/bans-lab.ts';
import { type Daemon, startDaemon } from '../support/daemon.ts';
import { createNet, type Net } from '../support/net.ts';
import type { Child } from '../support/process.ts';

/*
 * Bursts of everything that the kernel tells the daemon of. Whoever supervises it would start it anew each time that it
 * ends; here nobody does, so that its starts are counted by its being there: once, from the first test to the last.
 */
const SERVICE = 22;
const PUBLIC = 8080;
const KNOCKS = ['7000', '8000:udp', '9000'];
const SSH = { knock: ['7000/tcp', '8000/udp', '9000/tcp'], opens: [`${SERVICE}/tcp`], for: '1h' };
const COUNTED = { ...SSH, uses: 1000 };
const CONFIG = {
  doors: { ssh: COUNTED },
  allow: [`${PUBLIC}/tcp`, '5000/udp'],
  memory: { sources: 16_384 },
  bans: { rate: { packets: 1000, per: '1s' }, enforce: false },
};
const PATIENCE = 15_000;
/** Somewhat more or less each time, so that no number is met by chance alone. */
const about = (count: number): number => Math.round(count * (0.7 + 0.6 * Math.random()));

/** Many who connect to a public service. */
const CLIENT = `
  const net = require('net');
  let left = Number(process.argv[2]), open = 0;
  const next = () => { while (open < 200 && left > 0) { left -= 1; open += 1; const s = net.connect(${PUBLIC}, process.argv[1]);
    s.on('error', () => {}); s.resume(); s.on('close', () => { open -= 1; next(); }); } };
  next();
`;

let net: Net;
let daemon: Daemon;
let flood: string;
let server: Child;

beforeAll(async () => {
  net = await createNet();
  flood = buildFlood();
  await net.server.listen(SERVICE);
  server = startPublicService(net.server.namespace, PUBLIC, 'greet');
  daemon = await net.server.startDaemon(CONFIG);
  giveRoom(daemon.pid, 65_536, 'all');
});
afterAll(async () => {
  server?.kill('SIGKILL');
  await daemon?.stop('SIGKILL');
  net?.close();
});

const status = async (): Promise<{ pid: number; events_lost: number; problems: { what: string }[] }> =>
  JSON.parse((await nfknock(net.server, daemon, 'status', '--json')).stdout);
const burst = (...args: readonly string[]): Promise<unknown> =>
  net.clientB.exec([flood, '-d', net.clientB.server4, '-e', `${about(1e6)}`, ...args]);
const connectOften = (times: number): Promise<unknown> =>
  net.clientB.exec([process.execPath, '-e', CLIENT, net.clientB.server4, `${times}`]);

/** Stands still for a moment, as a machine with too much to do, while something happens. */
async function standStill(ms: number, meanwhile: () => Promise<unknown>): Promise<void> {
  daemon.signal('SIGSTOP');
  try {
    await Promise.all([sleep(ms), meanwhile()]);
  } finally {
    daemon.signal('SIGCONT');
  }
}

/** The same process answers, and lets in who knocks. */
async function expectAlive(): Promise<void> {
  expect((await status()).pid).toBe(daemon.pid);
  const { v4 } = await net.clientA.moveToFreshSource();
  await net.clientA.exec(['knock', '-d', '20', net.clientA.server4, ...KNOCKS]);
  await daemon.waitFor({ event: 'door.opened', source: v4 }, PATIENCE);
  expect(await net.clientA.canConnect(net.clientA.server4, SERVICE)).toBe(true);
}

describe('the daemon goes on, and says what it missed, when there come', () => {
  // Against: a burst of connections, while the daemon stands still
  // by: netlink sockets that survive overruns; what was lost is counted and looked up
  it('connections to a public port while it stands still', async () => {
    const before = await status();
    await standStill(3000, () =>
      Promise.all([
        burst('-p', `${PUBLIC}`, '-n', `${about(20_000)}`, '-s', '198.51.100.0/24'),
        // Forged SYNs are not told of: completed handshakes are.
        connectOften(about(2_000)),
      ]),
    );
    await daemon.waitFor({ event: 'events.lost', reason: 'connections' }, PATIENCE);
    const after = await status();
    expect(after.events_lost).toBeGreaterThan(before.events_lost);
    expect(after.problems.map(({ what }) => what).join()).toMatch(/messages .* were missed/);
    await expectAlive();
  });

  // Against: bursts of small forged packets
  // by: netlink sockets that survive overruns; what was lost is counted and looked up
  it('forged UDP packets of 46 bytes, in bursts', async () => {
    for (const count of [500, 5_000, 30_000]) {
      await burst('-u', '-l', '18', '-p', '5000', '-n', `${about(count)}`, '-s', '198.51.100.0/24');
    }
    await expectAlive();
  });

  // Against: a scan of all ports at full speed
  // by: netlink sockets that survive overruns; what was lost is counted and looked up
  it('a scan of all ports at full speed', async () => {
    const ports = `1-${about(30_000)}`;
    const scan = [
      'nmap',
      '-n',
      '-Pn',
      '-sS',
      '-T5',
      '--min-rate',
      '20000',
      '--max-retries',
      '0',
      '-p',
      ports,
    ];
    await net.clientB.exec([...scan, net.clientB.server4], { timeout: 20_000 });
    await expectAlive();
  });

  // Against: honest connections by the thousand
  // by: netlink sockets that survive overruns; what was lost is counted and looked up
  it('thousands of honest connections to a public port', async () => {
    await connectOften(about(3_000));
    await expectAlive();
  });

  // Against: a burst of another program's rules, one of which takes ours away
  // by: a look at the rules after each loss
  it('thousands of rules of another program, one of which takes ours away, while it stands still', async () => {
    const repaired = daemon.seen({ event: 'firewall.repaired' }).length;
    const rules = Array.from(
      { length: about(20_000) },
      (_, i) => `-A OTHER -s 10.${i >> 16}.${(i >> 8) & 255}.${i & 255} -j DROP`,
    );
    const restore = (lines: readonly string[]): Promise<unknown> =>
      net.server.exec(['iptables-restore', '--noflush'], { input: `*filter\n${lines.join('\n')}\nCOMMIT\n` });
    await standStill(1000, async () => {
      await restore([':OTHER - [0:0]', ...rules]);
      await net.server.exec(['iptables', '-F', 'INPUT']);
    });
    await daemon.waitFor({ event: 'events.lost', reason: 'rules' }, PATIENCE);
    await expect
      .poll(() => daemon.seen({ event: 'firewall.repaired' }).length, { timeout: PATIENCE })
      .toBeGreaterThan(repaired);
    await restore([':OTHER - [0:0]', '-X OTHER']);
    await expectAlive();
  });

  // Against: grants of its own by the hundred
  // by: netlink sockets that survive overruns; what was lost is counted and looked up
  it('hundreds of grants of its own at once', async () => {
    const control = await connectControl(`${daemon.folder}/control.sock`);
    const count = about(500);
    const answers = await Promise.allSettled(
      Array.from({ length: count }, (_, i) =>
        control.ask({ command: 'grant', door: 'ssh', address: `198.18.${i >> 8}.${i & 255}` }),
      ),
    );
    control.close();
    expect(answers.filter(({ status: each }) => each === 'fulfilled').length).toBe(count);
    await expectAlive();
  });

  it('questions for its sources while every table is full', async () => {
    await burst('-p', '7000', '-n', `${about(40_000)}`, '-s', '198.18.0.0/15');
    const asking = Array.from({ length: 5 }, () => nfknock(net.server, daemon, 'sources', '--json'));
    await burst('-p', `${PUBLIC}`, '-n', `${about(10_000)}`, '-s', '198.51.100.0/24');
    for (const answer of await Promise.all(asking)) expect(answer.code).toBe(0);
    await expectAlive();
  });

  it('all of this, and has been started once', () => {
    expect(daemon.lines.filter(({ event }) => event === 'daemon.ready').length).toBe(1);
    expect(
      daemon.lines.filter(({ event }) => event === 'daemon.stopped' || event === 'daemon.fault'),
    ).toEqual([]);
    expect(readFileSync(`/proc/${daemon.pid}/cmdline`, 'utf8')).toContain('nfknock');
  });
});

describe('conntrack tells of connections', () => {
  /** Whether a netfilter socket of the namespace is in conntrack's groups of new or changed connections. */
  const listens = async (): Promise<boolean> => {
    const { stdout } = await net.clientB.exec(['cat', '/proc/net/netlink']);
    const groups = stdout
      .split('\n')
      .map((line) => line.trim().split(/\s+/))
      .filter((row) => row[1] === '12');
    return groups.some((row) => (Number.parseInt(row[3] ?? '0', 16) & 3) !== 0);
  };

  it('only while a door has `uses`', async () => {
    const other = await startDaemon(net.clientB.namespace, { doors: { ssh: SSH } });
    onTestFinished(async () => void (await other.stop('SIGKILL')));
    expect(await listens()).toBe(false);
    other.rewrite({ doors: { ssh: COUNTED } });
    other.signal('SIGHUP');
    await other.waitFor({ event: 'daemon.reloaded' });
    expect(await listens()).toBe(true);
    other.rewrite({ doors: { ssh: SSH } });
    other.signal('SIGHUP');
    await expect.poll(() => other.seen({ event: 'daemon.reloaded' }).length).toBe(2);
    expect(await listens()).toBe(false);
  });
});
