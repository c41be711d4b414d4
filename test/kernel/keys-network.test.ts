import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ask } from '../support/asked.ts';
import { type Daemon, writeConfig } from '../support/daemon.ts';
import { KEYS_PORT, type KeysLab, keysLab } from '../support/keys-lab.ts';
import { createNet, type Net } from '../support/net.ts';
import { startProcess } from '../support/process.ts';

/* Packets of keys as networks, attackers and owners who change the configuration make them come. */

const SERVICE = 22;
const LATE = 15_000;
const QUICK = 150;
const NEVER = 700;

let net: Net;
let lab: KeysLab;
let daemon: Daemon;

beforeAll(async () => {
  net = await createNet();
  await net.server.listen(SERVICE);
});
afterAll(() => net?.close());
beforeEach(async () => {
  await Promise.all([net.clientA.moveToFreshSource(), net.clientB.moveToFreshSource()]);
  lab = keysLab();
});
afterEach(() => daemon?.stop('SIGKILL'));

const config = (listen: object = {}, door: object = {}): object => ({
  listen: { spa: [`${KEYS_PORT}/udp`], ...listen },
  keys: lab.file,
  doors: {
    ssh: { knock: 'spa', opens: [SERVICE], for: '2m', ...door },
    web: { knock: [7000, 8000], opens: [80] },
  },
  log: { level: 'debug' },
});
const start = async (...parts: readonly object[]): Promise<void> => {
  daemon = await net.server.startDaemon(config(...parts));
};
const me = (): string => net.clientA.source().v4;
const reaches = (timeout = QUICK): Promise<boolean> =>
  net.clientA.canConnect(net.clientA.server4, SERVICE, timeout);
const opened = (): number => daemon.seen({ event: 'door.opened' }).length;
const opens = async (): Promise<void> => {
  await lab.send(net.clientA, lab.own(me()));
  await daemon.waitFor({ event: 'door.opened', key: 'ben', source: me() }, LATE);
  expect(await reaches(LATE)).toBe(true);
};

describe('a packet of a key', () => {
  // Against: plays recorded packets of keys again by tcpreplay
  // by: used once
  it('recorded on the way and played again by tcpreplay, as it was and after a while, opens nothing', async () => {
    await start();
    const file = join(lab.folder, 'seen.pcap');
    const tcpdump = startProcess(net.clientA.namespace, [
      'tcpdump',
      '-Z',
      'root',
      '-i',
      'eth0',
      '-U',
      '-w',
      file,
      'udp',
    ]);
    await sleep(1_000);
    await opens();
    await expect.poll(() => readFileSync(file).length, { timeout: LATE }).toBeGreaterThan(24);
    tcpdump.kill('SIGINT');
    await ask(daemon, { command: 'revoke', address: me() });
    for (let time = 1; time <= 3; time += 1) {
      const { code, stderr } = await net.clientA.exec(['tcpreplay', '-q', '-i', 'eth0', file]);
      expect(code, stderr).toBe(0);
      await expect
        .poll(() => daemon.seen({ event: 'spa.rejected', reason: 'replayed' }).length, { timeout: LATE })
        .toBe(time);
      await sleep(1_000);
    }
    expect(opened()).toBe(1);
    expect(await reaches()).toBe(false);
  });

  // Against: sends a key's packet to another server that knows the key
  // by: what is proven includes the server's realm
  it('for another server is nobody’s here, though the key is the same', async () => {
    await start();
    await lab.send(net.clientA, lab.own(me(), { realm: randomBytes(32) }));
    await daemon.waitFor({ event: 'spa.unauthenticated', count: 1 }, LATE);
    expect(opened()).toBe(0);
    await opens();
  });

  it('of which a part is gone, or more stands behind it, or in pieces too small to tell, opens nothing', async () => {
    await start();
    const packet = lab.own(me());
    for (const payload of [
      packet.subarray(0, 143),
      Buffer.concat([packet, Buffer.alloc(1)]),
      packet.subarray(0, 20),
      Buffer.alloc(1_400),
      Buffer.alloc(9_000),
    ])
      await lab.send(net.clientA, payload);
    await sleep(NEVER);
    expect(opened()).toBe(0);
    // Nothing of it was used up.
    await lab.send(net.clientA, packet);
    await daemon.waitFor({ event: 'door.opened', key: 'ben' }, LATE);
  });

  it('that came in fragments opens as a whole one does', async () => {
    await start();
    await net.clientA.exec(['ip', 'link', 'set', 'eth0', 'mtu', '100']);
    try {
      await lab.send(net.clientA, lab.own(me()));
      await daemon.waitFor({ event: 'door.opened', key: 'ben', source: me() }, LATE);
    } finally {
      await net.clientA.exec(['ip', 'link', 'set', 'eth0', 'mtu', '1500']);
    }
  });

  // The others of the kind are in test/unit/spa/admit.test.ts.
  it.each(['127.0.0.1', 'ff02::1'])('for %s opens nothing, and says so', async (address) => {
    await start();
    await lab.send(net.clientA, lab.own(address));
    await daemon.waitFor({ event: 'spa.rejected', reason: 'address', key: 'ben' }, LATE);
    expect(opened()).toBe(0);
  });
});

