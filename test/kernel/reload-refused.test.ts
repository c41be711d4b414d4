import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { randomOf } from '../fuzz/random.ts';
import { SEED } from '../seed.ts';
import { nfknock } from '../support/bans-lab.ts';
import type { Daemon } from '../support/daemon.ts';
import { createNet, type Net } from '../support/net.ts';

/** A reload that the kernel refuses in part, and sets that are not ours to take away. */

const random = randomOf(SEED);
const word = (): string => Array.from({ length: 1 + random(8) }, () => 'abcdefgh'[random(8)]).join('');
const SSH = { knock: ['7000/tcp', '8000/udp', '9000/tcp'], opens: ['22/tcp'], for: '1h' };
const KNOCKS = ['7000', '8000:udp', '9000'];
const WEB = { knock: ['7300/tcp', '7400/tcp'], opens: ['2200/tcp'], for: '1h' };

let net: Net;
let daemon: Daemon | undefined;

beforeAll(async () => {
  net = await createNet();
  for (const port of [22, 2200]) await net.server.listen(port);
});
afterEach(async () => {
  await daemon?.stop('SIGKILL');
  daemon = undefined;
  await sh('for t in iptables ip6tables; do $t -F; $t -X; done; sleep 0.1; ipset destroy');
});
afterAll(() => net?.close());

const sh = async (script: string): Promise<string> => {
  const { stdout, stderr } = await net.server.exec(['sh', '-c', script]);
  return stdout + stderr;
};
const start = async (doors: object): Promise<Daemon> => {
  daemon = await net.server.startDaemon({ doors, grants: 'set' });
  return daemon;
};
const opens = async (knocks: readonly string[], port: number): Promise<boolean> => {
  await net.clientA.moveToFreshSource();
  const { server4 } = net.clientA;
  const connection = await net.clientA.runThenConnect(['knock', server4, ...knocks], server4, port);
  await connection?.close();
  return connection !== undefined;
};

