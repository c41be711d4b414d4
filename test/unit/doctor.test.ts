import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
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
import { ofTables } from '../../src/doctor/tables.ts';
import { installedUnit, parseUnit, SHIPPED_UNIT, wallOf } from '../../src/doctor/unit.ts';
import type { Config } from '../../src/policy/config.ts';
import { built } from './cli/built.ts';
import { nfknock } from './cli/canned.ts';

const UNIT = readFileSync(new URL('../../deploy/systemd/nfknock.service', import.meta.url), 'utf8');
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
  `*filter\n:INPUT ${policy} [0:0]\n:NFKNOCK - [0:0]\n${input}${rest}COMMIT\n`;
const JUMP = '-A INPUT -m comment --comment nfknock -j NFKNOCK\n';
const look = (v4: string, nft?: string): readonly string[] =>
  codes(ofTables(config(), { v4, v6: undefined, nft, ipv6: false }));

describe('what rules mean', () => {
  it.each<[string, readonly string[], string, string?]>([
    ['ours alone', [], RULES(JUMP)],
    ['ufw behind ours', [], RULES(`${JUMP}-A INPUT -j ufw-before-input\n`)],
    ['fail2ban before ours', [], RULES(`-A INPUT -p tcp -m multiport --dports 22 -j f2b-sshd\n${JUMP}`)],
    ['ufw before ours', ['jump-not-first'], RULES(`-A INPUT -j ufw-before-input\n${JUMP}`)],
    [
      'fail2ban behind ours, which accepts',
      ['bans-passed-by'],
      RULES(
        `${JUMP}-A INPUT -j f2b-sshd\n`,
        'DROP',
        '-A NFKNOCK -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n',
      ),
    ],
    [
      'a last rule that drops',
      [],
      RULES(`${JUMP}-A INPUT -j REJECT --reject-with icmp-port-unreachable\n`, 'ACCEPT'),
    ],
    ['no rules of ours', ['rules-missing'], RULES('')],
    [
      'firewalld',
      ['native-drop'],
      RULES(JUMP),
      'table inet firewalld {\n\tchain filter_INPUT {\n\t\ttype filter hook input priority filter + 10; policy drop;\n\t}\n}\n',
    ],
    [
      'a native table that accepts',
      [],
      RULES(JUMP),
      'table inet own {\n\tchain in {\n\t\ttype filter hook input priority 0; policy accept;\n\t}\n}\n',
    ],
    [
      "iptables' own table as nft shows it",
      [],
      RULES(JUMP),
      'table ip filter {\n\tchain INPUT {\n\t\ttype filter hook input priority filter; policy drop;\n\t}\n}\n',
    ],
    [
      'a native chain that drops what is routed',
      [],
      RULES(JUMP),
      'table inet own {\n\tchain fwd {\n\t\ttype filter hook forward priority 0; policy drop;\n\t}\n}\n',
    ],
  ])('%s: %j', (_, expected, v4, nft) => {
    expect(look(v4, nft)).toEqual(expected);
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
