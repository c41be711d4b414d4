import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { nfknock } from '../support/bans-lab.ts';
import { capture } from '../support/capture.ts';
import type { Daemon } from '../support/daemon.ts';
import { createNet, type Net, type Source } from '../support/net.ts';
import { ROOT } from '../support/root.ts';

const SERVICE = 22;
const KNOCK = 7000 + Math.floor(Math.random() * 500);
const DECOY = 2323;
const UDP_KNOCK = 8000 + Math.floor(Math.random() * 500);
const UDP_DECOY = 161;
/** Nothing listens on these, and nfknock knows nothing of them. */
const CLOSED = 9000 + Math.floor(Math.random() * 500);

const configOf = (more: object): object => ({
  listen: { source: 'nflog' },
  answer: 'closed',
  doors: {
    ssh: { knock: [`${KNOCK}/tcp`, `${UDP_KNOCK}/udp`, `${KNOCK + 1}/tcp`], opens: [`${SERVICE}/tcp`] },
  },
  decoys: [`${DECOY}/tcp`, `${UDP_DECOY}/udp`],
  ...more,
});

const TCP = ['syn', 'ack', 'fin', 'null', 'xmas', 'maimon', 'synack'] as const;
const FAMILIES = [
  { family: 'IPv4', server: 'server4', source: 'v4' },
  { family: 'IPv6', server: 'server6', source: 'v6' },
] as const;
type Family = (typeof FAMILIES)[number];

/** Without the identification of an ICMP error, which counts up in steps of chance, for closed ports too. */
function unnumbered(hex: string): string {
  const icmp = hex.startsWith('4') && hex.slice(18, 20) === '01';
  return icmp ? `${hex.slice(0, 8)}····${hex.slice(12)}` : hex;
}

