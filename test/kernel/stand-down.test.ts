import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type Daemon, NFKNOCK, startDaemon, writeConfig } from '../support/daemon.ts';
import { createNet, type Net } from '../support/net.ts';
import type { Result } from '../support/process.ts';
import { ROOT } from '../support/root.ts';

/* Every rule out and kept out, for as long as somebody at the console said: whoever runs, starts, reloads or dies. */

const SERVICE = 22;
const QUICK = 250;
const SLOW = 1_500;
/** Of a whole test, on a machine that has much else to do. Milliseconds. */
const LATE = 240_000;
const NOBODY = 65_534;
const DOORS = { ssh: { knock: ['7001/tcp', '7002/tcp'], opens: [SERVICE], for: '5m' } };
const SSH = { doors: DOORS, decoys: [23] };
const BOOT_RULES = join(ROOT, 'deploy/boot-rules');
/** Connects, is silent for so many seconds, then says something and waits for its echo. */
const IDLE = `
import socket, sys, time
s = socket.create_connection((sys.argv[1], ${SERVICE}), 2)
s.sendall(b'hello'); s.recv(9)
time.sleep(float(sys.argv[2]))
s.settimeout(4); s.sendall(b'still here')
print(s.recv(20).decode())
`;

describe('standing down', () => {
  let net: Net;
  let daemon: Daemon | undefined;
  const folder = mkdtempSync(join(tmpdir(), 'nfknock-stand-down-'));
  const down = join(folder, 'down');
  const { file } = writeConfig(SSH, folder);
  const env = {
    NFKNOCK_ROLLBACK_DIR: join(folder, 'kept'),
    NFKNOCK_STAND_DOWN_DIR: down,
    NFKNOCK_RULES: join(folder, 'rules'),
    NFKNOCK_MARKS: join(folder, 'marks'),
    NFKNOCK_CONFIG: file,
    NFKNOCK: join(folder, 'nfknock'),
  };

  const nfknock = (...args: readonly string[]): Promise<Result> =>
    net.server.exec([...NFKNOCK, ...args, '-c', file], { env });
  const standDown = (...args: readonly string[]): Promise<Result> => nfknock('stand-down', ...args);
  const bootRules = (...args: readonly string[]): Promise<Result> =>
    net.server.exec([BOOT_RULES, ...args], { env });
  const sh = async (script: string): Promise<string> =>
    (await net.server.exec(['sh', '-c', script], { env })).stdout;
  const ours = (): Promise<string> => sh('iptables-save; ip6tables-save; ipset list -n');
  const stranger = (wait = QUICK): Promise<boolean> =>
    net.clientB.canConnect(net.clientB.server4, SERVICE, wait);
  const start = async (more: object = {}): Promise<Daemon> => {
    daemon = await startDaemon(net.server.namespace, { ...SSH, ...more }, { folder, env });
    return daemon;
  };
  /** Nothing of ours is in, and it stays so for as long. */
  const staysOut = async (ms = 1_500): Promise<void> => {
    expect(await ours()).not.toMatch(/nfknock/i);
    await sleep(ms);
    expect(await ours()).not.toMatch(/nfknock/i);
    expect(await stranger(SLOW)).toBe(true);
  };
  const isBack = async (within = 6_000): Promise<void> => {
    await expect.poll(() => sh('iptables -S INPUT'), { timeout: within }).toContain('-j NFKNOCK');
    await expect.poll(() => sh('ip6tables -S INPUT'), { timeout: within }).toContain('-j NFKNOCK');
    expect(await stranger()).toBe(false);
  };

  beforeAll(async () => {
    chmodSync(folder, 0o755);
    const program = NFKNOCK.map((word) => `'${word}'`).join(' ');
    writeFileSync(env.NFKNOCK, `#!/bin/sh\nexec ${program} "$@"\n`, { mode: 0o755 });
    net = await createNet();
    await net.server.listen(SERVICE);
  });
  afterEach(async () => {
    await daemon?.stop('SIGKILL');
    daemon = undefined;
    await bootRules('purge');
    for (const name of ['kept', 'rules', 'marks', 'state.db', 'state.db-wal', 'state.db-shm'])
      rmSync(join(folder, name), { recursive: true, force: true });
    writeConfig(SSH, folder);
    await sh('for t in iptables ip6tables; do $t -P INPUT ACCEPT; $t -P FORWARD ACCEPT; $t -F; $t -X; done');
  });
  afterAll(() => {
    net?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  it(
    'takes all out though a daemon runs, says so everywhere, and is back by itself with grants and bans',
    async () => {
      const running = await start();
      const guest = net.clientA.source().v4;
      expect((await nfknock('rules', 'install', '--policy', 'appliance')).code).toBe(0);
      expect((await nfknock('grant', 'ssh', guest, '--for', '1h')).code).toBe(0);
      expect((await nfknock('ban', net.clientB.source().v4)).code).toBe(0);
      expect(await stranger()).toBe(false);
      const asked = Date.now();
      const said = await standDown('--until', '20s');
      expect(said).toMatchObject({ code: 0, stderr: '' });
      expect(said.stdout).toContain('nfknock stand-down --over');
      expect(said.stdout).toContain('boot-rules over');
      const session = net.clientB.exec(['python3', '-c', IDLE, net.clientB.server4, '22']);
      await staysOut(500);
      expect(await sh('iptables -S INPUT')).toBe('-P INPUT ACCEPT\n');
      const line = await running.waitFor({ event: 'firewall.stood_down', level: 'warn' });
      expect(Math.abs(Date.parse(line.until ?? '') - asked - 20_000)).toBeLessThan(2_500);
      const status = await nfknock('status');
      expect(status.code).toBe(1);
      expect(status.stdout).toContain('wrong:  stood down since');
      expect(status.stdout).toContain('fix: nfknock stand-down --over');
      const doctor = await nfknock('doctor');
      expect(doctor.code).toBe(1);
      expect(doctor.stdout).toContain('(stood-down)');
      expect(doctor.stdout).not.toContain('(rules-missing)');
      // Whoever is let in or banned meanwhile is so once the rules are back.
      expect((await nfknock('grant', 'ssh', '203.0.113.5', '--for', '1h')).code).toBe(0);
      expect((await nfknock('ban', '203.0.113.6')).code).toBe(0);
      running.rewrite({
        ...SSH,
        decoys: [24],
        doors: { ...DOORS, web: { knock: [7101, 7102], opens: [8080] } },
      });
      expect((await nfknock('reload')).code).toBe(0);
      await staysOut(500);

      await running.waitFor({ event: 'firewall.resumed' }, 25_000);
      expect(Date.now() - asked).toBeGreaterThan(18_500);
      expect(Date.now() - asked).toBeLessThan(25_000);
      await isBack();
      const rules = await ours();
      expect(rules).toMatch(/-A NFKNOCK-GRANT -s 203\.0\.113\.5/);
      expect(rules).toContain('NFKNOCK-BASE');
      expect(rules).toContain(':INPUT DROP');
      expect(rules).toMatch(/-A NFKNOCK-QUEUE .*8080|dports .*8080/);
      expect(await sh('ipset list nfknock-ban4')).toContain('203.0.113.6');
      expect(await net.clientA.canConnect(net.clientA.server4, SERVICE, SLOW)).toBe(true);
      // Rules cut nobody who came in meanwhile.
      expect((await session).stdout).toBe('still here\n');
      await expect.poll(() => readdirSync(down)).toEqual([]);
      expect((await nfknock('status')).stdout).toContain('All is well');
    },
    LATE,
  );

  it(
    'holds while the daemon dies, is started anew and reloads, and brings the rules back without any',
    async () => {
      const first = await start();
      expect((await standDown('--until', '15s')).code).toBe(0);
      await first.stop('SIGKILL');
      await staysOut(500);
      const second = await start();
      expect(second.seen({ event: 'firewall.stood_down' })).toHaveLength(1);
      second.signal('SIGHUP');
      await second.waitFor({ event: 'daemon.reloaded' });
      await staysOut();
      await second.stop('SIGKILL');
      daemon = undefined;
      const status = await nfknock('status');
      expect(status.code).toBe(5);
      expect(status.stderr).toContain('stood down since');
      expect(await stranger(SLOW)).toBe(true);
      await isBack(17_000);
    },
    LATE,
  );

  it(
    'without a time stays until --over: over restarts, rules that others load, and a reload of theirs',
    async () => {
      await bootRules('save');
      const first = await start();
      const saved = await sh('iptables-save');
      expect((await standDown()).stdout).toContain(
        'They stay out until somebody says: nfknock stand-down --over',
      );
      await first.stop();
      await start();
      await staysOut(500);
      for (const verb of ['again', 'save', 'lay']) {
        expect((await bootRules(verb)).code, verb).toBe(0);
        expect(await ours(), verb).not.toContain('NFKNOCK');
      }
      // What was saved with ours among it is loaded: it goes again.
      writeFileSync(join(folder, 'saved'), saved.replaceAll(/^.*match-set.*\n/gm, ''));
      await sh(`iptables-restore <${folder}/saved`);
      await expect.poll(ours, { timeout: 6_000 }).not.toContain('NFKNOCK');
      await staysOut();
      const over = await standDown('--over');
      expect(over).toMatchObject({ code: 0, stderr: '' });
      expect(over.stdout).toContain('No longer stood down');
      await isBack(0);
      expect((await standDown('--over')).stdout).toBe('nfknock is not stood down\n');
    },
    LATE,
  );

  it.each(['dead', 'standing still'])(
    'works beside a daemon that is %s',
    async (how) => {
      const running = await start();
      if (how === 'dead') await running.stop('SIGKILL');
      else running.signal('SIGSTOP');
      if (how === 'dead') daemon = undefined;
      expect((await standDown()).code).toBe(0);
      await staysOut(500);
      if (how === 'standing still') {
        running.signal('SIGCONT');
        await staysOut(4_000);
      }
      expect((await standDown('--over')).code).toBe(0);
      await isBack(0);
    },
    40_000,
  );

  it(
    'ends where somebody installs the rules, and a second call counts anew',
    async () => {
      await start();
      expect((await standDown('--until', '5s')).code).toBe(0);
      expect((await standDown('--until', '1h')).code).toBe(0);
      await staysOut(6_000);
      expect(JSON.parse((await standDown('--until', '30m', '--json')).stdout)).toMatchObject({
        stood_down: true,
      });
      const refused = await nfknock('rules', 'install', '--confirm', '30s');
      expect(refused.code).toBe(1);
      expect(refused.stderr).toContain('stand-down --over');
      await staysOut(0);
      expect((await nfknock('rules', 'install')).code).toBe(0);
      await isBack(0);
      await sleep(1_500);
      await isBack(0);
      expect(readdirSync(down)).toEqual([]);
    },
    LATE,
  );

  it.each([4, 6])(
    'a first installation, too, cuts no open session: IPv%i',
    async (family) => {
      const { server4, server6 } = net.clientB;
      // Nobody has tracked connections here until now.
      const session = net.clientB.exec(['python3', '-c', IDLE, family === 4 ? server4 : server6, '4']);
      await expect
        .poll(() => sh(`ss -Htn state established sport = :${SERVICE}`), { timeout: 4_000 })
        .toContain(`:${SERVICE} `);
      expect((await nfknock('rules', 'install', '--policy', 'appliance')).code).toBe(0);
      expect(await session).toMatchObject({ stdout: 'still here\n', stderr: '' });
      expect(await stranger()).toBe(false);
    },
    20_000,
  );

  it.each(['tells of connections', 'tells of none'])(
    'uses up no grant by a session that began meanwhile, where the kernel %s',
    async (how) => {
      await sh(`sysctl -qw net.netfilter.nf_conntrack_events=${how === 'tells of none' ? 0 : 1}`);
      await start({ doors: { ssh: { ...DOORS.ssh, uses: 1 } } });
      const { v4 } = net.clientA.source();
      expect((await nfknock('grant', 'ssh', v4, '--for', '1h')).code).toBe(0);
      const left = async (): Promise<unknown> => {
        const grants: readonly { uses_left: unknown }[] = JSON.parse(
          (await nfknock('grants', '--json')).stdout,
        );
        return grants.map((each) => each.uses_left);
      };
      expect(await left()).toEqual([1]);
      expect((await standDown()).code).toBe(0);
      const session = await net.clientA.openConnection(net.clientA.server4, SERVICE);
      expect((await standDown('--over')).code).toBe(0);
      await isBack(0);
      expect(await session.echoes('tracked again')).toBe(true);
      await sleep(2_500);
      expect(await left()).toEqual([1]);
      // The first connection that the grant lets in is its last.
      const other = await net.clientA.openConnection(net.clientA.server4, SERVICE);
      await expect.poll(left, { timeout: 5_000 }).toEqual([]);
      expect(await session.echoes('still here')).toBe(true);
      for (const each of [session, other]) await each.close();
      await sh('sysctl -qw net.netfilter.nf_conntrack_events=1');
    },
    LATE,
  );

  it(
    'rolls a change back first that waits for its confirmation',
    async () => {
      expect((await nfknock('rules', 'install', '--policy', 'appliance', '--confirm', '6s')).code).toBe(0);
      const said = await standDown();
      expect(said.code).toBe(0);
      expect(said.stdout).toContain('rolled back first');
      await staysOut(7_000);
      expect(await sh('iptables -S INPUT')).toBe('-P INPUT ACCEPT\n');
    },
    LATE,
  );

  // Against: an owner locked out by the end of standing down, with rules of a configuration that was never in force
  // by: what was in when it began comes back, and nothing else
  it.each([
    ['with a change that waits for its confirmation', 'nfknock', true],
    ['with a change that waits for its confirmation', 'boot-rules', true],
    ['with nothing installed', 'nfknock', false],
    ['with nothing installed', 'boot-rules', false],
  ])(
    'begun %s, its end by %s puts in nothing that was not in before',
    async (_, program, waits) => {
      if (waits) expect((await nfknock('rules', 'install', '--confirm', '1m')).code).toBe(0);
      const byNode = program === 'nfknock';
      expect((await (byNode ? standDown() : bootRules('unlay'))).code).toBe(0);
      await staysOut(0);
      // Said twice, it is still what was in before the first.
      expect((await (byNode ? standDown() : bootRules('unlay'))).code).toBe(0);
      const over = await (byNode ? standDown('--over') : bootRules('over'));
      expect(over.code).toBe(0);
      expect(over.stdout + over.stderr).toContain('no rule of nfknock was in before it');
      await staysOut();
      expect(await stranger()).toBe(true);
      expect(readdirSync(down)).toEqual([]);
    },
    LATE,
  );

  it(
    'has `rules remove` warn of no daemon that puts rules back',
    async () => {
      await start();
      const before = await nfknock('rules', 'remove');
      expect([before.code, before.stderr]).toEqual([0, expect.stringContaining('puts its rules back')]);
      await isBack();
      expect((await standDown()).code).toBe(0);
      expect(await nfknock('rules', 'remove')).toMatchObject({ code: 0, stderr: '' });
      await staysOut();
    },
    LATE,
  );

  // Against: a file that says that all rules are to be out, planted to open every port
  // by: it is believed only where it and its folder are root's and nobody else may write to them
  it(
    'is root’s alone, and refuses a time that is none before anything changes',
    async () => {
      await start();
      const users = [
        'setpriv',
        `--reuid=${NOBODY}`,
        `--regid=${NOBODY}`,
        '--clear-groups',
        '--inh-caps=+net_admin',
      ];
      const asNobody = [...users, '--ambient-caps=+net_admin', ...NFKNOCK, 'stand-down', '-c', file];
      const refused = await net.server.exec(asNobody, { env });
      expect(refused).toMatchObject({ code: 4, stdout: '' });
      for (const time of ['0', '500ms', 'soon', '25:00', '2020-01-01', '2027-02-31', '9999d']) {
        const wrong = await standDown('--until', time);
        expect(wrong, time).toMatchObject({ code: 2, stdout: '' });
        expect(wrong.stderr, time).toMatch(/^nfknock: ".*\n$/);
      }
      expect((await standDown('--until', '5m', '--over')).code).toBe(2);
      // A file of somebody else's, or that others may write to, is none.
      const name = `stood-down-${await sh("readlink /proc/self/ns/net | tr -dc 0-9 | tr -d '\\n'")}`;
      expect((await standDown()).code).toBe(0);
      const text = readFileSync(join(down, name), 'utf8');
      await nfknock('rules', 'install');
      await isBack();
      writeFileSync(join(down, name), text);
      chmodSync(join(down, name), 0o666);
      expect((await bootRules('save')).stderr).toBe('');
      await sleep(1_500);
      await isBack(0);
    },
    LATE,
  );

  // Against: a stand-down of one network namespace taken for that of a later one with the same number
  // by: the kernel's own socket there tells them apart
  it(
    'of another network that had the same number before is none',
    async () => {
      expect((await standDown()).code).toBe(0);
      const [name = ''] = readdirSync(down).filter((each) => each.startsWith('stood-down-'));
      const text = readFileSync(join(down, name), 'utf8');
      writeFileSync(join(down, name), text.replace(/^network=.*$/m, 'network=1'));
      expect((await bootRules('save')).stderr).toBe('');
      await start();
      await isBack(0);
    },
    LATE,
  );

  describe('without Node.js', () => {
    it(
      'holds against the daemon’s repair, is seen by it, and ends as well',
      async () => {
        const running = await start();
        await nfknock('rules', 'install', '--policy', 'appliance');
        expect((await bootRules('unlay')).code).toBe(0);
        await staysOut(4_000);
        expect(running.seen({ event: 'firewall.stood_down' })).toHaveLength(1);
        expect((await nfknock('status')).stdout).toContain('stood down since');
        expect((await bootRules('over')).code).toBe(0);
        await isBack(0);
        expect(await sh('iptables -S INPUT')).toContain('-P INPUT DROP');
        expect(running.seen({ event: 'firewall.resumed' })).toHaveLength(1);
      },
      LATE,
    );

    // Against: rules that change between the look at them and their taking out
    // by: they are looked at anew, and taken out
    it.each(['iptables', 'ip6tables'])(
      'takes all out though %s finds them changed meanwhile',
      async (tool) => {
        const bin = join(folder, `changing-${tool}`);
        mkdirSync(bin);
        const [real] = (await sh(`command -v ${tool}-restore`)).split('\n');
        const change = `[ -e ${bin}/changed ] || { touch ${bin}/changed; ${tool} -F INPUT; }`;
        writeFileSync(join(bin, `${tool}-restore`), `#!/bin/sh\n${change}\nexec ${real} "$@"\n`, {
          mode: 0o755,
        });
        expect((await nfknock('rules', 'install')).code).toBe(0);
        expect(await ours()).toMatch(/nfknock/i);
        const changing = { ...env, PATH: `${bin}:${process.env['PATH']}` };
        const { code } = await net.server.exec([BOOT_RULES, 'unlay'], { env: changing });
        expect([code, existsSync(join(bin, 'changed'))]).toEqual([0, true]);
        expect(await ours()).not.toMatch(/nfknock/i);
        expect((await bootRules('over')).code).toBe(0);
      },
    );

    it(
      'is back after a time though nobody is there, from the copy that is kept for the boot',
      async () => {
        await bootRules('save');
        await writeConfig({ doors: 'broken' }, folder);
        const began = Date.now();
        expect((await bootRules('unlay', '6s')).code).toBe(0);
        await staysOut(500);
        await isBack(9_000);
        expect(Date.now() - began).toBeGreaterThan(5_000);
        for (const time of ['3', '0s', 'x', '1w', '99999999s']) {
          expect((await bootRules('unlay', time)).code, time).toBe(2);
          await isBack(0);
        }
      },
      LATE,
    );

    it(
      'ends what the program began, from what that kept',
      async () => {
        await nfknock('rules', 'install');
        const before = await sh("iptables-save | grep -v -e '^#' -e match-set | sed 's/ .[0-9]*:[0-9]*.$//'");
        expect((await standDown('--until', '1h')).code).toBe(0);
        writeConfig({ doors: 'broken' }, folder);
        expect((await bootRules('over')).code).toBe(0);
        expect(await sh("iptables-save | grep -v -e '^#' -e match-set | sed 's/ .[0-9]*:[0-9]*.$//'")).toBe(
          before,
        );
        expect(readdirSync(down)).toEqual([]);
      },
      LATE,
    );
  });

  describe('over a reboot', () => {
    /** As the machine's own network, which a process of number 1 is in. */
    const boot = (): Promise<Result> =>
      net.server.exec(['unshare', '-pf', '--mount-proc', BOOT_RULES, 'lay'], { env });
    const rewrite = (change: (text: string) => string): void => {
      const [name = ''] = readdirSync(down).filter((each) => each.startsWith('stood-down-'));
      const text = readFileSync(join(down, name), 'utf8');
      // The machine's network may have another number then.
      rmSync(join(down, name));
      const back = join(down, name.replace('stood-down', 'back'));
      if (existsSync(back)) rmSync(back, { recursive: true });
      const before = text.replace(/^boot=.*$/m, 'boot=abc').replace(/^host=.*$/m, 'host=yes');
      writeFileSync(join(down, 'stood-down-77'), change(before));
    };
    const clock = existsSync('/sys/class/rtc') && readdirSync('/sys/class/rtc').length > 0;

    it(
      'goes on without a time, for the boot rules and for the daemon',
      async () => {
        await bootRules('save');
        await standDown();
        rewrite((text) => text);
        rmSync(env.NFKNOCK_MARKS, { recursive: true, force: true });
        expect((await boot()).stderr).toContain('stood down');
        await staysOut(0);
        const running = await start();
        expect(running.seen({ event: 'firewall.stood_down' })).toHaveLength(1);
        await staysOut();
        expect((await standDown('--over')).code).toBe(0);
        await isBack(0);
      },
      LATE,
    );

    it(
      'ends with a time where no clock ran meanwhile, or its time has passed',
      async () => {
        await bootRules('save');
        for (const change of [
          (text: string) =>
            text.replace(/^until=.*$/m, 'until=1000000001').replace(/^since=.*$/m, 'since=1000000000'),
          (text: string) =>
            text.replace(/^since=.*$/m, 'since=9000000000').replace(/^until=.*$/m, 'until=9000000600'),
          ...(clock ? [] : [(text: string) => text]),
        ]) {
          await standDown('--until', '10m');
          rewrite(change);
          rmSync(env.NFKNOCK_MARKS, { recursive: true, force: true });
          expect((await boot()).code).toBe(0);
          await isBack(0);
          expect(readdirSync(down)).toEqual([]);
        }
      },
      LATE,
    );
  });
});
