import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, statfsSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Finding } from '../../src/doctor/finding.ts';
import { DROP_IN } from '../../src/doctor/unit.ts';
import { atEnd } from '../support/cleanup.ts';
import { type Daemon, NFKNOCK, writeConfig } from '../support/daemon.ts';
import { createNet, type Net } from '../support/net.ts';
import { temporaryFolder } from '../support/scratch.ts';
import { skewed } from '../support/skewed.ts';

/* A machine that is well, spoilt in one way at a time: exactly that is found, and nothing once it is put right. */

const SERVICE = 22;
const LISTENED = 8_443;
/** What leads to our rules. */
const JUMP = ['!', '-i', 'lo', '-m', 'comment', '--comment', 'nfknock', '-j', 'NFKNOCK'];
const KNOCK = [`${10_000 + Math.floor(Math.random() * 9_000)}/udp`, '7311/tcp', '29400/udp', '4711/tcp'];
const SEQUENCE = '7411:tcp,29411:udp,4712:tcp\n';
const HEALTHY = {
  doors: { ssh: { knock: KNOCK, opens: [SERVICE] } },
  allow: [`${LISTENED}/tcp`],
  decoys: 'all',
};

let net: Net;
let folder: string;
let unmount = (): void => undefined;
let kept: Readonly<Record<string, string>>;
let clock: ReturnType<typeof skewed>;
beforeAll(async () => {
  net = await createNet();
  folder = temporaryFolder();
  clock = skewed();
  clock.set(0, 0, 'synchronised');
  kept = { NFKNOCK_ROLLBACK_DIR: join(folder, 'kept'), ...clock.env };
  await net.server.listen(LISTENED);
  await sh(
    'ip link add port0 type veth peer name far0; ip link add br0 type bridge; ip link set port0 master br0',
  );
  await sh(`nfknock rules install -c ${configOf({})}`);
});
afterAll(() => {
  unmount();
  net?.close();
});

/** Of a configuration for which no daemon runs, what is told beside anything else while its rules are in force. */
const NO_DAEMON = 'no-daemon';

interface Examined {
  readonly code: number | null;
  readonly codes: readonly string[];
  readonly findings: readonly Finding[];
}

/** A configuration as HEALTHY, but for these keys. */
function configOf(changed: object): string {
  return writeConfig({ ...HEALTHY, ...changed }, join(folder)).file;
}

/** As `looked` says, but for the daemon that these tables do without; `code` is what the rest of it would give. */
async function examined(file: string, before = 'true'): Promise<Examined> {
  const all = await looked(file, before);
  const laid = (await net.server.exec(['iptables', '-C', 'INPUT', ...JUMP])).code === 0;
  expect(all.codes.filter((code) => code === NO_DAEMON)).toEqual(laid ? [NO_DAEMON] : []);
  const findings = all.findings.filter(({ code }) => code !== NO_DAEMON);
  expect(all.code).toBe(all.findings.some(({ level }) => level === 'fault') ? 1 : 0);
  const code = findings.some(({ level }) => level === 'fault') ? 1 : 0;
  return { code, codes: findings.map((each) => each.code), findings };
}

/** `before` is shell that spoils what doctor alone sees: `ip netns exec` gives each command mounts of its own. */
async function looked(file: string, before = 'true'): Promise<Examined> {
  const argv = ['sh', '-ec', `${before}; exec "$@"`, 'sh', ...NFKNOCK, 'doctor', '--json', '-c', file];
  const { code, stdout, stderr } = await net.server.exec(argv, { env: kept, timeout: 60_000 });
  expect(stderr).toBe('');
  const { ok, findings } = JSON.parse(stdout) as { ok: boolean; findings: readonly Finding[] };
  expect(ok).toBe(findings.every(({ level }) => level !== 'fault'));
  for (const { problem, fix } of findings) expect([problem, fix]).not.toContain('');
  return { code, codes: findings.map((each) => each.code), findings };
}

