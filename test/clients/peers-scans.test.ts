import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Daemon, NFKNOCK } from '../support/daemon.ts';
import { createNet, type Net } from '../support/net.ts';
import { type Knockd, scratchFolder, sh, startKnockd } from './peers-knockd.ts';

/*
 * Whole nmap scans, every port of TCP, each from an address of its own, at a machine on which knockd and nfknock run
 * side by side and watch the same door. knockd sees packets before any firewall does, so both see the same.
 *
 * A few scans by default. With NFKNOCK_LONG=1 a thousand, which take a quarter of an hour.
 */

const LONG = process.env['NFKNOCK_LONG'] === '1';
/** Scans in nmap's own order, which is another one each time. */
const SCANS = LONG ? 1_000 : 3;
const AT_ONCE = 2;
/** Scans between two looks. */
const ROUND = 100;
/** Milliseconds for all of them. */
const TIMEOUT = LONG ? 3_600_000 : 60_000;
const SERVICE = 22;
const KNOCKS = ['7000/tcp', '8000/tcp', '9000/tcp'];
/** Every documentation address that is free here; the ban of whoever comes a second time has been lifted before. */
const SOURCES = ['203.0.113', '198.51.100', '192.0.2'].flatMap((network) =>
  Array.from({ length: 100 }, (_, index) => `${network}.${index + 100}`),
);
const SOURCES_V6 = ['2001:db8:a:100::1', '2001:db8:a:101::1'];

const KNOCKD = `[options]
[ssh]
  sequence = 7000,8000,9000
  seq_timeout = 25
  tcpflags = syn
  command = /bin/true %IP%
`;

describe('whole nmap scans', () => {
  let net: Net;
  let knockd: Knockd;
  let daemon: Daemon;

  beforeAll(async () => {
    net = await createNet();
    await net.server.listen(SERVICE);
    // Nobody is answered, so it does not matter where these addresses are.
    for (const where of ['all', 'toA']) await sh(net.server, `sysctl -qw net.ipv4.conf.${where}.rp_filter=0`);
    for (const network of ['203.0.113.0/24', '198.51.100.0/24'])
      await sh(net.server, `ip route replace ${network} dev toA`);
    daemon = await net.server.startDaemon({
      doors: { ssh: { knock: KNOCKS, opens: [`${SERVICE}/tcp`], for: '10m' } },
      decoys: 'all',
      bans: { for: '1d' },
    });
    knockd = await startKnockd(net.server, scratchFolder(), KNOCKD);
  });
  afterAll(async () => {
    await knockd?.stop('SIGKILL');
    await daemon?.stop();
    net?.close();
  });

  const openedByKnockd = (): number => knockd.lines.filter((line) => line.includes('OPEN SESAME')).length;
  const asked = async (...command: readonly string[]): Promise<readonly object[]> => {
    const { stdout } = await net.server.exec([...NFKNOCK, ...command, '--json', '-c', daemon.config]);
    return JSON.parse(stdout) as readonly object[];
  };

  /** Every port once, as fast as it goes. */
  const scan = async (source: string, ...order: readonly string[]): Promise<void> => {
    const six = source.includes(':');
    const address = six ? `${source}/128 dev eth0 nodad` : `${source}/32 dev eth0`;
    await sh(net.clientA, `ip address replace ${address}`);
    const quick = ['--max-retries', '0', '--min-rate', '100000', '--max-rtt-timeout', '50ms'];
    const from = ['-n', '-Pn', '--send-ip', '-e', 'eth0', '-S', source];
    const [family, target] = six ? [['-6'], net.clientA.server6] : [[], net.clientA.server4];
    const { code, stdout } = await net.clientA.exec(
      ['nmap', '-sS', '-p-', ...family, ...order, ...from, ...quick, '--initial-rtt-timeout', '50ms', target],
      { timeout: 120_000 },
    );
    expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringContaining('1 host up') });
  };

  const scanFrom = async (sources: readonly string[]): Promise<void> => {
    const waiting = [...sources];
    const workers = Array.from({ length: AT_ONCE }, async () => {
      for (let source = waiting.shift(); source !== undefined; source = waiting.shift()) await scan(source);
    });
    await Promise.all(workers);
  };

  it('upwards: knockd opens, for the ports ascend; nfknock bans at the third port', async () => {
    await scan('192.0.2.200', '-r');
    await knockd.waitFor('192.0.2.200: ssh: OPEN SESAME', 20_000);
    expect(await daemon.waitFor({ event: 'ban.added', source: '192.0.2.200' })).toMatchObject({ strikes: 3 });
    expect(daemon.seen({ event: 'knock.accepted' })).toEqual([]);
  });

  it('over IPv6 are banned as soon, whatever their order', async () => {
    await scanFrom(SOURCES_V6);
    for (const source of SOURCES_V6)
      await daemon.waitFor({ event: 'ban.added', source: source.replace(/1$/, '/64') });
    expect(daemon.seen({ event: 'door.opened' })).toEqual([]);
  });

  it(`in nmap's order, ${SCANS} of them: nfknock bans each and opens to none`, {
    timeout: TIMEOUT,
  }, async () => {
    const before = openedByKnockd();
    let banned = (await asked('bans')).length;
    for (let done = 0; done < SCANS; ) {
      const first = done % SOURCES.length;
      const sources = SOURCES.slice(first, first + Math.min(SCANS - done, ROUND));
      await scanFrom(sources);
      banned += sources.length;
      expect(await asked('bans')).toHaveLength(banned);
      expect(daemon.seen({ event: 'door.opened' })).toEqual([]);
      done += sources.length;
      if (LONG) console.log(`${done} scans: knockd opened to ${openedByKnockd() - before}, nfknock to none`);
      if (done === SCANS) break;
      await asked('unban', '--all');
      banned = 0;
    }
    expect(await asked('grants')).toEqual([]);
    const opened = openedByKnockd() - before;
    // One in six orders of three ports is the right one; a scan that takes longer than 25 s is too slow.
    if (LONG) expect(opened).toBeGreaterThan(0);
  });
});
