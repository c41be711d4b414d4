import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import { nfknock } from '../support/bans-lab.ts';
import type { Daemon } from '../support/daemon.ts';
import { createNet, type Host, type Net } from '../support/net.ts';
import { startProcess } from '../support/process.ts';
import { ROOT } from '../support/root.ts';

const CONFIG = {
  doors: {
    ssh: { knock: ['7000/tcp', '41000/udp', '9000/tcp'], opens: ['22/tcp'], for: '1m' },
    stream: { knock: ['7001/tcp', '8001/tcp', '9001/tcp'], opens: ['42000/udp'], for: '1m' },
  },
  decoys: 'all',
  bans: { strikes: 200 },
};
const SSDP = [
  { family: '4', group: '239.255.255.250', asks: '192.0.2.1', server: 'server4' },
  { family: '6', group: 'ff02::c', asks: '::%toA', server: 'server6' },
] as const;
/** Milliseconds. */
const WAIT = 10_000;
/** Addresses are looked at every 30 s. */
const NOTICED = 45_000;
const ROUTED = '203.0.113.9';

interface Program {
  readonly lines: readonly string[];
  /** What follows the word in the first line that begins with it. */
  told(word: string): Promise<string>;
}

function run(host: Host, ...args: readonly string[]): Program {
  const child = startProcess(host.namespace, [
    process.execPath,
    `${ROOT}/test/support/discovery.mjs`,
    ...args,
  ]);
  onTestFinished(() => void child.kill('SIGKILL'));
  const lines: string[] = [];
  createInterface({ input: child.stdout }).on('line', (line) => lines.push(line));
  const told = (word: string): Promise<string> =>
    vi.waitFor(() => {
      const line = lines.find((each) => each.startsWith(word));
      if (line === undefined) throw new Error(`"${word}" is not said: ${lines.join('; ')}`);
      return line.slice(word.length).trim();
    }, WAIT);
  return { lines, told };
}

