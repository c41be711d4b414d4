import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ask } from '../support/asked.ts';
import { fillConntrack } from '../support/conntrack.ts';
import type { Daemon } from '../support/daemon.ts';
import { createNet, type Net } from '../support/net.ts';
import { ROOT } from '../support/root.ts';
import { startSpeaker } from '../support/speaker.ts';

/* What uses a grant up: connections that were made, and those alone; and what becomes of those beyond. */

const LATE = 10_000;
const ECHO = 2201;
/** A service that speaks first, as sshd does, and goes on speaking. */
const SPEAKS = 2202;
const USES = 1 + Math.floor(Math.random() * 4);
const SPAM = 100 + Math.floor(Math.random() * 300);
const FORGED = 50 + Math.floor(Math.random() * 200);
/** About twice as many connections as are remembered to be counted: of these, half would be forgotten. */
const CROWD = 120_000 + Math.floor(Math.random() * 20_000);
const OPEN = 8;
const EVENTS = 'net.netfilter.nf_conntrack_events';

const CONFIG = {
  doors: {
    echo: { knock: ['7101/tcp', '7102/tcp'], opens: [`${ECHO}/tcp`], uses: USES, for: '5m' },
    speaks: { knock: ['7201/tcp', '7202/tcp'], opens: [`${SPEAKS}/tcp`], uses: USES, for: '5m' },
  },
  bans: { strikes: 100, rate: { packets: 100_000, per: '1s' } },
};
const FAMILIES = [
  { family: 'IPv4', server: 'server4', source: 'v4' },
  { family: 'IPv6', server: 'server6', source: 'v6' },
] as const;

let net: Net;
let daemon: Daemon;

beforeAll(async () => {
  net = await createNet();
  await net.server.listen(ECHO);
  await startSpeaker(net.server.namespace, SPEAKS);
  daemon = await net.server.startDaemon(CONFIG);
});
afterAll(async () => {
  await daemon?.stop();
  net?.close();
});

