import { cpSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { ask } from '../support/asked.ts';
import { type Daemon, NFKNOCK, startDaemon, writeConfig } from '../support/daemon.ts';
import { createNet, type Net } from '../support/net.ts';
import type { Result } from '../support/process.ts';

/* IPv6 is there, and what guards it is not: its tools are not installed, or the kernel refuses their rules. */

const CONFIG = {
  doors: { ssh: { knock: ['7001/tcp', '7002/tcp'], opens: [22], for: '5m' } },
};
const OPEN = 'port 22 is open over IPv6';
const SWITCH = '/etc/alternatives';
const TOOLS = ['ip6tables', 'ip6tables-restore', 'ip6tables-save'];

describe.each(['absent', 'failing'] as const)('where ip6tables is %s', (how) => {
  let net: Net;
  let daemon: Daemon | undefined;
  const folder = mkdtempSync(join(tmpdir(), 'nfknock-families-'));
  const { file } = writeConfig(CONFIG, folder);
  const alternatives = join(folder, 'alternatives');
  const env = { NFKNOCK_ROLLBACK_DIR: join(folder, 'kept') };
  /** In a mount namespace whose tools of IPv6 are as they are said to be. */
  const before = ['unshare', '-m', 'sh', '-c', `mount --bind ${alternatives} ${SWITCH} && exec "$@"`, 'sh'];
  const nfknock = (...args: readonly string[]): Promise<Result> =>
    net.server.exec([...before, ...NFKNOCK, ...args, '-c', file], { env });
  const saved = async (): Promise<string> =>
    (await net.server.exec(['sh', '-c', 'iptables-save; ipset list -n'])).stdout;

  beforeAll(async () => {
    cpSync(SWITCH, alternatives, { recursive: true, verbatimSymlinks: true });
    const broken = join(folder, 'broken');
    const says = "ip6tables: can't initialize ip6tables table `filter': Table does not exist";
    writeFileSync(broken, `#!/bin/sh\necho "${says}" >&2\nexit 3\n`, { mode: 0o755 });
    for (const tool of TOOLS) {
      rmSync(join(alternatives, tool));
      if (how === 'failing') symlinkSync(broken, join(alternatives, tool));
    }
    net = await createNet();
    await net.server.listen(22);
  });
  afterEach(async () => {
    await daemon?.stop('SIGKILL');
    daemon = undefined;
    await net.server.exec(['sh', '-c', 'iptables -F; iptables -X; sleep 0.1; ipset destroy']);
  });
  afterAll(() => {
    net?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  it('`rules install` refuses before it changes anything, unless IPv4 alone is meant', async () => {
    const earlier = await saved();
    for (const more of [[], ['--confirm', '30s'], ['--policy', 'appliance']]) {
      const refused = await nfknock('rules', 'install', ...more);
      expect(refused.code).toBe(1);
      expect(refused.stderr).toMatch(new RegExp(`^nfknock: ${OPEN}: .*--ipv4-only\\n$`));
      expect(await saved()).toBe(earlier);
    }
    expect((await nfknock('confirm')).code).toBe(1);
    const meant = await nfknock('rules', 'install', '--ipv4-only');
    expect(meant.code).toBe(0);
    expect(meant.stderr).toContain(`warning: ${OPEN}`);
    expect(await net.clientA.canConnect(net.clientA.server4, 22, 250)).toBe(false);
    expect((await nfknock('rules', 'remove')).code).toBe(0);
    expect(await saved()).not.toMatch(/nfknock/i);
  });

  // Against: coming over IPv6 where its rules can't be installed
  // by: refused before anything changes; said as long as it lasts
  it('`run` goes on for IPv4, and says what is open as long as it is', async () => {
    daemon = await startDaemon(net.server.namespace, CONFIG, { folder, env, before });
    const failed = await daemon.waitFor({ event: 'firewall.failed' });
    expect(failed.reason).toContain(OPEN);
    const { problems } = await ask(daemon, { command: 'status' });
    expect(problems.map(({ what }) => what)).toEqual([expect.stringContaining(OPEN)]);
    const status = await nfknock('status');
    expect(status.code).toBe(1);
    expect(status.stdout).toContain(OPEN);
    await net.clientA.exec(['knock', net.clientA.server4, '7001', '7002']);
    await daemon.waitFor({ event: 'door.opened', source: net.clientA.source().v4 });
    expect(await net.clientA.canConnect(net.clientA.server4, 22, 1_000)).toBe(true);
    expect(await net.clientB.canConnect(net.clientB.server4, 22, 250)).toBe(false);
  });
});

describe('where both families can be guarded', () => {
  it('nothing of what was tried is left, and nothing is said', async () => {
    const net = await createNet();
    const folder = mkdtempSync(join(tmpdir(), 'nfknock-families-'));
    const { file } = writeConfig(CONFIG, folder);
    const env = { NFKNOCK_ROLLBACK_DIR: join(folder, 'kept') };
    const argv = [...NFKNOCK, 'rules', 'install', '--ipv4-only', '-c', file];
    expect(await net.server.exec(argv, { env })).toMatchObject({ code: 0, stdout: '', stderr: '' });
    expect((await net.server.exec(['ip6tables-save'])).stdout).not.toContain('PROBE');
    expect(await net.clientA.canConnect(net.clientA.server6, 22, 250)).toBe(false);
    net.close();
    rmSync(folder, { recursive: true, force: true });
  });
});