describe('a daemon with keys', () => {
  it('on NFLOG opens to them too', async () => {
    await start({ source: 'nflog' });
    expect(await reaches()).toBe(false);
    await opens();
  });

  it('whose queues grow onto the keys’ one, and back, at a reload opens to keys and to knocks each time', async () => {
    await start({ queues: 7219 });
    for (const queues of ['7219-7221', 7220, '7219-7220', 7219]) {
      await net.clientA.moveToFreshSource();
      writeConfig(config({ queues }), daemon.folder);
      await ask(daemon, { command: 'reload' });
      await opens();
      await net.clientA.exec(['knock', net.clientA.server4, '7000', '8000']);
      await daemon.waitFor({ event: 'door.opened', door: 'web', source: me() }, LATE);
    }
  });

  it('that is reloaded again and again meanwhile opens to each packet once', async () => {
    await start();
    const used = [];
    for (let time = 0; time < 5; time += 1) {
      await net.clientA.moveToFreshSource();
      const packet = lab.own(me());
      used.push(packet);
      lab.write(`other${time}: { secret: "base64:${randomBytes(32).toString('base64')}", doors: [ssh] }`);
      const reloads = [
        ask(daemon, { command: 'reload' }),
        lab.send(net.clientA, packet),
        ask(daemon, { command: 'reload' }),
      ];
      await Promise.all(reloads);
      await daemon.waitFor({ event: 'door.opened', source: me() }, LATE);
    }
    for (const packet of used) await lab.send(net.clientA, packet);
    await expect
      .poll(() => daemon.seen({ event: 'spa.rejected', reason: 'replayed' }).length, { timeout: LATE })
      .toBe(5);
    expect(opened()).toBe(5);
  });

  it('tells the commands of a door whose key it was', async () => {
    const told = join(lab.folder, 'told');
    const argv = ['/usr/bin/env', 'sh', '-c', 'echo "$0 $1 $2" >> "$3"', '%IP%', '%KEY%', '%PERSON%', told];
    await start({}, { on_open: argv });
    await opens();
    await expect.poll(() => readFileSync(told, 'utf8'), { timeout: LATE }).toBe(`${me()} ben ben\n`);
  });

  it('that revokes a key with its connections ends those that are open, and nobody else’s', async () => {
    await start();
    await opens();
    const connect = (from: string): ReturnType<typeof startProcess> =>
      startProcess(from, ['socat', '-u', '-T', '60', `TCP4:${net.clientA.server4}:${SERVICE}`, 'STDOUT']);
    const open = connect(net.clientA.namespace);
    const established = async (): Promise<number> => {
      const { stdout } = await net.server.exec(['conntrack', '-L', '-p', 'tcp', '--state', 'ESTABLISHED']);
      return stdout.split('\n').filter((line) => line.includes(`src=${me()}`)).length;
    };
    await expect.poll(established, { timeout: LATE }).toBeGreaterThan(0);
    expect(await ask(daemon, { command: 'key_revoke', name: 'ben', cut: true })).toEqual({ changed: 1 });
    expect(await established()).toBe(0);
    open.kill('SIGKILL');
    expect(await reaches()).toBe(false);
  });
});
