import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { randomOf } from '../fuzz/random.ts';
import { SEED } from '../seed.ts';
import type { Daemon } from '../support/daemon.ts';
import { createNet, type Net } from '../support/net.ts';
import { type Child, startProcess } from '../support/process.ts';
import { startTestDaemon } from '../support/test-daemon.ts';

/** Beside programs that have many rules and change them often, and beside one that writes into our sets. */

const random = randomOf(SEED);
const KNOCKS = ['7000', '8000:udp', '9000'];
const SSH = { knock: ['7000/tcp', '8000/udp', '9000/tcp'], opens: ['22/tcp'], for: '1h' };
const PATIENCE = 15_000;
/**
 * Milliseconds over which the share of a processor is taken, with nobody knocking: an opening has its own price. The
 * daemon looks round once in this time, at every table.
 */
const ROUND = 30_000;
/** Rules of others, around the number that was seen to be too much. */
const RULES = 19_000 + random(2_000);

let net: Net;
let restless: Child | undefined;

beforeAll(async () => {
  net = await createNet();
  await net.server.listen(22);
});
afterEach(async () => {
  restless?.kill('SIGKILL');
  await sh('for t in iptables ip6tables; do $t -F; $t -X; done');
});
afterAll(() => net?.close());

const sh = async (script: string): Promise<string> => (await net.server.exec(['sh', '-c', script])).stdout;

/** User and system time of a process and its children that have ended, in seconds. */
async function seconds(daemon: Daemon): Promise<number> {
  const words = (await sh(`cat /proc/${daemon.pid}/stat`)).replace(/^.*\) /, '').split(' ');
  return [11, 12, 13, 14].reduce((sum, at) => sum + Number(words[at]) / 100, 0);
}

describe(`${RULES} rules of another program, changed twice a second (FC_SEED=${SEED})`, () => {
  // Against: the daemon kept busy by another program's many rules
  // by: of the tables only our part is read
  it.each(['INPUT', 'THEIRS'])(
    'in %s take little time of the daemon and make no door late',
    { timeout: 240_000 },
    async (chain) => {
      const rule = `-A ${chain} -s 203.0.113.0/24 -p tcp -m tcp --dport`;
      const fill = `(echo "*filter"; [ ${chain} = INPUT ] || echo ":${chain} - [0:0]"; for n in $(seq ${RULES}); do echo "${rule} $((n % 60000 + 1)) -j DROP"; done; echo COMMIT) | iptables-restore --noflush`;
      await sh(fill);
      const began = performance.now();
      const daemon = await startTestDaemon(net.server, { doors: { ssh: SSH } }, { timeout: 60_000 });
      const start = performance.now() - began;
      restless = startProcess(net.server.namespace, [
        'sh',
        '-c',
        `while :; do iptables -A ${chain} -s 203.0.113.1 -j DROP; sleep 0.5; iptables -D ${chain} -s 203.0.113.1 -j DROP; sleep 0.5; done`,
      ]);
      const before = await seconds(daemon);
      const from = performance.now();
      await sleep(chain === 'INPUT' ? ROUND : ROUND / 10);
      const share = ((await seconds(daemon)) - before) / ((performance.now() - from) / 1000);
      const opened: number[] = [];
      for (let time = 0; time < 8; time += 1) {
        await net.clientA.moveToFreshSource();
        const { server4, exec, source } = net.clientA;
        await exec(['knock', server4, ...KNOCKS]);
        const knocked = performance.now();
        await daemon.waitFor({ event: 'door.opened', source: source().v4 }, PATIENCE);
        opened.push(performance.now() - knocked);
        expect(await net.clientA.canConnect(server4, 22)).toBe(true);
      }
      process.stderr.write(`${JSON.stringify({ chain, start, worst: Math.max(...opened), share })}\n`);
      if (chain === 'INPUT') expect(share).toBeLessThan(0.25);
      expect(Math.max(...opened)).toBeLessThan(1_500);
    },
  );
});

describe('an address that somebody else has put into the set of a door', () => {
  it.each(['4', '6'] as const)(
    'is taken out within 5 s and said, whoever holds a grant (IPv%s)',
    async (family) => {
      const daemon = await startTestDaemon(
        net.server,
        { doors: { ssh: SSH }, grants: 'set' },
        { timeout: 60_000 },
      );
      const owner = await net.clientA.moveToFreshSource();
      const { server4 } = net.clientA;
      const mine = await net.clientA.runThenConnect(['knock', server4, ...KNOCKS], server4, 22);
      expect(mine).toBeDefined();
      await mine?.close();
      const stranger = await net.clientB.moveToFreshSource();
      const address = family === '4' ? stranger.v4 : stranger.v6;
      const server = family === '4' ? net.clientB.server4 : net.clientB.server6;
      await sh(`ipset add nfknock-ssh${family} ${address} timeout ${1 + random(2_000_000)}`);
      const began = performance.now();
      await daemon.waitFor({ event: 'firewall.repaired' }, PATIENCE);
      expect(performance.now() - began).toBeLessThan(5_000);
      expect(await net.clientB.canConnect(server, 22)).toBe(false);
      expect(await net.clientA.canConnect(server4, 22)).toBe(true);
      expect(await sh('ipset list nfknock-ssh4')).toContain(owner.v4);
      await daemon.stop();
    },
  );
});
