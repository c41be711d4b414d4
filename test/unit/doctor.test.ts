import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, describe, expect, it } from 'vitest';
import { parseConfig } from '../../src/config/parse.ts';
import { accessFault, findUser } from '../../src/doctor/access.ts';
import type { Finding } from '../../src/doctor/finding.ts';
import { ofConntrack, ofKernel } from '../../src/doctor/kernel.ts';
import { lookAtBoot } from '../../src/doctor/look.ts';
import { ofBoot, ofClock, ofEverybody } from '../../src/doctor/machine.ts';
import { ofSecrets } from '../../src/doctor/secrets.ts';
import { ofTables } from '../../src/doctor/tables.ts';
import { installedUnit, parseUnit, SHIPPED_UNIT, wallOf } from '../../src/doctor/unit.ts';
import { parseSaved } from '../../src/firewall/rules/jump.ts';
import { peersIn } from '../../src/machine/peers.ts';
import { formatAddress } from '../../src/packet/address.ts';
import { formatPort } from '../../src/packet/port.ts';
import type { Config } from '../../src/policy/config.ts';
import { isPublished } from '../../src/policy/published.ts';
import { built } from './cli/built.ts';
import { nfknock } from './cli/canned.ts';

const UNIT = readFileSync(new URL('../../deploy/systemd/nfknock.service', import.meta.url), 'utf8');
const EXAMPLES = readdirSync(new URL('../../examples', import.meta.url)).filter((name) =>
  name.endsWith('.yaml'),
);
const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

/** A tree that stands for a machine's root. */
function root(files: Readonly<Record<string, string | Uint8Array>>): string {
  const made = mkdtempSync(join(tmpdir(), 'nfknock-doctor-'));
  folders.push(made);
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(made, name)), { recursive: true });
    writeFileSync(join(made, name), content);
  }
  return made;
}

function config(yaml = ''): Config {
  const parsed = parseConfig(
    `doors: { ssh: { knock: [7311/tcp, 29400/udp, 4711/tcp], opens: [22/tcp] } }\n${yaml}`,
    'x',
  );
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.faults));
  return parsed.config;
}

const codes = (findings: readonly Finding[]): readonly string[] => findings.map(({ code }) => code);

describe('what the unit lets the daemon do', () => {
  it('is read from the unit as it is shipped', () => {
    const unit = parseUnit(UNIT);
    expect(unit).toEqual(SHIPPED_UNIT);
    for (const path of ['/var/lib/nfknock/ssh.sequences', '/var/log/nfknock/events.log'])
      expect(wallOf(unit, path, 'write')).toBeUndefined();
    for (const path of ['/opt/knock/sequences', '/var/log/knockd.log', '/etc/nfknock/sequences'])
      expect(wallOf(unit, path, 'write')).toContain('ProtectSystem');
    expect(wallOf(unit, '/opt/knock/hook', 'read')).toBeUndefined();
    expect(wallOf(unit, '/home/me/hook', 'read')).toContain('ProtectHome');
  });

  it('is what the drop-ins say beside it', () => {
    const place = root({
      'usr/lib/systemd/system/nfknock.service': UNIT,
      'etc/systemd/system/nfknock.service.d/override.conf': '[Service]\nReadWritePaths=/opt/knock\n',
    });
    const unit = installedUnit(place) ?? expect.unreachable();
    expect(wallOf(unit, '/opt/knock/sequences', 'write')).toBeUndefined();
    expect(wallOf(unit, '/opt/knocking', 'write')).toContain('ProtectSystem');
    expect(installedUnit(root({}))).toBeUndefined();
  });
});

describe('what a user may do with a file', () => {
  const someone = { name: 'someone', uid: 54_321, groups: [54_321] };
  it('is told by the modes, of every folder above it too', () => {
    const place = root({ 'open/file': '', 'shut/file': '' });
    chmodSync(place, 0o755);
    for (const folder of ['open', 'shut']) chmodSync(join(place, folder), folder === 'open' ? 0o755 : 0o700);
    chmodSync(join(place, 'open/file'), 0o644);
    expect(accessFault(someone, join(place, 'open/file'), 'read')).toBeUndefined();
    expect(accessFault(someone, join(place, 'open/file'), 'write')).toContain('may not write');
    expect(accessFault(someone, join(place, 'open/file'), 'run')).toContain('may not run');
    expect(accessFault(someone, join(place, 'open/file'), 'replace')).toContain('may not write the folder');
    expect(accessFault(someone, join(place, 'shut/file'), 'read')).toContain('may not enter');
    expect(accessFault({ ...someone, groups: [0] }, join(place, 'open/none'), 'read')).toContain(
      'is not there',
    );
    chmodSync(join(place, 'open'), 0o777);
    expect(accessFault(someone, join(place, 'open/new/file'), 'write')).toBeUndefined();
    expect(accessFault(someone, join(place, 'open/file'), 'replace')).toBeUndefined();
  });

  it('counts the groups that a user is in', () => {
    const place = root({ 'etc/passwd': 'me:x:7:8::/:\n', 'etc/group': 'own:x:8:\nmore:x:9:you,me\n' });
    expect(findUser('me', place)).toEqual({ name: 'me', uid: 7, groups: [8, 9] });
    expect(findUser('you', place)).toBeUndefined();
  });
});

