import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type Daemon, NFKNOCK, startDaemon, writeConfig } from '../support/daemon.ts';
import { createNet, type Net } from '../support/net.ts';
import type { Result } from '../support/process.ts';

/* A change that nobody confirms is taken back, and nothing else is: whoever runs, whatever came or went meanwhile. */

const SERVICE = 22;
const OTHER = 8080;
const QUICK = 250;
const NOBODY = 65_534;
const DOORS = { ssh: { knock: ['7001/tcp', '7002/tcp'], opens: [SERVICE], for: '5m' } };
const SSH = { doors: DOORS, decoys: [23] };
const WEB = { doors: { web: { knock: ['7101/tcp', '7102/tcp'], opens: [OTHER], for: '5m' } }, grants: 'set' };

describe('a change that waits for its confirmation', () => {
  let net: Net;
  let daemon: Daemon | undefined;
  const folder = mkdtempSync(join(tmpdir(), 'nfknock-rollback-'));
  const kept = join(folder, 'kept');
  const env = { NFKNOCK_ROLLBACK_DIR: kept };
  const { file } = writeConfig(SSH, folder);

  const nfknock = (...args: readonly string[]): Promise<Result> =>
    net.server.exec([...NFKNOCK, ...args, '-c', file], { env });
  const rules = (...args: readonly string[]): Promise<Result> => nfknock('rules', ...args);
  const sh = async (script: string): Promise<string> => (await net.server.exec(['sh', '-c', script])).stdout;
  const tables = (): Promise<string> =>
    sh('for tool in iptables ip6tables; do $tool-save; done | grep -v "^#" | sed "s/ \\[.*//"');
  const ours = (): Promise<string> => sh('iptables-save; ip6tables-save; ipset list -n');
  const waits = (): boolean =>
    existsSync(kept) && readdirSync(kept).some((name) => /^(pending|undoing)-/.test(name));
  const rolledBack = async (within = 6_000): Promise<void> => {
    await expect.poll(waits, { timeout: within, interval: 20 }).toBe(false);
  };

  beforeAll(async () => {
    chmodSync(folder, 0o755);
    net = await createNet();
    for (const port of [SERVICE, OTHER]) await net.server.listen(port);
    await sh('for tool in iptables ip6tables; do $tool -P INPUT ACCEPT; done');
  });
  afterEach(async () => {
    await daemon?.stop('SIGKILL');
    daemon = undefined;
    rmSync(kept, { recursive: true, force: true });
    rmSync(`${file}.unconfirmed`, { force: true });
    writeConfig(SSH, folder);
    await sh('for t in iptables ip6tables; do $t -P INPUT ACCEPT; $t -P FORWARD ACCEPT; $t -F; $t -X; done');
    await sh('sleep 0.1; ipset destroy');
  });
  afterAll(() => {
    net?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  it('is taken back though the session that asked is dead, and says so', async () => {
    const before = await tables();
    const line = [...NFKNOCK, 'rules', 'install', '--policy', 'appliance', '--confirm', '2s', '-c', file];
    // The whole session is killed as soon as the command is done.
    const asked = await net.server.exec(['setsid', '-w', 'sh', '-c', `${line.join(' ')}; kill -9 0`], {
      env,
    });
    expect(asked.stdout).toContain('nfknock confirm');
    expect(await net.clientA.canConnect(net.clientA.server4, OTHER, QUICK)).toBe(false);
    await rolledBack();
    expect(await tables()).toBe(before);
    expect(await ours()).not.toContain('nfknock');
    const late = await rules('confirm');
    expect(late.code).toBe(1);
    expect(late.stderr).toMatch(
      /^nfknock: the change of .* was rolled back at .*nobody has confirmed it.*\n$/,
    );
    expect((await nfknock('confirm')).stderr).toMatch(/^nfknock: nothing is pending: .*\n$/);
  });

  // Against: planting files by which root restores or deletes what one likes
  // by: the way back is root's alone, mode 0700, or not used
  it('is root’s alone to take back: a folder that others could write to is refused', async () => {
    mkdirSync(kept, { mode: 0o700 });
    chownSync(kept, NOBODY, NOBODY);
    const refused = await rules('install', '--confirm', '30s');
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain(kept);
    expect(await ours()).not.toContain('NFKNOCK');
    rmSync(kept, { recursive: true });
    expect((await rules('install', '--confirm', '30s')).code).toBe(0);
    expect(statSync(kept)).toMatchObject({ uid: 0, mode: 0o40700 });
    await rules('roll-back');
  });

  // Against: a roll-back as a way to undo others' bans
  // by: nfknock's own part alone is put back
  it('leaves what others did meanwhile, and works where a set of theirs has gone', async () => {
    await sh('ipset create f2b-old hash:ip; iptables -A INPUT -m set --match-set f2b-old src -j DROP');
    await sh('ip6tables -A INPUT -p tcp --dport 999 -j DROP');
    expect((await rules('install', '--policy', 'appliance', '--confirm', '2s')).code).toBe(0);
    await sh('iptables -D INPUT -m set --match-set f2b-old src -j DROP; sleep 0.1; ipset destroy f2b-old');
    await sh(
      'iptables -N f2b-sshd; iptables -I INPUT -p tcp -j f2b-sshd; iptables -A f2b-sshd -s 192.0.2.77 -j DROP',
    );
    await sh(
      'iptables -t nat -N DOCKER; iptables -t nat -A PREROUTING -j DOCKER; ipset create f2b-new hash:ip',
    );
    await rolledBack();
    expect(await ours()).not.toMatch(/nfknock/i);
    expect(await sh('iptables -S')).toBe(
      [
        '-P INPUT ACCEPT',
        '-P FORWARD ACCEPT',
        '-P OUTPUT ACCEPT',
        '-N f2b-sshd',
        '-A INPUT -p tcp -j f2b-sshd',
        '-A f2b-sshd -s 192.0.2.77/32 -j DROP',
        '',
      ].join('\n'),
    );
    expect(await sh('ip6tables -S INPUT')).toContain('--dport 999');
    expect(await sh('iptables -t nat -S PREROUTING')).toContain('-j DOCKER');
    expect(await sh('ipset list -n')).toBe('f2b-new\n');
    await sh('iptables -t nat -F; iptables -t nat -X');
  });

  it('wins over a daemon that runs: it stands down, ends with 6, and puts nothing back', async () => {
    expect((await rules('install', '--confirm', '5s')).code).toBe(0);
    daemon = await startDaemon(net.server.namespace, SSH, { folder, env });
    expect(await daemon.exited).toEqual({ code: 6, signal: null });
    // Its end is the sign that all is done.
    expect(waits()).toBe(false);
    expect(await ours()).not.toMatch(/nfknock/i);
    expect(daemon.lines.at(-1)).toMatchObject({
      event: 'daemon.stopped',
      reason: expect.stringContaining('rolled back'),
    });
    await sleep(1_500);
    expect(await ours()).not.toMatch(/nfknock/i);
    expect(await net.clientA.canConnect(net.clientA.server4, SERVICE, 1_000)).toBe(true);
  });

  it('wins over a daemon that stands still', async () => {
    daemon = await startDaemon(net.server.namespace, SSH, { folder, env, args: ['--confirm', '1s'] });
    daemon.signal('SIGSTOP');
    expect(await daemon.exited).toEqual({ code: null, signal: 'SIGKILL' });
    await rolledBack();
    expect(await ours()).not.toMatch(/nfknock/i);
  }, 20_000);

  it('`run --confirm` rolls back by itself, and goes on where it was confirmed', async () => {
    daemon = await startDaemon(net.server.namespace, SSH, { folder, env, args: ['--confirm', '1s'] });
    expect(await daemon.exited).toEqual({ code: 6, signal: null });
    expect(waits()).toBe(false);
    expect(await ours()).not.toMatch(/nfknock/i);
    daemon = await startDaemon(net.server.namespace, SSH, { folder, env, args: ['--confirm', '3s'] });
    expect((await nfknock('confirm', '--yes')).code).toBe(0);
    await sleep(3_500);
    expect(await sh('iptables -S INPUT')).toContain('-j NFKNOCK');
    expect(await daemon.stop()).toEqual({ code: 0, signal: null });
  }, 20_000);

  it('is confirmed once a connection came in through a grant; without one, --yes must be said', async () => {
    await rules('install', '--confirm', '20s');
    daemon = await startDaemon(net.server.namespace, SSH, { folder, env });
    // Packets to the service that were dropped are no connections.
    expect(await net.clientB.canConnect(net.clientB.server4, SERVICE, QUICK)).toBe(false);
    const early = await nfknock('confirm');
    expect(early.code).toBe(1);
    expect(early.stderr).toMatch(/^nfknock: not confirmed: no connection came in .*--yes\n$/);
    expect(waits()).toBe(true);
    await net.clientA.exec(['knock', net.clientA.server4, '7001', '7002']);
    await daemon.waitFor({ event: 'door.opened', source: net.clientA.source().v4 });
    expect(await net.clientA.canConnect(net.clientA.server4, SERVICE, 1_000)).toBe(true);
    const late = await nfknock('confirm');
    expect(late).toMatchObject({ code: 0, stderr: '' });
    expect(late.stdout).toContain('a connection came in through a grant');
    expect(waits()).toBe(false);
    expect((await nfknock('confirm')).code).toBe(1);
  });

  it('falls back to what was confirmed last: rules, sets and configuration', async () => {
    expect((await rules('install')).code).toBe(0);
    const before = await tables();
    const text = readFileSync(file, 'utf8');
    chmodSync(file, 0o640);
    writeConfig(WEB, folder);
    expect((await rules('install', '--policy', 'appliance', '--confirm', '3s')).code).toBe(0);
    // A second change on top of the first has the same beginning.
    expect((await rules('install', '--confirm', '6s')).code).toBe(0);
    expect(await sh('ipset list -n')).toContain('nfknock-web4');
    expect(await net.clientA.canConnect(net.clientA.server4, OTHER, QUICK)).toBe(false);
    await sleep(3_500);
    expect(waits()).toBe(true);
    await rolledBack();
    expect(await tables()).toBe(before);
    expect(await sh('ipset list -n')).toBe('nfknock-ban4\nnfknock-ban6\n');
    expect(readFileSync(file, 'utf8')).toBe(text);
    expect(statSync(file).mode & 0o777).toBe(0o640);
    expect(readFileSync(`${file}.unconfirmed`, 'utf8')).toContain('web');
  });

  it('is listed before it is made: the chains, sets and policies that then have changed, and no other', async () => {
    const named = async (): Promise<ReadonlySet<string>> => {
      const text = await sh('for t in iptables ip6tables; do $t-save | sed "s/^/$t /"; done; ipset list -n');
      const lines = text
        .split('\n')
        .flatMap((line) => /(ip6?)tables :(NFKNOCK\S*)/.exec(line)?.slice(1).join(' ') ?? []);
      return new Set([...lines, ...text.split('\n').filter((line) => line.startsWith('nfknock-'))]);
    };
    const listed = (said: string, what: RegExp): ReadonlySet<string> =>
      new Set(
        said.split('\n').flatMap((line) => {
          const [, family, kind = '', names = ''] = /^IPv([46]): (.*?): (.*)$/.exec(line) ?? [];
          if (!what.test(kind)) return [];
          const tool = family === '4' ? 'ip' : 'ip6';
          return names
            .split(', ')
            .map((each) => (kind.includes('sets') ? each : `${tool} ${each.replace(/^\w+ /, '')}`));
        }),
      );
    await sh('iptables -N theirs; iptables -A INPUT -j theirs');
    const before = await named();
    const first = await rules('install', '--policy', 'appliance', '--confirm', '60s');
    const between = await named();
    expect(before.size).toBe(0);
    expect(listed(first.stdout, /^new (chains|sets)$/)).toEqual(between);
    expect(first.stdout).toContain('INPUT was ACCEPT, FORWARD was ACCEPT; both become DROP');
    expect(first.stdout).toContain('closed to anyone who has no grant: 22/tcp\n');
    expect(first.stdout).not.toContain('theirs');
    expect((await rules('install', '--policy', 'appliance', '--confirm', '60s')).stdout).toMatch(
      /^nothing new: .*\nclosed to .*\n/,
    );
    writeConfig({ ...WEB, doors: { ...WEB.doors, marked: { ...DOORS.ssh, grant_mark: '0x7' } } }, folder);
    const last = await rules('install', '--confirm', '60s');
    const after = await named();
    expect(listed(last.stdout, /^new (chains|sets)$/)).toEqual(
      new Set([...after].filter((each) => !between.has(each))),
    );
    expect(listed(last.stdout, / that go$/)).toEqual(
      new Set([...between].filter((each) => !after.has(each))),
    );
    await rules('roll-back');
    await sh('iptables -P INPUT ACCEPT');
  });

  // Against: a roll-back as a way to a grant that was revoked
  // by: grants come back only where they are in force
  it('brings back no grant that was revoked meanwhile', async () => {
    daemon = await startDaemon(net.server.namespace, SSH, { folder, env });
    for (const address of ['203.0.113.1', '203.0.113.2']) await nfknock('grant', 'ssh', address);
    expect((await rules('install', '--confirm', '30s')).code).toBe(0);
    await nfknock('revoke', '203.0.113.1');
    await nfknock('grant', 'ssh', '203.0.113.3');
    expect((await rules('roll-back')).code).toBe(0);
    expect(await daemon.exited).toEqual({ code: 6, signal: null });
    const grants = await sh('iptables -S NFKNOCK-GRANT');
    expect(grants).toContain('203.0.113.2/32');
    expect(grants).not.toMatch(/203\.0\.113\.[13]\b/);
    expect(await sh('iptables -S INPUT')).toContain('-j NFKNOCK');
  });

  it('is taken back by the next command where its timer was killed', async () => {
    await rules('install', '--confirm', '1s');
    for (const pid of timersOf(kept)) process.kill(pid, 'SIGKILL');
    await sleep(1_300);
    expect(await sh('iptables -S INPUT')).toContain('-j NFKNOCK');
    const late = await nfknock('confirm', '--yes');
    expect(late.code).toBe(1);
    expect(late.stderr).toContain('was rolled back');
    expect(await ours()).not.toMatch(/nfknock/i);
  });
});

/** The processes that wait to roll back what is kept in this folder. */
function timersOf(folder: string): readonly number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8');
        const environment = readFileSync(`/proc/${pid}/environ`, 'utf8');
        return command.includes('nfknock-rollback') && environment.includes(`=${folder}\0`);
      } catch {
        return false;
      }
    })
    .map(Number);
}
