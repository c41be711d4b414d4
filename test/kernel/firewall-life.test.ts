import { spawnSync } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Change } from '../../src/firewall/firewall.ts';
import { hostCidr, networkOf } from '../../src/packet/cidr.ts';
import { cidr, configOf } from '../support/configs.ts';
import { type FirewallProxy, startFirewall } from '../support/firewall-proxy.ts';
import { createNet, type Net } from '../support/net.ts';

const CONFIG = configOf({
  doors: {
    ssh: { knock: [7000, 8000], opens: [22] },
    web: { knock: [7100, 8100], opens: [443], forward: '203.0.113.5', dnat: true },
    six: { knock: [7200, 8200], opens: [443], forward: '2001:db8:5::5', dnat: true },
  },
  decoys: [23],
});
const LATER = 60_000;
/** A repair is promised within 5 s. */
const REPAIR_WITHIN = 5_000;

/** Rules of someone else, some before and some after ours. */
const FOREIGN = [
  'iptables -A INPUT -p tcp --dport 99 -m comment --comment "not nfknock" -j DROP',
  'iptables -N NFKNOCKED',
  'iptables -A INPUT -j NFKNOCKED',
  'iptables -A FORWARD -s 203.0.113.0/24 -j ACCEPT',
  'iptables -t nat -A PREROUTING -p tcp --dport 99 -j ACCEPT',
  'ip6tables -A INPUT -p tcp --dport 99 -j DROP',
  'ip6tables -t nat -A PREROUTING -p tcp --dport 99 -j ACCEPT',
  'ipset create nfknocked hash:ip',
].join('\n');
const EVERYTHING = 'for tool in iptables ip6tables; do $tool-save; done | grep -v "^#"; ipset list';

