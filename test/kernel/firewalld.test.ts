import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { nfknock } from '../support/bans-lab.ts';
import { type Daemon, writeConfig } from '../support/daemon.ts';
import { createNet, type Net } from '../support/net.ts';
import { type Child, startProcess } from '../support/process.ts';
import { ROOT } from '../support/root.ts';
import { temporaryFolder } from '../support/scratch.ts';

/* Beside the real firewalld, told what docs/operations.md says. */

const PORT = 22;
const LATE = 20_000;
const QUICK = 300;
/** Of each of the two, a connection over IPv4 and over IPv6. */
const NEITHER: readonly boolean[] = [false, false];
const KNOCK = ['7000/tcp', '8000/udp', '9000/tcp'];
const LINES = /( {4}firewall-cmd --permanent --new-ipset=[\s\S]*? {4}firewall-cmd --reload\n)/
  .exec(readFileSync(join(ROOT, 'docs/operations.md'), 'utf8'))?.[1]
  ?.split('\n')
  .map((line) => line.trim())
  .filter(Boolean);
const BUS = (socket: string): string => `<busconfig><type>system</type><listen>unix:path=${socket}</listen>
<auth>EXTERNAL</auth><policy context="default"><allow user="*"/><allow own="*"/><allow send_type="method_call"/>
<allow send_destination="*"/><allow receive_sender="*"/></policy></busconfig>
`;

let net: Net;
let env: Readonly<Record<string, string>>;
let daemon: Daemon | undefined;
const children: Child[] = [];

beforeAll(async () => {
  net = await createNet();
  await net.server.listen(PORT);
  const folder = temporaryFolder();
  const socket = join(folder, 'bus');
  env = { DBUS_SYSTEM_BUS_ADDRESS: `unix:path=${socket}` };
  writeFileSync(join(folder, 'bus.conf'), BUS(socket));
  cpSync('/etc/firewalld', join(folder, 'firewalld'), { recursive: true });
  const start = (argv: readonly string[]): void => {
    const child = startProcess(net.server.namespace, argv, env);
    for (const stream of [child.stdout, child.stderr]) stream.resume();
    children.push(child);
  };
  start(['dbus-daemon', `--config-file=${join(folder, 'bus.conf')}`, '--nofork', '--nopidfile']);
  start([
    'firewalld',
    ...['--nofork', '--nopid', '--system-config', join(folder, 'firewalld')],
    ...['--log-target', 'console'],
  ]);
  const running = async (): Promise<void> =>
    expect((await net.server.exec(['firewall-cmd', '--state'], { env })).code).toBe(0);
  await vi.waitFor(running, { timeout: 60_000, interval: 500 });
  // Whom its own zone lets in need not knock.
  await tell('firewall-cmd --permanent --remove-service=ssh');
  await tell('firewall-cmd --reload');
}, 120_000);
afterAll(async () => {
  await daemon?.stop('SIGKILL');
  for (const child of children) child.kill('SIGKILL');
  net?.close();
});

async function tell(line: string): Promise<void> {
  const { code, stderr } = await net.server.exec(['sh', '-c', line], { env });
  expect([line, code, stderr]).toEqual([line, 0, '']);
}
async function problems(of: Daemon): Promise<string> {
  const { stdout } = await nfknock(net.server, of, 'status', '--json');
  const said = JSON.parse(stdout) as { problems: readonly { what: string }[] };
  return said.problems.map(({ what }) => what).join('\n');
}
async function reached(from: 'clientA' | 'clientB'): Promise<readonly boolean[]> {
  const { server4, server6 } = net[from];
  return [await net[from].canConnect(server4, PORT, QUICK), await net[from].canConnect(server6, PORT, QUICK)];
}
async function knock(of: Daemon): Promise<void> {
  const { v4, v6 } = await net.clientA.moveToFreshSource();
  for (const [at, source] of [
    [net.clientA.server4, v4],
    [net.clientA.server6, v6],
  ] as const) {
    await net.clientA.exec(['knock', '-d', '20', at, ...KNOCK.map((step) => step.replace('/', ':'))]);
    await of.waitFor({ event: 'door.opened', source }, LATE);
  }
}
const config = (mark: object, length: string): object => ({
  doors: { ssh: { knock: KNOCK, opens: [`${PORT}/tcp`], for: length, ...mark } },
});

describe('beside firewalld', { timeout: 240_000 }, () => {
  it('a door lets nobody in, says so, and lets in who knocks by the lines of the docs alone', async () => {
    daemon = await net.server.startDaemon(config({}, '10m'), { timeout: 60_000 });
    await knock(daemon);
    expect(await reached('clientA'), 'as it was').toEqual(NEITHER);
    await expect
      .poll(() => problems(daemon as Daemon), { timeout: LATE })
      .toContain('inet firewalld filter_INPUT');

    expect(LINES?.length).toBeGreaterThan(3);
    for (const line of LINES ?? []) await tell(line);
    writeConfig(config({ grant_mark: '0x4e46' }, '6s'), daemon.folder);
    expect((await nfknock(net.server, daemon, 'reload')).stderr).toBe('');
    expect(await reached('clientB'), 'a stranger').toEqual(NEITHER);
    await knock(daemon);
    expect(await reached('clientA'), 'who knocked').toEqual([true, true]);
    const open = await net.clientA.openConnection(net.clientA.server4, PORT);
    expect(await reached('clientB'), 'a stranger').toEqual(NEITHER);
    await expect
      .poll(() => daemon?.seen({ event: 'door.closed', reason: 'expired' }).length, { timeout: LATE })
      .toBe(2);
    expect(await reached('clientA'), 'afterwards').toEqual(NEITHER);
    expect(await open.echoes('still here')).toBe(true);
    await expect.poll(() => problems(daemon as Daemon), { timeout: 40_000, interval: 1_000 }).toBe('');
  });
});
