import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { answersPing } from '../support/firewall-proxy.ts';
import { createNet, type Net } from '../support/net.ts';
import type { Result } from '../support/process.ts';
import { ROOT } from '../support/root.ts';

const DIST = process.env['NFKNOCK_DIST'] ?? join(ROOT, 'dist');
const NFKNOCK = [process.execPath, join(DIST, 'bin/nfknock.js')];
const PUBLIC = 80;
const SERVICE = 22;
const OTHER = 2200;
/** Milliseconds in which a connection is made where it can be. */
const QUICK = 120;

const CONFIG = {
  doors: { ssh: { knock: [7000, '8000/udp'], opens: [SERVICE] } },
  decoys: [23],
  allow: [PUBLIC],
};
const FAMILIES = [
  { name: 'IPv4', server: 'server4', flag: '-4', tool: 'iptables' },
  { name: 'IPv6', server: 'server6', flag: '-6', tool: 'ip6tables' },
] as const;

describe('nfknock rules', () => {
  let net: Net;
  const folder = mkdtempSync(join(tmpdir(), 'nfknock-rules-'));
  const file = join(folder, 'nfknock.yaml');
  const env = { NFKNOCK_ROLLBACK_DIR: join(folder, 'kept') };

  const rules = (...args: readonly string[]): Promise<Result> =>
    net.server.exec([...NFKNOCK, 'rules', ...args, '-c', file], { env });
  const sh = async (script: string): Promise<string> => (await net.server.exec(['sh', '-c', script])).stdout;
  const tables = (): Promise<string> =>
    sh('for tool in iptables ip6tables; do $tool-save; done | grep -v "^#" | sed "s/ \\[.*//"');
  const everything = async (): Promise<string> => `${await tables()}${await sh('ipset list -n')}`;

  beforeAll(async () => {
    writeFileSync(file, JSON.stringify(CONFIG));
    chmodSync(folder, 0o755);
    net = await createNet();
    for (const port of [PUBLIC, SERVICE, OTHER]) await net.server.listen(port);
    await sh('for tool in iptables ip6tables; do $tool -P INPUT ACCEPT; done');
  });
  afterEach(async () => {
    rmSync(env.NFKNOCK_ROLLBACK_DIR, { recursive: true, force: true });
    await sh(
      'for tool in iptables ip6tables; do for chain in INPUT FORWARD; do $tool -P $chain ACCEPT; done; done',
    );
    await sh('for tool in iptables ip6tables; do $tool -F; $tool -X; done; sleep 0.1; ipset destroy');
  });
  afterAll(() => {
    net?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  it('prints, to anyone, what iptables-restore takes as it is', async () => {
    const nobody = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', '--bounding-set=-all'];
    for (const { flag, tool } of FAMILIES) {
      const printed = await net.server.exec([...nobody, ...NFKNOCK, 'rules', 'print', flag, '-c', file]);
      expect(printed.code).toBe(0);
      // Only who may look at the kernel knows what follows there.
      expect(printed.stderr).toMatch(
        /^(nfknock: IPv[46]: what follows in INPUT can't be read, so "accept: own" is assumed.*\n)+$/,
      );
      const sets = printed.stdout.split('\n').filter((line) => line.startsWith('# ipset '));
      expect(sets).toHaveLength(1);
      await sh(sets.map((line) => line.slice(2)).join('\n'));
      const test = await net.server.exec([`${tool}-restore`, '--noflush', '--test'], {
        input: printed.stdout,
      });
      expect(test).toMatchObject({ code: 0, stderr: '' });
    }
    const both = JSON.parse((await rules('print', '--json')).stdout) as readonly {
      family: number;
      text: string;
    }[];
    expect(both.map(({ family }) => family)).toEqual([4, 6]);
    expect((await rules('print')).stdout).toContain(both[1]?.text ?? '?');
  });

  it('says what is wrong with the configuration, and changes nothing', async () => {
    const bad = join(folder, 'bad.yaml');
    writeFileSync(bad, JSON.stringify({ doors: { ssh: { knock: [7000], opens: ['x'] } }, nonsense: 1 }));
    const before = await everything();
    const { code, stderr } = await net.server.exec([...NFKNOCK, 'rules', 'install', '-c', bad]);
    expect(code).toBe(3);
    expect(stderr.trim().split('\n').length).toBeGreaterThanOrEqual(2);
    // What is in can be taken out all the same.
    expect((await net.server.exec([...NFKNOCK, 'rules', 'remove', '-c', bad])).code).toBe(0);
    expect(await everything()).toBe(before);
  });

  it('tells wrong usage and a lack of permission from each other, in one line', async () => {
    for (const args of [['lay'], ['install', '--confirm', 'soon']]) {
      expect((await rules(...args)).code).toBe(2);
    }
    const nobody = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', '--bounding-set=-all'];
    for (const action of ['install', 'confirm']) {
      const refused = await net.server.exec([...nobody, ...NFKNOCK, 'rules', action, '-c', file]);
      expect(refused.code).toBe(4);
      expect(refused.stderr).toMatch(/^nfknock: .*root.*\n$/);
    }
  });

  it('puts the rules in and takes them out, each as often as one likes', async () => {
    const before = await everything();
    for (let time = 0; time < 2; time += 1)
      expect(await rules('install')).toMatchObject({ code: 0, stderr: '' });
    expect((await sh('iptables -S INPUT; ip6tables -S INPUT')).match(/-j NFKNOCK\n/g)).toHaveLength(2);
    expect(await net.clientA.canConnect(net.clientA.server4, SERVICE, QUICK)).toBe(false);
    for (let time = 0; time < 2; time += 1)
      expect(await rules('remove')).toMatchObject({ code: 0, stderr: '' });
    expect(await everything()).toBe(before);
  });

  it('lays, with the policy of an appliance, a default drop that lets through what a host needs', async () => {
    const before = await everything();
    expect(await rules('install', '--policy', 'appliance')).toMatchObject({ code: 0, stderr: '' });
    expect(await rules('install')).toMatchObject({ code: 0, stderr: '' });
    // Neighbours are to be found anew: discovery must pass.
    await net.clientA.moveToFreshSource();
    await sh('ip neighbour flush dev toA nud permanent; ip -6 neighbour flush dev toA nud permanent');
    for (const { server } of FAMILIES) {
      const target = net.clientA[server];
      expect(await net.clientA.canConnect(target, PUBLIC, 3_000)).toBe(true);
      expect(await net.clientA.canConnect(target, OTHER, QUICK)).toBe(false);
      expect(await net.clientA.canConnect(target, SERVICE, QUICK)).toBe(false);
      expect(await answersPing(net.clientA, target)).toBe(true);
      expect((await net.server.exec(['nc', '-z', '-w1', target, `${OTHER}`])).code).toBe(0);
    }
    expect(await sh('iptables -S')).toMatch(/^-P INPUT DROP\n-P FORWARD DROP\n/);
    expect(await rules('remove')).toMatchObject({ code: 0 });
    expect(await everything()).toBe(before);
  });

  it('lays the same policy at boot, from the files as they are', async () => {
    for (const { tool, server } of FAMILIES) {
      const text = join(ROOT, 'iptables', server === 'server4' ? 'base.v4' : 'base.v6');
      expect((await net.server.exec(['sh', '-c', `${tool}-restore < ${text}`])).stderr).toBe('');
      expect(await net.clientA.canConnect(net.clientA[server], PUBLIC, QUICK)).toBe(false);
    }
    expect(await rules('install', '--policy', 'appliance')).toMatchObject({ code: 0, stderr: '' });
    for (const { tool, server } of FAMILIES) {
      expect(await net.clientA.canConnect(net.clientA[server], PUBLIC, 1_000)).toBe(true);
      expect((await sh(`${tool} -S INPUT`)).match(/-j NFKNOCK(-BASE)?$/gm)).toHaveLength(2);
    }
  });
});
