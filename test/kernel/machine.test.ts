import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { nfknock } from '../support/bans-lab.ts';
import { type Daemon, NFKNOCK, writeConfig } from '../support/daemon.ts';
import { createNet, type Net } from '../support/net.ts';
import { type Result, startProcess } from '../support/process.ts';
import { ROOT } from '../support/root.ts';
import { lookAgain } from '../support/test-daemon.ts';

const DOORS = { ssh: { knock: ['7000/tcp', '8000/udp', '9000/tcp'], opens: ['22/tcp'] } };
const BRIDGE_PORT = 'port0';

interface Said {
  readonly problems: readonly { readonly what: string; readonly fix: string }[];
  readonly warnings: readonly { readonly what: string; readonly fix: string }[];
}
interface Checked {
  readonly input: { readonly ipv4: string | null; readonly ipv6: string | null };
  readonly doors: readonly { readonly guessing: { readonly sequences: number; readonly method: string } }[];
  readonly warnings: readonly { readonly code: string; readonly key: string; readonly text: string }[];
}

describe('what stands against a configuration on the machine', () => {
  let net: Net;
  let daemon: Daemon | undefined;

  const ip = async (...argv: readonly string[]): Promise<void> => {
    const { code, stderr } = await net.server.exec(['ip', ...argv]);
    if (code !== 0) throw new Error(`ip ${argv.join(' ')}: ${stderr}`);
  };
  beforeAll(async () => {
    net = await createNet();
    await net.server.listen(22);
    await ip('link', 'add', BRIDGE_PORT, 'type', 'veth', 'peer', 'name', 'far0');
    await ip('link', 'add', 'br0', 'type', 'bridge');
    await ip('link', 'set', BRIDGE_PORT, 'master', 'br0');
  });
  afterAll(() => net?.close());
  afterEach(async () => {
    await daemon?.stop();
    if (daemon !== undefined) await nfknock(net.server, daemon, 'rules', 'remove');
    daemon = undefined;
  });

  const check = async (config: object): Promise<Checked> => {
    const { file } = writeConfig(config);
    const { stdout, stderr } = await net.server.exec([...NFKNOCK, 'check', '-c', file, '--json']);
    if (stdout === '') throw new Error(stderr);
    return JSON.parse(stdout) as Checked;
  };
  const status = async (): Promise<Said & { readonly code: number | null }> => {
    const { code, stdout } = await nfknock(net.server, daemon as Daemon, 'status', '--json');
    return { code, ...(JSON.parse(stdout) as Said) };
  };
  const codes = ({ warnings }: Checked): readonly string[] => warnings.map(({ code }) => code);

  // Against: an interface by which nothing is seen, so that the port is open
  // by: said at once, and looked at again every 30 s
  it.each([
    ['any', /no interface any/],
    ['eth7', /no interface eth7/],
    [BRIDGE_PORT, /port0 is a port of br0/],
  ])(
    'the interface %s is said by check, at the start and in status, which exits with 1',
    async (name, words) => {
      const config = { doors: DOORS, decoys: 'all', listen: { interfaces: [name] } };
      const { warnings } = await check(config);
      expect(warnings.map(({ key, text }) => `${key} ${text}`)).toContainEqual(expect.stringMatching(words));
      daemon = await net.server.startDaemon(config);
      expect(daemon.seen({ event: 'config.warning' }).map(({ reason }) => reason)).toContainEqual(
        expect.stringMatching(words),
      );
      const { code, problems } = await status();
      expect(problems.map(({ what }) => what)).toContainEqual(expect.stringMatching(words));
      expect(code).toBe(1);
    },
  );

  // That it looks every 30 s by itself is shown in memory (test/unit/daemon/in-memory.test.ts).
  it('an interface that comes and goes is noticed at the next look', async () => {
    daemon = await net.server.startDaemon({
      doors: DOORS,
      decoys: 'all',
      listen: { interfaces: ['toA', 'late0'] },
    });
    expect((await status()).problems).toHaveLength(1);
    await ip('link', 'add', 'late0', 'type', 'veth', 'peer', 'name', 'far1');
    await lookAgain(daemon);
    await expect.poll(status, { timeout: 10_000, interval: 300 }).toMatchObject({ problems: [], code: 0 });
    await ip('link', 'del', 'late0');
    await lookAgain(daemon);
    await expect
      .poll(async () => (await status()).problems, { timeout: 10_000, interval: 300 })
      .toHaveLength(1);
    expect(
      daemon.seen({ event: 'config.warning' }).filter(({ reason }) => /late0/.test(reason ?? '')),
    ).toHaveLength(2);
  });

  // Against: knock ports that show in a scan, unnoticed by the owner
  // by: `check`, `run` and `status` look at the policy
  it('knock ports that stand out under the policy are said, with what is then left to guess', async () => {
    const config = { doors: DOORS, decoys: ['23/tcp'] };
    const weak = await check(config);
    expect(weak.input).toEqual({ ipv4: 'accept', ipv6: 'accept' });
    expect(weak.doors[0]?.guessing).toMatchObject({ sequences: 6, method: 'order' });
    expect(codes(weak)).toContain('answer');
    daemon = await net.server.startDaemon(config);
    await daemon.waitFor({ event: 'config.warning' });
    const { code, warnings } = await status();
    expect(warnings.map(({ what }) => what)).toContainEqual(expect.stringMatching(/filtered.*order/));
    expect(code).toBe(0);

    const closed = await check({ ...config, answer: 'closed', listen: { source: 'nflog' } });
    expect(codes(closed)).not.toContain('answer');
    expect(closed.doors[0]?.guessing.sequences).toBeGreaterThan(6);
    for (const tool of ['iptables', 'ip6tables']) await net.server.exec([tool, '-P', 'INPUT', 'DROP']);
    try {
      const dropped = await check(config);
      expect(dropped.input).toEqual({ ipv4: 'drop', ipv6: 'drop' });
      expect(codes(dropped)).not.toContain('answer');
      expect(dropped.doors[0]?.guessing.sequences).toBeGreaterThan(6);
      expect(codes(await check({ ...config, answer: 'closed', listen: { source: 'nflog' } }))).toContain(
        'answer',
      );
    } finally {
      for (const tool of ['iptables', 'ip6tables']) await net.server.exec([tool, '-P', 'INPUT', 'ACCEPT']);
    }
  });

  it('a service that `decoys: all` closes is said by check and at the start, by its port and program', async () => {
    const port = 3000 + Math.floor(Math.random() * 900);
    await net.server.listen(port);
    const words = new RegExp(`socat \\(process \\d+\\) listens on ${port}/tcp`);
    const config = { doors: DOORS, decoys: 'all' };
    const found = await check(config);
    expect(found.warnings.filter(({ code }) => code === 'listener-closed').map(({ text }) => text)).toEqual([
      expect.stringMatching(words),
    ]);
    expect(codes(await check({ ...config, allow: [port] }))).not.toContain('listener-closed');
    daemon = await net.server.startDaemon(config);
    await expect
      .poll(() => daemon?.seen({ event: 'config.warning' }).map(({ reason }) => reason), { timeout: 5000 })
      .toContainEqual(expect.stringMatching(words));
    expect((await status()).warnings.map(({ what }) => what)).toContainEqual(expect.stringMatching(words));
  });

  it('another reader of the queue is named where no daemon answers', async () => {
    const queue = 40_000 + Math.floor(Math.random() * 20_000);
    const { folder, file } = writeConfig({ doors: DOORS, listen: { queues: queue } });
    const program = join(folder, 'readers');
    execFileSync('cc', ['-O2', '-o', program, join(ROOT, 'test/bench/readers.c'), '-lnetfilter_queue']);
    const status = (): Promise<Result> => net.server.exec([...NFKNOCK, 'status', '-c', file]);
    expect((await status()).stderr).not.toContain('reads queue');
    const reader = startProcess(net.server.namespace, [program, 'textbook', `${queue}`]);
    await expect
      .poll(async () => (await status()).stderr, { timeout: 20_000, interval: 500 })
      .toContain(`readers (process ${reader.pid}) reads queue ${queue}`);
    expect((await status()).code).toBe(5);
    reader.kill('SIGKILL');
  });
});