describe('a one-time file that the daemon can not write', { timeout: 60_000 }, () => {
  it('is warned of by import, beforehand', async () => {
    const place = root({
      'knockd.conf':
        '[ssh]\n one_time_sequences = /opt/knock/sequences\n start_command = /sbin/iptables -I INPUT -s %IP% -p tcp --dport 22 -j ACCEPT\n tcpflags = syn\n',
    });
    const { code, err } = await nfknock(['import', join(place, 'knockd.conf')]);
    expect(code).toBe(0);
    expect(err).toMatch(
      /doors\.ssh\.one_time: \/opt\/knock\/sequences can't be marked used by the daemon .*ReadWritePaths=\/opt\/knock/,
    );
  });

  it.skipIf(process.getuid?.() !== 0)('leaves its door shut, and that is said', () => {
    const place = root({ sequences: '1:tcp,2:tcp\n' });
    chmodSync(place, 0o755);
    chmodSync(join(place, 'sequences'), 0o644);
    const ask = `import { nextSequence } from ${JSON.stringify(join(built(), 'daemon/hook-subject.js'))};
      console.log(JSON.stringify(nextSequence({ name: 'ssh', knock: { oneTime: ${JSON.stringify(join(place, 'sequences'))} } })));`;
    const asUser = (user: object): unknown =>
      JSON.parse(
        spawnSync(process.execPath, ['--input-type=module', '-e', ask], {
          encoding: 'utf8',
          cwd: '/',
          ...user,
        }).stdout,
      );
    expect(asUser({})).toMatchObject({ next: [{ port: 1 }, { port: 2 }] });
    expect(asUser({ uid: 65_534, gid: 65_534 })).toEqual({
      next: [],
      warning: expect.stringMatching(
        /^door ssh stays shut: its lines can't be marked used: .*may not write the folder/,
      ),
    });
  });
});

describe('what the kernel lacks', () => {
  const ofConfig = (text: string): string => root({ 'proc/config.gz': gzipSync(text) });
  it('is said where something tells, and not where nothing does', () => {
    expect(ofKernel(config(), root({}))).toEqual([]);
    const all =
      'CONFIG_NETFILTER_NETLINK_QUEUE=y\nCONFIG_NETFILTER_XT_SET=m\nCONFIG_NETFILTER_XT_MATCH_SOCKET=y\n';
    expect(ofKernel(config('decoys: all'), ofConfig(all))).toEqual([]);
    const none = ofConfig('# CONFIG_NETFILTER_NETLINK_QUEUE is not set\n');
    expect(codes(ofKernel(config('decoys: all'), none))).toEqual([
      'no-source',
      'no-match-set',
      'no-match-socket',
    ]);
    expect(codes(ofKernel(config('listen: { source: nflog }'), ofConfig(all)))).toEqual(['no-source']);
  });
});

const RULES = (input: string, policy = 'DROP', rest = ''): string =>
  `*filter\n:INPUT ${policy} [0:0]\n:NFKNOCK - [0:0]\n${chainsIn(input + rest)}${input}${rest}COMMIT\n`;
/** iptables-save names every chain. */
const chainsIn = (rules: string): string =>
  [...new Set([...rules.matchAll(/-A (\S+)/g)].map(([, chain]) => chain))]
    .filter((chain) => chain !== 'INPUT' && chain !== 'NFKNOCK')
    .map((chain) => `:${chain} - [0:0]\n`)
    .join('');
const NAT = (...rules: readonly string[]): string =>
  `*nat\n:PREROUTING ACCEPT [0:0]\n${chainsIn(rules.join('\n')).replace(':PREROUTING - [0:0]\n', '')}${rules.join('\n')}\nCOMMIT\n`;
const JUMP = '-A INPUT -m comment --comment nfknock -j NFKNOCK\n';
const TO_DOCKER = '-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER';
const F2B =
  '-A f2b-sshd -s 192.0.2.9/32 -j REJECT --reject-with icmp-port-unreachable\n-A f2b-sshd -j RETURN\n';
const look = (v4: string, yaml = ''): readonly string[] =>
  ofTables(config(yaml), { v4: parseSaved(v4), v6: undefined, ipv6: false }).map(
    ({ code, level }) => `${code} ${level}`,
  );