describe('with `answer: closed`', () => {
  let net: Net;
  let daemon: Daemon | undefined;

  beforeAll(async () => {
    net = await createNet();
    await net.server.listen(SERVICE);
    // A reset that the kernel makes for an unguarded port has a flow label; docs/doors.md tells of it.
    await net.server.exec(['sysctl', '-qw', 'net.ipv6.auto_flowlabels=0']);
  });
  afterAll(() => net?.close());
  afterEach(async () => {
    await daemon?.stop();
    if (daemon !== undefined) await nfknock(net.server, daemon, 'rules', 'remove');
    daemon = undefined;
  });

  /** What comes back for each probe, as hexadecimal, from a source that is not used again. */
  const answers = async (
    { server, source }: Family,
    from: Source,
    probes: readonly string[],
    wait = 1000,
  ): Promise<readonly (readonly string[])[]> => {
    const macs = ['02:00:00:00:00:02', '02:00:00:00:00:01'];
    const script = join(ROOT, 'test/support/probe.py');
    const argv = [
      'python3',
      script,
      'eth0',
      ...macs,
      from[source],
      net.clientA[server],
      `${wait}`,
      ...probes,
    ];
    const { stdout, stderr } = await net.clientA.exec(argv);
    if (stdout === '') throw new Error(stderr);
    return JSON.parse(stdout) as string[][];
  };

  /** Probes of each kind to a closed port and to guarded ones: the answers are the same, and there are some. */
  const compare = async (family: Family, take: () => Promise<Source>): Promise<void> => {
    const kinds = [
      ...TCP.map((kind) => ({ kind, ports: [CLOSED, KNOCK, DECOY, SERVICE] })),
      { kind: 'udp', ports: [CLOSED, UDP_KNOCK, UDP_DECOY] },
    ];
    const probes = kinds.flatMap(({ kind, ports }) => ports.map((port) => `${kind}:${port}`));
    const got = [...(await answers(family, await take(), probes))];
    for (const { kind, ports } of kinds) {
      const [closed, ...guarded] = got.splice(0, ports.length).map((packets) => packets.map(unnumbered));
      expect(closed, kind).toHaveLength(1);
      for (const each of guarded) expect(each, `${kind} over ${family.family}`).toEqual(closed);
    }
  };

  // Against: knock ports that show in a scan by being dropped among closed ones
  // by: `answer: closed`
  it.each(FAMILIES)(
    'knock, decoy and service answer over $family like a closed port, to the letter, before and during a ban',
    async (family) => {
      daemon = await net.server.startDaemon(configOf({ bans: { strikes: 200 } }));
      await compare(family, () => net.clientA.moveToFreshSource());
      const banned = async (): Promise<Source> => {
        const source = await net.clientA.moveToFreshSource();
        const { code, stderr } = await nfknock(net.server, daemon as Daemon, 'ban', source[family.source]);
        expect(code, stderr).toBe(0);
        return source;
      };
      await compare(family, banned);
      await daemon.stop();
      daemon = await net.server.startDaemon(configOf({ bans: { strikes: 200, scope: 'hidden' } }));
      await compare(family, banned);
    },
  );

  it.each(FAMILIES)('every port answers alike over $family where all are decoys', async (family) => {
    daemon = await net.server.startDaemon(configOf({ decoys: 'all', bans: { strikes: 200 } }));
    await compare(family, () => net.clientA.moveToFreshSource());
  });

  it.each(FAMILIES)('ICMP errors over $family are as few as those of a closed port', async (family) => {
    daemon = await net.server.startDaemon(
      configOf({ bans: { strikes: 200, rate: { packets: 1000, per: '1s' } } }),
    );
    const count = async (port: number): Promise<number> => {
      const probes = Array.from({ length: 40 }, () => `udp:${port}`);
      const got = await answers(family, await net.clientA.moveToFreshSource(), probes, 10);
      return got.flat().length;
    };
    const closed = await count(CLOSED);
    expect(closed).toBeGreaterThan(0);
    expect(closed).toBeLessThan(40);
    for (const port of [UDP_KNOCK, UDP_DECOY])
      expect(Math.abs((await count(port)) - closed)).toBeLessThanOrEqual(1);
  });

  it.each(FAMILIES)(
    'the door opens over $family, and the service is refused before and after',
    async (family) => {
      daemon = await net.server.startDaemon(configOf({}));
      const { [family.source]: source } = await net.clientA.moveToFreshSource();
      const target = net.clientA[family.server];
      expect(await net.clientA.canConnect(target, SERVICE)).toBe(false);
      await net.clientA.exec(['knock', target, `${KNOCK}`, `${UDP_KNOCK}:udp`, `${KNOCK + 1}`]);
      await daemon.waitFor({ event: 'door.opened', source });
      expect(await net.clientA.canConnect(target, SERVICE)).toBe(true);
      expect(await net.clientB.canConnect(net.clientB[family.server], SERVICE)).toBe(false);
    },
  );

  // Against: a reset that cuts a connection which conntrack does not know
  // by: `-m socket` before each reset
  it.each(FAMILIES)('a connection over $family that conntrack does not know is not reset', async (family) => {
    await net.clientA.moveToFreshSource();
    const target = net.clientA[family.server];
    const connection = await net.clientA.openConnection(target, SERVICE);
    daemon = await net.server.startDaemon(configOf({}));
    const seen = await capture(net.clientA.namespace, 'eth0', `src host ${target} and tcp`);
    await net.server.exec(['conntrack', '-F']);
    // Not let in either: who can tell it from a stranger's? It goes on as soon as the service says something.
    expect(await connection.echoes('still here', 700)).toBe(false);
    expect(await net.clientA.canConnect(target, SERVICE)).toBe(false);
    // What was captured is told a little later.
    const resets = (): number => seen.packets.filter(({ text }) => text.startsWith('Flags [R')).length;
    const deadline = performance.now() + 3_000;
    while (resets() === 0 && performance.now() < deadline) await sleep(50);
    expect(resets()).toBe(1);
    await seen.stop();
    await connection.close();
  });
});