describe('with `decoys: all`, what answers a question to all the network', () => {
  let net: Net;
  let daemon: Daemon;

  beforeAll(async () => {
    net = await createNet();
    for (const argv of [
      ['ip', 'route', 'add', '239.0.0.0/8', 'dev', 'toA'],
      ['ip', 'route', 'add', '203.0.113.0/24', 'via', net.clientA.source().v4],
    ])
      await net.server.exec(argv);
    for (const argv of [
      ['ip', 'route', 'add', '239.0.0.0/8', 'dev', 'eth0'],
      ['ip', 'address', 'add', `${ROUTED}/32`, 'dev', 'eth0'],
    ])
      await net.clientA.exec(argv);
    daemon = await net.server.startDaemon(CONFIG);
  });
  afterAll(async () => {
    await daemon?.stop();
    net?.close();
  });

  const send = (text: string, to: string): Promise<unknown> =>
    net.clientA.exec(['socat', '-u', '-', to], { input: text });
  /** What came before it has been judged too. */
  const lastDecoy = async (target: string): Promise<void> => {
    const before = daemon.seen({ event: 'decoy.hit', port: '4444/tcp' }).length;
    await net.clientA.moveToFreshSource();
    await net.clientA.exec(['knock', target, '4444']);
    await vi.waitFor(
      () => expect(daemon.seen({ event: 'decoy.hit', port: '4444/tcp' }).length).toBeGreaterThan(before),
      WAIT,
    );
  };
  const struck = (port: string): number => daemon.seen({ event: 'decoy.hit', port: `${port}/udp` }).length;

  it.each(SSDP)('arrives over IPv$family and is no offence', async ({ family, group, asks, server }) => {
    const at = family === '4' ? net.clientA.source().v4 : '::%eth0';
    const device = run(net.clientA, 'answer', family, group, at);
    await device.told('ready');
    const asker = run(net.server, 'ask', family, group, asks);
    expect(await asker.told('heard')).toBe('here I am');
    await lastDecoy(net.clientA[server]);
    expect(struck(await asker.told('port'))).toBe(0);
  });

  // Against: banning neighbours by making this machine ask, or passing a decoy off as an answer
  // by: only from a directly connected network, to a port of `ip_local_port_range` where a socket waits
  it('is an offence from a network that is not directly connected', async () => {
    const asker = run(net.server, 'ask', '4', '239.255.255.250', '192.0.2.1');
    const port = await asker.told('port');
    await send('here I am', `UDP4:${net.clientA.server4}:${port},bind=${ROUTED}`);
    await daemon.waitFor({ event: 'decoy.hit', source: ROUTED, port: `${port}/udp` });
    expect(asker.lines.join()).not.toContain('heard');
  });

  it('is an offence where no socket waits', async () => {
    const { v4 } = await net.clientA.moveToFreshSource();
    await send('here I am', `UDP4:${net.clientA.server4}:45678`);
    await daemon.waitFor({ event: 'decoy.hit', source: v4, port: '45678/udp' });
  });

  it.each(['5353', '20000', '32767', '61000'])(
    'does not reach port %s, beyond those for questions',
    async (port) => {
      const { v4 } = await net.clientA.moveToFreshSource();
      const service = run(net.server, 'ask', '4', '239.255.255.250', '192.0.2.1', port);
      await service.told('port');
      await send('let me in', `UDP4:${net.clientA.server4}:${port}`);
      await daemon.waitFor({ event: 'decoy.hit', source: v4, port: `${port}/udp` });
      expect(service.lines.join()).not.toContain('heard');
    },
  );

  it.each(['32768', '60999'])('reaches port %s, the edge of those for questions', async (port) => {
    const asker = run(net.server, 'ask', '4', '239.255.255.250', '192.0.2.1', port);
    await asker.told('port');
    await send('here I am', `UDP4:${net.clientA.server4}:${port}`);
    expect(await asker.told('heard')).toBe('here I am');
    await lastDecoy(net.clientA.server4);
    expect(struck(port)).toBe(0);
  });

  // Against: reaching a service under the name of an answer
  // by: knocks, doors and ports outside that range come first
  it.each([
    ['a service behind a door', '42000'],
    ['a knock', '41000'],
  ])('does not reach %s, whatever waits there', async (_what, port) => {
    const service = run(net.server, 'ask', '4', '239.255.255.250', '192.0.2.1', port);
    await service.told('port');
    await send('let me in', `UDP4:${net.clientA.server4}:${port}`);
    await lastDecoy(net.clientA.server4);
    expect(service.lines.join()).not.toContain('heard');
  });

  it(
    'comes from a network that this machine joined meanwhile, within half a minute',
    async () => {
      await net.server.exec(['ip', 'address', 'add', '203.0.113.1/24', 'dev', 'toA']);
      await vi.waitFor(
        async () => {
          const { stdout } = await net.server.exec(['iptables', '-S', 'NFKNOCK']);
          expect(stdout).toContain(
            '-s 203.0.113.0/24 -p udp -m udp --dport 32768:60999 -m socket --nowildcard',
          );
        },
        { timeout: NOTICED, interval: 500 },
      );
      const asker = run(net.server, 'ask', '4', '239.255.255.250', '192.0.2.1');
      const port = await asker.told('port');
      await send('here I am', `UDP4:${net.clientA.server4}:${port},bind=${ROUTED}`);
      expect(await asker.told('heard')).toBe('here I am');
      // Our own change is nobody else's.
      expect(daemon.seen({ event: 'firewall.repaired' })).toEqual([]);
    },
    NOTICED + WAIT,
  );

  it('is what `rules print` shows', async () => {
    const { stdout } = await nfknock(net.server, daemon, 'rules', 'print', '-4');
    expect(stdout).toContain(
      '-A NFKNOCK -s 192.0.2.0/24 -p udp -m udp --dport 32768:60999 -m socket --nowildcard -j RETURN',
    );
  });
});

describe('where the match `socket` is missing', () => {
  it('that is said, and the doors are kept all the same', async () => {
    const net = await createNet();
    onTestFinished(() => net.close());
    await net.server.listen(22);
    const hide = 'mount --bind /dev/null /usr/lib/*/xtables/libxt_socket.so && exec "$@"';
    const before = ['unshare', '-m', 'sh', '-c', hide, 'sh'];
    const daemon = await net.server.startDaemon(CONFIG, { before });
    onTestFinished(async () => void (await daemon.stop('SIGKILL')));
    const warning = await vi.waitFor(() => {
      const found = daemon
        .seen({ event: 'config.warning' })
        .find((line) => /"socket"/.test(`${line.reason}`));
      return found ?? expect.fail('nothing is said');
    }, WAIT);
    expect(warning.reason).toContain('xt_socket');
    const status = await nfknock(net.server, daemon, 'status');
    expect(status.stdout).toContain('match "socket"');
    expect(await net.clientA.canConnect(net.clientA.server4, 22, 250)).toBe(false);
    await net.clientA.exec(['knock', net.clientA.server4, '7000', '41000:udp', '9000']);
    await daemon.waitFor({ event: 'door.opened', source: net.clientA.source().v4 });
    expect(await net.clientA.canConnect(net.clientA.server4, 22, 1_000)).toBe(true);
  });
});