describe(`a reload (FC_SEED=${SEED})`, () => {
  it('is whole although a set that it no longer needs is named by a rule of the owner, which is a warning', async () => {
    const name = `x${word()}`;
    const running = await start({ ssh: SSH, [name]: WEB });
    expect(await sh(`iptables -A INPUT -m set --match-set nfknock-${name}4 src -j DROP`)).toBe('');
    running.rewrite({ doors: { ssh: { ...SSH, knock: ['7100/tcp', '7200/tcp'] } }, grants: 'set' });
    const reloaded = await nfknock(net.server, running, 'reload');
    expect(reloaded).toMatchObject({ code: 0 });
    expect(reloaded.stdout + reloaded.stderr).toContain(`nfknock-${name}4`);
    await running.waitFor({ event: 'daemon.reloaded' });
    const warnings = running.seen({ event: 'config.warning' }).map(({ reason }) => reason ?? '');
    expect(warnings.filter((each) => each.includes(`nfknock-${name}4`))).toHaveLength(1);
    expect(running.seen({ event: 'config.rejected' })).toEqual([]);
    expect(await opens(['7100', '7200'], 22)).toBe(true);
    expect(await nfknock(net.server, running, 'status')).toMatchObject({ code: 0 });
    // Once the owner's rule is gone the next reload takes the set away.
    await sh(`iptables -D INPUT -m set --match-set nfknock-${name}4 src -j DROP`);
    expect((await nfknock(net.server, running, 'reload')).code).toBe(0);
    expect(await sh('ipset list -n')).not.toContain(`nfknock-${name}4`);
  });

  // Against: a reload that the kernel refuses in part
  // by: all or nothing; what is merely left over is a warning
  it.each([4, 6] as const)(
    'that IPv%i refuses leaves rules, sets, queue and engine as they were',
    async (family) => {
      const name = `y${word()}`;
      const running = await start({ ssh: SSH });
      // A set of the owner's, of another kind, where ours is to be.
      expect(await sh(`ipset create nfknock-${name}${family} hash:ip,port`)).toBe('');
      const before = await sh('iptables -S; ip6tables -S; ipset list -n');
      running.rewrite({
        listen: { queues: 100 + random(1000) },
        doors: { ssh: { ...SSH, knock: ['7100/tcp', '7200/tcp'] }, [name]: WEB },
        grants: 'set',
      });
      const { code, stderr } = await nfknock(net.server, running, 'reload');
      expect(code).toBe(1);
      expect(stderr).toContain(`nfknock-${name}${family}`);
      await running.waitFor({ event: 'config.rejected' });
      expect(await sh('iptables -S; ip6tables -S; ipset list -n')).toBe(before);
      expect(await opens(KNOCKS, 22)).toBe(true);
      expect(await opens(['7300', '7400'], 2200)).toBe(true);
    },
  );

  it.each([
    ['ip', 'NFKNOCK-EARLY'],
    ['ip', 'NFKNOCK-MARK'],
    ['ip6', 'NFKNOCK-EARLY'],
    ['ip6', 'NFKNOCK-MARK'],
  ])(
    'that is refused in mangle alone, of %s for its chain %s, leaves all tables as they were',
    async (family, chain) => {
      const running = await start({ ssh: { ...SSH, grant_mark: 1 + random(0xffff) } });
      // A chain that is named from a map, as iptables writes none, can't be taken away.
      const map = `'{ ${1 + random(60_000)} : jump ${chain} }'`;
      expect(
        await sh(
          `nft add chain ${family} mangle own && nft add rule ${family} mangle own tcp dport vmap ${map}`,
        ),
      ).toBe('');
      const all = (): Promise<string> =>
        sh(
          'for t in iptables ip6tables; do for w in filter mangle nat; do $t -t $w -S; done; done; ipset list -n',
        );
      try {
        const before = await all();
        running.rewrite({ doors: { ssh: { ...SSH, knock: ['7100/tcp', '7200/tcp'] } }, grants: 'set' });
        expect(await nfknock(net.server, running, 'reload')).toMatchObject({
          code: 1,
          stderr: expect.stringContaining(chain),
        });
        expect(await all()).toBe(before);
        expect(await nfknock(net.server, running, 'status')).toMatchObject({
          code: 1,
          stdout: expect.stringContaining('the last reload was refused'),
        });
        expect(await opens(['7100', '7200'], 22)).toBe(false);
        expect(await opens(KNOCKS, 22)).toBe(true);
      } finally {
        await running.stop('SIGKILL');
        await sh('nft delete table ip mangle; nft delete table ip6 mangle');
      }
    },
  );
});

describe('a set of another program, whatever it is called', () => {
  const foreign = `nfknock-z${word()}4`;
  // Against: having us destroy another program's set that is called as ours are
  // by: ours are known by name and limit
  it('outlives a reload, `rules remove` and the purge of the package', async () => {
    await sh(`ipset create ${foreign} hash:net timeout 0; ipset add ${foreign} 203.0.113.0/24`);
    const running = await start({ ssh: SSH, web: WEB });
    running.rewrite({ doors: { ssh: SSH } });
    expect((await nfknock(net.server, running, 'reload')).code).toBe(0);
    expect((await sh('ipset list -n')).trim().split('\n').sort()).toEqual(
      [foreign, 'nfknock-ban4', 'nfknock-ban6'].sort(),
    );
    await running.stop();
    expect((await nfknock(net.server, running, 'rules', 'remove')).code).toBe(0);
    expect(await sh('ipset list -n')).toBe(`${foreign}\n`);
    await start({ ssh: SSH, web: WEB });
    await daemon?.stop();
    expect(await sh('NFKNOCK_STAND_DOWN_DIR=/run/nfknock-none sh deploy/boot-rules purge')).toBe('');
    expect(await sh('ipset list -n')).toBe(`${foreign}\n`);
    expect(await sh(`ipset list ${foreign}`)).toContain('203.0.113.0/24');
  });
});
