import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Daemon } from '../support/daemon.ts';
import { type Client, createNet, type Net } from '../support/net.ts';
import {
  accept,
  imported,
  type Knockd,
  layGuideRules,
  reaches,
  scratchFolder,
  sh,
  startKnockd,
} from './peers-knockd.ts';

/*
 * What knockd does wrong and what becomes of it here. Both run at the same time, each in a net of its own, knockd with
 * this file and nfknock with what `nfknock import` makes of it; the same is done to both.
 */

const SSH = 22;
const WEB = 80;
const BESIDE = 2200;
const BRIEF = 2600;
const SERVICES = [SSH, WEB, BESIDE, BRIEF];

const CONF = `[options]
[openSSH]
  sequence = 7000,8000,9000
  command = ${accept('A', SSH)}
  tcpflags = syn
[closeSSH]
  sequence = 9000,8000,7000
  command = ${accept('D', SSH)}
  tcpflags = syn
[web]
  sequence = 7100,8100,9100
  start_command = ${accept('A', WEB)}
  cmd_timeout = 2
  stop_command = ${accept('D', WEB)}
  tcpflags = syn
[beside]
  sequence = 8000,8300,8400
  command = ${accept('A', BESIDE)}
  tcpflags = syn
[brief]
  sequence = 7400,8450,9400
  seq_timeout = 1
  command = ${accept('A', BRIEF)}
  tcpflags = syn
`;

const SET = 'in';
const SET_PORT = 2700;
/** A rule that two grants share, as whoever lets in by a set has it. */
const CONF_WITH_SET = `${CONF}
[set]
  sequence = 7500,8500,9500
  start_command = /usr/sbin/ipset -exist add ${SET} %IP%
  cmd_timeout = 2
  stop_command = /usr/sbin/ipset -exist del ${SET} %IP%
  tcpflags = syn
`;
const DOOR_WITH_SET = { knock: ['7500/tcp', '8500/tcp', '9500/tcp'], opens: [`${SET_PORT}/tcp`], for: '2s' };

/** Who was let in. */
interface LetIn {
  readonly knockd: boolean;
  readonly nfknock: boolean;
}

const ONLY_HERE: LetIn = { knockd: false, nfknock: true };

describe('what breaks a knock at knockd', () => {
  let theirs: Net;
  let ours: Net;
  let knockd: Knockd;
  let daemon: Daemon;

  beforeAll(async () => {
    [theirs, ours] = await Promise.all([createNet(), createNet()]);
    for (const { server } of [theirs, ours])
      for (const port of [...SERVICES, SET_PORT]) await server.listen(port);
    await layGuideRules(theirs.server);
    await sh(theirs.server, `ipset create ${SET} hash:ip`);
    await sh(
      theirs.server,
      `iptables -A INPUT -p tcp --dport ${SET_PORT} -m set --match-set ${SET} src -j ACCEPT`,
    );
    knockd = await startKnockd(theirs.server, scratchFolder(), CONF_WITH_SET);
    const config = await imported(scratchFolder(), CONF);
    const doors = { ...(config['doors'] as object), set: DOOR_WITH_SET };
    daemon = await ours.server.startDaemon({ ...config, doors });
  });
  afterAll(async () => {
    await knockd?.stop('SIGKILL');
    await daemon?.stop();
    theirs?.close();
    ours?.close();
  });

  /** Does the same to both from a new address, and looks who gets in at the port. */
  const both = async (
    port: number,
    work: (client: Client, target: string) => Promise<unknown>,
    expected: LetIn = ONLY_HERE,
  ): Promise<LetIn> => {
    const one = async ({ clientA }: Net, hope: 'to get in' | 'none'): Promise<boolean> => {
      await clientA.moveToFreshSource();
      await work(clientA, clientA.server4);
      return await reaches(clientA, clientA.server4, port, hope);
    };
    const [byKnockd, byNfknock] = await Promise.all([
      one(theirs, expected.knockd ? 'to get in' : 'none'),
      one(ours, expected.nfknock ? 'to get in' : 'none'),
    ]);
    return { knockd: byKnockd, nfknock: byNfknock };
  };
  const knock =
    (...ports: readonly string[]) =>
    (client: Client, target: string): Promise<unknown> =>
      client.exec(['knock', target, ...ports]);

  it('is a repeated SYN; here it is the same knock', async () => {
    expect(await both(SSH, knock('7000', '7000', '8000', '8000', '9000'))).toEqual(ONLY_HERE);
  });

  it('is a knock of another door, which is lost for that door too; here it begins there', async () => {
    expect(await both(WEB, knock('7000', '7100', '8100', '9100'))).toEqual(ONLY_HERE);
  });

  it('is a door whose first knock is the second of another; here both are judged side by side', async () => {
    expect(await both(BESIDE, knock('7000', '8000', '8300', '8400'))).toEqual(ONLY_HERE);
  });

  it.each([
    ['nc', ['timeout', '1.4', 'nc', '-z', '-w', '3']],
    ['telnet', ['timeout', '1.4', 'telnet']],
  ])(
    'is `%s`, which repeats its SYN after a second; here that is one knock',
    async (_, [program = '', ...args]) => {
      const first = async (client: Client, target: string): Promise<unknown> => {
        await client.exec([program, ...args, target, '7000']);
        return await client.exec(['knock', target, '8000', '9000']);
      };
      expect(await both(SSH, first)).toEqual(ONLY_HERE);
    },
  );

  it('is `nmap`, which repeats its knocks in reverse and so closes the door; here it stays open', async () => {
    const ports = ['-sS', '-n', '-Pn', '-r', '--send-ip', '-p', '7000,8000,9000'];
    const nmap = (client: Client, target: string): Promise<unknown> =>
      client.exec(['nmap', ...ports, target]);
    expect(await both(SSH, nmap)).toEqual(ONLY_HERE);
  });

  // The first knock must come in one second and the others in the next.
  it('is the end of a second: its limit of 1 s can be over after 0.3 s; here it is 1 s', async () => {
    const across = async (client: Client, target: string): Promise<unknown> => {
      await sleep((1_700 - (Date.now() % 1_000)) % 1_000);
      await client.exec(['knock', target, '7400']);
      await sleep(400);
      return await client.exec(['knock', target, '8450', '9400']);
    };
    expect(await both(BRIEF, across)).toEqual(ONLY_HERE);
  });

  it('is a second knock: the first stop command cuts it off; here it lasts its own time', async () => {
    const twice = async (client: Client, target: string): Promise<unknown> => {
      await client.exec(['knock', target, '7500', '8500', '9500']);
      await sleep(1_200);
      await client.exec(['knock', target, '7500', '8500', '9500']);
      // After the end of the first grant, before that of the second.
      return await sleep(1_200);
    };
    expect(await both(SET_PORT, twice)).toEqual(ONLY_HERE);
  });

  it('is nothing, yet two knocks leave two rules, of which a closing takes one; here it is one rule', async () => {
    const twiceThenClose = async (client: Client, target: string): Promise<unknown> => {
      for (const ports of [
        ['7000', '8000', '9000'],
        ['7000', '8000', '9000'],
      ])
        await client.exec(['knock', target, ...ports]);
      await sleep(5_200);
      await client.exec(['knock', target, '9000', '8000', '7000']);
      return await sleep(500);
    };
    const onlyThere = { knockd: true, nfknock: false };
    expect(await both(SSH, twiceThenClose, onlyThere)).toEqual(onlyThere);
  });
});