describe('what rules mean', () => {
  it.each<[string, readonly string[], string, string?]>([
    ['ours alone', [], RULES(JUMP)],
    ['ufw behind ours', [], RULES(`${JUMP}-A INPUT -j ufw-before-input\n`)],
    ['loopback before ours', [], RULES(`-A INPUT -i lo -j ACCEPT\n${JUMP}`)],
    ['open connections before ours', [], RULES(`-A INPUT -m state --state ESTABLISHED -j ACCEPT\n${JUMP}`)],
    [
      'fail2ban before ours',
      [],
      RULES(`-A INPUT -p tcp -m multiport --dports 22 -j f2b-sshd\n${JUMP}`, 'DROP', F2B),
    ],
    [
      'CrowdSec before ours',
      [],
      RULES(`-A INPUT -m set --match-set crowdsec-blacklists src -j DROP\n${JUMP}`),
    ],
    [
      'ufw before ours',
      ['jump-not-first warning'],
      RULES(
        `-A INPUT -j ufw-before-input\n${JUMP}`,
        'DROP',
        '-A ufw-before-input -p tcp -m tcp --dport 80 -j ACCEPT\n',
      ),
    ],
    [
      'a rule before ours that accepts the service',
      ['jump-not-first fault'],
      RULES(`-A INPUT -p tcp -m tcp --dport 20:25 -j ACCEPT\n${JUMP}`),
    ],
    [
      'a chain before ours that drops the knocks',
      ['jump-not-first warning'],
      RULES(`-A INPUT -j own\n${JUMP}`, 'DROP', '-A own -p udp -j DROP\n'),
    ],
    [
      'fail2ban behind ours, which accepts since it is told to',
      ['bans-passed-by warning'],
      RULES(`${JUMP}-A INPUT -j f2b-sshd\n`, 'DROP', F2B),
      'accept: own',
    ],
    ['fail2ban behind ours, which gives back', [], RULES(`${JUMP}-A INPUT -j f2b-sshd\n`, 'DROP', F2B)],
    [
      'a last rule that drops',
      [],
      RULES(`${JUMP}-A INPUT -j REJECT --reject-with icmp-port-unreachable\n`, 'ACCEPT'),
    ],
    ['no rules of ours', ['rules-missing fault'], RULES('')],
    [
      "a door's port published by Docker",
      ['docker-published fault'],
      RULES(JUMP) +
        NAT(
          TO_DOCKER,
          '-A DOCKER ! -i docker0 -p tcp -m tcp --dport 22 -j DNAT --to-destination 172.17.0.2:22',
        ),
    ],
    [
      'another port, and the same on loopback alone',
      [],
      RULES(JUMP) +
        NAT(
          TO_DOCKER,
          '-A DOCKER -i docker0 -j RETURN',
          '-A DOCKER ! -i docker0 -p tcp -m tcp --dport 2222 -j DNAT --to-destination 172.17.0.2:22',
          '-A DOCKER -d 127.0.0.1/32 ! -i docker0 -p tcp -m tcp --dport 22 -j DNAT --to-destination 172.17.0.2:22',
        ),
    ],
    [
      "a door's port sent elsewhere by a rule of the owner",
      ['translated fault'],
      RULES(JUMP) + NAT('-A PREROUTING -p tcp -m multiport --dports 22,80 -j REDIRECT --to-ports 2222'),
    ],
    [
      'what our own chain translates for who knocked',
      [],
      RULES(JUMP) +
        NAT(
          '-A PREROUTING -m comment --comment nfknock -j NFKNOCK-DNAT',
          '-A NFKNOCK-DNAT -p tcp -m tcp --dport 22 -j DNAT --to-destination 10.0.0.2',
        ),
    ],
  ])('%s: %j', (_, expected, v4, yaml) => {
    expect(look(v4, yaml)).toEqual(expected);
  });
});

describe('a published sequence', () => {
  it('is every one that stands in our own examples', () => {
    const own = ['README.md', ...EXAMPLES.map((name) => `examples/${name}`)];
    const knocks = own.flatMap((name) => [
      ...readFileSync(new URL(`../../${name}`, import.meta.url), 'utf8').matchAll(/knock: (\[[^\]]*\])/g),
    ]);
    const sequences = knocks.flatMap(([, text = '']) => {
      const parsed = parseConfig(`doors: { d: { knock: ${text}, opens: [22/tcp] } }`, 'x');
      const [door] = parsed.ok ? parsed.config.doors : [];
      return door === undefined || 'oneTime' in door.knock ? [] : [door.knock];
    });
    expect(sequences.length).toBeGreaterThan(10);
    // What is published of a code is the ranges that its digits are knocked in, which open nothing.
    const long = sequences.filter(
      (knock) => knock.length > 1 && !knock.some((step) => formatPort(step).includes('?')),
    );
    expect(
      long.filter((knock) => !isPublished(knock)).map((knock) => knock.map(formatPort).join(' ')),
    ).toEqual([]);
  });
});

