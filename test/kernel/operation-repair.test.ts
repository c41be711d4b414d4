import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connectControl } from '../../src/control/client.ts';
import { nfknock } from '../support/bans-lab.ts';
import type { Daemon } from '../support/daemon.ts';
import { createNet, type Net } from '../support/net.ts';
import type { Result } from '../support/process.ts';

/** What happens when someone else lays hands on the rules of a running daemon. */

const SERVICE = 22;
const OPEN_PORT = 8080;
const KNOCKS = ['7000', '8000:udp', '9000'];
const SSH = { knock: ['7000/tcp', '8000/udp', '9000/tcp'], opens: [`${SERVICE}/tcp`], for: '1h' };
const CONFIG = { doors: { ssh: SSH }, decoys: ['23/tcp', '2323/tcp', '3389/tcp'] };
/** What is promised, in milliseconds. */
const NOTICED = 5_000;
/** How long a test waits for what is promised earlier: the machine may be busy. */
const PATIENCE = 15_000;

const FOREIGN_TABLE = `*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:THEIRS - [0:0]
-A INPUT -j THEIRS
-A THEIRS -p tcp --dport 8080 -j ACCEPT
COMMIT
`;

let net: Net;
let daemon: Daemon;

beforeAll(async () => {
  net = await createNet();
  for (const port of [SERVICE, OPEN_PORT]) await net.server.listen(port);
  daemon = await net.server.startDaemon(CONFIG);
  const { server4, server6 } = net.clientA;
  for (const server of [server4, server6]) {
    await net.clientA.runThenConnect(['knock', server, ...KNOCKS], server, SERVICE);
  }
  await net.clientB.exec(['knock', net.clientB.server4, '23', '2323', '3389']);
  await daemon.waitFor({ event: 'ban.added', source: net.clientB.source().v4 });
});
afterAll(async () => {
  await daemon?.stop();
  net?.close();
});

const sh = (command: string, input = ''): Promise<Result> =>
  net.server.exec(['sh', '-c', command], { input });
const repairs = (): number => daemon.seen({ event: 'firewall.repaired' }).length;

/** The owner is in over both families, the banned one is out everywhere, the service is closed to strangers. */
async function expectAllIsWell(what: string): Promise<void> {
  const { clientA: owner, clientB: banned } = net;
  const well = async (): Promise<object> => ({
    owner4: await owner.canConnect(owner.server4, SERVICE),
    owner6: await owner.canConnect(owner.server6, SERVICE),
    stranger6: await banned.canConnect(banned.server6, SERVICE),
    banned: await banned.canConnect(banned.server4, OPEN_PORT),
  });
  // Once more, perhaps: where the tampering took several commands, the first look may have come between them.
  await expect
    .poll(well, { timeout: NOTICED, interval: 100, message: what })
    .toEqual({ owner4: true, owner6: true, stranger6: false, banned: false });
}

