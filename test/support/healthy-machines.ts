import { execFileSync, type SpawnSyncReturns, spawn, spawnSync } from 'node:child_process';
import { copyFileSync, cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { atEnd } from './cleanup.ts';
import type { Server } from './net.ts';
import { startProcess } from './process.ts';

/* Machines as people have them, in a network namespace: the real ufw, Docker and firewalld, with folders of their own. */

/** What such a machine is put together in. */
export interface Place {
  readonly server: Server;
  /** A folder of the test's own. */
  readonly folder: string;
}

/** Milliseconds that a busy machine may take to start a firewall or an engine. */
const PATIENCE = 90_000;

/** Runs shell in the machine's namespace; throws where it fails. */
export async function sh({ server }: Place, script: string): Promise<string> {
  const { code, stdout, stderr } = await server.exec(['sh', '-ec', script], { timeout: PATIENCE });
  if (code !== 0) throw new Error(`${script}: ${stderr}${stdout}`);
  return stdout;
}

async function until(what: string, isThere: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + PATIENCE;
  while (!(await isThere())) {
    if (performance.now() > end) throw new Error(`${what} does not come up within ${PATIENCE} ms`);
    await sleep(200);
  }
}

/** A server with ufw, which drops what is not allowed. */
export async function startUfw(place: Place, allowed: readonly string[]): Promise<void> {
  const etc = join(place.folder, 'ufw');
  // What is mounted in a command of `ip netns exec` is that command's alone.
  await sh(
    place,
    [
      `cp -a /etc/ufw '${etc}'; mount --bind '${etc}' /etc/ufw`,
      'ufw --force reset; ufw default deny incoming; ufw logging off',
      ...allowed.map((port) => `ufw allow ${port}`),
      'ufw --force enable; ufw status | grep -q "Status: active"',
    ].join('; '),
  );
}

const BUS = (socket: string): string => `<busconfig><type>system</type><listen>unix:path=${socket}</listen>
<auth>EXTERNAL</auth><policy context="default"><allow user="*"/><allow own="*"/><allow send_type="method_call"/>
<allow send_destination="*"/><allow receive_sender="*"/></policy></busconfig>
`;

/** A desktop with firewalld as Debian brings it, and what its owner has told it, each the options of `firewall-cmd`. */
export async function startFirewalld(place: Place, told: readonly string[]): Promise<void> {
  const etc = join(place.folder, 'firewalld');
  const bus = join(place.folder, 'bus.conf');
  const socket = join(place.folder, 'bus');
  const env = { DBUS_SYSTEM_BUS_ADDRESS: `unix:path=${socket}` };
  cpSync('/etc/firewalld', etc, { recursive: true });
  writeFileSync(bus, BUS(socket));
  const start = (argv: readonly string[]): void => {
    const child = startProcess(place.server.namespace, argv, env);
    for (const stream of [child.stdout, child.stderr]) stream.resume();
  };
  start(['dbus-daemon', `--config-file=${bus}`, '--nofork', '--nopidfile']);
  start(['firewalld', '--nofork', '--nopid', '--system-config', etc, '--log-target', 'console']);
  const ask = async (...args: readonly string[]): Promise<boolean> =>
    (await place.server.exec(['firewall-cmd', ...args], { env })).code === 0;
  await until('firewalld', () => ask('--state'));
  for (const options of [...told, '--runtime-to-permanent']) {
    if (!(await ask(...options.split(' ')))) throw new Error(`firewall-cmd ${options} has failed`);
  }
}

export interface Docker {
  /** Runs a command of the command line. */
  docker(...args: readonly string[]): Promise<string>;
  /** Ends the engine and every container. */
  close(): void;
}

/** A router with a Docker engine of its own, which makes its rules for both families. */
export async function startDocker(place: Place): Promise<Docker> {
  const { server } = place;
  const at = join(place.folder, 'docker');
  mkdirSync(at);
  const socket = join(at, 'socket');
  const options = [
    ...['--host', `unix://${socket}`, '--pidfile', join(at, 'pid')],
    ...['--data-root', join(at, 'data'), '--exec-root', join(at, 'exec')],
    ...['--bip', '203.0.113.1/24', '--experimental', '--ipv6', '--ip6tables'],
    ...['--fixed-cidr-v6', '2001:db8:d::/64'],
  ];
  // Containers need the machine's own mounts, so that not `ip netns exec` starts it.
  const engine = spawn('nsenter', [`--net=/run/netns/${server.namespace}`, 'dockerd', ...options], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  engine.stderr.setEncoding('utf8').on('data', (text: string) => {
    said = `${said}${text}`.slice(-2000);
  });
  const run = (args: readonly string[]): SpawnSyncReturns<string> =>
    spawnSync('docker', ['--host', `unix://${socket}`, ...args], { encoding: 'utf8', timeout: PATIENCE });
  const close = atEnd(() => {
    const containers = run(['ps', '-aq']).stdout.split('\n').filter(Boolean);
    if (containers.length > 0) run(['rm', '-f', ...containers]);
    engine.kill('SIGTERM');
    // It takes its containerd and its mounts along.
    for (let turn = 0; turn < 150 && isAlive(engine.pid); turn += 1) spawnSync('sleep', ['0.1']);
    engine.kill('SIGKILL');
    const mounts = readFileSync('/proc/self/mounts', 'utf8').split('\n');
    for (const place of mounts.map((line) => line.split(' ')[1] ?? '').reverse()) {
      if (place.startsWith(`${at}/`)) spawnSync('umount', ['-l', place]);
    }
  });
  const docker = async (...args: readonly string[]): Promise<string> => {
    const { status, stdout, stderr } = run(args);
    if (status !== 0) throw new Error(`docker ${args.join(' ')}: ${stderr}`);
    return String(stdout).trim();
  };
  await until('dockerd', async () => {
    if (engine.exitCode !== null) throw new Error(`dockerd ended: ${said}`);
    return run(['version']).status === 0;
  });
  // An image of one program.
  const tree = join(at, 'tree');
  mkdirSync(join(tree, 'bin'), { recursive: true });
  copyFileSync(existsSync('/bin/busybox') ? '/bin/busybox' : '/usr/bin/busybox', join(tree, 'bin/busybox'));
  execFileSync('tar', ['-C', tree, '-cf', join(at, 'tiny.tar'), '.']);
  await docker('import', join(at, 'tiny.tar'), 'tiny');
  return { docker, close };
}

/** Nobody waits for a child while this process stands still: it is a zombie once it has ended. */
function isAlive(pid: number | undefined): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}