describe.skipIf(process.getuid?.() !== 0)('a file with secrets', () => {
  const made = (mode: number, uid: number, gid: number): string => {
    const place = root({ 'nfknock.yaml': '' });
    chmodSync(place, 0o755);
    const file = join(place, 'nfknock.yaml');
    chownSync(file, uid, gid);
    chmodSync(file, mode);
    return file;
  };
  const found = (file: string): readonly string[] =>
    ofSecrets(config(), file, { ...SHIPPED_UNIT, user: 'daemon' }).map(
      ({ code, level }) => `${code} ${level}`,
    );
  const { uid = 0, groups: [gid = 0] = [] } = findUser('daemon') ?? expect.unreachable();
  it.each<[string, number, number, number, readonly string[]]>([
    ["root's, and the group's to read", 0o640, 0, gid, []],
    ["the daemon's alone", 0o600, uid, gid, []],
    ['anybody’s to read', 0o644, 0, gid, ['secret-readable warning']],
    ["another group's to read", 0o640, 0, 54_321, ['secret-readable warning']],
    ['anybody’s to write', 0o646, 0, gid, ['secret-changeable fault']],
    ["another group's to write", 0o660, 0, 54_321, ['secret-changeable fault']],
    ["another user's", 0o600, 54_321, gid, ['secret-changeable fault']],
  ])('is %s', (_, mode, owner, group, expected) => {
    expect(found(made(mode, owner, group))).toEqual(expected);
  });

  it('is well in a folder that others may not enter, and not in one that they may write', () => {
    const file = made(0o644, 0, 0);
    chmodSync(dirname(file), 0o700);
    expect(found(file)).toEqual([]);
    chmodSync(dirname(file), 0o777);
    expect(found(file)).toEqual(['secret-changeable fault']);
  });
});

describe('who is connected now', () => {
  it('is read of the tables of both families, for the ports that are asked for', () => {
    const head =
      '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n';
    const row = (local: string, remote: string, state: string): string =>
      `   0: ${local} ${remote} ${state} 0 0\n`;
    const ports = config().doors.flatMap(({ opens }) => opens);
    const table = [
      row('010200C0:0016', '0A0200C0:D431', '01'),
      row('010200C0:0016', '0B0200C0:D431', '06'),
      row('010200C0:0050', '0C0200C0:D431', '01'),
      row('0000000000000000FFFF0000010200C0:0016', '0000000000000000FFFF00000D0200C0:D431', '01'),
      row('B80D0120000000000000000001000000:0016', 'B80D012000000000000000000E000000:D431', '01'),
    ];
    expect(peersIn(head + table.join(''), ports).map(formatAddress)).toEqual([
      '192.0.2.10',
      '192.0.2.13',
      '2001:db8::e',
    ]);
  });
});

describe('what else stands in the way', () => {
  it('is told by what was looked up', () => {
    expect(ofClock({ synchronised: undefined, realTimeClock: false })).toEqual([]);
    expect(ofClock({ synchronised: true, realTimeClock: false })).toEqual([]);
    expect(ofClock({ synchronised: false, realTimeClock: false })[0]?.problem).toContain(
      'no real-time clock',
    );
    expect(codes(ofEverybody(['192.0.2.1', '192.0.2.9'], ['192.0.2.1']))).toEqual(['one-address']);
    expect(ofEverybody(['192.0.2.9'], ['192.0.2.1'])).toEqual([]);
    const max = 1000 + Math.floor(Math.random() * 1e6);
    expect(ofConntrack(Math.floor(max * 0.79), max)).toEqual([]);
    expect(ofConntrack(Math.ceil(max * 0.81), max)[0]?.level).toBe('warning');
    expect(ofConntrack(max, max)[0]?.level).toBe('fault');
  });

  it('is told by what is laid at boot', () => {
    const place = root({
      'etc/systemd/system/multi-user.target.wants/nfknock.service': '',
      'etc/iptables/rules.v4': '*filter\n-A INPUT -j NFKNOCK\nCOMMIT\n',
      'etc/nftables.conf': 'flush ruleset\n',
    });
    expect(codes(ofBoot(lookAtBoot(place)))).toEqual(['boot-order', 'saved-rules']);
    const well = root({
      'etc/systemd/system/multi-user.target.wants/nfknock.service': '',
      'etc/systemd/system/sysinit.target.wants/nfknock-rules.service': '',
    });
    expect(ofBoot(lookAtBoot(well))).toEqual([]);
    expect(ofBoot(lookAtBoot(root({})))).toEqual([]);
  });
});
