import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Capture, capture } from '../support/capture.ts';
import { NFKNOCK, writeConfig } from '../support/daemon.ts';
import { createNet, type Net } from '../support/net.ts';

const KNOCK = [...NFKNOCK, 'knock'];
const MANY = Array.from({ length: 30 }, (_, index) =>
  index % 3 === 1 ? `${7100 + index}/udp` : `${7100 + index}`,
);

describe('nfknock knock', () => {
  let net: Net;
  let watch: Capture;

  beforeAll(async () => {
    net = await createNet();
    // Every port swallows what comes, as a protected machine's do.
    for (const tables of ['iptables', 'ip6tables']) {
      for (const protocol of ['tcp', 'udp']) {
        await net.server.exec([tables, '-A', 'INPUT', '-i', 'toA', '-p', protocol, '-j', 'DROP']);
      }
    }
    watch = await capture(net.server.namespace, 'toA', 'tcp or udp');
  });
  afterAll(async () => {
    await watch?.stop();
    net?.close();
  });

  const arrived = async (argv: readonly string[]): Promise<readonly string[]> => {
    const before = watch.packets.length;
    const result = await net.clientA.exec([...KNOCK, ...argv]);
    expect(result).toMatchObject({ code: 0, stderr: '' });
    await sleep(50);
    return watch.packets.slice(before).map((packet) => `${packet.port}/${packet.protocol}`);
  };

  it.each(['server4', 'server6'] as const)('sends one packet a port, in order, to %s', async (server) => {
    const before = watch.packets.length;
    expect(await arrived([net.clientA[server], '7000', '8000:udp', '9000/TCP'])).toEqual([
      '7000/tcp',
      '8000/udp',
      '9000/tcp',
    ]);
    const [first, second] = watch.packets.slice(before);
    expect(first?.text).toContain('Flags [S]');
    expect(second?.text).toContain('length 1');
  });

  it('keeps the order of thirty knocks that have no pause between them', async () => {
    const expected = MANY.map((port) => (port.includes('/') ? port : `${port}/tcp`));
    expect(await arrived([net.clientA.server4, ...MANY])).toEqual(expected);
  });

  it('keeps the order while the address of the next machine is still being asked for', async () => {
    await net.clientA.exec(['ip', 'neighbour', 'delete', net.clientA.server4, 'dev', 'eth0']);
    expect(await arrived([net.clientA.server4, '7000', '8000/udp', '9000'])).toEqual([
      '7000/tcp',
      '8000/udp',
      '9000/tcp',
    ]);
  });

  it('sends no SYN again after it has ended', async () => {
    const before = watch.packets.length;
    await arrived([net.clientA.server4, '7201', '7202']);
    await sleep(1_300);
    expect(watch.packets.length - before).toBe(2);
  });

  it('waits between two knocks as long as it is told', async () => {
    const before = watch.packets.length;
    await arrived(['-d', '120', net.clientA.server4, '7000', '8000/udp', '9000']);
    const times = watch.packets.slice(before).map((packet) => packet.time);
    for (const [index, time] of times.entries()) {
      if (index > 0) expect(time - (times[index - 1] ?? 0)).toBeGreaterThan(0.115);
    }
  });

  it('sends from another port each time, so that the same datagram twice is two knocks', async () => {
    const before = watch.packets.length;
    await arrived([net.clientA.server4, '8000/udp', '7000', '8000/udp']);
    const ports = watch.packets.slice(before).map((packet) => packet.sourcePort);
    expect(new Set(ports).size).toBe(3);
  });

  it('takes udp for ports without a protocol with -u, and says each knock with -v', async () => {
    const { stdout } = await net.clientA.exec([
      ...KNOCK,
      '-u',
      '-v',
      net.clientA.server4,
      '7000',
      '9000/tcp',
    ]);
    expect(stdout).toBe('knocking at 7000/udp of 192.0.2.1\nknocking at 9000/tcp of 192.0.2.1\n');
  });

  it('works for an ordinary user without any privilege', async () => {
    const before = watch.packets.length;
    const user = ['setpriv', '--bounding-set=-all', '--inh-caps=-all'];
    const { code, stderr } = await net.clientA.exec([
      ...user,
      ...KNOCK,
      net.clientA.server4,
      '7000',
      '8000/udp',
    ]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    await sleep(50);
    expect(watch.packets.length - before).toBe(2);
  });

  it('takes a sequence from the configuration, no faster than its shortest gap', async () => {
    const doors = {
      ssh: {
        knock: ['7000/tcp', '8000/udp', '9000/tcp'],
        gap: { min: '100ms', max: '5s' },
        opens: ['22/tcp'],
      },
    };
    const { file } = writeConfig({ doors });
    const before = watch.packets.length;
    expect(await arrived([net.clientA.server4, '--door', 'ssh', '-c', file])).toEqual([
      '7000/tcp',
      '8000/udp',
      '9000/tcp',
    ]);
    const [first, second, third] = watch.packets.slice(before).map((packet) => packet.time);
    expect((second ?? 0) - (first ?? 0)).toBeGreaterThan(0.1);
    expect((third ?? 0) - (second ?? 0)).toBeGreaterThan(0.1);
  });

  it('says in one line that there is no way to the host, and ends with 1', async () => {
    const { code, stderr } = await net.clientA.exec([...KNOCK, '203.0.113.1', '7000']);
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /^nfknock: 7000\/tcp of 203\.0\.113\.1 could not be knocked at \(ENETUNREACH\): .*\n$/,
    );
  });
});