/** Runs a line of shell in the server's namespace. */
async function sh(line: string): Promise<void> {
  const program = NFKNOCK.map((word) => `'${word}'`).join(' ');
  const script = line.replaceAll(/\bnfknock (?=rules|confirm)/g, `${program} `);
  const { code, stderr } = await net.server.exec(['sh', '-ec', script], { env: kept });
  expect([line, code, stderr.trim()]).toEqual([line, 0, '']);
}

describe('doctor', { timeout: 120_000 }, () => {
  it('finds nothing on a machine that is well, and says so', async () => {
    const daemon: Daemon = await net.server.startDaemon(HEALTHY, { timeout: 60_000 });
    try {
      const file = daemon.config;
      expect(await looked(file)).toEqual({ code: 0, codes: [], findings: [] });
      const { code, stdout } = await net.server.exec([...NFKNOCK, 'doctor', '-c', file], { env: kept });
      expect([code, stdout]).toEqual([0, 'No problem was found on this machine.\n']);
    } finally {
      await daemon.stop();
    }
  });

  it('finds that no daemon is there to open what the rules shut, or that it gives no answer', async () => {
    const daemon: Daemon = await net.server.startDaemon(HEALTHY, { timeout: 60_000 });
    const said = async (): Promise<readonly unknown[]> => {
      const { code, findings } = await looked(daemon.config);
      return [code, ...findings.map(({ code: each, level, problem }) => [each, level, problem.slice(0, 14)])];
    };
    try {
      expect(await said()).toEqual([0]);
      daemon.signal('SIGSTOP');
      expect(await said()).toEqual([0, [NO_DAEMON, 'warning', 'the daemon giv']]);
    } finally {
      await daemon.stop('SIGKILL');
    }
    // It left its rules, which shut the ports.
    const shut = await looked(daemon.config);
    expect([shut.code, shut.codes]).toEqual([1, [NO_DAEMON]]);
    expect(shut.findings[0]?.fix).toMatch(/^start it: nfknock run; or open .*: nfknock stand-down$/);
    await sh(`nfknock rules install -c ${configOf({})}`);
  });

  it.each<[code: string, exit: number, spoil: string, right: string]>([
    [
      'native-table',
      1,
      'nft add table inet own; nft add chain inet own in "{ type filter hook input priority 10; policy drop; }"',
      'nft delete table inet own',
    ],
    [
      'native-table',
      1,
      'nft add table ip own; nft add chain ip own in "{ type filter hook input priority -5; policy accept; }"; nft add rule ip own in counter drop',
      'nft delete table ip own',
    ],
    [
      'accept',
      0,
      'iptables -P INPUT DROP; ip6tables -P INPUT DROP; ip6tables -A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT; ip6tables -A INPUT -p tcp --dport 8443 -j ACCEPT',
      'iptables -P INPUT ACCEPT; ip6tables -P INPUT ACCEPT; ip6tables -D INPUT -p tcp --dport 8443 -j ACCEPT; ip6tables -D INPUT 2',
    ],
    [
      'notrack',
      1,
      `iptables -t raw -A PREROUTING -p tcp --dport ${SERVICE} -j CT --notrack`,
      'iptables -t raw -F',
    ],
    ['jump-not-first', 1, `iptables -I INPUT 1 -p tcp --dport ${SERVICE} -j ACCEPT`, 'iptables -D INPUT 1'],
    ['jump-not-first', 0, 'ip6tables -I INPUT 1 -p tcp --dport 80 -j ACCEPT', 'ip6tables -D INPUT 1'],
    ['ipv6-open', 1, 'ip6tables -F INPUT', 'nfknock rules install -c FILE'],
    ['rules-missing', 1, 'nfknock rules remove -c FILE', 'nfknock rules install -c FILE'],
    ['legacy-beside', 0, 'iptables-legacy -A OUTPUT -p tcp --dport 1 -j DROP', 'iptables-legacy -F OUTPUT'],
    [
      'docker-published',
      1,
      `iptables -t nat -N DOCKER; iptables -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER; iptables -t nat -A DOCKER ! -i docker0 -p tcp -m tcp --dport ${SERVICE} -j DNAT --to-destination 172.17.0.2:22`,
      'iptables -t nat -F; iptables -t nat -X DOCKER',
    ],
    [
      'pending-rollback',
      0,
      'nfknock rules install --confirm 60s -c FILE >/dev/null 2>&1',
      'nfknock rules confirm --yes -c FILE >/dev/null 2>&1',
    ],
    [
      'pending-rollback',
      0,
      // As one leaves it that is killed at its beginning.
      'nfknock rules install --confirm 60s -c FILE >/dev/null 2>&1; cd "$NFKNOCK_ROLLBACK_DIR"; for each in pending-*; do mv "$each" "$(echo "$each" | sed s/pending/undoing/)"; done',
      'nfknock rules roll-back -c FILE >/dev/null 2>&1',
    ],
  ])('finds %s, and nothing else', async (found, exit, spoil, right) => {
    const file = configOf({});
    await sh(spoil.replaceAll('FILE', file));
    const spoilt = await examined(file);
    await sh(right.replaceAll('FILE', file));
    // What was not put right would be found beside the next.
    expect([spoilt.code, spoilt.codes]).toEqual([exit, [found]]);
  });

  it('finds nothing any more once all of it was put right', async () => {
    expect((await examined(configOf({}))).codes).toEqual([]);
  });

  it.each<[code: string, exit: number, changed: () => object]>([
    ['interface', 1, () => ({ listen: { interfaces: ['nowhere0'] } })],
    ['interface', 1, () => ({ listen: { interfaces: ['port0'] } })],
    ['answer', 0, () => ({ decoys: ['23/tcp'] })],
    ['listener-closed', 0, () => ({ allow: [] })],
    [
      'published-secret',
      0,
      () => ({ doors: { ssh: { knock: ['7000/tcp', '8000/tcp', '9000/tcp'], opens: [SERVICE] } } }),
    ],
    [
      'hook-unrunnable',
      1,
      () => ({ doors: { ssh: { knock: KNOCK, opens: [SERVICE], on_open: [text('hook', '#!/bin/sh\n')] } } }),
    ],
    [
      'one-time-unwritable',
      1,
      () => ({ doors: { ssh: { one_time: join(folder, 'none'), opens: [SERVICE] } } }),
    ],
    ['disk-full', 1, () => ({ state: join(fullDisk(), 'state.db') })],
  ])('finds %s of a configuration, and nothing else', async (found, exit, changed) => {
    const spoilt = await examined(configOf(changed()));
    expect([spoilt.code, spoilt.codes]).toEqual([exit, [found]]);
  });

  it.each<[code: string, exit: number, spoil: () => string, changed?: () => object]>([
    ['boot-order', 0, () => over('/etc/systemd/system', { 'multi-user.target.wants/nfknock.service': '' })],
    ['saved-rules', 1, () => over('/etc/iptables', { 'rules.v4': '*filter\n-A INPUT -j NFKNOCK\nCOMMIT\n' })],
    ['user-missing', 1, () => unit('User=nosuchuser')],
    ['state-unwritable', 1, () => unit('User=nobody'), () => ({ state: '/opt/nfknock/state.db' })],
    ['state-unwritable', 1, () => unit('ProtectSystem=strict'), () => ({ state: '/opt/state.db' })],
    [
      'log-unwritable',
      1,
      () => unit('ProtectSystem=strict'),
      () => ({ log: { file: '/var/log/knockd.log' } }),
    ],
    [
      'one-time-unwritable',
      1,
      () => `${unit('ProtectSystem=strict')}; ${over('/opt', { sequences: SEQUENCE })}`,
      () => ({ doors: { ssh: { one_time: '/opt/sequences', opens: [SERVICE] } } }),
    ],
    ['hook-unrunnable', 1, () => unit('ProtectHome=yes'), () => ({ doors: hooked('/root/hook') })],
    ['unit-address', 1, () => unit('IPAddressDeny=any'), () => ({ metrics: '127.0.0.1:9477' })],
    ['secret-readable', 0, () => `chmod 755 '${folder}'`],
    [
      'secret-readable',
      0,
      () => `chmod 755 '${folder}'; chmod 640 "$0/nfknock.yaml"`,
      () => ({ doors: oneTime(0o644) }),
    ],
    [
      'secret-changeable',
      1,
      () => `chmod 755 '${folder}'; chmod 640 "$0/nfknock.yaml"`,
      () => ({ doors: oneTime(0o606) }),
    ],
    ['conntrack-full', 0, () => conntrack(90, 100)],
    ['conntrack-full', 1, () => conntrack(100, 100)],
    ['clock', 0, () => notSynchronised()],
  ])('finds %s of the machine, and nothing else', async (found, exit, spoil, changed = () => ({})) => {
    const file = configOf(changed());
    try {
      const spoilt = await examined(file, spoil().replaceAll('$0', folder));
      expect([spoilt.code, spoilt.codes]).toEqual([exit, [found]]);
    } finally {
      clock.set(0, 0, 'synchronised');
      chmodSync(folder, 0o700);
    }
  });

  it('finds that who is connected now comes from the gateway', async () => {
    const gateway = net.clientB.source().v4;
    const held = await net.clientB.openConnection(net.clientB.server4, LISTENED);
    const file = configOf({ doors: { ssh: { knock: KNOCK, opens: [LISTENED] } }, allow: [] });
    expect((await examined(file)).codes).toEqual([]);
    await sh(`ip route add default via ${gateway}`);
    const spoilt = await examined(file);
    await sh('ip route del default');
    expect([spoilt.code, spoilt.codes]).toEqual([0, ['one-address']]);
    expect(spoilt.findings[0]?.problem).toContain(gateway);
    expect(await held.echoes('still')).toBe(true);
  });

  it('finds another program that reads the queue, and not the daemon itself; and a gateway that stands for everyone', async () => {
    const daemon: Daemon = await net.server.startDaemon(HEALTHY, { timeout: 60_000 });
    try {
      expect((await looked(daemon.config)).codes).toEqual([]);
      // For a configuration whose daemon does not run, who reads the queue is another.
      const spoilt = await examined(configOf({}));
      expect([spoilt.code, spoilt.codes]).toEqual([1, ['queue-reader']]);
      expect(spoilt.findings[0]?.problem).toContain(`process ${daemon.pid}`);
      const gateway = net.clientA.source().v4;
      await sh(`ip route add default via ${gateway}`);
      await net.server.exec([...NFKNOCK, 'grant', 'ssh', gateway, '-c', daemon.config]);
      const everybody = await looked(daemon.config);
      expect([everybody.code, everybody.codes]).toEqual([0, ['one-address']]);
    } finally {
      await daemon.stop();
    }
  });

  it("writes the unit's drop-in for the engine that is configured, and for no other", async () => {
    const of = (changed: object): string => writeConfig({ ...HEALTHY, ...changed }).file;
    const fleet = (engine: string): string => of({ fleet: { name: 'a', engine } });
    const [old, next, gone] = [fleet('rediss://192.0.2.24'), fleet('rediss://192.0.2.25'), of({})];
    const run = (words: string): string => `${NFKNOCK.map((word) => `'${word}'`).join(' ')} doctor ${words}`;
    const script = [
      unit('IPAddressDeny=any'),
      `P=${DROP_IN}`,
      `${run(`--drop-in -c ${old}`)} >/dev/null; ${run(`--drop-in -c ${next}`)} >/dev/null`,
      'grep -v "^#" $P; stat -c "%a %U" $P',
      `${run(`--drop-in -c ${next}`)}`,
      `${run(`--drop-in -c ${gone}`)}; test ! -e $P`,
      'echo "[Service]\nNice=5" >$P',
      `${run(`--drop-in -c ${next}`)} 2>&1 || echo refused; grep Nice $P`,
    ];
    const { code, stdout, stderr } = await net.server.exec(['sh', '-ec', script.join('; ')], { env: kept });
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout.split('\n')).toEqual([
      '[Service]',
      'IPAddressAllow=192.0.2.25',
      '644 root',
      `${DROP_IN} is right: nothing was written.`,
      `${DROP_IN} is taken away: nothing in the configuration needs it.`,
      'It counts from the next start of the daemon: systemctl restart nfknock',
      `nfknock: ${DROP_IN} has what nfknock did not write, and would lose it (Nice=5): move that to another file there`,
      'refused',
      'Nice=5',
      '',
    ]);
  });

  it('wants a sound configuration, and root', async () => {
    const file = join(folder, 'wrong.yaml');
    writeFileSync(file, 'doors: 7\n');
    const { code, stdout } = await net.server.exec([...NFKNOCK, 'doctor', '-c', file]);
    expect([code, stdout]).toEqual([3, '']);
  });
});