describe('what someone else changed is noticed within 5 s, put back and said', () => {
  // Against: a rule or an address slipped in among the grants
  // by: our chains and the doors' sets are compared with what was granted, rule by rule
  it.each([
    ['all rules flushed', 'iptables -F && ip6tables -F', ''],
    ['all rules and chains removed', 'for t in iptables ip6tables; do $t -F; $t -X; done', ''],
    ['our chain flushed', 'iptables -F NFKNOCK', ''],
    ['the chain of the grants flushed', 'iptables -F NFKNOCK-GRANT', ''],
    ['one of our rules deleted', 'ip6tables -D NFKNOCK-SERVICE -j DROP', ''],
    ['a rule put before our jump', 'iptables -I INPUT 1 -p tcp --dport 22 -j ACCEPT', ''],
    ['our jump deleted', 'iptables -D INPUT 1', ''],
    ['a stray rule among the grants', 'iptables -A NFKNOCK-GRANT -p tcp --dport 22 -j ACCEPT', ''],
    [
      'a stray rule that calls itself a grant',
      'ip6tables -I NFKNOCK-GRANT 1 -p tcp --dport 22 -m comment --comment "nfknock door=ssh until=4102444800000" -j ACCEPT',
      '',
    ],
    [
      'a grant that is there twice, and would outlive its end',
      'iptables-save -t filter | grep "^-A NFKNOCK-GRANT" | sed "s/^/*filter\\n/; s/$/\\nCOMMIT/" | iptables-restore --noflush',
      '',
    ],
    [
      'a grant widened to everyone',
      'iptables-save -t filter | grep "^-A NFKNOCK-GRANT" | sed "s/ -s [^ ]*//; s/^-A NFKNOCK-GRANT/*filter\\n-R NFKNOCK-GRANT 1/; s/$/\\nCOMMIT/" | iptables-restore --noflush',
      '',
    ],
    ['one of our rules replaced by another', 'iptables -R NFKNOCK-SERVICE 2 -j ACCEPT', ''],
    ['a rule put into our chain', 'iptables -I NFKNOCK 1 -p tcp --dport 22 -j ACCEPT', ''],
    ['a whole table of theirs in the place of ours', 'iptables-restore', FOREIGN_TABLE],
    ['the bans flushed', 'ipset flush nfknock-ban4', ''],
    [
      'sets destroyed with the rules',
      'for t in iptables ip6tables; do $t -F; $t -X; done; ipset destroy',
      '',
    ],
    [
      'what ufw does when it is switched on',
      'iptables -N ufw-before-input; iptables -F INPUT; iptables -A INPUT -j ufw-before-input; iptables -P INPUT DROP; iptables -P INPUT ACCEPT',
      '',
    ],
    [
      'what docker does when it starts',
      'iptables -N DOCKER-USER; iptables -N DOCKER; iptables -I FORWARD -j DOCKER-USER; iptables -I INPUT -j RETURN',
      '',
    ],
  ])('%s', async (_what, command, input) => {
    const before = repairs();
    const began = performance.now();
    const { stderr } = await sh(command, input);
    expect(stderr).toBe('');
    await expect.poll(repairs, { timeout: PATIENCE, interval: 20 }).toBeGreaterThan(before);
    expect(performance.now() - began).toBeLessThan(NOTICED);
    await expectAllIsWell(command);
    expect(repairs()).toBeLessThanOrEqual(before + 3);
    expect(daemon.seen({ event: 'firewall.failed' })).toEqual([]);
  });

  it('and what is theirs stays as it was', async () => {
    const { stdout } = await sh('iptables -S');
    expect(stdout).toContain('-A INPUT -j ufw-before-input');
    expect(stdout).toContain('-N DOCKER-USER');
  });

  it('also where a grant in the same moment finds the chains and sets gone', async () => {
    const connection = await connectControl(join(daemon.folder, 'control.sock'));
    const before = repairs();
    await sh('for t in iptables ip6tables; do $t -F; $t -X; done; ipset destroy');
    await connection.ask({ command: 'grant', door: 'ssh', address: '203.0.113.77' });
    connection.close();
    await expect.poll(repairs, { timeout: PATIENCE, interval: 20 }).toBeGreaterThan(before);
    await expectAllIsWell('a grant in the same moment');
    expect((await sh('iptables -S NFKNOCK-GRANT')).stdout).toContain('-s 203.0.113.77/32');
  });
});

describe('a program that changes the rules again and again', () => {
  it('is answered at most once a second, and named in the status', async () => {
    const before = repairs();
    const began = performance.now();
    const script =
      'for i in $(seq 40); do iptables -I INPUT 1 -j RETURN; iptables -D INPUT -j RETURN; iptables -I INPUT 1 -j RETURN; sleep 0.1; done';
    await sh(script);
    const seconds = (performance.now() - began) / 1000;
    await expect.poll(repairs, { timeout: PATIENCE }).toBeGreaterThan(before + 1);
    expect(repairs() - before).toBeLessThanOrEqual(Math.ceil(seconds) + 2);
    await expect
      .poll(async () => (await nfknock(net.server, daemon, 'status')).stdout, {
        timeout: PATIENCE,
        interval: 200,
      })
      .toMatch(/another program changed nfknock's rules \d+ times in the last minute/);
    await expect
      .poll(async () => (await sh('iptables -S INPUT 1')).stdout, { timeout: PATIENCE })
      .toContain('-j NFKNOCK');
    await expectAllIsWell(script);
  });
});

it('rules of iptables-legacy beside ours are warned of at the start', async () => {
  await sh('iptables-legacy -A INPUT -s 203.0.113.1 -j DROP');
  const { folder } = daemon;
  await daemon.stop();
  daemon = await net.server.startDaemon(CONFIG, { folder });
  const warnings = (): string => JSON.stringify(daemon.seen({ event: 'config.warning' }));
  await expect.poll(warnings, { timeout: PATIENCE }).toContain('iptables-legacy-save');
  const installed = await nfknock(net.server, daemon, 'rules', 'install');
  expect(installed).toMatchObject({ code: 0, stderr: expect.stringContaining('iptables-legacy-save') });
  await sh('iptables-legacy -F');
});