describe('the firewall and the tables', () => {
  let net: Net;
  let firewall: FirewallProxy;
  const sh = async (script: string): Promise<string> => (await net.server.exec(['sh', '-c', script])).stdout;
  const open = (who: string, ms: number = LATER, door = 'ssh'): Change => ({
    change: 'open',
    door,
    grantee: cidr(who),
    until: Date.now() + ms,
  });
  const close = (who: string): Change => ({ change: 'close', door: 'ssh', grantee: cidr(who) });

  beforeAll(async () => {
    net = await createNet();
    await net.server.listen(22);
    firewall = await startFirewall(net.server.namespace, CONFIG);
    await firewall.close();
  });
  afterAll(async () => {
    await firewall?.kill();
    net?.close();
  });
  beforeEach(async () => {
    await firewall.reopen(CONFIG);
    await firewall.install();
  });
  afterEach(async () => {
    await firewall.remove();
    await firewall.close();
  });

  it('are as they were before once the rules are taken out, whoever else has rules there', async () => {
    await firewall.remove();
    await sh(FOREIGN);
    const before = await sh(EVERYTHING);
    for (let time = 0; time < 2; time += 1) {
      await firewall.install();
      await firewall.install();
      expect((await sh('iptables -S INPUT')).match(/-j NFKNOCK\n/g)).toHaveLength(1);
      expect(await firewall.intact()).toBe(true);
      await firewall.apply([open('192.0.2.7'), open('192.0.2.7', LATER, 'web')]);
      await firewall.remove();
    }
    expect(await sh(EVERYTHING)).toBe(before);
    await sh(
      'for tool in iptables ip6tables; do $tool -F; $tool -t nat -F; done; iptables -X; ipset destroy',
    );
  });

  it('are as they should be after a daemon with another configuration, grants included', async () => {
    await firewall.apply([open('192.0.2.7'), open('192.0.2.7', LATER, 'web'), open('192.0.2.8', 1)]);
    const file = 'iptables-save | sort; ip6tables-save | sort';
    const ours = (text: string): string =>
      text.replaceAll(/^[#:].*$\n/gm, '').replaceAll(/ -j NFKNOCK-FWD$/gm, '');
    await firewall.kill();
    firewall = await startFirewall(
      net.server.namespace,
      configOf({ doors: { ssh: { knock: [7000, 8000], opens: [22] } } }),
    );
    await firewall.install();
    expect(await sh('iptables -S')).not.toContain('NFKNOCK-FWD');
    expect(await sh('iptables -t nat -S')).not.toContain('NFKNOCK');
    const grants = (await sh('iptables -S NFKNOCK-GRANT')).trim().split('\n');
    expect(grants).toHaveLength(2);
    expect(grants[1]).toContain('-s 192.0.2.7/32');
    const there = ours(await sh(file));
    await firewall.remove();
    await firewall.install();
    expect(ours(await sh(file))).toBe(there.replace(/^-A NFKNOCK-GRANT.*\n/m, ''));
  });

  it('hold a rule once it is acknowledged', async () => {
    for (let host = 1; host <= 20; host += 1) {
      await firewall.apply([open(`192.0.2.${host}`)]);
      // Read at once, from this process.
      const { stdout } = spawnSync(
        'ip',
        ['netns', 'exec', net.server.namespace, 'iptables', '-S', 'NFKNOCK-GRANT'],
        { encoding: 'utf8' },
      );
      expect(stdout).toContain(`-s 192.0.2.${host}/32 `);
    }
  });

  it('take a block whole or not at all, and the next one after a bad one', async () => {
    await firewall.restore.open(4);
    const block = (lines: string): string => `*filter\n${lines}\nCOMMIT\n`;
    await firewall.restore.apply(block(':MINE - [0:0]'));
    const pid = await firewall.restore.pid();
    const bad = block('-A MINE -s 192.0.2.1 -j DROP\n-A NOWHERE -j DROP');
    await expect(firewall.restore.apply(bad)).rejects.toMatchObject({ name: 'FirewallError' });
    await expect(firewall.restore.apply(block('-A MINE -j NONSENSE'))).rejects.toMatchObject({
      code: 'EXIT_2',
    });
    await firewall.restore.apply(block('-A MINE -s 192.0.2.2 -j DROP'));
    expect(await firewall.restore.pid()).not.toBe(pid);
    expect(await sh('iptables -S MINE')).toBe('-N MINE\n-A MINE -s 192.0.2.2/32 -j DROP\n');
    await firewall.restore.close();
    await sh('iptables -F MINE; iptables -X MINE');
  });

  it('hold a block no earlier than what it waits for, and at once then', async () => {
    await firewall.restore.open(4);
    const apply = firewall.restore.apply('*filter\n:MINE - [0:0]\nCOMMIT\n', 800);
    await sleep(300);
    expect(await sh('iptables -w -S | grep -c MINE || true')).toBe('0\n');
    await apply;
    expect(await sh('iptables -w -S | grep -c MINE || true')).toBe('1\n');
    // What was half given when the child died is never in force, and the next block is.
    const cut = firewall.restore.apply('*filter\n:OTHER - [0:0]\nCOMMIT\n', 600);
    await sleep(200);
    process.kill((await firewall.restore.pid()) ?? 0, 'SIGKILL');
    await expect(cut).rejects.toMatchObject({ name: 'FirewallError' });
    await sleep(600);
    await firewall.restore.apply('*filter\n-A MINE -j DROP\nCOMMIT\n');
    expect(await sh('iptables -w -S | grep -E "MINE|OTHER"')).toBe('-N MINE\n-A MINE -j DROP\n');
    await firewall.restore.close();
    await sh('iptables -F MINE; iptables -X MINE');
  });

  it('change although the running iptables-restore was killed, each time', async () => {
    for (let host = 1; host <= 5; host += 1) {
      await firewall.apply([open(`192.0.2.${host}`), open(`2001:db8::${host}`)]);
      for (const pid of await firewall.pids()) process.kill(pid, 'SIGKILL');
    }
    expect((await firewall.readBack()).grants).toHaveLength(10);
  });

  it('change although iptables-restore hangs: it is ended, and started anew', async () => {
    await firewall.restore.open(4, 300);
    const block = '*filter\n:MINE - [0:0]\nCOMMIT\n';
    await firewall.restore.apply(block);
    const pid = await firewall.restore.pid();
    process.kill(pid ?? 0, 'SIGSTOP');
    await expect(firewall.restore.apply(block)).rejects.toMatchObject({ code: 'TIMEOUT' });
    await firewall.restore.apply(block);
    await firewall.restore.close();
    await sh('iptables -X MINE');
  });

  it('hold each of many grants and bans that came at once', async () => {
    const calls = Array.from({ length: 200 }, (_, n) => [open(`192.0.2.${n + 1}`)]);
    expect(new Set(await firewall.applyAll(calls))).toEqual(new Set(['done']));
    const closes = calls.slice(0, 150).map((_, n) => [close(`192.0.2.${n + 1}`)]);
    expect(new Set(await firewall.applyAll(closes))).toEqual(new Set(['done']));
    expect((await firewall.readBack()).grants).toHaveLength(50);
    expect((await sh('iptables -S NFKNOCK-GRANT')).match(/^-A/gm)).toHaveLength(50);
  });

  it('hold 10,000 bans of each family that came in one batch, and tell them back', async () => {
    const until = Date.now() + LATER;
    const bans = Array.from({ length: 10_000 }, (_, n): readonly Change[] => [
      { change: 'ban', target: hostCidr({ family: 4, a: 0x0a00_0000 + n, b: 0, c: 0, d: 0 }), until },
      { change: 'ban', target: networkOf({ family: 6, a: 0x2001_0db8, b: n, c: 0, d: 0 }, 64), until },
    ]).flat();
    await firewall.apply(bans);
    const { bans: held } = await firewall.readBack();
    expect(held).toHaveLength(20_000);
    for (const each of held) expect(Math.abs(each.until - until)).toBeLessThan(3_000);
    expect(await sh('ipset list -t nfknock-ban4')).toContain('Number of entries: 10000\n');
    await firewall.apply(
      bans.flatMap((each) =>
        each.change === 'ban' ? [{ change: 'unban', target: each.target } as const] : [],
      ),
    );
    expect((await firewall.readBack()).bans).toEqual([]);
  });

  it('keep the bans when the limit is changed', async () => {
    const until = Date.now() + LATER;
    const bans = Array.from(
      { length: 100 },
      (_, n): Change => ({ change: 'ban', target: cidr(`203.0.113.${n}`), until: until + n * 1000 }),
    );
    await firewall.apply(bans);
    const fewer = { ...CONFIG, bans: { ...CONFIG.bans, limit: 40 } };
    const size = async (): Promise<string | undefined> =>
      / maxelem (\d+)/.exec(await sh('ipset list -t nfknock-ban4'))?.[1];
    await firewall.replace(fewer);
    expect((await firewall.readBack()).bans).toHaveLength(100);
    // Whoever says the bans takes out what is too much; then the set gets its size.
    await firewall.apply(bans.slice(0, 60).map((each): Change => ({ ...each, change: 'unban' }) as Change));
    await firewall.replace(fewer);
    expect([(await firewall.readBack()).bans.length, await size()]).toEqual([40, '40']);
    await firewall.replace(CONFIG);
    expect([(await firewall.readBack()).bans.length, await size()]).toEqual([40, `${CONFIG.bans.limit}`]);
  });

  it('open a door although someone has just taken every chain away', async () => {
    await sh('iptables -F; iptables -X; iptables -t nat -F; iptables -t nat -X');
    expect(await firewall.intact()).toBe(false);
    await firewall.apply([open('192.0.2.7')]);
    expect(await firewall.intact()).toBe(true);
    expect(await sh('iptables -S')).toContain('-A NFKNOCK-GRANT -s 192.0.2.7/32');
  });

  it('are known not to be intact where a rule, a jump, its place, a grant or a set was touched', async () => {
    await firewall.apply([
      open('192.0.2.7'),
      { change: 'ban', target: cidr('203.0.113.9'), until: Date.now() + LATER },
    ]);
    const tamperings = [
      'iptables -F',
      'ip6tables -D NFKNOCK 2',
      'iptables -I NFKNOCK 1 -j ACCEPT',
      'iptables -I INPUT 1 -j ACCEPT',
      'iptables -D FORWARD -m comment --comment nfknock -j NFKNOCK-FWD',
      'iptables -t nat -F PREROUTING',
      'iptables -F NFKNOCK-GRANT',
      'iptables -N DOCKER-USER',
      'ipset flush nfknock-ban4',
    ];
    for (const tampering of tamperings) {
      expect(await firewall.intact()).toBe(true);
      await sh(tampering);
      expect(await firewall.intact(), tampering).toBe(false);
      await firewall.install();
      await firewall.apply([{ change: 'ban', target: cidr('203.0.113.9'), until: Date.now() + LATER }]);
    }
    expect(await sh('iptables -S DOCKER-USER')).toContain('-j NFKNOCK-FWD');
    expect(await sh('iptables -S INPUT')).toMatch(
      /^-P INPUT ACCEPT\n-A INPUT ! -i lo .*-j NFKNOCK\n-A INPUT -j ACCEPT\n$/,
    );
    expect((await firewall.readBack()).grants).toHaveLength(1);
    await firewall.remove();
    await sh('iptables -F; iptables -X');
  });

  // Against: rules flushed by others
  // by: a watch, repair within 5 s
  it('are repaired within 5 s after someone flushed them, and our own changes are nothing to repair', async () => {
    await firewall.apply([{ change: 'ban', target: cidr('203.0.113.9'), until: Date.now() + LATER }]);
    await firewall.watchRules();
    await firewall.apply([open('192.0.2.7')]);
    const repaired = async (tampering: string): Promise<number> => {
      const before = (await firewall.seen()).length;
      const started = performance.now();
      await sh(tampering);
      while ((await firewall.seen()).length === before) {
        if (performance.now() - started > REPAIR_WITHIN) return Number.POSITIVE_INFINITY;
        await sleep(20);
      }
      return performance.now() - started;
    };
    expect(await repaired('iptables -F')).toBeLessThan(REPAIR_WITHIN);
    expect(await repaired('ipset flush')).toBeLessThan(REPAIR_WITHIN);
    expect(await firewall.seen()).toEqual(['rules', 'sets']);
    expect(await firewall.intact()).toBe(true);
    expect((await firewall.readBack()).grants).toHaveLength(1);
  });

  it('leak no packet and lose no grant while the configuration is replaced again and again', async () => {
    const { v4 } = await net.clientA.moveToFreshSource();
    await firewall.apply([open(v4)]);
    // SYNs to the service and to a knock port, from a source without a grant; the service answers none of them.
    const stranger = (await net.clientB.moveToFreshSource()).v4;
    const flood = [
      'timeout',
      '3',
      'hping3',
      '-q',
      '-S',
      '-p',
      '22',
      '-i',
      'u500',
      '-a',
      stranger,
      net.clientB.server4,
    ];
    const flooding = net.clientB.exec(flood);
    const other = configOf({
      doors: { ssh: { knock: [7001, 8001], opens: [22, 2222] } },
      decoys: 'all',
      grants: 'set',
    });
    for (let time = 0; time < 10; time += 1) {
      await firewall.replace(time % 2 === 0 ? other : CONFIG);
      expect(await net.clientA.canConnect(net.clientA.server4, 22)).toBe(true);
    }
    const { stderr } = await flooding;
    expect(stderr).not.toMatch(/ [1-9]\d* packets received/);
    expect(stderr).toContain(' 0 packets received');
  });

  it('tell of each connection that was made, once both sides have spoken', async () => {
    const { v4 } = await net.clientA.moveToFreshSource();
    await firewall.watchConnections();
    expect(await net.clientA.canConnect(net.clientA.server4, 22, 100)).toBe(false);
    expect(await firewall.seen()).toEqual([]);
    await firewall.apply([open(v4)]);
    const connection = await net.clientA.openConnection(net.clientA.server4, 22);
    expect(await connection.echoes('x')).toBe(true);
    const host = cidr(net.clientA.server4).address;
    const seen = { source: cidr(v4).address, protocol: 'tcp', host, port: 22 };
    expect(await firewall.seen()).toEqual([{ begun: seen }]);
    await firewall.apply([{ change: 'cut', target: cidr(v4) }]);
    expect(await connection.echoes('x', 500)).toBe(false);
    expect(await firewall.seen()).toEqual([{ begun: seen }]);
    await connection.close();
  });

  it('are changed, and watched, by who has CAP_NET_ADMIN alone once they were laid for him', async () => {
    const alone = [
      'setpriv',
      '--bounding-set=-all,+net_admin',
      '--inh-caps=-all,+net_admin',
      '--ambient-caps=-all,+net_admin',
      '--reuid=65534',
      '--regid=65534',
      '--clear-groups',
    ];
    const daemon = await startFirewall(net.server.namespace, CONFIG, alone);
    expect(await daemon.intact()).toBe(true);
    const { v4 } = await net.clientA.moveToFreshSource();
    const ban: Change = { change: 'ban', target: cidr('203.0.113.9'), until: Date.now() + LATER };
    await daemon.apply([open(v4), open('192.0.2.200'), ban]);
    expect(await net.clientA.canConnect(net.clientA.server4, 22)).toBe(true);
    await daemon.apply([close('192.0.2.200')]);
    const { grants, bans } = await daemon.readBack();
    expect([grants.length, bans.length]).toEqual([1, 1]);
    expect(await daemon.intact()).toBe(true);
    for (const tampering of [
      'iptables -F NFKNOCK-GRANT',
      'ip6tables -D NFKNOCK 2',
      'iptables -I INPUT 1 -j ACCEPT',
    ]) {
      await sh(tampering);
      expect(await daemon.intact(), tampering).toBe(false);
      await firewall.install();
      await daemon.apply([close(v4)]);
      await daemon.apply([open(v4)]);
      expect(await daemon.intact()).toBe(true);
    }
    await sh('iptables -D INPUT -j ACCEPT');
    await daemon.close();
    await daemon.kill();
  });

  it('of iptables-legacy beside ours are told of, and only where there are rules in them', async () => {
    expect(await firewall.legacyBeside()).toBeNull();
    await sh('iptables-legacy -A INPUT -s 203.0.113.1 -j DROP');
    expect(await firewall.legacyBeside()).toContain('iptables-legacy-save');
    await sh('iptables-legacy -F');
    expect(await firewall.legacyBeside()).toBeNull();
  });
});