/** Shell that lays a folder with these files over another. */
function over(place: string, files: Readonly<Record<string, string>>): string {
  const laid = mkdtempSync(join(folder, 'over-'));
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(laid, name)), { recursive: true });
    writeFileSync(join(laid, name), content);
  }
  return existsSync(place)
    ? `mount --bind '${laid}' ${place}`
    : `${underOverlay(dirname(place))}; mkdir -p ${place}; cp -a '${laid}/.' ${place}`;
}

/** Shell that lets what is written below a folder be this command's alone. */
function underOverlay(top: string): string {
  const upper = mkdtempSync(join(folder, 'upper-'));
  return `mount -t tmpfs tmpfs '${upper}'; mkdir '${upper}/up' '${upper}/work'; mount -t overlay overlay -o lowerdir=${top},upperdir='${upper}/up',workdir='${upper}/work' ${top}`;
}

/** Shell that installs the unit with this in a drop-in; as it is shipped but for the user, who is root. */
function unit(line: string): string {
  const bare = '[Service]\nUser=root\nStateDirectory=nfknock\n';
  return over('/etc/systemd/system', {
    'nfknock.service': `${bare}ReadWritePaths=${line.includes('User=') ? '/' : folder}\n`,
    'nfknock.service.d/spoilt.conf': `[Service]\n${line}\n`,
  });
}

