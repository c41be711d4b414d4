import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Daemon, NFKNOCK } from '../support/daemon.ts';
import { createNet, type Net } from '../support/net.ts';
import type { Result } from '../support/process.ts';

const SERVICE = 22;
const CONFIG = {
  doors: {
    ssh: {
      knock: ['7000/tcp', '8000/udp', '9000/tcp'],
      // A telnet knocks while the other clients have their turns, however slow the machine.
      within: '2m',
      gap: { min: '0ms', max: '110s' },
      opens: [`${SERVICE}/tcp`],
      for: '3s',
    },
  },
  decoys: ['23/tcp'],
};
/** Milliseconds that a telnet whose SYN is dropped is left to repeat it. */
const TELNET_PATIENCE = 8_000;

const FAMILIES = [
  { family: 'IPv4', server: 'server4', source: 'v4' },
  { family: 'IPv6', server: 'server6', source: 'v6' },
] as const;

type Commands = readonly (readonly string[])[];
/** Knocks are never answered: whoever waits for an answer is ended. Left to itself it knocks again. */
const brief = (...argv: readonly string[]): readonly string[] => ['timeout', '0.3', ...argv];
const nc = (target: string): Commands => [
  brief('nc', '-z', target, '7000'),
  brief('nc', '-u', target, '8000'),
  brief('nc', '-z', target, '9000'),
];
/** Fed by a socket, and in the first shell, bash would read its start-up file, however long that takes. */
const bash = (target: string): Commands =>
  ['tcp/$0/7000', 'udp/$0/8000', 'tcp/$0/9000'].map((path) =>
    brief('bash', '--norc', '-c', `echo x >/dev/${path}`, target),
  );
/** Without being told it may send from another interface's address. */
const hping3 = (target: string, source: string): Commands =>
  [
    ['-S', '7000'],
    ['--udp', '8000'],
    ['-S', '9000'],
  ].map(([kind = '', port = '']) =>
    brief('hping3', '-q', '-I', 'eth0', '-a', source, kind, '-c', '1', '-p', port, target),
  );
const nmap = (target: string): Commands => {
  const options = [
    '-n',
    '-Pn',
    '--max-retries',
    '0',
    '--host-timeout',
    '300ms',
    ...(target.includes(':') ? ['-6'] : []),
  ];
  return [
    ['nmap', '-sS', '-p', '7000', ...options, target],
    ['nmap', '-sU', '-p', '8000', ...options, target],
    ['nmap', '-sS', '-p', '9000', ...options, target],
  ];
};

describe('a door that is knocked at with an ordinary client', () => {
  let net: Net;
  let daemon: Daemon;
  /** Runs beside the other tests, from the other client. */
  let telnets: Promise<readonly Result[]>;

  beforeAll(async () => {
    net = await createNet();
    await net.server.listen(SERVICE);
    daemon = await net.server.startDaemon(CONFIG);
    const { exec, server4, server6 } = net.clientB;
    const until = { timeout: TELNET_PATIENCE };
    telnets = Promise.all([server4, server6].map((target) => exec(['telnet', target, '7000'], until)));
  });
  afterAll(async () => {
    await daemon?.stop();
    net?.close();
  });

  const knockWith = async (
    { server, source }: Pick<(typeof FAMILIES)[number], 'server' | 'source'>,
    commands: (target: string, source: string) => Commands,
  ): Promise<void> => {
    const address = (await net.clientA.moveToFreshSource())[source];
    const target = net.clientA[server];
    // What they end with says nothing: no knock is ever answered.
    for (const argv of commands(target, address)) await net.clientA.exec(argv, { input: 'x' });
    await daemon.waitFor({ event: 'door.opened', source: address });
    expect(await net.clientA.canConnect(target, SERVICE)).toBe(true);
    expect(daemon.seen({ event: 'knock.wrong', source: address })).toEqual([]);
  };

  describe.each(FAMILIES)('over $family', (family) => {
    it('opens to `knock`', () =>
      knockWith(family, (target) => [['knock', target, '7000', '8000:udp', '9000']]));

    it('opens to `nfknock knock`', () =>
      knockWith(family, (target) => [[...NFKNOCK, 'knock', target, '7000', '8000/udp', '9000']]));

    it('opens to `nfknock knock --door`, which reads the sequence', () =>
      knockWith(family, (target) => [[...NFKNOCK, 'knock', target, '--door', 'ssh', '-c', daemon.config]]));

    it('opens to `nc`', () => knockWith(family, nc));

    it('opens to bash alone', () => knockWith(family, bash));

    it('opens to `nmap` with one port at a time', () => knockWith(family, nmap));
  });

  it('opens to `hping3`', () => knockWith(FAMILIES[0], hping3));

  it('takes a `telnet` that repeats its SYN for 8 s as one knock', async () => {
    // Ended by us, and not by an answer.
    expect((await telnets).map((telnet) => telnet.signal)).toEqual(['SIGKILL', 'SIGKILL']);
    const { server4, server6, source } = net.clientB;
    const { v4, v6 } = source();
    for (const [target, address] of [
      [server4, v4],
      [server6, v6],
    ] as const) {
      expect(daemon.seen({ source: address }).map((line) => [line.event, line.step])).toEqual([
        ['knock.accepted', 1],
      ]);
      await net.clientB.exec(['knock', target, '8000:udp', '9000']);
      await daemon.waitFor({ event: 'door.opened', source: address });
      expect(await net.clientB.canConnect(target, SERVICE)).toBe(true);
    }
  });
});