describe.each(FAMILIES)('a grant with uses, over $family', ({ server, source }) => {
  const open = async (door: 'echo' | 'speaks'): Promise<string> => {
    const address = (await net.clientA.moveToFreshSource())[source];
    await net.clientA.exec([
      'knock',
      net.clientA[server],
      ...CONFIG.doors[door].knock.map((each) => each.slice(0, 4)),
    ]);
    await daemon.waitFor({ event: 'door.opened', source: address, door }, LATE);
    return address;
  };
  const usesLeft = async (address: string): Promise<readonly (number | null)[]> =>
    (await ask(daemon, { command: 'grants' }))
      .filter((each) => each.source === address)
      .map((each) => each.uses_left);
  const spam = async (
    port: number,
    wait: number,
  ): Promise<{ made: number; alive: number; lives: number[] }> => {
    const script = join(ROOT, 'test/support/spam.mjs');
    const argv = [process.execPath, script, net.clientA[server], `${port}`, `${SPAM}`, `${wait}`];
    const { stdout, stderr } = await net.clientA.exec(argv);
    if (stdout === '') throw new Error(stderr);
    return JSON.parse(stdout);
  };

  // Against: using a grant up by SYNs forged in its owner's name
  // by: completed handshakes alone are counted
  it("is not used up by forged SYNs in its owner's name", async () => {
    const address = await open('echo');
    // The owner's machine answers what it never asked for with a reset, as it would if a stranger had sent these.
    const forge = `import socket, struct, sys
host, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
v6 = ':' in host
for n in range(count):
    s = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP)
    if v6: s.setsockopt(socket.IPPROTO_IPV6, 7, 16)
    s.connect((host, 0))
    me = s.getsockname()[0]
    segment = struct.pack('!HHLLBBHHH', 20000 + n, port, n * 1000, 0, 5 << 4, 2, 1024, 0, 0)
    fam = socket.AF_INET6 if v6 else socket.AF_INET
    pseudo = socket.inet_pton(fam, me) + socket.inet_pton(fam, host) + (struct.pack('!LL', len(segment), 6) if v6 else struct.pack('!BBH', 0, 6, len(segment)))
    total = sum(struct.unpack('!%dH' % ((len(pseudo) + len(segment)) // 2), pseudo + segment))
    total = (total & 0xffff) + (total >> 16); total = (total & 0xffff) + (total >> 16)
    if not v6: segment = segment[:16] + struct.pack('!H', ~total & 0xffff) + segment[18:]
    s.send(segment); s.close()
`;
    const { stderr } = await net.clientA.exec([
      'python3',
      '-c',
      forge,
      net.clientA[server],
      `${ECHO}`,
      `${FORGED}`,
    ]);
    expect(stderr).toBe('');
    const entries = await net.server.exec([
      'conntrack',
      '-L',
      '-s',
      address,
      '-p',
      'tcp',
      '--dport',
      `${ECHO}`,
    ]);
    expect(entries.stdout.split('\n').length).toBeGreaterThan(FORGED / 2);
    expect(await usesLeft(address)).toEqual([USES]);
    const connection = await net.clientA.openConnection(net.clientA[server], ECHO);
    expect(await connection.echoes('the owner is in')).toBe(true);
    await expect.poll(async () => (await usesLeft(address))[0] ?? 0, { timeout: LATE }).toBe(USES - 1);
    await connection.close();
  });

  // Against: more connections than `uses` permits, opened at once
  // by: those beyond the count are ended with their sockets
  it.each([
    ['that waits', ECHO, 'echo'],
    ['that speaks first', SPEAKS, 'speaks'],
  ] as const)(
    'lets no more than its number stay when hundreds come at once, to a service %s',
    async (_, port, door) => {
      const address = await open(door);
      const { made, alive, lives } = await spam(port, 1500);
      await daemon.waitFor({ event: 'door.closed', source: address, door, reason: 'used' }, LATE);
      process.stdout.write(
        `uses ${USES}, ${SPAM} at once: ${made} made, ${alive} stay, the longest other ${Math.max(0, ...lives)} ms\n`,
      );
      expect(made).toBeGreaterThanOrEqual(USES);
      expect(alive).toBe(USES);
      // Half-way connections complete after the grant's end, and are cut then.
      expect(lives).toHaveLength(made - USES);
      expect(Math.max(0, ...lives)).toBeLessThan(1_000);
    },
  );

  // Against: conntrack's events switched off
  // by: the table is looked through each second, and the status says so
  it('is counted once a second where the kernel tells of nothing, which the status says as long as it is so', async () => {
    const problems = async (): Promise<string> =>
      JSON.stringify((await ask(daemon, { command: 'status' })).problems);
    await net.server.exec(['sysctl', '-qw', `${EVENTS}=0`]);
    try {
      await expect.poll(problems, { timeout: LATE }).toContain(`sysctl ${EVENTS}=1`);
      const address = await open('echo');
      const { alive } = await spam(ECHO, 4000);
      await daemon.waitFor({ event: 'door.closed', source: address, door: 'echo', reason: 'used' }, LATE);
      expect(alive).toBe(USES);
    } finally {
      await net.server.exec(['sysctl', '-qw', `${EVENTS}=1`]);
    }
    await expect.poll(problems, { timeout: LATE }).not.toContain(EVENTS);
  });

  // Against: conntrack's events switched off for less than a second, between two looks at the switch
  // by: the table is looked through every 5 s while somebody may be counted
  it('is counted within seconds where the kernel told of nothing for a moment', async () => {
    const address = await open('echo');
    await net.server.exec(['sysctl', '-qw', `${EVENTS}=0`]);
    const spamming = spam(ECHO, 12_000);
    await sleep(250 + Math.random() * 350);
    await net.server.exec(['sysctl', '-qw', `${EVENTS}=1`]);
    const { alive } = await spamming;
    await daemon.waitFor({ event: 'door.closed', source: address, door: 'echo', reason: 'used' }, LATE);
    expect(alive).toBe(USES);
  });
});

// Against: filling conntrack's table, so that after a start connections are counted that were counted before
// by: of what was there before the count began only what leads through a door is kept
it('a connection is counted once, also where the daemon starts anew beside a full table', async () => {
  const config = { ...CONFIG, doors: { echo: { ...CONFIG.doors.echo, uses: 3 * OPEN } } };
  daemon.rewrite(config);
  daemon.signal('SIGHUP');
  await daemon.waitFor({ event: 'daemon.reloaded' }, LATE);
  const { v4 } = await net.clientA.moveToFreshSource();
  await net.clientA.exec(['knock', net.clientA.server4, '7101', '7102']);
  await daemon.waitFor({ event: 'door.opened', source: v4, door: 'echo' }, LATE);
  const opening = Array.from({ length: OPEN }, () => net.clientA.openConnection(net.clientA.server4, ECHO));
  const connections = await Promise.all(opening);
  const left = async (): Promise<number | null | undefined> =>
    (await ask(daemon, { command: 'grants' })).find((each) => each.source === v4)?.uses_left;
  await expect.poll(left, { timeout: LATE }).toBe(2 * OPEN);
  await fillConntrack(net.server, CROWD, { to: '192.0.2.1', more: '-u SEEN_REPLY,ASSURED' });
  expect(Number((await net.server.exec(['conntrack', '-C'])).stdout)).toBeGreaterThan(CROWD);
  const { folder } = daemon;
  await daemon.stop('SIGTERM');
  daemon = await net.server.startDaemon(config, { folder });
  // The table is looked through every 5 s while somebody may be counted.
  await sleep(12_000);
  expect(await left()).toBe(2 * OPEN);
  for (const connection of connections) {
    expect(await connection.echoes('it goes on')).toBe(true);
    await connection.close();
  }
}, 180_000);