function oneTime(mode: number): object {
  const file = join(folder, 'sequences');
  writeFileSync(file, SEQUENCE);
  chmodSync(file, mode);
  return { ssh: { one_time: file, opens: [SERVICE] } };
}

function hooked(command: string): object {
  return { ssh: { knock: KNOCK, opens: [SERVICE], on_open: [command] } };
}

function conntrack(count: number, max: number): string {
  return [['count', count] as const, ['max', max] as const]
    .map(
      ([name, value]) =>
        `mount --bind '${text(name, `${value}\n`)}' /proc/sys/net/netfilter/nf_conntrack_${name}`,
    )
    .join('; ');
}

function notSynchronised(): string {
  clock.set(0, 0, 'not synchronised');
  return 'true';
}

function text(name: string, content: string): string {
  const file = join(folder, name);
  writeFileSync(file, content, { mode: 0o644 });
  return file;
}

/** A disk of its own with a few KiB left. */
function fullDisk(): string {
  const disk = join(folder, 'disk');
  mkdirSync(disk);
  spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=262144', 'tmpfs', disk]);
  unmount = atEnd(() => void spawnSync('umount', [disk]));
  const { bfree, bsize } = statfsSync(disk);
  writeFileSync(join(disk, 'filler'), Buffer.alloc((bfree - 8) * bsize));
  return disk;
}
