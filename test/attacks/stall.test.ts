import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildFlood } from '../support/attacker-tools.ts';
import { nfknock } from '../support/bans-lab.ts';
import type { Daemon } from '../support/daemon.ts';
import { createNet, type Net } from '../support/net.ts';

/* A daemon that is stopped, stalled, killed, flooded. */

const SERVICE = 22;
/** A decoy behind which something listens: who gets past the queue unjudged gets there. */
const DECOY = 23;
const KNOCKS = ['7000', '8000:udp', '9000'];
/** Milliseconds for an event that a busy machine may be late with. */
const LATE = 15_000;
const QUICK = 200;
/** Milliseconds between two knocks, and the least that is allowed. */
const EVERY = 250;
const GAP_MIN = 150;

const CONFIG = {
  doors: {
    ssh: {
      knock: ['7000/tcp', '8000/udp', '9000/tcp'],
      gap: { min: `${GAP_MIN}ms`, max: '20s' },
      within: '50s',
      opens: [SERVICE],
      // What a command of ours starts lives on when the daemon is killed.
      on_open: ['/bin/sleep', '30'],
    },
  },
  decoys: [DECOY],
  bans: { strikes: 1, rate: { packets: 1000, per: '1s' } },
};

let net: Net;
let daemon: Daemon;
beforeAll(async () => {
  net = await createNet();
  for (const port of [SERVICE, DECOY]) await net.server.listen(port);
  await net.server.exec(['ip', 'route', 'add', '203.0.113.0/24', 'dev', 'toA']);
  daemon = await net.server.startDaemon(CONFIG);
});
afterAll(async () => {
  await daemon?.stop('SIGKILL');
  net?.close();
});

const knock = (every = EVERY): Promise<unknown> =>
  net.clientA.exec(['knock', '-d', `${every}`, net.clientA.server4, ...KNOCKS]);
const reaches = (timeout = QUICK, port = SERVICE): Promise<boolean> =>
  net.clientA.canConnect(net.clientA.server4, port, timeout);

describe('while the daemon is stopped by SIGSTOP', () => {
  it('`status` says so within seconds and ends with 5, and with 0 once it goes on', async () => {
    const status = () => nfknock(net.server, daemon, 'status');
    daemon.signal('SIGSTOP');
    const began = performance.now();
    const still = await status();
    const took = performance.now() - began;
    daemon.signal('SIGCONT');
    expect(still).toMatchObject({ code: 5, stdout: '' });
    expect(still.stderr).toMatch(/did not answer within 2 s: it is stopped or overloaded; /);
    // Two seconds, and the program's own start on a machine that may be busy.
    expect(took).toBeLessThan(8_000);
    expect((await status()).code).toBeLessThan(2);
  });

  // Against: any packet while the daemon is stopped
  // by: the DROP at the end of each service's chain
  it('nobody is let in, and afterwards knocks are judged by when they came, not by when they were read', async () => {
    const { v4 } = await net.clientA.moveToFreshSource();
    daemon.signal('SIGSTOP');
    await knock();
    await sleep(300);
    expect(await reaches()).toBe(false);
    daemon.signal('SIGCONT');
    await daemon.waitFor({ event: 'door.opened', source: v4 }, LATE);
    expect(await reaches(LATE)).toBe(true);
    expect(daemon.seen({ event: 'knock.too_fast', source: v4 })).toEqual([]);
  });

  it('who knocked too fast is still found too fast', async () => {
    const { v4 } = await net.clientA.moveToFreshSource();
    daemon.signal('SIGSTOP');
    await knock(1);
    await sleep(300);
    daemon.signal('SIGCONT');
    await daemon.waitFor({ event: 'knock.too_fast', source: v4 }, LATE);
    expect(await reaches()).toBe(false);
  });

  // Against: running the queue over
  // by: no fail-open, no `--queue-bypass`
  it('anyone who waits at the port is not let in by a queue that runs over', async () => {
    const { server4 } = net.clientA;
    await net.clientA.moveToFreshSource();
    daemon.signal('SIGSTOP');
    // More than the queue holds: 65,535.
    const flood = [buildFlood(), '-d', server4, '-p', '23', '-n', '80000', '-t', '5', '-s', '203.0.113.0/24'];
    await net.clientA.exec(flood);
    const through = [await reaches(), await reaches(QUICK, DECOY)];
    daemon.signal('SIGCONT');
    expect(through).toEqual([false, false]);
    // It catches up, and a knock opens again.
    await net.clientA.moveToFreshSource();
    const opened = await net.clientA.runThenConnect(
      ['knock', '-d', `${EVERY}`, server4, ...KNOCKS],
      server4,
      SERVICE,
      LATE,
    );
    expect(opened).toBeDefined();
  });
});

describe('a flood of forged first knocks', () => {
  it('from every address of a network keeps nobody from knocking', async () => {
    const { server4 } = net.clientA;
    const { v4 } = await net.clientA.moveToFreshSource();
    const flood = net.clientB.exec(
      [buildFlood(), '-d', net.clientB.server4, '-p', '7000', '-r', '5000', '-n', '100000', '-t', '2'].concat(
        ['-s', '203.0.113.0/24'],
      ),
    );
    await net.clientA.exec(['knock', '-d', `${EVERY}`, server4, ...KNOCKS]);
    await daemon.waitFor({ event: 'door.opened', source: v4 }, LATE);
    await flood;
    // What the flood did is counted, not written line by line.
    expect(daemon.seen({ event: 'knock.accepted' }).length).toBeLessThan(1_000);
  });
});

describe('a child that outlives the daemon', () => {
  // Against: a child that holds the queue
  // by: `SOCK_CLOEXEC`
  it('does not keep the queue: the next daemon has it at once, and opens', async () => {
    const { folder } = daemon;
    await net.clientA.moveToFreshSource();
    await knock();
    await daemon.waitFor({ event: 'door.opened', source: net.clientA.source().v4 }, LATE);
    await daemon.stop('SIGKILL');
    const left = await net.server.exec([
      'sh',
      '-c',
      'ip netns pids "$0" | xargs ps -o args= -p',
      net.server.namespace,
    ]);
    expect(left.stdout).toContain('/bin/sleep 30');
    daemon = await net.server.startDaemon(CONFIG, { folder });
    const { v4 } = await net.clientA.moveToFreshSource();
    await knock();
    await daemon.waitFor({ event: 'door.opened', source: v4 }, LATE);
  });
});

describe('a daemon that is dead', () => {
  // Against: any packet while the daemon is dead or gone
  // by: the DROP of the queue without a listener
  it('lets nobody get behind a decoy: a queue that nobody listens to drops', async () => {
    await daemon.stop('SIGKILL');
    await net.clientA.moveToFreshSource();
    expect(await reaches(QUICK, DECOY)).toBe(false);
    expect(await reaches()).toBe(false);
  });
});
